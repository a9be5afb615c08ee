// Bench measures muster against what one would use without it, each pair in one
// run on the same machine, and writes the figures into docs/performance.md.
//
//	bench [-muster FILE] [-doc FILE] [-lanes N] [-scale F] [NAME…]
//	bench spawn N WORKERS PROGRAM   the bare spawn loop that native compares with
//
// Names are native, wine, start, large, skewed, launch, slurm, and, measured only when they are named, slurm-256, launch-16384,
// launch-slurm-256 and vm. The clusters need root. It makes a home folder of its own below -work, so that the caller's runs and images are left alone, and removes
// it in the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A bench is what all measurements share.
type bench struct {
	muster string   // absolute path of the program
	work   string   // folder for inputs, outputs and homes
	env    []string // for everything that is started
	lanes  int
	scale  float64 // 1: the counts that the figures are stated for

	credential *syscall.Credential // of whoever runs the commands; nil: of this process
}

// count scales a number of tasks.
func (b *bench) count(n int) int { return max(int(float64(n)*b.scale), 2*b.lanes) }

func run(ctx context.Context, args []string) (err error) {
	if len(args) > 0 && args[0] == "spawn" {
		return spawn(args[1:])
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	muster := flags.String("muster", "bin/muster", "the program to measure")
	doc := flags.String("doc", "docs/performance.md", "where the figures go")
	work := flags.String("work", "build/bench", "folder for everything that the measurements need")
	lanes := flags.Int("lanes", runtime.NumCPU(), "programs in flight, for all that are compared")
	scale := flags.Float64("scale", 1, "multiplies the numbers of tasks; figures of other scales than 1 are not written")
	if err := flags.Parse(args); err != nil {
		return err
	}

	b := &bench{lanes: *lanes, scale: *scale}
	if b.muster, err = filepath.Abs(*muster); err != nil {
		return err
	}
	if b.work, err = filepath.Abs(*work); err != nil {
		return err
	}
	home := filepath.Join(b.work, "home")
	tmp := filepath.Join(b.work, "tmp")
	if err := errors.Join(os.RemoveAll(home), os.RemoveAll(tmp), os.MkdirAll(home, 0o700), os.MkdirAll(tmp, 0o700)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home), os.RemoveAll(tmp)) }()
	b.env = []string{"HOME=" + home, "TMPDIR=" + tmp, "PATH=" + os.Getenv("PATH"), "USER=" + os.Getenv("USER"), "LANG=C.UTF-8", "WINEDEBUG=-all"}

	all := []struct {
		name, title string
		measure     func(context.Context, *bench) ([]row, error)
		table       func(context.Context, *bench) (string, error) // instead: what is no comparison of two rates
		long        bool                                          // measured only when it is named
	}{
		{"native", "Native programs", native, nil, false},
		{"wine", "Windows programs", wine, nil, false},
		{"start", "One start", nil, start, false},
		{"large", "A run of 100,000 tasks", large, nil, false},
		{"skewed", "Tasks that differ", skewed, nil, false},
		{"launch", "Programs that are all alive at once", launch, nil, false},
		{"slurm", "On a little Slurm", slurm, nil, false},
		{"slurm-256", "The published launch, on 256 nodes of one machine", slurm256, nil, true},
		{"launch-16384", "The published launch, on one machine", launch16384, nil, true},
		{"launch-slurm-256", "Alive at once over 256 nodes of one machine", launchSlurm, nil, true},
		{"vm", "Jobs in virtual machines", vms, nil, true},
	}
	names := flags.Args()
	for _, m := range all {
		if len(names) > 0 && !contains(names, m.name) || len(names) == 0 && m.long {
			continue
		}
		var text string
		if m.table != nil {
			body, err := m.table(ctx, b)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			text = heading2(m.title, facts(ctx, b)) + body
		} else {
			rows, err := m.measure(ctx, b)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			text = section(m.title, facts(ctx, b), rows)
		}
		fmt.Println(text)
		if b.scale != 1 {
			continue
		}
		if err := writeSection(*doc, m.name, text); err != nil {
			return err
		}
	}
	return nil
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
