package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/internal/job"
	"muster/internal/plan"
	"muster/internal/rundir"
)

// skewed compares the distributions where tasks differ: one in 20 takes 50 times as
// long as the others, and the long ones stand where they hurt most. Tasks sleep, so
// that four nodes can be had on one machine; each is a real agent.
func skewed(ctx context.Context, b *bench) ([]row, error) {
	const (
		nodes, lanes = 4, 2
		short, long  = 50 * time.Millisecond, 2500 * time.Millisecond
	)
	tasks := max(int(400*b.scale), 40)
	longs := tasks / 20
	placements := []struct {
		name   string
		isLong func(i int) bool // of task i, from 0
	}{
		{"side by side", func(i int) bool { return i < longs }},
		{"every fourth", func(i int) bool { return i%nodes == 0 && i/nodes < longs }},
	}
	ideal := (time.Duration(tasks-longs)*short + time.Duration(longs)*long) / (nodes * lanes)
	var rows []row
	for _, p := range placements {
		words := make([]string, tasks)
		for i := range words {
			words[i] = seconds3(short)
			if p.isLong(i) {
				words[i] = seconds3(long)
			}
		}
		took := map[job.Distribution]time.Duration{}
		for _, d := range []job.Distribution{job.Block, job.Cyclic, job.Dynamic} {
			var err error
			if took[d], err = b.sleepers(ctx, d, nodes, lanes, words); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", p.name, d, err)
			}
		}
		what := fmt.Sprintf("%d tasks of %v, %d of them of %v and %s, %d nodes × %d lanes: dynamic", tasks, short, longs, long, p.name, nodes, lanes)
		for _, d := range []job.Distribution{job.Block, job.Cyclic} {
			rows = append(rows, row{what, seconds(took[job.Dynamic]), string(d) + ": " + seconds(took[d]), ratio(took[d].Seconds() / took[job.Dynamic].Seconds()), ""})
		}
		rows = append(rows, row{what, seconds(took[job.Dynamic]), "no time lost at all: " + seconds(ideal), ratio(ideal.Seconds() / took[job.Dynamic].Seconds()), "≥ 0.7"})
	}
	return rows, nil
}

func seconds3(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

// sleepers runs /bin/sleep for each word on so many nodes, an agent each, and
// returns how long that took from the start of the agents to the end of the last.
func (b *bench) sleepers(ctx context.Context, d job.Distribution, nodes, lanes int, words []string) (time.Duration, error) {
	state, err := b.fresh("skewed-state")
	if err != nil {
		return 0, err
	}
	run, err := sleepingRun(state, d, nodes, lanes, words)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	var agents errgroup.Group
	for e := 1; e <= nodes; e++ {
		agents.Go(func() error {
			var said bytes.Buffer
			cmd := exec.CommandContext(ctx, b.muster, "agent", "--run-dir", run.Dir, "--generation", "1", "--guest", "native")
			cmd.Env, cmd.Dir = append(b.env[:len(b.env):len(b.env)], "MUSTER_ELEMENT="+strconv.Itoa(e)), b.work
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("agent %d: %w\n%s", e, err, said.String())
			}
			return nil
		})
	}
	err = agents.Wait()
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	snap, err := run.Load(ctx, rundir.LoadOptions{})
	if err != nil {
		return 0, err
	}
	if n := snap.Counts[job.Completed]; n != len(words) {
		return 0, fmt.Errorf("%d of %d tasks completed", n, len(words))
	}
	return took, os.RemoveAll(state)
}

// sleepingRun makes a run of /bin/sleep, planned for so many nodes.
func sleepingRun(state string, d job.Distribution, nodes, lanes int, words []string) (*rundir.Run, error) {
	store, err := rundir.OpenStore(state, rundir.Options{TrustGroup: true})
	if err != nil {
		return nil, err
	}
	spec := job.Spec{
		Name: "sleep", Program: "/bin/sleep", Template: true, Args: []string{"{in}"}, AppType: job.SISO, WorkDir: filepath.Dir(state),
		Guest: "native", Isolation: job.IsolateLane, Engine: "local", Lanes: lanes, Distribution: d, MaxLog: 1 << 20, Tasks: len(words),
	}
	list := make([]job.Task, len(words))
	for i, w := range words {
		list[i] = job.Task{Index: i + 1, In: []job.Input{{Word: w}}}
	}
	run, err := store.Create(spec, list)
	if err != nil {
		return nil, err
	}
	p, err := plan.Make(plan.Request{Spec: spec, Tasks: len(words), Nodes: nodes, CPUs: lanes})
	if err != nil {
		return nil, err
	}
	_, err = run.AddSubmission(rundir.Submission{Kind: rundir.SubmitMap, Engine: "local", Tag: "bench", At: time.Now(), Elements: len(p.Elements)})
	if err != nil {
		return nil, err
	}
	return run, writeShares(run, p)
}

// writeShares writes what each agent is to do.
func writeShares(run *rundir.Run, p *plan.Plan) error {
	pool := rundir.Pool{Generation: 1}
	for _, e := range p.Elements {
		shape := rundir.Shape{Node: e.Node, Lanes: e.Lanes, PerNode: e.PerNode, FirstRank: e.FirstRank}
		pool.Shapes = append(pool.Shapes, shape)
		if p.Pool != nil {
			continue
		}
		if err := run.WriteShare(rundir.Share{Generation: 1, Element: e.Index, Calls: e.Calls, Shape: shape}); err != nil {
			return err
		}
	}
	if p.Pool == nil {
		return nil
	}
	pool.Calls, pool.Chunks = p.Pool.Calls, p.Pool.Chunks
	return run.WritePool(pool)
}
