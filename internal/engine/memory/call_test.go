package memory

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

func call(t *testing.T, run func(ctx context.Context, c Call) job.Exit) (*Engine, job.Array) {
	t.Helper()
	e := New(Options{Run: run})
	t.Cleanup(func() { e.Close() })
	dir := t.TempDir()
	return e, job.Array{Tag: t.Name(), Elements: 2, Argv: []string{"/bin/true"}, Dir: dir, LogDir: dir, Env: []string{"A=1"}}
}

func runs(t *testing.T, e *Engine, a job.Array) engine.Report {
	t.Helper()
	id, err := e.Submit(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return ended(t, e, id)
}

func ended(t *testing.T, e *Engine, id engine.ID) engine.Report {
	t.Helper()
	if err := e.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	rs, err := e.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return rs[0]
}

func TestCallsInPlaceOfProcesses(t *testing.T) {
	var mu sync.Mutex
	seen := map[int][]string{}
	e, a := call(t, func(_ context.Context, c Call) job.Exit {
		mu.Lock()
		defer mu.Unlock()
		seen[c.Element] = c.Array.Env
		return job.Exit{Code: c.Element - 1}
	})
	r := runs(t, e, a)
	if r.State != job.Failed || r.Elements[0].State != job.Completed || r.Elements[1].Exit.Code != 1 {
		t.Errorf("the array ended as %+v", r)
	}
	for i := 1; i <= 2; i++ {
		want := []string{"A=1", engine.EnvElement + "=" + string(rune('0'+i)), engine.Mark(r.ID, i)}
		if !slices.Equal(seen[i], want) {
			t.Errorf("element %d got %q, want %q", i, seen[i], want)
		}
	}
}

func TestCallIsCancelledAndTimedOut(t *testing.T) {
	began := make(chan struct{}, 2)
	e, a := call(t, func(ctx context.Context, c Call) job.Exit {
		began <- struct{}{}
		<-ctx.Done()
		return job.Exit{Signal: 15}
	})
	id, err := e.Submit(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	<-began
	if err := e.Control(t.Context(), id, job.OpCancel); err != nil {
		t.Fatal(err)
	}
	if r := ended(t, e, id); r.State != job.Cancelled {
		t.Errorf("cancelled, the array is %+v", r)
	}
	a.Time, a.Elements = time.Millisecond, 1
	if r := runs(t, e, a); r.State != job.Timeout || r.Elements[0].Exit.Cause != job.CauseTimeout {
		t.Errorf("over its time, the array is %+v", r)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	e, a := call(t, func(ctx context.Context, c Call) job.Exit {
		<-ctx.Done()
		return job.Exit{Signal: 15}
	})
	a.Hold = true
	held, err := e.Submit(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	a.Hold = false
	running, err := e.Submit(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []engine.ID{held, running} {
		if r := ended(t, e, id); r.State != job.Cancelled {
			t.Errorf("after Close %s is %+v", id, r)
		}
	}
}
