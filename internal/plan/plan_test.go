package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/job"
)

// anyRequest draws a request that fits its nodes.
func anyRequest(t *rapid.T) Request {
	r := Request{
		Tasks: rapid.IntRange(1, 200).Draw(t, "tasks"),
		Nodes: rapid.IntRange(1, 5).Draw(t, "nodes"),
		CPUs:  rapid.IntRange(1, 12).Draw(t, "cpus"),
	}
	r.Spec.AppType = rapid.SampledFrom([]job.AppType{job.SISO, job.MIMO}).Draw(t, "apptype")
	r.Spec.Distribution = rapid.SampledFrom([]job.Distribution{job.Block, job.Cyclic}).Draw(t, "distribution")
	r.Spec.Lanes = rapid.IntRange(1, 12).Draw(t, "lanes")
	switch rapid.SampledFrom([]string{"free", "np", "ndata", "triple"}).Draw(t, "shape") {
	case "np":
		r.Spec.NP.Processes = rapid.IntRange(1, 250).Draw(t, "np")
	case "ndata":
		r.Spec.NData = rapid.IntRange(1, 250).Draw(t, "ndata")
	case "triple":
		threads := rapid.IntRange(1, r.CPUs).Draw(t, "threads")
		r.Spec.NP = job.NP{
			Triple: true, Threads: threads,
			Nodes:   rapid.IntRange(1, r.Nodes).Draw(t, "triple nodes"),
			PerNode: rapid.IntRange(1, r.CPUs/threads).Draw(t, "per node"),
		}
	}
	return r
}

func mustMake(t interface{ Fatal(...any) }, r Request) *Plan {
	p, err := Make(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tasksOf lists a plan's tasks in ascending order.
func tasksOf(p *Plan) []int {
	var all []int
	for _, e := range p.Elements {
		for _, c := range e.Calls {
			all = append(all, c...)
		}
	}
	slices.Sort(all)
	return all
}

func TestEveryTaskOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		p := mustMake(t, r)
		if got, want := tasksOf(p), slices.Collect(job.IndexesTo(r.Tasks).All()); !slices.Equal(got, want) {
			t.Fatalf("tasks %v", got)
		}
		if len(p.Elements) > r.Nodes || len(p.Elements) != p.Nodes {
			t.Fatalf("%d elements, %d nodes, there are %d", len(p.Elements), p.Nodes, r.Nodes)
		}
		atOnce := 0
		for i, e := range p.Elements {
			atOnce += e.Lanes
			switch {
			case e.Index != i+1, e.Node != i:
				t.Fatalf("element %d has index %d, node %d", i, e.Index, e.Node)
			case e.Lanes < 1, e.Lanes > len(e.Calls), e.Lanes > e.PerNode:
				t.Fatalf("element %d: %d lanes, %d calls, %d processes", i, e.Lanes, len(e.Calls), e.PerNode)
			case !r.Spec.NP.Triple && e.Lanes > r.Spec.Lanes:
				t.Fatalf("element %d: %d lanes of %d", i, e.Lanes, r.Spec.Lanes)
			}
		}
		if n := r.Spec.NP.Processes; n > 0 && atOnce > n {
			t.Fatalf("%d at once, --np=%d", atOnce, n)
		}
	})
}

// MIMO calls are the shares themselves.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		r.Spec.AppType = job.MIMO
		p := mustMake(t, r)
		smallest, largest, rank := r.Tasks, 0, 0
		for _, e := range p.Elements {
			for k, call := range e.Calls {
				smallest, largest = min(smallest, len(call)), max(largest, len(call))
				if e.Ranks[k] != rank {
					t.Fatalf("rank %d, want %d", e.Ranks[k], rank)
				}
				rank++
				step := 1
				if r.Spec.Distribution == job.Cyclic {
					step = p.Processes
				}
				for i := 1; i < len(call); i++ {
					if call[i]-call[i-1] != step {
						t.Fatalf("call %v, %s", call, r.Spec.Distribution)
					}
				}
			}
		}
		if rank != p.Processes || largest-smallest > 1 || smallest < 1 {
			t.Fatalf("%d of %d processes, sizes %d to %d", rank, p.Processes, smallest, largest)
		}
		if k := r.Spec.NData; k > 0 && (largest > k || p.Processes != (r.Tasks+k-1)/k) {
			t.Fatalf("--ndata=%d: %d processes, up to %d inputs", k, p.Processes, largest)
		}
	})
}

// A SISO queue takes the shares in turn, and each in its order.
func TestQueueOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		r.Spec.AppType = job.MIMO
		if r.Spec.NP == (job.NP{}) && r.Spec.NData == 0 {
			r.Spec.NData = 1
		}
		mimo := mustMake(t, r)
		r.Spec.AppType = job.SISO
		siso := mustMake(t, r)
		for i, e := range siso.Elements {
			at := map[int]int{} // task → place in the queue
			for k, call := range e.Calls {
				if len(call) != 1 {
					t.Fatalf("a SISO call has %d tasks", len(call))
				}
				at[call[0]] = k
			}
			for _, share := range mimo.Elements[i].Calls {
				for k := 1; k < len(share); k++ {
					if at[share[k-1]] >= at[share[k]] {
						t.Fatalf("share %v is out of order in %v", share, e.Calls)
					}
				}
				if at[share[0]] >= len(mimo.Elements[i].Calls) {
					t.Fatalf("the first of share %v waits for a second one: %v", share, e.Calls)
				}
			}
		}
	})
}

func TestWithoutNumberTheOrderIsKept(t *testing.T) {
	p := mustMake(t, Request{Tasks: 7, Nodes: 2, CPUs: 2})
	if got, want := fmt.Sprint(p.Elements[0].Calls, p.Elements[1].Calls), "[[1] [2] [3] [4]] [[5] [6] [7]]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What is left keeps its node, its call and its rank.
func TestRestricted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		whole := mustMake(t, r)
		keep := rapid.SliceOfDistinct(rapid.IntRange(1, r.Tasks), rapid.ID[int]).Draw(t, "left")
		left := job.NewIndexSet(keep...)
		r.Left = &left
		p := mustMake(t, r)
		slices.Sort(keep)
		if got := tasksOf(p); !slices.Equal(got, keep) || p.Left != len(keep) {
			t.Fatalf("left %v, want %v", got, keep)
		}
		for i, e := range p.Elements {
			before := whole.Elements[e.Node]
			if e.Index != i+1 || e.FirstRank != before.FirstRank || e.PerNode != before.PerNode || e.Lanes < 1 || e.Lanes > len(e.Calls) {
				t.Fatalf("element %+v was %+v", e, before)
			}
			next := 0 // call of the whole plan behind the last one found
			for k, call := range e.Calls {
				c := slices.IndexFunc(before.Calls[next:], func(c []int) bool { return slices.Contains(c, call[0]) })
				if c < 0 {
					t.Fatalf("call %v is not in order in %v", call, before.Calls)
				}
				c += next
				want := slices.DeleteFunc(slices.Clone(before.Calls[c]), func(t int) bool { return !left.Contains(t) })
				if !slices.Equal(call, want) || before.Ranks != nil && e.Ranks[k] != before.Ranks[c] {
					t.Fatalf("call %v of %v", call, before.Calls[c])
				}
				next = c + 1
			}
		}
	})
}

func TestRefused(t *testing.T) {
	triple := func(n, p, th int) job.NP { return job.NP{Triple: true, Nodes: n, PerNode: p, Threads: th} }
	left := job.NewIndexSet(3, 11)
	tests := []struct {
		r    Request
		want string
	}{
		{Request{Tasks: 0}, "there is nothing to do: no input"},
		{Request{Tasks: 10, Spec: job.Spec{NP: job.NP{Processes: -1}}}, "--np=-1: a run needs at least 1 process"},
		{Request{Tasks: 10, Spec: job.Spec{NData: -1}}, "--ndata=-1: a process takes at least 1 input"},
		{Request{Tasks: 100, Spec: job.Spec{NP: job.NP{Processes: 4}, NData: 10}},
			"--np=4 and --ndata=10 contradict each other: 100 inputs in 4 processes are up to 25 each, and 10 each are 10 processes; give one of them"},
		{Request{Tasks: 1, Spec: job.Spec{NP: job.NP{Processes: 1}, NData: 1}},
			"--np=1 and --ndata=1 contradict each other: 1 input in 1 process is up to 1 each, and 1 each is 1 process; give one of them"},
		{Request{Tasks: 100, Spec: job.Spec{NP: triple(2, 4, 1), NData: 10}},
			"--np=[2,4,1] and --ndata=10 contradict each other: 100 inputs in 8 processes are up to 13 each, and 10 each are 10 processes; give one of them"},
		{Request{Tasks: 10, Nodes: 1, CPUs: 2, Spec: job.Spec{NP: triple(1, 4, 2)}}, "--np=[1,4,2] needs 8 CPUs on a node (4 × 2), and a node has 2"},
		{Request{Tasks: 10, Nodes: 1, CPUs: 2, Spec: job.Spec{NP: triple(3, 1, 1)}}, "--np=[3,1,1] needs 3 nodes, and there is 1"},
		{Request{Tasks: 10, Nodes: 4, CPUs: 2, Spec: job.Spec{NP: triple(0, 1, 1)}}, "--np=[0,1,1]: nodes, processes per node and threads per process are each at least 1"},
		{Request{Tasks: 10, Nodes: 1, CPUs: 2, Spec: job.Spec{NP: triple(1, 1<<62, 4)}}, "--np=[1,4611686018427387904,4] needs far too many CPUs on a node (4611686018427387904 × 4), and a node has 2"},
		{Request{Tasks: 10, Left: &left}, "task 11 is none of this run's: they are 1 to 10"},
	}
	for _, tt := range tests {
		_, err := Make(tt.r)
		if !errors.Is(err, job.ErrBadInput) || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

func TestElementAsJSON(t *testing.T) {
	p := mustMake(t, Request{Tasks: 5, Nodes: 1, CPUs: 2, Spec: job.Spec{AppType: job.MIMO, NP: job.NP{Processes: 2}}})
	text, err := json.Marshal(p.Elements[0])
	want := `{"index":1,"node":0,"lanes":2,"per_node":2,"first_rank":0,"calls":[[1,2,3],[4,5]],"ranks":[0,1]}`
	if err != nil || string(text) != want {
		t.Errorf("%v\n%s\n%s", err, text, want)
	}
}

func BenchmarkMake100000(b *testing.B) {
	left := job.IndexesTo(99_999)
	for _, shape := range []Request{
		{}, {Spec: job.Spec{NP: job.NP{Processes: 64}}}, {Left: &left},
		{Spec: job.Spec{AppType: job.MIMO, NData: 10, Distribution: job.Cyclic}},
	} {
		shape.Tasks, shape.Nodes, shape.CPUs = 100_000, 4, 16
		b.Run(fmt.Sprint(shape.Spec.NP, shape.Spec.AppType), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustMake(b, shape)
			}
		})
	}
}

// Of --per-lane K the first K lanes share the CPUs of the first lane, and so on.
func TestPerLane(t *testing.T) {
	cpus := []int{0, 1, 2, 3}
	var got [][]int
	for lane := range 5 {
		got = append(got, GroupCPUs(cpus, lane, 5, 3, 0))
	}
	if want := [][]int{{0, 1}, {0, 1}, {0, 1}, {2, 3}, {2, 3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("CPUs %v, want %v", got, want)
	}
	p, err := Make(Request{Spec: job.Spec{Lanes: 2, PerLane: 3}, Tasks: 100, Nodes: 2, CPUs: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range p.Elements {
		if e.Lanes != 6 || e.PerLane != 3 || e.FirstRank != 6*e.Node {
			t.Errorf("node %d: %d calls at once, %d in a lane, first rank %d", e.Node, e.Lanes, e.PerLane, e.FirstRank)
		}
	}
	if _, err := Make(Request{Spec: job.Spec{PerLane: 2, NP: job.NP{Triple: true, Nodes: 1, PerNode: 1, Threads: 1}}, Tasks: 1, CPUs: 1}); !errors.Is(err, job.ErrBadInput) {
		t.Errorf("with a triple: %v", err)
	}
}
