package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/job"
	"muster/internal/run"
	"muster/internal/rundir"
)

// suspendCommand lets runs stand still.
func (a *app) suspendCommand() *cobra.Command {
	return a.pauseCommand(job.OpSuspend, &cobra.Command{
		Use:   "suspend RUN…",
		Short: "Let runs stand still",
		Long: `Stops everything that runs stand for, where it is: nothing more is started, and all programs, with everything that they have
started, stand still (SIGSTOP) until muster continue. They keep their memory, and the nodes that the scheduler gave; its clock goes
on, --timeout does not. It waits until that is in force. What is still pending in a queue starts suspended.`,
		Example: "  muster suspend last\n  muster suspend 12 13",
	})
}

// continueCommand lets them go on.
func (a *app) continueCommand() *cobra.Command {
	return a.pauseCommand(job.OpContinue, &cobra.Command{
		Use:     "continue RUN…",
		Short:   "Let suspended runs go on",
		Long:    `Lets runs that were suspended go on where they stand. It waits until that is in force.`,
		Example: "  muster continue last",
	})
}

func (a *app) pauseCommand(op job.Op, cmd *cobra.Command) *cobra.Command {
	var noWait bool
	cmd.Args = argsBetween(1, 0, "a run")
	cmd.ValidArgsFunction = a.completeRuns(true)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		sels, err := a.selectRuns(args...)
		if err != nil {
			return err
		}
		for _, s := range sels {
			if !s.tasks.Empty() {
				return job.BadInputf("muster %s takes whole runs: muster %s %d", op, op, s.Number)
			}
		}
		c, err := a.conductor(nil)
		if err != nil {
			return err
		}
		var errs []error
		for _, s := range sels {
			errs = append(errs, a.pause(ctx, c, s.Run, op, !noWait))
		}
		return errors.Join(errs...)
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return as soon as it is asked for")
	return cmd
}

// pauseEvery is how often it is looked whether what was asked for is in force.
const pauseEvery = 100 * time.Millisecond

// pause suspends or continues a run, and says what came of it.
func (a *app) pause(ctx context.Context, c *run.Conductor, r *rundir.Run, op job.Op, wait bool) error {
	p := a.print()
	stand, err := c.Stand(ctx, r, rundir.LoadOptions{})
	if err != nil {
		return err
	}
	if stand.Ended {
		p.Err.Printf("run %d has ended already: %s\n", r.Number, stand.State)
		return nil
	}
	if err := c.Pause(r, op); err != nil {
		return err
	}
	if !wait {
		p.Err.Printf("asked run %d to %s; muster status %d tells\n", r.Number, op, r.Number)
		return nil
	}
	for {
		if stand, err = c.Stand(ctx, r, rundir.LoadOptions{}); err != nil {
			return err
		}
		switch {
		case stand.Ended:
			p.Err.Printf("run %d has ended: %s\n", r.Number, stand.State)
			return nil
		case stand.State == job.Pending && op == job.OpSuspend:
			p.Err.Printf("run %d is pending, and will start suspended; muster continue %d goes on with it\n", r.Number, r.Number)
			return nil
		case stand.State == job.Suspended && op == job.OpSuspend:
			p.Err.Printf("run %d is suspended; muster continue %d goes on with it\n", r.Number, r.Number)
			return nil
		case stand.State != job.Suspended && op == job.OpContinue:
			p.Err.Printf("run %d goes on; muster wait %d follows it\n", r.Number, r.Number)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pauseEvery):
		}
	}
}
