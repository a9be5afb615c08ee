package gridengine

import (
	"encoding/gob"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/engine/enginetest"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

func testOptions(root, program string, table *proc.Table) Options {
	return Options{
		Table:    table,
		Root:     root,
		Environ:  os.Environ(),
		Command:  []string{program, "gridengine-element"},
		Patience: 15 * time.Second,
		KillWait: 3 * time.Second,
	}
}

// TestConformance runs the suite on a real Grid Engine, as an ordinary user.
func TestConformance(t *testing.T) {
	cluster := enginetest.FindCluster(t, "MUSTER_TEST_GRIDENGINE")
	if os.Getuid() == 0 {
		t.Fatal("Grid Engine refuses root's jobs (min_uid): run this as an ordinary user")
	}
	table := proctest.Table(t)
	program := cluster.Install(t, "")
	root := cluster.Shared(t)
	open := func(t *testing.T) engine.Engine {
		e, err := New(testOptions(root, program, table))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	index := []string{"SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE"}
	enginetest.Run(t, enginetest.Config{
		Open:   open,
		Shared: cluster.Shared,
		Wait:   3 * time.Minute,
		AtOnce: 12,
		Index:  index,
		Adds:   FromGridEngine,
		Elsewhere: func(t *testing.T, a job.Array) engine.ID {
			return elsewhere(t, table, errand{root, program, a})
		},
		Orphans:   enginetest.OrphansAll,
		TimeLimit: 9 * time.Second,
		Ask: func(t *testing.T, id engine.ID) (argv, env []string) {
			for _, name := range []string{"SGE_ROOT", "SGE_CELL", "SGE_QMASTER_PORT", "SGE_EXECD_PORT", "PATH"} {
				env = append(env, name+"="+os.Getenv(name))
			}
			return []string{program, "ask", root, program, string(id)}, env
		},
		Faults: cluster,
		Lost:   4 * time.Minute,
	})
}

// elsewhere submits from a process that dies by SIGKILL right after.
func elsewhere(t *testing.T, table *proc.Table, e errand) engine.ID {
	t.Helper()
	in, err := proc.Memfile("errand")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := gob.NewEncoder(in).Encode(e); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	out, err := proc.Memfile("answer")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	child, err := table.Start(proc.Cmd{
		Path: "/proc/self/exe", Args: []string{"gridengine.test", "submit-and-die"}, Env: os.Environ(),
		Stdin: in, Stdout: out, Stderr: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := child.Wait(t.Context())
	if err != nil {
		t.Error(err)
	}
	if exit.Signal != 9 {
		t.Errorf("the submitter ended as %+v", exit)
	}
	b, err := io.ReadAll(io.NewSectionReader(out, 0, 1<<10))
	if err != nil {
		t.Error(err)
	}
	return engine.ID(strings.TrimSpace(string(b)))
}
