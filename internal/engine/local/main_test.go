package local

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"muster/internal/engine"
	"muster/internal/engine/enginetest"
	"muster/internal/job"
	"muster/internal/proc"
)

// TestMain makes the test binary the programs that the tests need: the
// supervisor, a submitter that dies, and one who asks how an array stands.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "local-array" {
		if err := Supervise(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 2 && os.Args[1] == "submit-and-die" {
		if err := submitAndDie(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if len(os.Args) == 4 && os.Args[1] == "answer" {
		if err := answerFor(os.Args[2], engine.ID(os.Args[3])); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func answerFor(root string, id engine.ID) error {
	table, err := proc.NewTable()
	if err != nil {
		return err
	}
	e, err := New(testOptions(root, table))
	if err != nil {
		return err
	}
	return errors.Join(enginetest.Answer(context.Background(), os.Stdout, e, id), table.Close())
}

// errand is what a submitter of its own is to do; it comes on standard input.
type errand struct {
	Root  string
	Array job.Array
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
	eng, err := New(testOptions(e.Root, table))
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
