package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/job"
	"muster/internal/node"
	"muster/internal/proc"
	"muster/internal/ui"
	"muster/internal/ui/human"
)

// A benchmark is a measurement that has been settled.
type benchmark interface {
	// print says what is measured, and how long it takes.
	print(out *ui.Stream)
	// folder is where its results go.
	folder() string
	// measure carries it out. The folder is there.
	measure(ctx context.Context, a *app, with benchKit) (benchResult, error)
}

// benchKit is what a measurement works with.
type benchKit struct {
	table    *proc.Table
	exe      string // muster's own program
	work     string // a folder that goes with the measurement
	progress *ui.Progress
}

// benchResult is what it has shown.
type benchResult interface {
	Write(dir string) ([]string, error)
	WriteJSON(w io.Writer) error
	Verdict() []string
}

// benchWords are the flags that all benchmarks have.
type benchWords struct{ dryRun, json bool }

// benchmark settles a measurement, carries it out, and writes what it has shown.
// Ctrl-C takes down what runs, and leaves nothing.
func (a *app) benchmark(ctx context.Context, w benchWords, settle func(context.Context) (benchmark, error)) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	b, err := settle(ctx)
	if err != nil {
		return err
	}
	if w.dryRun {
		b.print(a.print().Out)
		return nil
	}
	progress, err := a.progress(false)
	if err != nil {
		return err
	}
	defer progress.Close()
	made, err := newFolder(b.folder())
	if err != nil {
		return err
	}
	b.print(a.print().Err)
	r, err := a.measure(ctx, b, progress)
	if err != nil {
		if made {
			err = errors.Join(err, os.RemoveAll(b.folder()))
		}
		return err
	}
	progress.Close()
	names, err := r.Write(b.folder())
	if err != nil {
		return err
	}
	if w.json {
		return r.WriteJSON(a.print().Out)
	}
	p := a.print()
	p.Err.Printf("wrote %s and %s more to %s\n", names[len(names)-1], human.Plural(len(names)-1, "file"), human.Escape(b.folder()))
	p.Out.Printf("%s\n", strings.Join(r.Verdict(), "\n"))
	return nil
}

// measure gives a measurement what it works with, and takes it away afterwards.
func (a *app) measure(ctx context.Context, b benchmark, progress *ui.Progress) (_ benchResult, err error) {
	table, err := a.table()
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding muster's own program: %w", err)
	}
	work := filepath.Join(b.folder(), ".work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	return b.measure(ctx, a, benchKit{table, exe, work, progress})
}

// benchFolder is where the results of a measurement go.
func benchFolder(asked, what string) (string, error) {
	if asked == "" {
		asked = "muster-bench-" + what + "-" + time.Now().Format("20060102-150405")
	}
	return filepath.Abs(asked)
}

// newFolder makes the folder of the results; made: it was not there.
func newFolder(dir string) (made bool, err error) {
	if entries, err := os.ReadDir(dir); err == nil {
		if len(entries) > 0 {
			return false, job.BadInputf("%s is not empty; --output DIR names another folder", dir)
		}
		return false, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, job.BadInputf("making the folder of the results: %w", err)
	}
	return true, nil
}

// passedFlags are flags that go to the measured command as they are.
func passedFlags(cmd *cobra.Command, names []string) []string {
	var out []string
	for _, name := range names {
		if fl := cmd.Flags().Lookup(name); fl != nil && fl.Changed {
			out = append(out, "--"+name+"="+fl.Value.String())
		}
	}
	return out
}

// machine is what is measured on.
type machine struct {
	cpus int
	text string // in one line
}

func machineOf(n node.Node) machine {
	kernel, _, _ := strings.Cut(n.Kernel, "-")
	cpus := n.Lanes()
	return machine{cpus, fmt.Sprintf("%s, %.0f GiB, kernel %s", human.Plural(cpus, "CPU"), float64(n.Memory.Total)/(1<<30), kernel)}
}
