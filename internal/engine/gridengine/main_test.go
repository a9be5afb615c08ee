package gridengine

import (
	"context"
	"encoding/gob"
	"fmt"
	"os"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"muster/internal/engine"
	"muster/internal/engine/enginetest"
	"muster/internal/engine/local"
	"muster/internal/job"
	"muster/internal/proc"
)

// TestMain makes the test binary the programs that the tests need on nodes and beside
// them: an element's supervisor, a submitter that dies, somebody who asks.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		var err error
		switch os.Args[1] {
		case "gridengine-element":
			code, err := Element(context.Background(), os.Args[2:], os.Environ())
			if err != nil {
				fmt.Fprintln(os.Stderr, "muster:", err)
			}
			os.Exit(code)
		case "gridengine-node":
			command := []string{os.Args[0], "gridengine-node"}
			code, err := Node(context.Background(), command, os.Args[2:], os.Environ())
			if err != nil {
				fmt.Fprintln(os.Stderr, "muster:", err)
			}
			os.Exit(code)
		case "local-array":
			err = local.Supervise(context.Background(), os.Args[2])
		case "submit-and-die":
			err = submitAndDie()
		case "ask":
			err = ask(os.Args[2], os.Args[3], engine.ID(os.Args[4]))
		default:
			goleak.VerifyTestMain(m)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// errand is what a submitter of its own is to do; it comes on standard input.
type errand struct {
	Root, Program string
	Array         job.Array
}

func submitAndDie() error {
	var e errand
	if err := gob.NewDecoder(os.Stdin).Decode(&e); err != nil {
		return err
	}
	table, err := proc.NewTable()
	if err != nil {
		return err
	}
	eng, err := New(testOptions(e.Root, e.Program, table))
	if err != nil {
		return err
	}
	id, err := eng.Submit(context.Background(), e.Array)
	if err != nil {
		return err
	}
	fmt.Println(id)
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func ask(root, program string, id engine.ID) error {
	table, err := proc.NewTable()
	if err != nil {
		return err
	}
	defer table.Close()
	eng, err := New(testOptions(root, program, table))
	if err != nil {
		return err
	}
	return enginetest.Answer(context.Background(), os.Stdout, eng, id)
}
