package enginetest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// lab is what one case works with.
type lab struct {
	*testing.T
	config  Config
	info    engine.Info
	engine  engine.Engine
	dir     string // shared with the elements
	arrays  atomic.Int64
	pending []engine.ID // to be cancelled when the case ends early
}

func newLab(t *testing.T, c Config, info engine.Info) *lab {
	l := &lab{T: t, config: c, info: info, engine: c.Open(t), dir: c.Shared(t)}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.Wait)
		defer cancel()
		if t.Failed() {
			// Nothing of a failed case may stay behind.
			for _, id := range l.pending {
				if err := l.engine.Control(ctx, id, job.OpCancel); err != nil {
					t.Logf("cancelling %s: %v", id, err)
				}
			}
		}
		if err := engine.Wait(ctx, l.engine, 50*time.Millisecond, l.pending...); err != nil {
			t.Errorf("arrays of this case are still there: %v", err)
			return
		}
		l.noneLeft()
	})
	return l
}

// array makes an array of n elements that run script with args. In the script,
// $D is the case's folder and $MUSTER_ELEMENT the element. Every element of an
// array has the environment PATH and D.
func (l *lab) array(n int, script string, args ...string) job.Array {
	l.Helper()
	number := l.arrays.Add(1)
	name := "array" + strconv.FormatInt(number, 10)
	file := filepath.Join(l.dir, name+".sh")
	if err := os.WriteFile(file, []byte(script+"\n"), 0o600); err != nil {
		l.Fatal(err)
	}
	logs := filepath.Join(l.dir, name+".logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		l.Fatal(err)
	}
	return job.Array{
		// The folder's name is unlike that of any other case or test run.
		Tag:      "enginetest" + strings.ReplaceAll(l.dir, "/", ".") + "." + name,
		Name:     name,
		Elements: n,
		Argv:     append([]string{"/bin/sh", file}, args...),
		Dir:      l.dir,
		Env:      []string{"PATH=/usr/bin:/bin", "D=" + l.dir},
		LogDir:   logs,
	}
}

func (l *lab) submit(a job.Array) engine.ID {
	l.Helper()
	id, err := l.engine.Submit(l.Context(), a)
	if err != nil {
		l.Fatalf("Submit: %v", err)
	}
	if id == "" || strings.ContainsAny(string(id), " \t\n") {
		l.Errorf("Submit returned the ID %q", id)
	}
	l.pending = append(l.pending, id)
	return id
}

func (l *lab) control(id engine.ID, op job.Op) {
	l.Helper()
	if err := l.engine.Control(l.Context(), id, op); err != nil {
		l.Fatalf("Control(%s, %s): %v", id, op, err)
	}
}

func (l *lab) status(id engine.ID) engine.Report {
	l.Helper()
	rs, err := l.engine.Status(l.Context(), id)
	if err != nil {
		l.Fatalf("Status(%s): %v", id, err)
	}
	if len(rs) != 1 || rs[0].ID != id {
		l.Fatalf("Status(%s) = %+v", id, rs)
	}
	return rs[0]
}

// until waits for a condition.
func (l *lab) until(what string, cond func() bool) {
	l.Helper()
	deadline := time.Now().Add(l.config.Wait)
	for pause := time.Millisecond; !cond(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("%s: not within %v", what, l.config.Wait)
		}
		time.Sleep(pause)
	}
}

// follow watches the array until its state is one of states, and holds each
// look against the rules for states.
func (l *lab) follow(id engine.ID, states ...job.State) engine.Report {
	l.Helper()
	var last engine.Report
	l.until("array "+string(id)+" "+stateList(states), func() bool {
		now := l.status(id)
		l.sound(now)
		l.forward(last, now)
		last = now
		if now.State.Ended() && !slices.Contains(states, now.State) {
			l.Fatalf("array %s ended as %s, wanted %s: %+v", id, now.State, stateList(states), now)
		}
		return slices.Contains(states, now.State)
	})
	return last
}

func stateList(states []job.State) string {
	var out []string
	for _, s := range states {
		out = append(out, string(s))
	}
	return strings.Join(out, " or ")
}

// sound checks what must hold for every report.
func (l *lab) sound(r engine.Report) {
	l.Helper()
	if r.State == job.Gone {
		return
	}
	if got := engine.Overall(r.Elements); got != r.State {
		l.Errorf("array %s is %s, its elements say %s: %+v", r.ID, r.State, got, r.Elements)
	}
	for i, e := range r.Elements {
		ended := e.State.Ended()
		switch {
		case e.Index != i+1:
			l.Errorf("array %s: place %d holds element %d", r.ID, i+1, e.Index)
		case e.State == job.Running && e.Started.IsZero():
			l.Errorf("array %s: element %d runs and has no start", r.ID, e.Index)
		case e.State == job.Running && e.Node == "":
			l.Errorf("array %s: element %d runs on no node", r.ID, e.Index)
		case ended && e.Ended.IsZero():
			l.Errorf("array %s: element %d is %s and has no end", r.ID, e.Index, e.State)
		case ended && e.Ended.Before(e.Started):
			l.Errorf("array %s: element %d ended at %v, before its start at %v", r.ID, e.Index, e.Ended, e.Started)
		case !ended && e.Exit != (job.Exit{}):
			l.Errorf("array %s: element %d is %s and has the exit %+v", r.ID, e.Index, e.State, e.Exit)
		}
	}
}

// forward checks that no element has gone backwards between two looks.
func (l *lab) forward(before, now engine.Report) {
	l.Helper()
	if before.State.Ended() && before.State != "" && now.State != before.State && now.State != job.Gone {
		l.Errorf("array %s went from %s to %s", now.ID, before.State, now.State)
	}
	for i := range min(len(before.Elements), len(now.Elements)) {
		b, n := before.Elements[i], now.Elements[i]
		// The count may be a moment ahead of the state: what is to be started again ends first.
		back := b.State == job.Running && n.State == job.Pending && n.Restart == 0
		if back || n.Restart < b.Restart || (b.State.Ended() && n.State != b.State) {
			l.Errorf("array %s: element %d went from %s to %s (restarts: %d, %d)", now.ID, i+1, b.State, n.State, b.Restart, n.Restart)
		}
	}
}

// completed waits for the array's success.
func (l *lab) completed(id engine.ID) engine.Report {
	l.Helper()
	return l.follow(id, job.Completed)
}

// path names a file in the case's folder.
func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) exists(name string) bool {
	_, err := os.Stat(l.path(name))
	return err == nil
}

func (l *lab) write(name, text string) error {
	return os.WriteFile(l.path(name), []byte(text), 0o600)
}

func (l *lab) read(name string) string {
	l.Helper()
	b, err := os.ReadFile(l.path(name))
	if err != nil {
		l.Fatal(err)
	}
	return string(b)
}

// appears waits for a file that an element makes.
func (l *lab) appears(name string) {
	l.Helper()
	l.until("file "+name, func() bool { return l.exists(name) })
}

// gate lets elements that wait for it go on; see waitFor.
func (l *lab) gate(name string) {
	l.Helper()
	if err := l.write(name, ""); err != nil {
		l.Fatal(err)
	}
}

// waitFor is a piece of script that waits for a file.
func waitFor(name string) string {
	return `while ! test -e "$D/` + name + `"; do sleep 0.02; done`
}

// files lists the names in the case's folder that begin with prefix.
func (l *lab) files(prefix string) []string {
	l.Helper()
	names, err := filepath.Glob(filepath.Join(l.dir, prefix+"*"))
	if err != nil {
		l.Fatal(err)
	}
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	slices.Sort(names)
	return names
}

// processes lists those whose arguments or environment hold mark.
func processes(mark string) []string {
	found, _ := filepath.Glob("/proc/[0-9]*")
	var out []string
	for _, dir := range found {
		for _, name := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil && strings.Contains(string(b), mark) {
				out = append(out, filepath.Base(dir)+": "+strings.ReplaceAll(string(b), "\x00", " "))
				break
			}
		}
	}
	return out
}
