package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"muster/internal/job"
	"muster/internal/run"
	"muster/internal/rundir"
)

// resumeCommand goes on with a run.
func (a *app) resumeCommand() *cobra.Command {
	var failed, detach bool
	var o followOptions
	cmd := &cobra.Command{
		Use:   "resume RUN",
		Short: "Run what is left of a run",
		Long: `Runs the tasks of a run that were lost, cancelled or never started, and with --failed also those that failed. A completed
task never runs again. It is refused while something of the run is still queued or running.`,
		Example:           "  muster resume last\n  muster resume 12 --failed",
		Args:              argsBetween(1, 1, "one run"),
		ValidArgsFunction: a.completeRuns(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.wholeRun("resume", args[0])
			if err != nil {
				return err
			}
			return a.resume(cmd.Context(), r, failed, detach, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&failed, "failed", false, "also run what failed")
	f.BoolVar(&detach, "detach", false, "return as soon as it is submitted")
	f.BoolVar(&o.json, "json", false, "print one JSON object at the end")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print the run's number only")
	setting(f, "progress")
	return cmd
}

func (a *app) resume(ctx context.Context, r *rundir.Run, failed, detach bool, o followOptions) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	progress, err := a.progress(o.quiet)
	if err != nil {
		return err
	}
	defer progress.Close()
	c, err := a.conductor(a.teller(progress, o.quiet))
	if err != nil {
		return err
	}
	err = a.preparing(ctx, c, progress, func(ctx context.Context) error {
		_, err := c.Resume(ctx, r, failed)
		return err
	})
	if errors.Is(err, run.ErrNothingToDo) {
		progress.Close()
		return a.nothingToDo(ctx, c, r, o)
	}
	if err != nil {
		return err
	}
	stop() // from here on signals mean what follow says
	if detach {
		progress.Close()
		return a.detached(r, o, false)
	}
	o.conduct = true
	return a.follow(c, r, progress, o)
}

// nothingToDo answers a resume of a run that nothing is left of: with the verdict,
// as every end of a run does.
func (a *app) nothingToDo(ctx context.Context, c *run.Conductor, r *rundir.Run, o followOptions) error {
	s, err := c.Stand(ctx, r, rundir.LoadOptions{Outputs: true, Instances: true, Attempts: true})
	if err != nil {
		return err
	}
	line := "there is nothing left of it to run"
	if s.Failed() > 0 {
		line = "only failed tasks are left; --failed runs them again"
	}
	if !o.quiet {
		a.print().Err.Printf("run %d: %s\n", r.Number, line)
	}
	if o.json {
		if err := a.printJSON(mapResult(r, s)); err != nil {
			return err
		}
	}
	if s.State == job.Completed {
		return nil
	}
	return exitError(exitTaskFailed)
}
