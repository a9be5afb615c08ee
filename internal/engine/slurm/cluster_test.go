package slurm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/engine/enginetest"
	"muster/internal/job"
	"muster/internal/proc/proctest"
)

// onCluster is an array of n elements that leave a file each.
func onCluster(t *testing.T, c enginetest.Cluster, n int) job.Array {
	t.Helper()
	dir := c.Shared(t)
	return job.Array{
		Tag: "test" + strings.ReplaceAll(dir, "/", "."), Elements: n, Dir: dir, LogDir: dir,
		Argv: []string{"/bin/sh", "-c", `: > "ran-$MUSTER_ELEMENT"`}, Env: []string{"PATH=/usr/bin:/bin"},
	}
}

func ran(t *testing.T, a job.Array) int {
	t.Helper()
	names, err := os.ReadDir(a.Dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		if strings.HasPrefix(name.Name(), "ran-") {
			n++
		}
	}
	return n
}

// follow waits for the array's end.
func follow(t *testing.T, e *Engine, id engine.ID) engine.Report {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		rs, err := e.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if rs[0].State.Ended() {
			return rs[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("the array does not end: %s", describe(rs[0]))
		}
	}
}

// What Slurm would refuse, and what it would take and keep pending for ever.
func TestHopelessArrays(t *testing.T) {
	c := cluster(t)
	e := newEngine(t, proctest.Table(t))
	for want, change := range map[string]func(*job.Array){
		"Slurm has no partition nope":                       func(a *job.Array) { a.Resource.Partition = "nope" },
		"asks for 4096 CPUs, and the largest node":          func(a *job.Array) { a.CPUs = 4096 },
		"MiB of memory, and the largest node":               func(a *job.Array) { a.Mem = 1 << 50 },
		"asks for 1h0m0s, and partition short gives 2m0s":   func(a *job.Array) { a.Time, a.Resource.Partition = time.Hour, "short" },
		"Requested reservation is invalid":                  func(a *job.Array) { a.Resource.Reservation = "nope" },
		"Invalid feature specification":                     func(a *job.Array) { a.Resource.Constraint = "nope" },
		"asks for gpu:toy:50, and no node":                  func(a *job.Array) { a.Resource.GPUs = "toy,50" },
		"unrecognized option '--nope'":                      func(a *job.Array) { a.Resource.Options = []string{"--nope"} },
		"GPUs \"a:b\" are neither a number nor NAME,NUMBER": func(a *job.Array) { a.Resource.GPUs = "a:b" },
	} {
		for _, n := range []int{1, testMaxArray + 1} {
			a := onCluster(t, c, n)
			change(&a)
			id, err := e.Submit(t.Context(), a)
			if !errors.Is(err, engine.ErrRefused) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%d elements: %q, %v; want %q", n, id, err, want)
			}
			if ids, err := e.Find(t.Context(), a.Tag); err != nil || len(ids) > 0 {
				t.Errorf("a refused array is there: %v, %v", ids, err)
			}
			if found, err := e.pieces(t.Context(), a.Tag); err != nil || len(found) > 0 {
				t.Errorf("pieces of a refused array are there: %v, %v", found, err)
			}
		}
	}
}

// A submitter that died between two pieces has left some of them, which run when the
// array is submitted again, and not before.
func TestHalfSubmittedArray(t *testing.T) {
	c := cluster(t)
	e := newEngine(t, proctest.Table(t))
	a := onCluster(t, c, 2*testMaxArray+1)
	marks := split(a, testMaxArray)
	for _, i := range []int{0, 2} {
		if _, err := e.sbatch(t.Context(), a, i+1, marks[i], true); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := e.Find(t.Context(), a.Tag); err != nil || len(ids) != 0 {
		t.Errorf("Find takes half an array for one: %v, %v", ids, err)
	}
	if ran(t, a) != 0 {
		t.Error("half an array has run")
	}
	id, err := e.Submit(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if r := follow(t, e, id); r.State != job.Completed || len(r.Elements) != a.Elements || ran(t, a) != a.Elements {
		t.Errorf("%d elements ran: %s", ran(t, a), describe(r))
	}
	if found, err := e.pieces(t.Context(), a.Tag); err != nil || len(found) != len(marks) {
		t.Errorf("the array is there in the pieces %v, %v", found, err)
	}
}

// A submitter that died before it let the pieces go: Find does.
func TestArrayThatWasNotLetGo(t *testing.T) {
	c := cluster(t)
	e := newEngine(t, proctest.Table(t))
	for _, hold := range []bool{false, true} {
		a := onCluster(t, c, testMaxArray+1)
		a.Hold = hold
		for i, m := range split(a, testMaxArray) {
			if _, err := e.sbatch(t.Context(), a, i+1, m, true); err != nil {
				t.Fatal(err)
			}
		}
		ids, err := e.Find(t.Context(), a.Tag)
		if err != nil || len(ids) != 1 {
			t.Fatalf("%v, %v", ids, err)
		}
		if hold {
			rs, err := e.Status(t.Context(), ids[0])
			if err != nil || rs[0].State != job.Pending || rs[0].Reason != "JobHeldUser" {
				t.Errorf("%+v, %v", rs, err)
			}
			if err := e.Control(t.Context(), ids[0], job.OpRelease); err != nil {
				t.Error(err)
			}
		}
		if r := follow(t, e, ids[0]); r.State != job.Completed || ran(t, a) != a.Elements {
			t.Errorf("%d elements ran: %s", ran(t, a), describe(r))
		}
	}
}

// Folders may be called anything.
func TestHostileFolders(t *testing.T) {
	c := cluster(t)
	e := newEngine(t, proctest.Table(t))
	for _, name := range []string{"100% %a %%j", "it's \"quoted\"", `back\slash`, "größe 日本", "a,b;c", "#SBATCH", "line\nend"} {
		for _, n := range []int{1, testMaxArray + 1} {
			a := onCluster(t, c, n)
			dir := filepath.Join(a.Dir, name)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			a.Dir, a.LogDir = dir, dir
			a.Argv = []string{"/bin/sh", "-c", `: > "ran-$MUSTER_ELEMENT"; echo said`}
			id, err := e.Submit(t.Context(), a)
			if err != nil {
				t.Errorf("%q: %v", name, err)
				continue
			}
			r := follow(t, e, id)
			log, err := os.ReadFile(filepath.Join(dir, "1.log"))
			if r.State != job.Completed || ran(t, a) != n || err != nil || string(log) != "said\n" {
				t.Errorf("%q: log %q, %v, %s", name, log, err, describe(r))
			}
		}
	}
}

func TestNoSlurmHere(t *testing.T) {
	table := proctest.Table(t)
	for what, environ := range map[string][]string{
		"no commands":      {"PATH=/nonexistent"},
		"no configuration": {"PATH=/usr/bin:/bin", "SLURM_CONF=/nonexistent/slurm.conf"},
	} {
		e, err := New(Options{Table: table, Environ: environ})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		a := job.Array{Tag: "t", Elements: 1, Argv: []string{"/bin/true"}, Dir: dir, LogDir: dir}
		if _, err := e.Submit(t.Context(), a); !errors.Is(err, engine.ErrMissing) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Submit gives %v", what, err)
		}
		if _, err := e.Status(t.Context(), "12"); !errors.Is(err, engine.ErrMissing) {
			t.Errorf("%s: Status gives %v", what, err)
		}
	}
}
