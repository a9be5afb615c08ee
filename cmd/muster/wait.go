package main

import (
	"github.com/spf13/cobra"

	"muster/internal/ui"
)

// waitCommand follows a run to its end.
func (a *app) waitCommand() *cobra.Command {
	var o followOptions
	cmd := &cobra.Command{
		Use:   "wait RUN",
		Short: "Follow a run until it has ended",
		Long: `Shows a run's progress until it has ended, and then its summary. The exit code is that of muster map: 0 when all is well,
1 when tasks failed. Ctrl-C once asks, twice cancels the run.`,
		Example:           "  muster wait last\n  muster wait 12 --json",
		Args:              argsBetween(1, 1, "one run"),
		ValidArgsFunction: a.completeRuns(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.wholeRun("wait", args[0])
			if err != nil {
				return err
			}
			progress, err := a.progress(o.quiet)
			if err != nil {
				return err
			}
			defer progress.Close()
			c, err := a.conductor(a.teller(progress, o.quiet))
			if err != nil {
				return err
			}
			return a.follow(c, r, progress, o)
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object at the end")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "print the run's number only")
	setting(cmd.Flags(), "progress")
	return cmd
}

// progress makes the display that --progress asks for.
func (a *app) progress(quiet bool) (*ui.Progress, error) {
	mode, err := ui.ParseProgress(a.cfg.Text("progress"))
	if err != nil {
		return nil, err
	}
	if quiet {
		mode = ui.ProgressNone
	}
	return a.print().Progress(mode), nil
}
