package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/job"
	"muster/internal/plan"
	"muster/internal/rundir"
)

const (
	poolNodes = 4
	poolLanes = 2
)

// TestLostAgents kills all agents of a dynamic run but one, each at a random moment, and
// now and then starts an element again, as a scheduler does. The others do what the
// dead have left: nothing is lost, and nothing is run again that was done.
func TestLostAgents(t *testing.T) {
	seed := fromEnv(t, "MUSTER_TEST_SEED", 1)
	for round := range max(1, fromEnv(t, "MUSTER_TEST_ROUNDS", 10)/5) {
		t.Run(fmt.Sprint(round+1), func(t *testing.T) {
			t.Logf("MUSTER_TEST_SEED=%d", seed)
			lostAgents(newLab(t), rand.New(rand.NewPCG(uint64(seed), uint64(round)+1000)))
		})
	}
}

func lostAgents(l *lab, rng *rand.Rand) {
	const tasks = 90
	want := map[string]string{}
	spec := job.Spec{
		Name: "task.sh", Program: l.script("task.sh"), AppType: job.SISO, WorkDir: l.dir, Input: l.in, Output: l.out, Guest: "native",
		Isolation: job.IsolateLane, Engine: "local", Lanes: poolLanes, Distribution: job.Dynamic, MaxLog: 1 << 20, Tasks: tasks,
	}
	var list []job.Task
	for i := range tasks {
		name := fmt.Sprintf("t%02d", i)
		took := rng.Float64() * 0.08
		if rng.IntN(12) == 0 {
			took *= 10
		}
		text := fmt.Sprintf("line of %d\n", i)
		l.write(filepath.Join(l.in, name), fmt.Sprintf("%.3f %.3f\n%s", took, rng.Float64()*0.04, text))
		want[name+".out"] = strings.ToUpper(text) + "end\n"
		list = append(list, job.Task{Index: i + 1, In: []job.Input{{Word: filepath.Join(l.in, name), File: true}}, Out: name + ".out"})
	}
	r := l.pooled(spec, list)
	agents := map[int]*call{}
	for e := 1; e <= poolNodes; e++ {
		agents[e] = l.element(r, e)
	}
	safe := 1 + rng.IntN(poolNodes)
	for _, e := range rng.Perm(poolNodes) {
		e++
		if e == safe {
			continue
		}
		l.begun(min(len(l.executions())+rng.IntN(18), tasks/2))
		time.Sleep(time.Duration(rng.Int64N(int64(40 * time.Millisecond))))
		role := []role{inner, keeper}[rng.IntN(2)]
		there := slices.DeleteFunc(l.find(role), func(p process) bool { return p.getenv("MUSTER_ELEMENT") != fmt.Sprint(e) })
		for _, p := range there {
			l.Logf("SIGKILL to %v after %d executions", p, len(l.executions()))
			p.signal(l.T, syscall.SIGKILL)
		}
		agents[e].wait()
		if rng.IntN(3) == 0 {
			agents[e] = l.element(r, e)
		}
	}
	for _, c := range agents {
		c.wait()
	}
	snap, err := r.Load(l.Context(), rundir.LoadOptions{})
	if err != nil {
		l.Fatal(err)
	}
	if n := snap.Counts[job.Completed]; n != tasks {
		l.Errorf("%d of %d tasks completed: %v", n, tasks, snap.Counts)
	}
	l.gone(everything, settleLimit, nil)
	l.checkOutputs(want)
	l.checkHistory(r, tasks, 0)
}

// pooled makes a run that is planned for several nodes, and submits it to nobody.
func (l *lab) pooled(spec job.Spec, list []job.Task) *rundir.Run {
	l.Helper()
	r, err := l.store().Create(spec, list)
	if err != nil {
		l.Fatal(err)
	}
	p, err := plan.Make(plan.Request{Spec: spec, Tasks: len(list), Nodes: poolNodes, CPUs: poolLanes})
	if err != nil {
		l.Fatal(err)
	}
	sub, err := r.AddSubmission(rundir.Submission{Kind: rundir.SubmitMap, Engine: "local", Tag: "none", At: time.Now(), Elements: len(p.Elements)})
	if err != nil {
		l.Fatal(err)
	}
	pool := rundir.Pool{Generation: sub.Generation, Calls: p.Pool.Calls, Chunks: p.Pool.Chunks}
	for _, e := range p.Elements {
		pool.Shapes = append(pool.Shapes, rundir.Shape{Node: e.Node, Lanes: e.Lanes, PerNode: e.PerNode, FirstRank: e.FirstRank})
	}
	if err := r.WritePool(pool); err != nil {
		l.Fatal(err)
	}
	return r
}

// element starts what an engine would for one element of the run's first generation.
func (l *lab) element(r *rundir.Run, n int) *call {
	l.Helper()
	all := l.env
	defer func() { l.env = all }()
	l.env = append(slices.Concat(all, job.PackEnv(all)), fmt.Sprintf("MUSTER_ELEMENT=%d", n))
	return l.startWith(&exec.Cmd{Path: l.exe, Args: []string{l.exe, "agent", "--run-dir", r.Dir, "--generation", "1", "--guest", "native"}})
}
