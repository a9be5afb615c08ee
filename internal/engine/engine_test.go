package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/engine"
	"muster/internal/job"
)

func elements(states ...job.State) []engine.Element {
	var out []engine.Element
	for i, s := range states {
		out = append(out, engine.Element{Index: i + 1, State: s})
	}
	return out
}

func TestOverall(t *testing.T) {
	for _, tc := range []struct {
		want   job.State
		states []job.State
	}{
		{job.Gone, nil},
		{job.Pending, []job.State{job.Pending, job.Pending}},
		{job.Running, []job.State{job.Pending, job.Running}},
		{job.Running, []job.State{job.Completed, job.Pending}},
		{job.Running, []job.State{job.NodeFail, job.Suspended}},
		{job.Completed, []job.State{job.Completed, job.Completed}},
		{job.Failed, []job.State{job.Completed, job.Failed}},
		{job.Timeout, []job.State{job.Timeout, job.Failed}},
		{job.Cancelled, []job.State{job.Failed, job.Cancelled, job.Completed}},
		{job.NodeFail, []job.State{job.Cancelled, job.NodeFail}},
	} {
		if got := engine.Overall(elements(tc.states...)); got != tc.want {
			t.Errorf("%v make an array that is %s, want %s", tc.states, got, tc.want)
		}
	}
}

// An array has ended exactly when all its elements have, and their order does
// not matter.
func TestOverallEndsWithTheLast(t *testing.T) {
	state := rapid.SampledFrom([]job.State{job.Pending, job.Running, job.Suspended, job.Completed, job.Failed, job.Timeout,
		job.OutOfMemory, job.BootFail, job.NodeFail, job.Cancelled, job.Lost})
	rapid.Check(t, func(t *rapid.T) {
		states := rapid.SliceOfN(state, 1, 6).Draw(t, "states")
		all := true
		for _, s := range states {
			all = all && s.Ended()
		}
		got := engine.Overall(elements(states...))
		if got.Ended() != all {
			t.Fatalf("%v make an array that is %s", states, got)
		}
		if other := engine.Overall(elements(rapid.Permutation(states).Draw(t, "order")...)); other != got {
			t.Fatalf("%v make %s in one order and %s in another", states, got, other)
		}
	})
}

// queue is an engine that can only be asked.
type queue struct {
	engine.Engine
	answers [][]engine.Report
	err     error
}

func (q *queue) Status(context.Context, ...engine.ID) ([]engine.Report, error) {
	if len(q.answers) == 0 {
		return nil, q.err
	}
	now := q.answers[0]
	q.answers = q.answers[1:]
	return now, nil
}

func TestWaitAsks(t *testing.T) {
	answer := func(states ...job.State) (out []engine.Report) {
		for _, s := range states {
			out = append(out, engine.Report{State: s})
		}
		return out
	}
	q := &queue{answers: [][]engine.Report{
		answer(job.Pending, job.Completed),
		answer(job.Running, job.Completed),
		answer(job.Failed, job.Gone),
		answer(job.Running, job.Running),
	}}
	if err := engine.Wait(t.Context(), q, time.Millisecond, "1", "2"); err != nil {
		t.Fatal(err)
	}
	if len(q.answers) != 1 {
		t.Errorf("Wait returned with %d answers left, want 1", len(q.answers))
	}
	q = &queue{err: engine.ErrUnavailable}
	if err := engine.Wait(t.Context(), q, time.Millisecond, "1"); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Wait with an engine that does not answer: %v", err)
	}
	q = &queue{answers: [][]engine.Report{answer(job.Running)}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := engine.Wait(ctx, q, time.Hour, "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a cancelled context: %v", err)
	}
}

func TestCheckTakesWhatCanRun(t *testing.T) {
	dir := t.TempDir()
	a := job.Array{Tag: "run-12.map.1", Elements: 1, Argv: []string{"/bin/sh", "-c", "\xff\n", ""}, Dir: dir, LogDir: dir, Env: []string{"A=", "B=a=b"}}
	if err := engine.Check(a); err != nil {
		t.Error(err)
	}
	a.Env = []string{"=x"}
	if err := engine.Check(a); !errors.Is(err, engine.ErrRefused) {
		t.Errorf("a variable without a name: %v", err)
	}
}
