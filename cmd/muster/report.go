package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/job"
	"muster/internal/plot"
	"muster/internal/report"
	"muster/internal/rundir"
	"muster/internal/timeline"
	"muster/internal/ui/human"
)

// reportCommand tells what came of a run.
func (a *app) reportCommand() *cobra.Command {
	var asJSON bool
	files := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Tell what came of a run: figures, failures, pictures",
		Long: `Tells how long each phase took (median, p95, max), how fast the run was launched, what fell behind, what failed and why, and
what to do differently. Pictures show the instances up against time and each lane's phases. A file named - is standard output.`,
		Example:           "  muster report last\n  muster report 12 --png launch.png --json\n  muster report 12 --trace trace.json   # opens in ui.perfetto.dev",
		Args:              argsBetween(1, 1, "one run"),
		ValidArgsFunction: a.completeRuns(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.wholeRun("report", args[0])
			if err != nil {
				return err
			}
			c, err := a.conductor(nil)
			if err != nil {
				return err
			}
			s, err := c.Stand(cmd.Context(), r, rundir.LoadOptions{Outputs: true, Instances: true, Attempts: true})
			if err != nil {
				return err
			}
			tasks, err := r.Tasks()
			if err != nil {
				return err
			}
			known := report.FromSnapshot(s.Snapshot, report.Known{
				Number: r.Number, State: s.State, Reason: s.Reason, Ended: s.EndedAt, Now: time.Now(), Tasks: tasks,
			})
			report.AddLogs(&known, r)
			if err := report.AddTold(&known, s.Snapshot, r); err != nil {
				return err
			}
			return a.report(&known, asJSON, files)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	for _, w := range reportFiles {
		files[w.flag] = f.String(w.flag, "", w.help+" to `FILE`")
	}
	f.SortFlags = false
	return cmd
}

// reportFiles are the files that report writes.
var reportFiles = []struct {
	flag, help string
	write      func(w io.Writer, known *report.Run) error
}{
	{"svg", "write the picture of the launch", func(w io.Writer, known *report.Run) error { return plot.WriteSVG(w, figureOf(known)) }},
	{"png", "write the picture of the launch", func(w io.Writer, known *report.Run) error {
		return plot.WritePNG(w, figureOf(known), plot.DefaultDPI)
	}},
	{"trace", "write the timeline for Perfetto or Chrome", func(w io.Writer, known *report.Run) error { return timeline.WriteTrace(w, known.Timeline) }},
	{"csv", "write the timeline, a line for each phase,", func(w io.Writer, known *report.Run) error { return timeline.WriteCSV(w, known.Timeline) }},
}

func figureOf(known *report.Run) plot.Figure {
	total := 0
	for _, n := range known.Tasks {
		total += n
	}
	return plot.NewRun(plot.Run{
		Number: known.Number, Name: known.Name, State: known.State, Guest: known.Spec.Guest, Engine: known.Spec.Engine,
		Isolation: known.Spec.Isolation, Launch: known.Spec.Launch != nil, Tasks: total, Timeline: known.Timeline, Hosts: known.Nodes(),
	})
}

// report writes what was asked for, and the text when nothing was.
func (a *app) report(known *report.Run, asJSON bool, files map[string]*string) error {
	p := a.print()
	onStdout := 0
	if asJSON {
		onStdout++
	}
	asked := asJSON
	for _, name := range files {
		if *name != "" {
			asked = true
		}
		if *name == "-" {
			onStdout++
		}
	}
	if onStdout > 1 {
		return job.BadInputf("only one thing can be written to standard output; give the others a file name")
	}
	rep := report.From(*known)
	if !asked {
		return rep.WriteText(p.Out, p.Out.Width())
	}
	for _, f := range reportFiles {
		name := *files[f.flag]
		write := func(w io.Writer) error { return f.write(w, known) }
		switch name {
		case "":
			continue
		case "-":
			if err := write(p.Out); err != nil {
				return err
			}
			continue
		}
		if err := writeFile(name, write); err != nil {
			return err
		}
		p.Err.Printf("wrote %s\n", human.Escape(name))
	}
	if asJSON {
		return rep.WriteJSON(p.Out)
	}
	return nil
}

// writeFile writes a file whole or not at all.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".muster-*")
	if err != nil {
		return job.BadInputf("writing %s: %w", name, err)
	}
	buf := bufio.NewWriter(f)
	err = errors.Join(write(buf), buf.Flush(), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", name, err), os.Remove(f.Name()))
	}
	return nil
}
