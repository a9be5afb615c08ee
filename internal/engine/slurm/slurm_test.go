package slurm

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/internal/engine"
	"muster/internal/engine/enginetest"
	"muster/internal/engine/local"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

// testMaxArray makes split arrays small.
const testMaxArray = 4

// TestMain makes the test binary the programs that the tests need: a submitter that dies,
// one that asks for an array's state on a node, and the local engine's supervisor.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "submit-and-die" {
		if err := submitAndDie(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if len(os.Args) == 3 && os.Args[1] == "local-array" {
		if err := local.Supervise(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "ask" {
		if err := ask(engine.ID(os.Args[2])); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func submitAndDie() error {
	var a job.Array
	if err := gob.NewDecoder(os.Stdin).Decode(&a); err != nil {
		return err
	}
	table, err := proc.NewTable()
	if err != nil {
		return err
	}
	e, err := New(testOptions(table))
	if err != nil {
		return err
	}
	id, err := e.Submit(context.Background(), a)
	if err != nil {
		return err
	}
	fmt.Println(id)
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func ask(id engine.ID) error {
	table, err := proc.NewTable()
	if err != nil {
		return err
	}
	defer table.Close()
	e, err := New(testOptions(table))
	if err != nil {
		return err
	}
	return enginetest.Answer(context.Background(), os.Stdout, e, id)
}

// cluster is the folder of the cluster that the tests use.
func cluster(t *testing.T) enginetest.Cluster { return enginetest.FindCluster(t, "MUSTER_TEST_SLURM") }

func testOptions(table *proc.Table) Options {
	return Options{Table: table, Environ: os.Environ(), MaxArray: testMaxArray}
}

func newEngine(t *testing.T, table *proc.Table) *Engine {
	t.Helper()
	e, err := New(testOptions(table))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConformance(t *testing.T) {
	c := cluster(t)
	table := proctest.Table(t)
	program := c.Install(t, "")
	enginetest.Run(t, enginetest.Config{
		Open:   func(t *testing.T) engine.Engine { return newEngine(t, table) },
		Shared: c.Shared,
		Wait:   5 * time.Minute,
		Index: []string{
			"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX",
			"SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID",
		},
		Adds: addedBySlurm,
		Elsewhere: func(t *testing.T, a job.Array) engine.ID {
			return submitElsewhere(t, table, a)
		},
		Orphans:   enginetest.OrphansStay,
		TimeLimit: time.Minute,
		AtOnce:    16,
		Ask: func(_ *testing.T, id engine.ID) (argv, env []string) {
			return []string{program, "ask", string(id)}, []string{"SLURM_CONF=" + os.Getenv("SLURM_CONF")}
		},
		Faults: c,
		Lost:   2 * time.Minute,
	})
}

// addedBySlurm names what Slurm and the node's shell put into an element's environment.
func addedBySlurm(name string) bool {
	switch name {
	case "ENVIRONMENT", "HOSTNAME", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_":
		return true
	}
	return strings.HasPrefix(name, "SLURM_") || strings.HasPrefix(name, "SLURMD_")
}

// submitElsewhere submits from a process that dies by SIGKILL as soon as Submit has returned.
func submitElsewhere(t *testing.T, table *proc.Table, a job.Array) engine.ID {
	t.Helper()
	var errand bytes.Buffer
	if err := gob.NewEncoder(&errand).Encode(a); err != nil {
		t.Fatal(err)
	}
	in, err := proc.Memfile("errand")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Write(errand.Bytes()); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	out, err := table.Run(t.Context(), proc.Cmd{Path: "/proc/self/exe", Args: []string{"slurm.test", "submit-and-die"}, Env: os.Environ(), Stdin: in})
	if err != nil {
		t.Fatal(err)
	}
	if out.Exit.Signal != 9 {
		t.Errorf("the submitter ended as %+v: %s", out.Exit, out.Stderr)
	}
	return engine.ID(strings.TrimSpace(string(out.Stdout)))
}
