package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/engine/memory"
	"muster/internal/job"
	"muster/internal/plan"
	"muster/internal/rundir"
)

// cluster is an engine as a scheduler is: it has limits, cannot tell ends by itself,
// and now and then does not answer.
type cluster struct {
	engine.Engine
	info engine.Info
	err  error // of Info

	mu      sync.Mutex
	lose    bool // the next answer to Submit
	deaf    int  // so many questions about Status are not answered
	submits []job.Array
	asked   int
}

func newCluster(t *testing.T, nodes, cpus int, run func(context.Context, memory.Call) job.Exit) *cluster {
	t.Helper()
	if run == nil {
		run = func(context.Context, memory.Call) job.Exit { return job.Exit{} }
	}
	e := memory.New(memory.Options{Run: run})
	t.Cleanup(func() { e.Close() })
	return &cluster{Engine: e, info: engine.Info{Nodes: nodes, CPUs: cpus, Description: fmt.Sprintf("%d nodes", nodes)}}
}

func (c *cluster) Info(ctx context.Context, want job.Resource) (engine.Info, error) {
	if want.Partition == "none" {
		return engine.Info{}, fmt.Errorf("asking: %w: no partition none", engine.ErrRefused)
	}
	return c.info, c.err
}

func (c *cluster) Submit(ctx context.Context, a job.Array) (engine.ID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.submits = append(c.submits, a)
	id, err := c.Engine.Submit(ctx, a)
	if c.lose {
		c.lose = false
		return "", engine.ErrUnavailable
	}
	return id, err
}

func (c *cluster) Status(ctx context.Context, ids ...engine.ID) ([]engine.Report, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if c.deaf > 0 {
		c.deaf--
		return nil, engine.ErrUnavailable
	}
	return c.Engine.Status(ctx, ids...)
}

// onClusters is a conductor with these schedulers beside the local engine.
func onClusters(t *testing.T, all map[string]*cluster) (c *Conductor, dir string, told *[]string) {
	t.Helper()
	c, dir, told = newConductor(t)
	for _, name := range []string{"slurm", "gridengine"} {
		c.Clusters = append(c.Clusters, Cluster{Name: name, Allocation: name + "-allocation"})
		c.Engines[name], c.Engines[name+"-allocation"] = &cluster{err: engine.ErrMissing}, &cluster{err: engine.ErrMissing}
	}
	for name, e := range all {
		c.Engines[name] = e
	}
	var err error
	if c.Store, err = rundir.OpenStore(t.TempDir(), rundir.Options{}); err != nil {
		t.Fatal(err)
	}
	c.Agent = []string{"/bin/true"}
	return c, dir, told
}

func TestEngineIsChosen(t *testing.T) {
	down := fmt.Errorf("slurmctld: %w", engine.ErrUnavailable)
	tests := []struct {
		name    string
		want    wanted
		inside  string
		engines map[string]*cluster
		chosen  string
		why     string // of the choice, or of the refusal
		refused error
	}{
		{"nothing is here", wanted{engine: "auto"}, "", nil, "local", "", nil},
		{"a controller that answers", wanted{}, "", map[string]*cluster{"slurm": newCluster(t, 8, 4, nil)}, "slurm", "8 nodes", nil},
		{"a controller that is down", wanted{engine: "auto"}, "", map[string]*cluster{"slurm": {err: down}}, "local", "slurm does not answer", nil},
		{"a qmaster behind it", wanted{engine: "auto"}, "", map[string]*cluster{"slurm": {err: down}, "gridengine": newCluster(t, 3, 4, nil)}, "gridengine", "3 nodes", nil},
		{"the configuration", wanted{engine: "auto", fallback: "gridengine"}, "", map[string]*cluster{"slurm": newCluster(t, 8, 4, nil), "gridengine": newCluster(t, 3, 4, nil)},
			"gridengine", "by the configuration: 3 nodes", nil},
		{"an allocation beats the configuration", wanted{engine: "auto", fallback: "gridengine"}, "slurm", map[string]*cluster{"slurm-allocation": newCluster(t, 2, 4, nil)},
			"slurm-allocation", "inside 2 nodes", nil},
		{"by name, inside an allocation", wanted{engine: "slurm"}, "slurm", map[string]*cluster{"slurm-allocation": newCluster(t, 2, 4, nil)}, "slurm-allocation", "inside 2 nodes", nil},
		{"by name, inside an allocation, anew", wanted{engine: "slurm", fresh: true}, "slurm", map[string]*cluster{"slurm": newCluster(t, 8, 4, nil)}, "slurm", "8 nodes", nil},
		{"another one's allocation", wanted{engine: "gridengine"}, "slurm", map[string]*cluster{"gridengine": newCluster(t, 3, 4, nil)}, "gridengine", "3 nodes", nil},
		{"local inside an allocation", wanted{engine: "local"}, "slurm", nil, "local", "", nil},
		{"local, anew", wanted{engine: "local", fresh: true}, "", nil, "", "--new submits to a scheduler, and engine local is none", job.ErrBadInput},
		{"by name, and down", wanted{engine: "slurm"}, "", map[string]*cluster{"slurm": {err: down}}, "", "slurm does not answer", engine.ErrUnavailable},
		{"by name, and missing", wanted{engine: "slurm"}, "", nil, "", "slurm is not here", engine.ErrMissing},
		{"a partition that it has not", wanted{engine: "auto", resource: job.Resource{Partition: "none"}}, "", map[string]*cluster{"slurm": newCluster(t, 8, 4, nil)}, "", "slurm refuses: no partition none", engine.ErrRefused},
		{"an allocation's own name", wanted{engine: "pbs"}, "", nil, "", "known are auto, gridengine, local, slurm", job.ErrBadInput},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _, _ := onClusters(t, tt.engines)
			for i := range c.Clusters {
				c.Clusters[i].Inside = c.Clusters[i].Name == tt.inside
			}
			got, err := c.choose(t.Context(), tt.want)
			if tt.refused != nil {
				if !errors.Is(err, tt.refused) || !strings.Contains(err.Error(), tt.why) {
					t.Errorf("%v, want %v with %q", err, tt.refused, tt.why)
				}
				return
			}
			if err != nil || got.name != tt.chosen || got.why != tt.why {
				t.Errorf("%s (%s), %v; want %s (%s)", got.name, got.why, err, tt.chosen, tt.why)
			}
		})
	}
}

// The scheduler is asked for what the lanes need, and the agent.
func TestDemand(t *testing.T) {
	const gib = int64(1 << 30)
	elements := []plan.Element{{Lanes: 4}, {Lanes: 3}}
	tests := []struct {
		name string
		spec job.Spec
		kind rundir.SubmissionKind
		want job.Array
	}{
		{"lanes", job.Spec{}, rundir.SubmitMap, job.Array{Elements: 2, CPUs: 4}},
		{"memory", job.Spec{Mem: gib}, rundir.SubmitMap, job.Array{Elements: 2, CPUs: 4, Mem: 4*gib + AgentMemory}},
		{"memory of many tasks", job.Spec{Mem: gib, Tasks: 1_100_000}, rundir.SubmitMap, job.Array{Elements: 2, CPUs: 4, Mem: 4*gib + AgentMemory + 1_000_000*1024}},
		{"time", job.Spec{Time: time.Hour, Warn: time.Minute, Requeue: true}, rundir.SubmitMap, job.Array{Elements: 2, CPUs: 4, Time: time.Hour, Warn: time.Minute, Requeue: true}},
		{"slots of the map", job.Spec{Scheduler: job.Resource{SlotsPer: 2, SlotsType: 1}}, rundir.SubmitMap, job.Array{Elements: 2, CPUs: 8}},
		{"slots of both", job.Spec{Scheduler: job.Resource{SlotsPer: 2, SlotsType: 2}}, rundir.SubmitMap, job.Array{Elements: 2, CPUs: 8}},
		{"slots of the reducer alone", job.Spec{Scheduler: job.Resource{SlotsPer: 2, SlotsType: 3}}, rundir.SubmitMap, job.Array{Elements: 2, CPUs: 4}},
		{"a triple", job.Spec{Threads: 2, NP: job.NP{Triple: true, Nodes: 2, PerNode: 4, Threads: 2}}, rundir.SubmitMap,
			job.Array{Elements: 2, CPUs: 8, Spread: true, Resource: job.Resource{Exclusive: true}}},
		{"more lanes than CPUs", job.Spec{Threads: 4}, rundir.SubmitMap, job.Array{Elements: 2, CPUs: 8}},
		{"a reducer", job.Spec{Mem: gib, Time: time.Hour, Warn: time.Minute, Scheduler: job.Resource{Partition: "p", GPUs: "1", Exclusive: true, SlotsPer: 4, SlotsType: 1}}, rundir.SubmitReduce,
			job.Array{Elements: 1, CPUs: 1, Mem: gib + AgentMemory, Time: time.Hour, Resource: job.Resource{Partition: "p"}}},
		{"slots of the reducer", job.Spec{Scheduler: job.Resource{SlotsPer: 4, SlotsType: 3}}, rundir.SubmitReduce, job.Array{Elements: 1, CPUs: 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			el := elements
			if tt.kind == rundir.SubmitReduce {
				el = nil
			}
			if got, want := fmt.Sprintf("%+v", demand(tt.spec, tt.kind, el, 8)), fmt.Sprintf("%+v", tt.want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestShapeOnACluster(t *testing.T) {
	tests := []struct {
		name     string
		change   func(*Request, *engine.Info)
		lanes    int
		elements int
		told     string
		refused  string
	}{
		{"as many nodes as are useful", nil, 2, 2, "", ""},
		{"--nodes", func(r *Request, _ *engine.Info) { r.Nodes = 1 }, 2, 1, "", ""},
		{"--lanes", func(r *Request, _ *engine.Info) { r.Lanes = 1 }, 1, 3, "", ""},
		{"nodes that differ", func(_ *Request, i *engine.Info) { i.Mixed = "7 nodes have 2 CPUs, 1 has 64" }, 2, 2,
			"7 nodes have 2 CPUs, 1 has 64: 2 lanes on a node, as the smallest has CPUs for; --lanes, --partition or --constraint say otherwise", ""},
		{"little memory", func(r *Request, i *engine.Info) { r.Mem, i.Memory = 3<<30, 4<<30 }, 1, 3,
			"1 lane instead of 2 on a node: its 4G hold no more of --mem 3G", ""},
		{"too little memory", func(r *Request, i *engine.Info) { r.Mem, i.Memory = 4<<30, 4<<30 }, 0, 0, "",
			"1 lane with --mem 4G: that takes 4224M of a node, the agent's own 128M included, and it has 4G"},
		{"too little memory for the lanes", func(r *Request, i *engine.Info) { r.Lanes, r.Mem, i.Memory = 2, 3<<30, 4<<30 }, 0, 0, "",
			"2 lanes with --mem 3G: that takes 6272M of a node, the agent's own 128M included, and it has 4G"},
		{"too long", func(r *Request, i *engine.Info) {
			r.Time, i.MaxTime, r.Scheduler.Partition = 48*time.Hour, 24*time.Hour, "day"
		}, 0, 0, "",
			"--time 2-00:00:00 is more than day allows (1-00:00:00)"},
		{"a triple that does not fit", func(r *Request, _ *engine.Info) { r.NP = job.NP{Triple: true, Nodes: 1, PerNode: 3, Threads: 1} }, 0, 0, "",
			"--np=[1,3,1] needs 3 CPUs on a node (3 × 1), and a node has 2"},
		{"a triple of too many nodes", func(r *Request, _ *engine.Info) { r.NP = job.NP{Triple: true, Nodes: 9, PerNode: 1, Threads: 1} }, 0, 0, "",
			"--np=[9,1,1] needs 9 nodes, and there are 8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newCluster(t, 8, 2, nil)
			c, dir, told := onClusters(t, map[string]*cluster{"slurm": e})
			r := request(dir)
			r.Engine = "slurm"
			if tt.change != nil {
				tt.change(&r, &e.info)
			}
			p, err := c.Prepare(t.Context(), r)
			if tt.refused != "" {
				if err == nil || err.Error() != tt.refused {
					t.Errorf("%v, want %s", err, tt.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Spec.Lanes != tt.lanes || len(p.Plan.Elements) != tt.elements {
				t.Errorf("%d lanes on %d nodes, want %d on %d", p.Spec.Lanes, len(p.Plan.Elements), tt.lanes, tt.elements)
			}
			if all := strings.Join(*told, "\n"); !strings.Contains(all, tt.told) {
				t.Errorf("told %q, want %q", all, tt.told)
			}
		})
	}
}

// submitted is a run on a cluster, with a reducer.
func submitted(t *testing.T, e *cluster) (*Conductor, *rundir.Run, *[]string) {
	t.Helper()
	c, dir, told := onClusters(t, map[string]*cluster{"slurm": e})
	r := request(dir)
	r.Engine, r.Reducer = "slurm", "tool"
	p, err := c.Prepare(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	run, err := c.Submit(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return c, run, told
}

// An answer that is lost is found by its tag, and nothing is submitted twice.
func TestLostAnswerIsFound(t *testing.T) {
	e := newCluster(t, 2, 2, nil)
	e.lose = true
	_, run, _ := submitted(t, e)
	subs, err := run.Submissions()
	if err != nil || len(subs) != 2 || subs[0].Open() || subs[1].Open() {
		t.Errorf("submissions %+v, %v", subs, err)
	}
	if len(e.submits) != 2 {
		t.Errorf("submitted %d times, want the map and the reducer once each", len(e.submits))
	}
	if after := e.submits[1].After; len(after) != 1 || after[0] != subs[0].IDs[0] {
		t.Errorf("the reducer waits for %v, want %v", after, subs[0].IDs)
	}
}

// What a scheduler refuses leaves nothing behind.
func TestRefusedRunIsGone(t *testing.T) {
	c, dir, _ := onClusters(t, map[string]*cluster{"slurm": newCluster(t, 2, 2, nil)})
	c.Engines["slurm"].(*cluster).Engine = deaf{err: fmt.Errorf("sbatch: %w", engine.ErrRefused)}
	r := request(dir)
	r.Engine, r.Inputs.Output = "slurm", "new/out"
	p, err := c.Prepare(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	run, err := c.Submit(t.Context(), p)
	if !errors.Is(err, engine.ErrRefused) || run != nil {
		t.Errorf("run %v, %v", run, err)
	}
	if runs, err := c.Store.List(); len(runs) != 0 || err != nil {
		t.Errorf("runs %v, %v", runs, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("the output folder is left")
	}
}

// A controller that does not answer for a while ends nothing.
func TestSilenceIsWaitedFor(t *testing.T) {
	e := newCluster(t, 2, 2, nil)
	c, run, told := submitted(t, e)
	e.deaf = 2
	s, err := c.Watch(t.Context(), run, nil)
	if err != nil || !s.Ended || s.State != job.NodeFail { // its elements were no agents
		t.Fatalf("%+v, %v", s, err)
	}
	all := strings.Join(*told, "\n")
	if strings.Count(all, "the run goes on without it") != 1 || strings.Count(all, "answers again") != 1 {
		t.Errorf("told %q", all)
	}
}

// Status and ps tell what the run's folder tells when the scheduler is silent.
func TestStandingInSilence(t *testing.T) {
	e := newCluster(t, 2, 2, nil)
	c, run, _ := submitted(t, e)
	e.deaf = 1 << 20
	s, err := c.Stand(t.Context(), run, rundir.LoadOptions{})
	if err != nil || s.Ended || s.State != job.Pending || !errors.Is(s.Deaf, engine.ErrUnavailable) {
		t.Errorf("%+v, %v", s, err)
	}
	err = c.Overview(t.Context(), []*rundir.Run{run}, func(_ *rundir.Run, s *Standing, err error) {
		if err != nil || s.Ended || !errors.Is(s.Deaf, engine.ErrUnavailable) {
			t.Errorf("%+v, %v", s, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := c.Resume(t.Context(), run, false); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("resume: %v", err)
	}
}

// A run that no node can begin with is cancelled, with one clear reason that stays.
func TestRunThatNoNodeSees(t *testing.T) {
	e := newCluster(t, 2, 2, func(ctx context.Context, call memory.Call) job.Exit {
		if call.Element == 1 && len(call.Array.After) == 0 {
			return job.Exit{Code: job.ExitUnseen, Cause: job.CauseExit}
		}
		<-ctx.Done() // as long as nobody cancels it
		return job.Exit{Signal: 15, Cause: job.CauseSignal}
	})
	c, run, _ := submitted(t, e)
	s, err := c.Watch(t.Context(), run, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Unfit == nil || s.State != job.NodeFail || !strings.Contains(s.Reason, "does not see the folder of the run; keep runs in a folder") {
		t.Errorf("%s %q, %v", s.State, s.Reason, s.Unfit)
	}
	subs, err := run.Submissions()
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range subs {
		r, err := e.Status(t.Context(), engine.ID(sub.IDs[0]))
		if err != nil || !r[0].State.Ended() {
			t.Errorf("generation %d is %v, %v", sub.Generation, r, err)
		}
	}
	// The engine forgets; the run does not.
	c.Engines["slurm"] = newCluster(t, 2, 2, nil)
	again, err := c.Stand(t.Context(), run, rundir.LoadOptions{})
	if err != nil || again.Reason != s.Reason {
		t.Errorf("later: %q, %v", again.Reason, err)
	}
}

func TestHoldAndRelease(t *testing.T) {
	e := newCluster(t, 2, 2, nil)
	c, dir, _ := onClusters(t, map[string]*cluster{"slurm": e})
	r := request(dir)
	r.Engine, r.Reducer, r.Hold = "slurm", "tool", true
	p, err := c.Prepare(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	run, err := c.Submit(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if !e.submits[0].Hold || e.submits[1].Hold {
		t.Errorf("held: map %v, reducer %v; want the map alone", e.submits[0].Hold, e.submits[1].Hold)
	}
	if s, err := c.Stand(t.Context(), run, rundir.LoadOptions{}); err != nil || s.State != job.Pending {
		t.Errorf("%+v, %v", s, err)
	}
	if err := errors.Join(c.Hold(t.Context(), run), c.Release(t.Context(), run)); err != nil {
		t.Error(err)
	}
	if _, err := c.Watch(t.Context(), run, nil); err != nil {
		t.Error(err)
	}
	if err := c.Release(t.Context(), run); !errors.Is(err, job.ErrBadInput) {
		t.Errorf("release after the end: %v", err)
	}
}

// That somebody cancelled a run is known when its engine has forgotten everything.
func TestCancelledAndForgotten(t *testing.T) {
	e := newCluster(t, 2, 2, nil)
	c, dir, _ := onClusters(t, map[string]*cluster{"slurm": e})
	r := request(dir)
	r.Engine, r.Hold = "slurm", true
	p, err := c.Prepare(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	run, err := c.Submit(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Cancel(t.Context(), run, nil); err != nil {
		t.Fatal(err)
	}
	c.Engines["slurm"] = newCluster(t, 2, 2, nil)
	s, err := c.Stand(t.Context(), run, rundir.LoadOptions{})
	if err != nil || !s.Ended || s.State != job.Cancelled {
		t.Errorf("%s %q, %v; want CANCELLED", s.State, s.Reason, err)
	}
}

// When one node of several sees nothing, the others go on, and the verdict names it.
func TestOneNodeThatSeesNothing(t *testing.T) {
	run := newRun(t, job.Spec{Name: "sim"}, []job.Task{{Index: 1}, {Index: 2}, {Index: 3}, {Index: 4}})
	sub, err := run.AddSubmission(rundir.Submission{Kind: rundir.SubmitMap, Engine: "slurm", Tag: "t", At: time.Now(), Elements: 2})
	if err != nil {
		t.Fatal(err)
	}
	sub.IDs = []string{"7"}
	a := &arrays{subs: []rundir.Submission{sub}, reports: map[int]engine.Report{1: {State: job.Failed, Elements: []engine.Element{
		{Index: 1, State: job.Completed, Node: "n1"},
		{Index: 2, State: job.Failed, Node: "n2", Exit: job.Exit{Code: job.ExitUnseen}},
	}}}}
	tell(t, run, agentTale{generation: 1, ends: all(2, job.Completed), words: "done"})
	snap, err := run.Load(t.Context(), rundir.LoadOptions{Alive: a.alive})
	if err != nil {
		t.Fatal(err)
	}
	s := a.judge(snap)
	if want := "2 of 4 tasks not done: node n2 does not see the folder of the run"; s.State != job.NodeFail || s.Reason != want || s.Unfit != nil {
		t.Errorf("%s %q (%v), want %q", s.State, s.Reason, s.Unfit, want)
	}
}

// A lost node is named, and that there are others.
func TestLostNodesAreNamed(t *testing.T) {
	lost := func(i int, node string) engine.Element {
		return engine.Element{Index: i, State: job.NodeFail, Node: node, Exit: job.Exit{Cause: job.CauseAgentLost, Detail: "Slurm lost the node " + node}}
	}
	run := newRun(t, job.Spec{Name: "sim"}, []job.Task{{Index: 1}, {Index: 2}, {Index: 3}, {Index: 4}})
	sub, err := run.AddSubmission(rundir.Submission{Kind: rundir.SubmitMap, Engine: "slurm", Tag: "t", At: time.Now(), Elements: 3})
	if err != nil {
		t.Fatal(err)
	}
	sub.IDs = []string{"7"}
	a := &arrays{subs: []rundir.Submission{sub}, reports: map[int]engine.Report{1: {State: job.NodeFail, Elements: []engine.Element{
		{Index: 1, State: job.Completed, Node: "n1"}, lost(2, "n2"), lost(3, "n3"),
	}}}}
	tell(t, run, agentTale{generation: 1, ends: all(2, job.Completed), words: "done"})
	snap, err := run.Load(t.Context(), rundir.LoadOptions{Alive: a.alive})
	if err != nil {
		t.Fatal(err)
	}
	s := a.judge(snap)
	if want := "2 of 4 tasks not done: Slurm lost the node n2, and 1 more"; s.State != job.NodeFail || s.Reason != want {
		t.Errorf("%s %q, want %q", s.State, s.Reason, want)
	}
}
