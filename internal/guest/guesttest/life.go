package guesttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/proc"
)

// sleeper starts a program that sleeps for ever and waits until it does.
func (h *harness) sleeper(i guest.Instance, name string) guest.Process {
	h.t.Helper()
	p, started := h.watched(i, filepath.Join(h.folders.Out, "1", name), h.c.Sleep)
	h.eventually(name+" has started", started.made)
	return p
}

func cancel(h *harness) {
	i := h.open("i")
	for _, end := range []struct {
		name string
		do   func(guest.Process) error
	}{
		{"terminate", func(p guest.Process) error { return p.Terminate(context.Background()) }},
		{"cancel", func(p guest.Process) error { return p.Control(context.Background(), job.OpCancel) }},
	} {
		p := h.sleeper(i, end.name)
		if err := end.do(p); err != nil {
			h.t.Errorf("%s: %v", end.name, err)
		}
		if e := h.wait(p); e.OK() {
			h.t.Errorf("%s: it ended as if it had succeeded", end.name)
		}
		if err := end.do(p); err != nil {
			h.t.Errorf("%s of an ended program: %v", end.name, err)
		}
	}
	if !i.Alive() {
		h.t.Error("the instance died with its program")
	}
}

func suspend(h *harness) {
	i := h.open("i")
	p := h.sleeper(i, "s")
	stopped := func() bool {
		all, err := h.table.Descendants()
		if err != nil {
			h.t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(i proc.Info) bool { return i.PID == p.PID() && i.State == 'T' })
	}
	for range 2 { // idempotent
		if err := i.Control(context.Background(), job.OpSuspend); err != nil {
			h.t.Fatal(err)
		}
	}
	h.eventually("it is stopped", stopped)
	for range 2 {
		if err := i.Control(context.Background(), job.OpContinue); err != nil {
			h.t.Fatal(err)
		}
	}
	h.eventually("it runs again", func() bool { return !stopped() })
	if h.guest.Traits().Carries {
		h.end(p)
		h.oneStandsStill(i)
		return
	}
	if err := p.Control(context.Background(), job.OpSuspend); err != nil {
		h.t.Fatal(err)
	}
	h.eventually("it is stopped again", stopped)
	// A stopped program can be cancelled.
	if err := p.Control(context.Background(), job.OpCancel); err != nil {
		h.t.Fatal(err)
	}
	h.wait(p)
}

// oneStandsStill: of a guest whose programs are no processes of the host one can be stopped alone, goes on, and
// is ended while it is stopped.
func (h *harness) oneStandsStill(i guest.Instance) {
	h.t.Helper()
	p, file := h.watched(i, filepath.Join(h.folders.Out, "1", "alone"), h.c.Count)
	grows := func() {
		h.t.Helper()
		from := file.length()
		h.eventually("the program goes on", func() bool { return file.length() > from+3 })
	}
	grows()
	for range 2 {
		if err := p.Control(context.Background(), job.OpSuspend); err != nil {
			h.t.Fatal(err)
		}
		h.settled(file)
		if err := p.Control(context.Background(), job.OpContinue); err != nil {
			h.t.Fatal(err)
		}
		grows()
	}
	if err := p.Control(context.Background(), job.OpSuspend); err != nil {
		h.t.Fatal(err)
	}
	h.end(p)
}

// end cancels a program and waits for its end.
func (h *harness) end(p guest.Process) job.Exit {
	h.t.Helper()
	if err := p.Control(context.Background(), job.OpCancel); err != nil {
		h.t.Fatal(err)
	}
	return h.wait(p)
}

// settled waits until a file that would grow several times in that time has not for a while.
func (h *harness) settled(file sign) {
	h.t.Helper()
	last, since := file.length(), time.Now()
	h.eventually("what a suspended program writes does not grow", func() bool {
		if now := file.length(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
}

// standsStill: what a program does while its instance is suspended is nothing. A
// guest that stops less than everything shows it in what the program writes.
func standsStill(h *harness) {
	i := h.open("i")
	p, file := h.watched(i, filepath.Join(h.folders.Work, "count"), h.c.Count)
	length := file.length
	grows := func() {
		h.t.Helper()
		from := length()
		h.eventually("the program goes on", func() bool { return length() > from+3 })
	}
	grows()
	var moving []string
	defer func() {
		if h.t.Failed() {
			h.t.Logf("not stopped at last: %q", moving)
		}
	}()
	for range 3 {
		if err := i.Control(context.Background(), job.OpSuspend); err != nil {
			h.t.Fatal(err)
		}
		h.eventually("everything of the instance is stopped", func() bool {
			all, err := h.table.Descendants()
			if err != nil {
				h.t.Fatal(err)
			}
			moving = nil
			for _, i := range all {
				// D: a shell's child that is stopped between vfork(2) and its exec makes the shell wait.
				if i.State != 'T' && i.State != 'D' {
					moving = append(moving, fmt.Sprintf("%s (%d, child of %d): %c", i.Comm, i.PID, i.PPID, i.State))
				}
			}
			return len(moving) == 0
		})
		if h.guest.Traits().Carries {
			h.settled(file) // what it had written before may still be on its way
		}
		still := length()
		time.Sleep(200 * time.Millisecond) // in which it would write several times
		if now := length(); now != still {
			h.t.Errorf("a suspended program wrote %d bytes", now-still)
		}
		if err := i.Control(context.Background(), job.OpContinue); err != nil {
			h.t.Fatal(err)
		}
		grows()
	}
	if err := p.Control(context.Background(), job.OpCancel); err != nil {
		h.t.Fatal(err)
	}
	h.wait(p)
}

func several(h *harness) {
	i := h.open("i")
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			ctx, done := h.limit()
			defer done()
			p, err := i.Start(ctx, h.command(h.c.Exit(n)))
			if err != nil {
				h.t.Errorf("program %d: %v", n, err)
				return
			}
			if e, err := p.Wait(ctx); err != nil || e.Code != n {
				h.t.Errorf("program %d ended with %v, %v", n, e, err)
			}
		})
	}
	wg.Wait()
}

func reuse(h *harness) {
	i := h.open("i")
	for range 5 {
		if e, out, _ := h.run(i, h.c.Print("again"), ""); !e.OK() || out != "again\n" {
			h.t.Fatalf("%v %q", e, out)
		}
	}
}

func twoInstances(h *harness) {
	a, b := h.open("a"), h.open("b")
	p := h.sleeper(a, "a")
	if err := b.Close(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	if e, _, _ := h.run(a, h.c.Exit(0), ""); !e.OK() {
		h.t.Errorf("closing one instance hurt the other: %v %s", e, e.Detail)
	}
	ctx, done := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer done()
	if e, err := p.Wait(ctx); err == nil {
		h.t.Errorf("closing one instance ended the other's program: %v", e)
	}
}

// private: what a private program leaves in its folder for temporary files is gone with it; what another
// leaves in the instance's stays.
func private(h *harness) {
	place := h.place("i", nil)
	ctx, done := h.limit()
	defer done()
	i, err := h.guest.Open(ctx, place)
	if err != nil {
		h.t.Fatal(err)
	}
	defer i.Close(context.Background())
	for _, tc := range []struct {
		private bool
		left    bool
	}{{true, false}, {true, false}, {false, true}, {true, true}} {
		c := h.command(h.c.Temp())
		c.Private = tc.private
		if e := h.wait(h.start(i, c)); !e.OK() {
			h.t.Errorf("private %v: %v %s", tc.private, e, e.Detail)
		}
		if got := h.leftTemp(i, place); got != tc.left {
			h.t.Errorf("private %v: a file is left: %v", tc.private, got)
		}
	}
}

// leftTemp reports whether there is a file in the instance's folder for temporary files.
func (h *harness) leftTemp(i guest.Instance, place guest.Place) bool {
	h.t.Helper()
	if !h.guest.Traits().Carries {
		return holdsFile(place.Temp)
	}
	e, out, errs := h.run(i, h.c.Left(), "")
	if !e.OK() {
		h.t.Fatalf("%v %s %s", e, e.Detail, errs)
	}
	return strings.TrimSpace(out) != "0"
}

func phases(h *harness) {
	var r recorder
	ctx, done := h.limit()
	defer done()
	i, err := h.guest.Open(ctx, h.place("i", &r))
	if err != nil {
		h.t.Fatal(err)
	}
	defer i.Close(context.Background())
	if want := []job.Phase{job.PhaseCloned, job.PhaseBooted}; !slices.Equal(r.phases, want) {
		h.t.Errorf("phases %v, want %v", r.phases, want)
	}
}

func closeLeavesNothing(h *harness) {
	ctx, done := h.limit()
	defer done()
	place := h.place("i", nil)
	i, err := h.guest.Open(ctx, place)
	if err != nil {
		h.t.Fatal(err)
	}
	p := h.sleeper(i, "sleeps")
	if e, _, errs := h.run(i, h.c.Temp(), ""); !e.OK() {
		h.t.Errorf("%v %s %s", e, e.Detail, errs)
	}
	if !h.leftTemp(i, place) {
		h.t.Error("the temporary file is not in the folder for temporary files")
	}
	// What programs make unwritable goes as well.
	if err := os.MkdirAll(filepath.Join(place.Dir, "tmp", "a", "b"), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(place.Dir, "tmp", "a"), 0o500); err != nil {
		h.t.Fatal(err)
	}
	if err := i.Close(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	if e := h.wait(p); e.OK() {
		h.t.Error("a program that was running at Close ended as if it had succeeded")
	}
	h.nothingLeft(place)
}

// nothingLeft checks that neither processes nor files of a place are there.
func (h *harness) nothingLeft(place guest.Place) {
	h.t.Helper()
	mark := h.table.Marked(guest.Mark(place.Env))
	all, err := h.table.Descendants()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, p := range all {
		if mark(p) {
			h.t.Errorf("process %d (%s) is left", p.PID, p.Comm)
		}
	}
	for _, dir := range []string{place.Dir, place.Temp} {
		names, err := os.ReadDir(dir)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, n := range names {
			h.t.Errorf("%s is left in %s", n.Name(), dir)
		}
	}
}

func closeTwice(h *harness) {
	i := h.open("i")
	for range 2 {
		if err := i.Close(context.Background()); err != nil {
			h.t.Fatal(err)
		}
	}
	if i.Alive() {
		h.t.Error("alive after Close")
	}
	if _, err := i.Start(context.Background(), h.command(h.c.Exit(0))); !errors.Is(err, guest.ErrDead) {
		h.t.Errorf("Start after Close: %v", err)
	}
}

func closeCancelled(h *harness) {
	ctx, done := h.limit()
	place := h.place("i", nil)
	i, err := h.guest.Open(ctx, place)
	if err != nil {
		h.t.Fatal(err)
	}
	h.sleeper(i, "sleeps")
	done()
	if err := i.Close(ctx); err != nil {
		h.t.Fatal(err)
	}
	h.nothingLeft(place)
}

func openCancelled(h *harness) {
	for n, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		ctx, done := context.WithTimeout(context.Background(), after)
		place := h.place("i"+strconv.Itoa(n), nil)
		i, err := h.guest.Open(ctx, place)
		done()
		if err == nil { // it was faster
			err = i.Close(context.Background())
		} else if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, guest.ErrBoot) {
			h.t.Errorf("Open cancelled after %v: %v", after, err)
			continue
		} else {
			err = nil
		}
		if err != nil {
			h.t.Error(err)
		}
		h.nothingLeft(place)
	}
}

func waitAgain(h *harness) {
	i := h.open("i")
	p := h.sleeper(i, "sleeps")
	ctx, done := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer done()
	if _, err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		h.t.Fatalf("Wait given up: %v", err)
	}
	if err := p.Control(context.Background(), job.OpCancel); err != nil {
		h.t.Fatal(err)
	}
	a, b := h.wait(p), h.wait(p)
	if a != b || a.OK() {
		h.t.Errorf("two waits: %v, %v", a, b)
	}
}

func detached(h *harness) {
	i := h.open("i")
	p, started := h.watched(i, filepath.Join(h.folders.Out, "1", "detached"), h.c.Detach)
	if e := h.wait(p); !e.OK() {
		h.t.Fatalf("%v %s", e, e.Detail)
	}
	if h.guest.Traits().Carries { // it has ended with its program
		if e, _, errs := h.run(i, h.c.Alone(), ""); !e.OK() {
			h.t.Errorf("the child has outlived its program: %v %s %s", e, e.Detail, errs)
		}
		return
	}
	h.eventually("the child has started", started.made)
	mark := guest.EnvTask + "=1_1.1@" + filepath.Base(h.scratch)
	strays, err := h.table.Strays()
	if err != nil {
		h.t.Fatal(err)
	}
	found := 0
	for _, s := range strays {
		env := s.Env()
		if slices.Contains(env, mark) && !i.Owns(s.PID, env) {
			found++
			if err := proc.SignalProcess(s, 9); err != nil {
				h.t.Error(err)
			}
		}
	}
	if found == 0 {
		h.t.Errorf("the child is not among %d strays", len(strays))
	}
	if e, _, _ := h.run(i, h.c.Exit(0), ""); !e.OK() {
		h.t.Errorf("killing a task's stray hurt the instance: %v %s", e, e.Detail)
	}
}

// holdsFile reports whether there is a file somewhere below dir.
func holdsFile(dir string) bool {
	found := false
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		found = found || err == nil && d.Type().IsRegular()
		return nil
	})
	return found
}
