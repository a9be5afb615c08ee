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
	"muster/internal/ui/human"
)

// cancelCommand ends runs or tasks.
func (a *app) cancelCommand() *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "cancel RUN|RUN_TASKS…",
		Short: "End runs, or some of their tasks",
		Long: `Ends whole runs, or the tasks named, running or not, with everything they have started. Outputs that are complete stay. It
waits until that is in force. What is cancelled can be resumed.`,
		Example:           "  muster cancel last\n  muster cancel 12_3-5 13",
		Args:              argsBetween(1, 0, "a run, or tasks of one"),
		ValidArgsFunction: a.completeRuns(true),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			sels, err := a.selectRuns(args...)
			if err != nil {
				return err
			}
			c, err := a.conductor(nil)
			if err != nil {
				return err
			}
			var errs []error
			for _, s := range sels {
				errs = append(errs, a.cancel(ctx, c, s, !noWait))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return as soon as it is asked for")
	return cmd
}

// cancel ends one run or some of its tasks, and says what came of it.
func (a *app) cancel(ctx context.Context, c *run.Conductor, s selected, wait bool) error {
	p := a.print()
	before, err := c.Stand(ctx, s.Run, rundir.LoadOptions{})
	if err != nil {
		return err
	}
	if before.Ended {
		p.Err.Printf("run %d has ended already: %s\n", s.Number, before.State)
		return nil
	}
	var tasks *job.IndexSet
	if !s.tasks.Empty() {
		tasks = &s.tasks
	}
	if err := c.Cancel(ctx, s.Run, tasks); err != nil {
		return err
	}
	if !wait {
		p.Err.Printf("asked for the end of %s; muster wait %d follows it\n", s.what(), s.Number)
		return nil
	}
	if tasks == nil {
		end, err := c.Watch(ctx, s.Run, nil)
		if err != nil {
			return err
		}
		p.Err.Printf("run %d has ended: %s, %s of %s completed", s.Number, end.State, human.Count(end.Completed()), human.Plural(end.Snapshot.Len(), noun(end)))
		if end.State == job.Cancelled && end.Snapshot.Spec.Launch == nil {
			p.Err.Printf("; muster resume %d goes on with it", s.Number)
		}
		p.Err.Printf("\n")
		return nil
	}
	return a.awaitTasks(ctx, c, s)
}

// noun is what the tasks of a run are for a person.
func noun(s *run.Standing) string {
	if s.Snapshot.Spec.Launch != nil {
		return "program"
	}
	return "task"
}

// awaitTasks waits until the tasks have ended, and counts how.
func (a *app) awaitTasks(ctx context.Context, c *run.Conductor, s selected) error {
	for {
		stand, err := c.Stand(ctx, s.Run, rundir.LoadOptions{})
		if err != nil {
			return err
		}
		cancelled, left := 0, 0
		for t := range s.tasks.All() {
			switch state := stand.Snapshot.State(t); {
			case !state.Ended():
				left++
			case state == job.Cancelled:
				cancelled++
			}
		}
		if left == 0 || stand.Ended {
			p := a.print()
			p.Err.Printf("cancelled %s of run %d", human.Plural(cancelled, noun(stand)), s.Number)
			if done := s.tasks.Len() - cancelled - left; done > 0 {
				p.Err.Printf("; %d had ended already", done)
			}
			p.Err.Printf("\n")
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// what names the run or its tasks for a person.
func (s selected) what() string {
	return job.Selector{Run: s.Number, Tasks: s.tasks}.String()
}
