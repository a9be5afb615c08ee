package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"muster/internal/job"
	"muster/internal/run"
	"muster/internal/rundir"
)

// holdCommand keeps runs from being started.
func (a *app) holdCommand() *cobra.Command {
	return a.queueCommand("hold", "Keep runs in the queue",
		`Keeps what of a run waits in the engine's queue from being started, the reduce step included; what runs goes on. muster release
lets it go. A run can be submitted so: muster map --hold.`,
		"held; muster release %d lets it start", (*run.Conductor).Hold)
}

// releaseCommand lets held runs start.
func (a *app) releaseCommand() *cobra.Command {
	return a.queueCommand("release", "Let held runs start",
		`Lets the engine start what muster hold, or muster map --hold, has kept back.`,
		"released; muster wait %d follows it", (*run.Conductor).Release)
}

// queueCommand is a command that asks the engines of whole runs for something.
func (a *app) queueCommand(name, short, long, done string, ask func(*run.Conductor, context.Context, *rundir.Run) error) *cobra.Command {
	return &cobra.Command{
		Use:               name + " RUN…",
		Short:             short,
		Long:              long,
		Example:           "  muster " + name + " last",
		Args:              argsBetween(1, 0, "a run"),
		ValidArgsFunction: a.completeRuns(true),
		RunE: func(cmd *cobra.Command, args []string) error {
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
				if !s.tasks.Empty() {
					errs = append(errs, job.BadInputf("muster %s takes whole runs, and %s is a part of one", name, s.what()))
					continue
				}
				if err := ask(c, cmd.Context(), s.Run); err != nil {
					errs = append(errs, err)
					continue
				}
				a.print().Err.Printf("run %d is "+done+"\n", s.Number, s.Number)
			}
			return errors.Join(errs...)
		},
	}
}
