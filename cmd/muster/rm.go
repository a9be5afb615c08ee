package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/job"
	"muster/internal/run"
	"muster/internal/rundir"
	"muster/internal/ui/human"
)

// rmCommand removes the folders of runs.
func (a *app) rmCommand() *cobra.Command {
	var older string
	cmd := &cobra.Command{
		Use:   "rm RUN…",
		Short: "Forget runs that have ended",
		Long: `Removes the folders of runs that have ended: journals, logs, figures. Outputs stay where they are. A run that is still queued or
running is refused.`,
		Example:           "  muster rm 12 13\n  muster rm --older 30d",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeRuns(true),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == (older == "") {
				return job.BadInputf("muster rm needs runs, or --older SPAN; such as: muster rm --older 30d")
			}
			c, err := a.conductor(nil)
			if err != nil {
				return err
			}
			if older != "" {
				return a.removeOlder(cmd.Context(), c, older)
			}
			sels, err := a.selectRuns(args...)
			if err != nil {
				return err
			}
			return a.remove(cmd.Context(), c, sels)
		},
	}
	cmd.Flags().StringVar(&older, "older", "", "all runs that ended longer ago than this (30d, 12h)")
	return cmd
}

// remove removes the runs named; what cannot be removed does not keep the others.
func (a *app) remove(ctx context.Context, c *run.Conductor, sels []selected) error {
	var errs []error
	for _, s := range sels {
		if !s.tasks.Empty() {
			errs = append(errs, job.BadInputf("muster rm takes whole runs, and %s is a part of one", s.what()))
			continue
		}
		stand, err := c.Stand(ctx, s.Run, rundir.LoadOptions{})
		if err == nil && stand.Deaf != nil {
			err = stand.Deaf
		}
		if err == nil && !stand.Ended {
			err = job.BadInputf("run %d is %s; muster cancel %d ends it", s.Number, stand.State, s.Number)
		}
		if err == nil {
			err = c.Store.Remove(s.Run)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		a.print().Err.Printf("removed run %d\n", s.Number)
	}
	return errors.Join(errs...)
}

// removeOlder removes every run that ended longer ago than span.
func (a *app) removeOlder(ctx context.Context, c *run.Conductor, span string) error {
	age, err := job.ParseDuration(span)
	if err != nil {
		return job.BadInputf("--older: %w", err)
	}
	numbers, err := c.Store.List()
	if err != nil {
		return err
	}
	var runs []*rundir.Run
	for _, n := range numbers {
		// One that cannot be opened is not ours to judge.
		if r, err := c.Store.Open(n); err == nil {
			runs = append(runs, r)
		}
	}
	removed := 0
	var errs []error
	err = c.Overview(ctx, runs, func(r *rundir.Run, s *run.Standing, err error) {
		if err != nil || !s.Ended {
			return
		}
		end := s.EndedAt
		if end.IsZero() {
			end = s.Snapshot.Spec.Created
		}
		if time.Since(end) < age {
			return
		}
		if err := c.Store.Remove(r); err != nil {
			errs = append(errs, err)
			return
		}
		removed++
	})
	a.print().Err.Printf("removed %s older than %s\n", human.Plural(removed, "run"), job.FormatDuration(age))
	return errors.Join(append(errs, err)...)
}
