package enginetest

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

func (l *lab) find(tag string) []engine.ID {
	l.Helper()
	ids, err := l.engine.Find(l.Context(), tag)
	if err != nil {
		l.Fatalf("Find(%q): %v", tag, err)
	}
	return ids
}

func testFind(l *lab) {
	a := l.array(1, "exit 0")
	if ids := l.find(a.Tag); len(ids) != 0 {
		l.Errorf("before its submission Find gives %v", ids)
	}
	id := l.submit(a)
	for range 3 {
		l.submit(l.array(1, "exit 0"))
	}
	want := []engine.ID{id}
	if ids := l.find(a.Tag); !slices.Equal(ids, want) {
		l.Errorf("Find gives %v, want %v", ids, want)
	}
	if ids := l.find(a.Tag + "x"); len(ids) != 0 {
		l.Errorf("Find takes the beginning of a tag for the tag: %v", ids)
	}
	for _, id := range l.pending {
		l.completed(id)
	}
	// A look at the queue comes after a crash: the array may have ended meanwhile.
	if ids := l.find(a.Tag); !slices.Equal(ids, want) {
		l.Errorf("after its end Find gives %v, want %v", ids, want)
	}
}

// unknown is an ID of the engine's own form that names no array.
func (l *lab) unknown() engine.ID {
	return l.submitted("exit 0") + "999999"
}

func (l *lab) submitted(script string) engine.ID { return l.submit(l.array(1, script)) }

func testStatus(l *lab) {
	good, bad := l.submitted("exit 0"), l.submitted("exit 9")
	nobody := l.unknown()
	l.completed(good)
	l.follow(bad, job.Failed)
	ids := []engine.ID{bad, nobody, good, bad}
	want := []job.State{job.Failed, job.Gone, job.Completed, job.Failed}
	rs, err := l.engine.Status(l.Context(), ids...)
	if err != nil || len(rs) != len(ids) {
		l.Fatalf("Status of %v: %v, %v", ids, rs, err)
	}
	for i, r := range rs {
		if r.ID != ids[i] || r.State != want[i] {
			l.Errorf("place %d: %s %s, want %s %s", i, r.ID, r.State, ids[i], want[i])
		}
	}
	if rs, err := l.engine.Status(l.Context()); err != nil || len(rs) != 0 {
		l.Errorf("Status of nothing: %v, %v", rs, err)
	}
}

func testGone(l *lab) {
	nobody := l.unknown()
	if r := l.status(nobody); r.State != job.Gone || len(r.Elements) != 0 {
		l.Errorf("an array that never was is %+v", r)
	}
	for _, op := range []job.Op{job.OpCancel, job.OpHold, job.OpRelease} {
		l.control(nobody, op)
	}
}

func testRefused(l *lab) {
	file := l.path("not-executable")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		l.Fatal(err)
	}
	for name, spoil := range map[string]func(*job.Array){
		"no elements":             func(a *job.Array) { a.Elements = 0 },
		"negative elements":       func(a *job.Array) { a.Elements = -1 },
		"no program":              func(a *job.Array) { a.Argv = nil },
		"program missing":         func(a *job.Array) { a.Argv = []string{l.path("missing/program")} },
		"program not absolute":    func(a *job.Array) { a.Argv = []string{"sh"} },
		"program not executable":  func(a *job.Array) { a.Argv = []string{file} },
		"program is a folder":     func(a *job.Array) { a.Argv = []string{l.dir} },
		"NUL in an argument":      func(a *job.Array) { a.Argv = append(a.Argv, "a\x00b") },
		"working folder missing":  func(a *job.Array) { a.Dir = l.path("missing") },
		"log folder missing":      func(a *job.Array) { a.LogDir = l.path("missing") },
		"log folder is a file":    func(a *job.Array) { a.LogDir = file },
		"no tag":                  func(a *job.Array) { a.Tag = "" },
		"tag with a blank":        func(a *job.Array) { a.Tag = "a b" },
		"environment without =":   func(a *job.Array) { a.Env = []string{"NAME"} },
		"waits for what never is": func(a *job.Array) { a.After = []string{"no such array"} },
	} {
		a := l.array(1, `: > "$D/ran"`)
		tag := a.Tag
		spoil(&a)
		id, err := l.engine.Submit(l.Context(), a)
		if !errors.Is(err, engine.ErrRefused) {
			l.Errorf("%s: Submit gives %q, %v; want ErrRefused", name, id, err)
		}
		if ids := l.find(tag); len(ids) != 0 {
			l.Errorf("%s: the refused array is there: %v", name, ids)
		}
	}
	l.passes()
	if l.exists("ran") {
		l.Error("a refused array has run")
	}
}

func testWait(l *lab) {
	const poll = 20 * time.Millisecond
	id := l.submitted(waitFor("go"))
	ctx, cancel := context.WithCancel(l.Context())
	result := make(chan error, 1)
	go func() { result <- engine.Wait(ctx, l.engine, poll, id) }()
	l.follow(id, job.Running)
	select {
	case err := <-result:
		l.Fatalf("Wait returned while the array ran: %v", err)
	default:
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		l.Errorf("Wait with a cancelled context: %v", err)
	}
	go func() { result <- engine.Wait(l.Context(), l.engine, poll, id, id) }()
	l.gate("go")
	select {
	case err := <-result:
		if err != nil {
			l.Errorf("Wait: %v", err)
		}
	case <-time.After(l.config.Wait):
		l.Fatalf("Wait did not return within %v of the array's end", l.config.Wait)
	}
	if r := l.status(id); r.State != job.Completed {
		l.Errorf("after Wait the array is %+v", r)
	}
	// Over for what has ended and for what never was.
	if err := engine.Wait(l.Context(), l.engine, poll, id, l.unknown()); err != nil {
		l.Errorf("Wait: %v", err)
	}
}

func testContext(l *lab) {
	ctx, cancel := context.WithCancel(l.Context())
	cancel()
	a := l.array(1, `: > "$D/ran"`)
	if id, err := l.engine.Submit(ctx, a); !errors.Is(err, context.Canceled) {
		l.Errorf("Submit with a cancelled context: %q, %v", id, err)
	}
	if ids := l.find(a.Tag); len(ids) != 0 {
		l.Errorf("Submit with a cancelled context left %v", ids)
	}
	id := l.submitted(waitFor("go"))
	if _, err := l.engine.Status(ctx, id); !errors.Is(err, context.Canceled) {
		l.Errorf("Status with a cancelled context: %v", err)
	}
	if _, err := l.engine.Find(ctx, a.Tag); !errors.Is(err, context.Canceled) {
		l.Errorf("Find with a cancelled context: %v", err)
	}
	if err := l.engine.Control(ctx, id, job.OpCancel); !errors.Is(err, context.Canceled) {
		l.Errorf("Control with a cancelled context: %v", err)
	}
	if _, err := l.engine.Info(ctx, job.Resource{}); !errors.Is(err, context.Canceled) {
		l.Errorf("Info with a cancelled context: %v", err)
	}
	l.gate("go")
	l.completed(id) // the cancel did not arrive
	if l.exists("ran") {
		l.Error("an array whose submission was cancelled has run")
	}
}
