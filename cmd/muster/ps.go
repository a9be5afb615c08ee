package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/job"
	"muster/internal/run"
	"muster/internal/rundir"
	"muster/internal/ui"
	"muster/internal/ui/human"
)

// psCommand lists runs.
func (a *app) psCommand() *cobra.Command {
	var n int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ps",
		Aliases: []string{"list"},
		Short:   "List the runs",
		Long: `Lists the runs of this user, the newest first: state, tasks, and how long each took. It reads the runs' folders and
asks each engine once; there is no daemon.`,
		Example: `  muster ps
  muster ps -n 0 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 0 {
				return job.BadInputf("-n %d: a number of runs, 0 for all", n)
			}
			rows, err := a.listRuns(cmd, n)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"version": 1, "runs": rows})
			}
			a.printRuns(rows)
			return nil
		},
	}
	cmd.Flags().IntVarP(&n, "number", "n", 20, "at most so many; 0: all")
	cmd.Flags().BoolVar(&asJSON, "json", false, `print {"version":1,"runs":[{"run","state",…}]}`)
	return cmd
}

// runRow is a run in ps.
type runRow struct {
	Run       int        `json:"run"`
	State     job.State  `json:"state"`
	Reason    string     `json:"reason,omitempty"`
	Name      string     `json:"name"`
	Guest     string     `json:"guest"`
	Engine    string     `json:"engine"`
	Tasks     int        `json:"tasks"`
	Completed int        `json:"completed"`
	Failed    int        `json:"failed"`
	Lost      int        `json:"lost"`
	Submitted *time.Time `json:"submitted,omitempty"`
	Seconds   float64    `json:"seconds"`
	Silent    string     `json:"silent,omitempty"` // its engine does not answer: the state is what the run's folder tells
	Error     string     `json:"error,omitempty"`  // why nothing more can be said
}

// listRuns looks at the newest n runs.
func (a *app) listRuns(cmd *cobra.Command, n int) ([]runRow, error) {
	c, err := a.conductor(nil)
	if err != nil {
		return nil, err
	}
	numbers, err := c.Store.List()
	if err != nil {
		return nil, err
	}
	slices.Reverse(numbers)
	if n > 0 && len(numbers) > n {
		numbers = numbers[:n]
	}
	rows := []runRow{}
	var runs []*rundir.Run
	for _, number := range numbers {
		r, err := c.Store.Open(number)
		if err != nil {
			rows = append(rows, runRow{Run: number, Error: err.Error()})
			continue
		}
		runs = append(runs, r)
	}
	err = c.Overview(cmd.Context(), runs, func(r *rundir.Run, s *run.Standing, err error) {
		rows = append(rows, rowOf(r, s, err))
	})
	slices.SortFunc(rows, func(x, y runRow) int { return y.Run - x.Run })
	return rows, err
}

func rowOf(r *rundir.Run, s *run.Standing, err error) runRow {
	if err != nil {
		return runRow{Run: r.Number, Error: err.Error()}
	}
	spec := s.Snapshot.Spec
	row := runRow{
		Run: r.Number, State: s.State, Reason: s.Reason, Name: spec.Name, Guest: spec.Guest, Engine: spec.Engine,
		Tasks: s.Snapshot.Len(), Completed: s.Completed(), Failed: s.Failed(), Lost: s.Lost(), Seconds: s.Seconds(),
	}
	if s.Deaf != nil {
		row.Silent = s.Deaf.Error()
	}
	if subs := s.Snapshot.Submissions; len(subs) > 0 {
		row.Submitted = &subs[0].At
	}
	return row
}

func (a *app) printRuns(rows []runRow) {
	p := a.print()
	if len(rows) == 0 {
		p.Err.Printf("there are no runs yet; muster map makes one\n")
		return
	}
	t := &ui.Table{Columns: []ui.Column{
		{Title: "RUN", Right: true}, {Title: "STATE"}, {Title: "DONE", Right: true}, {Title: "FAILED", Right: true},
		{Title: "AGE", Right: true}, {Title: "TOOK", Right: true}, {Title: "NAME", Flex: true},
	}}
	for _, r := range rows {
		if r.Error != "" {
			t.Cells(ui.Cell{Text: strconv.Itoa(r.Run)}, ui.Cell{Text: "unreadable", Style: ui.Red}, ui.Cell{}, ui.Cell{}, ui.Cell{}, ui.Cell{}, ui.Cell{Text: r.Error})
			continue
		}
		age, took := "", ""
		if r.Submitted != nil {
			age = human.Duration(time.Since(*r.Submitted))
			took = human.Duration(time.Duration(r.Seconds * float64(time.Second)))
		}
		failed := ui.Cell{Text: "-"}
		if bad := r.Failed + r.Lost; bad > 0 {
			failed = ui.Cell{Text: human.Count(bad), Style: ui.Red}
		}
		state := string(r.State)
		switch {
		case r.Silent != "":
			state += " (" + r.Engine + " does not answer)"
		case r.State == job.Pending && r.Reason != "": // the first word of it; status tells the rest
			word, _, _ := strings.Cut(r.Reason, ",")
			state += " (" + word + ")"
		}
		t.Cells(ui.Cell{Text: strconv.Itoa(r.Run)}, ui.Cell{Text: state, Style: ui.StateStyle(r.State)},
			ui.Cell{Text: human.Count(r.Completed) + "/" + human.Count(r.Tasks)}, failed,
			ui.Cell{Text: age}, ui.Cell{Text: took}, ui.Cell{Text: r.Name})
	}
	p.Out.Table(t)
}
