package local

import (
	"context"
	"encoding/gob"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

const (
	patience     = 30 * time.Second // of tests; only a failing one gets there
	testKillWait = 500 * time.Millisecond
	testMaxArray = 3
)

func testOptions(root string, table *proc.Table) Options {
	return Options{
		Root:    root,
		Table:   table,
		Command: []string{"/proc/self/exe", "local-array"},
		// The race detector would keep every supervisor for a second after its end.
		Env:      []string{"GORACE=atexit_sleep_ms=0"},
		KillWait: testKillWait,
		MaxArray: testMaxArray,
	}
}

// newTable makes this process the owner of everything that a test starts, and
// checks at the test's end that nothing of it is left.
func newTable(t *testing.T) *proc.Table {
	t.Helper()
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Supervisors end right after their array's last event.
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for left, err := table.Descendants(); err != nil || len(left) > 0; left, err = table.Descendants() {
			if ctx.Err() == nil {
				time.Sleep(2 * time.Millisecond)
				continue
			}
			t.Errorf("processes left: %+v, %v", left, err)
			// They must not spoil the next test.
			if _, err := table.Kill(context.Background(), func(proc.Info) bool { return true }); err != nil {
				t.Error(err)
			}
			break
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

func newEngine(t *testing.T, root string, table *proc.Table) *Engine {
	t.Helper()
	e, err := New(testOptions(root, table))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// array runs a shell script; $D is dir.
func array(t *testing.T, dir string, n int, script string) job.Array {
	t.Helper()
	logs, err := os.MkdirTemp(dir, "logs-")
	if err != nil {
		t.Fatal(err)
	}
	return job.Array{
		Tag:      "tag" + strings.ReplaceAll(logs, "/", "."),
		Elements: n,
		Argv:     []string{"/bin/sh", "-c", script},
		Dir:      dir,
		Env:      []string{"PATH=/usr/bin:/bin", "D=" + dir},
		LogDir:   logs,
	}
}

func submit(t *testing.T, e *Engine, a job.Array) engine.ID {
	t.Helper()
	id, err := e.Submit(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func status(t *testing.T, e *Engine, id engine.ID) engine.Report {
	t.Helper()
	rs, err := e.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return rs[0]
}

func wait(t *testing.T, e *Engine, ids ...engine.ID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := e.Wait(ctx, ids...); err != nil {
		t.Fatalf("waiting for %v: %v", ids, err)
	}
}

// submitter starts a process that submits a and dies by SIGKILL as soon as
// Submit has returned, or before. Its answer is the file.
func submitter(t *testing.T, table *proc.Table, root string, a job.Array) (*proc.Child, *os.File) {
	t.Helper()
	in, err := proc.Memfile("errand")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := gob.NewEncoder(in).Encode(errand{root, a}); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	out, err := proc.Memfile("answer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	child, err := table.Start(proc.Cmd{
		Path:   "/proc/self/exe",
		Args:   []string{"local.test", "submit-and-die"},
		Stdin:  in,
		Stdout: out,
		Stderr: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	return child, out
}

// contextWith is a context that ends when cond holds.
func contextWith(t *testing.T, cond func() bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ctx.Err() == nil && !cond() {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	return ctx, func() { cancel(); <-stopped }
}
