package local

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/job"
)

func TestParallelIsKept(t *testing.T) {
	table := newTable(t)
	dir := t.TempDir()
	o := testOptions(t.TempDir(), table)
	o.Parallel = 1
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	// mkdir fails when another element is in its way.
	id := submit(t, e, array(t, dir, 4, `mkdir $D/alone && sleep 0.03 && rmdir $D/alone`))
	wait(t, e, id)
	if r := status(t, e, id); r.State != job.Completed {
		t.Errorf("two elements ran at once: %+v", r)
	}
}

func TestElementCannotStart(t *testing.T) {
	table := newTable(t)
	dir := t.TempDir()
	e := newEngine(t, t.TempDir(), table)
	a := array(t, dir, 2, "")
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	a.Argv, a.Hold = []string{program}, true
	id := submit(t, e, a)
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := e.Control(t.Context(), id, job.OpRelease); err != nil {
		t.Fatal(err)
	}
	wait(t, e, id)
	r := status(t, e, id)
	for _, el := range r.Elements {
		if el.State != job.Failed || el.Exit.Cause != job.CauseStart || !strings.Contains(el.Exit.Detail, program) {
			t.Errorf("an element without its program is %+v", el)
		}
	}
}

func TestEnvironmentIsInNoFile(t *testing.T) {
	table := newTable(t)
	dir, root := t.TempDir(), t.TempDir()
	e := newEngine(t, root, table)
	a := array(t, dir, 1, `test "$TOKEN" = sesame-4711`)
	a.Env = append(a.Env, "TOKEN=sesame-4711")
	id := submit(t, e, a)
	wait(t, e, id)
	if r := status(t, e, id); r.State != job.Completed {
		t.Fatalf("the element did not get its variable: %+v", r)
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		if path != root && st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v: others can look at it", path, st.Mode())
		}
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("sesame")) {
			t.Errorf("%s holds the environment", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestElementEnv(t *testing.T) {
	a := job.Array{Elements: 5, Env: []string{"A=1", "MUSTER_ELEMENT=9", "SGE_TASK_ID=9", "A=2"}}
	want := strings.Fields(`A=1 A=2 SLURM_JOB_ID=45 MUSTER_ELEMENT=4 MUSTER_ARRAY=local-42_4
		SLURM_ARRAY_JOB_ID=45 SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=2
		SGE_TASK_ID=1 SGE_TASK_FIRST=1 SGE_TASK_LAST=2 SGE_TASK_STEPSIZE=1`)
	if got := elementEnv(a, 42, 4, 3); !slices.Equal(got, want) {
		t.Errorf("element 4 of 5, 3 a piece:\n%q, want\n%q", got, want)
	}
	a.Env = []string{"SLURM_JOB_ID=777"}
	if got := elementEnv(a, 42, 1, 0); !slices.Contains(got, "SLURM_JOB_ID=777") || slices.Contains(got, "SLURM_JOB_ID=42") {
		t.Errorf("inside an allocation: %q", got)
	}
}

func TestSupervisorEnv(t *testing.T) {
	got := supervisorEnv([]string{"PATH=/bin", "LD_PRELOAD=x.so", "HOME=/h", "GODEBUG=x", "BASH_ENV=x", "PATHS=x"})
	if want := []string{"PATH=/bin", "HOME=/h"}; !slices.Equal(got, want) {
		t.Errorf("supervisors get %q, want %q", got, want)
	}
}

func TestBaseOfOthersIsRefused(t *testing.T) {
	table := newTable(t)
	root := t.TempDir()
	e := newEngine(t, root, table)
	if err := os.Mkdir(e.base(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(e.base(), 0o777); err != nil {
		t.Fatal(err)
	}
	if id, err := e.Submit(t.Context(), array(t, root, 1, "exit 0")); err == nil {
		t.Errorf("Submit into a folder that everybody can write gives %s", id)
	}
}
