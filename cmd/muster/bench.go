package main

import (
	"github.com/spf13/cobra"

	"muster/internal/bench"
)

// benchCommand holds the measurements that a user can repeat.
func (a *app) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Repeat published experiments on this machine or cluster",
		Example: "  muster bench launch --max 256\n  muster bench vm --image deb --max-jobs 4 --repeats 3",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(a.benchLaunchCommand(), a.benchVMCommand())
	return cmd
}

// benchLaunchFlags are the flags of bench launch that are no settings.
type benchLaunchFlags struct {
	most, repeats, sharedMost, plainMost int
	against, probe, output               string
	dryRun, json                         bool
}

// benchLaunchCommand repeats the published launch.
func (a *app) benchLaunchCommand() *cobra.Command {
	var f benchLaunchFlags
	cmd := &cobra.Command{
		Use:   "launch [flags]",
		Short: "Measure how fast instances are launched, beside what one would use without muster",
		Long: `Launches 1, 2, 4 … programs, each number several times, and has all of them alive at once: copy time, launch time and launch rate
against the number of instances, as in the published experiment (16,384 Windows instances in about 300 s on 256 nodes), whose point stands
beside yours. The program does nothing but report with its first instruction and sleep; the living are counted in /proc.

In the same run and in turns, on this machine, the same program is started without muster: by xargs -P8 and GNU parallel in one booted
prefix of plain Wine, and by plain Wine in a prepared prefix each, which boots in full.

Tables, JSON, three figures and a page with all of them are written to a folder.`,
		Example: `  muster bench launch
  muster bench launch --max 256 --repeats 5 --output bench/
  muster bench launch --isolation lane --against none
  muster bench launch --engine slurm --nodes 256 --max 16384
  muster bench launch --max 4096 --dry-run`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchLaunch(cmd, f) },
	}
	fl := cmd.Flags()
	fl.IntVar(&f.most, "max", 0, "most instances (default: what fits, at most 16,384)")
	fl.IntVar(&f.repeats, "repeats", 3, "launches of each number")
	text(fl, &f.against, "against", "LIST", "", "what to compare with: xargs, parallel, plain, or none (default: what is here)")
	fl.IntVar(&f.sharedMost, "against-max", 1024, "most instances of xargs and parallel")
	fl.IntVar(&f.plainMost, "plain-max", 4, "most instances of plain Wine, each with a prefix of 700 MB")
	text(fl, &f.probe, "probe", "FILE", "", "the program, built already: writes a line \"alive …\" and sleeps (default: built here)")
	text(fl, &f.output, "output", "DIR", "", "folder of the results (default: ./muster-bench-launch-DATE)")
	fl.BoolVar(&f.dryRun, "dry-run", false, "say what would be done and how long it takes, and do nothing")
	fl.BoolVar(&f.json, "json", false, "print the results as one JSON object at the end")
	for _, name := range append([]string{"isolation", "guest", "engine", "nodes", "progress"}, benchPassed...) {
		setting(fl, name)
	}
	fl.SortFlags = false
	return cmd
}

// benchPassed are settings that go to muster launch as they are.
var benchPassed = []string{"image", "wine", "boot", "contain", "stage", "partition", "account", "qos", "constraint", "reservation", "exclusive", "time"}

// needOf is roughly what an instance takes; see bench.Need.
func needOf(guest, isolation string) bench.Need {
	const mb = 1_000_000
	switch {
	case guest == "native":
		return bench.Need{Memory: mb / 2, PIDs: 1, Rate: 250}
	case isolation == "node":
		return bench.Need{Memory: 13 * mb / 10, PIDs: 1, Rate: 60}
	}
	return bench.Need{Memory: 5 * mb, PIDs: 3, Rate: 20}
}
