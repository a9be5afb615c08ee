package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/explain"
	"muster/internal/job"
	"muster/internal/report"
	"muster/internal/run"
	"muster/internal/rundir"
	"muster/internal/ui"
	"muster/internal/ui/human"
)

// statusCommand tells how a run or a task stands.
func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status RUN|RUN_TASKS",
		Short: "Tell how a run stands, or some of its tasks",
		Long: `Tells how a run stands: tasks by state, rate, what is expected, what failed and why, and what to do next. With tasks
(12_7) it tells each task's attempts, how they ended, and where its input and output are.`,
		Example:           "  muster status last\n  muster status 12_7 --json",
		Args:              argsBetween(1, 1, "a run, or tasks of one"),
		ValidArgsFunction: a.completeRuns(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.selectOne(args[0])
			if err != nil {
				return err
			}
			c, err := a.conductor(nil)
			if err != nil {
				return err
			}
			if !s.tasks.Empty() {
				return a.taskStatus(cmd.Context(), c, s, asJSON)
			}
			return a.runStatus(cmd.Context(), c, s.Run, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// paceOver is the time over which status says how fast a run goes.
const paceOver = 10 * time.Second

// runStatus tells how a run stands.
func (a *app) runStatus(ctx context.Context, c *run.Conductor, r *rundir.Run, asJSON bool) error {
	spec, err := r.Spec()
	if err != nil {
		return err
	}
	launch := spec.Launch != nil // whose verdict takes each program's times
	s, err := c.Stand(ctx, r, rundir.LoadOptions{Instances: launch, Attempts: launch})
	if err != nil {
		return err
	}
	known := report.FromSnapshot(s.Snapshot, report.Known{Number: r.Number, State: s.State, Reason: s.Reason, Ended: s.EndedAt, Now: time.Now()})
	if len(known.Failures) > 0 {
		report.AddLogs(&known, r)
	}
	rep := report.From(known)
	if asJSON {
		return a.printJSON(statusOf(r, s, rep))
	}
	p := a.print()
	for _, line := range statusLines(r.Number, s) {
		p.Out.Printf("%s\n", line)
	}
	p.Out.Printf("\n")
	var b bytes.Buffer
	if err := rep.WriteSummary(&b, p.Out.Width()); err != nil {
		return err
	}
	p.Out.Print(b.String())
	return nil
}

// statusLines are the figures of a run.
func statusLines(number int, s *run.Standing) []string {
	var lines []string
	add := func(label, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("%-8s  %s", label, fmt.Sprintf(format, args...)))
	}
	add("tasks", "%s of %s", countsText(s.Snapshot.Counts), human.Count(s.Snapshot.Len()))
	if s.Ended {
		return lines
	}
	if s.Deaf != nil {
		add("engine", "%s", human.Escape(s.Deaf.Error()))
		add("", "what stands here is what the run's folder tells")
	}
	for _, line := range arrayLines(s.Arrays) {
		add("elements", "%s", line)
	}
	if s.State == job.Pending {
		for i, line := range pendingLines(number, s.Reason) {
			add([]string{"pending", ""}[min(i, 1)], "%s", line)
		}
		return lines
	}
	if rate, left := s.Pace(time.Now(), paceOver); rate > 0 {
		add("rate", "%s, about %s left", human.Rate(rate), human.Duration(left))
	}
	name, lanes := "lanes", []string(nil)
	if s.Snapshot.Spec.Launch != nil {
		name = "alive"
	}
	for _, g := range s.Snapshot.Agents {
		switch {
		case !g.Alive || g.Lanes == 0:
		case name == "alive":
			lanes = append(lanes, fmt.Sprintf("%s of %s started on %s", human.Count(g.Up), human.Count(g.Running), human.Escape(g.Host)))
		default:
			lanes = append(lanes, fmt.Sprintf("%d of %d busy on %s", g.Running, g.Lanes, human.Escape(g.Host)))
		}
	}
	const most = 4
	if len(lanes) > most {
		lanes = append(lanes[:most], fmt.Sprintf("and %d more nodes", len(lanes)-most))
	}
	if len(lanes) > 0 {
		add(name, "%s", strings.Join(lanes, "; "))
	}
	return lines
}

// arrayLines tell of the arrays that a scheduler has of a run; the local engine's has
// nothing that the lanes do not tell.
func arrayLines(arrays []run.ArrayStanding) (lines []string) {
	for _, g := range arrays {
		if g.Engine == "local" || len(g.Elements) == 0 {
			continue
		}
		line := fmt.Sprintf("%s, %s %s of %s", countsText(g.Elements), g.Kind, human.Escape(g.ID), g.Engine)
		if n := len(g.Nodes); n > 0 {
			const most = 8
			line += "; on " + human.Escape(strings.Join(g.Nodes[:min(n, most)], ", "))
			if n > most {
				line += fmt.Sprintf(" and %d more", n-most)
			}
		}
		if g.Restarts > 0 {
			line += fmt.Sprintf("; %s again", human.Plural(g.Restarts, "start"))
		}
		lines = append(lines, line)
	}
	return lines
}

// pendingLines say why a run waits: the scheduler's word, its meaning, what to do.
func pendingLines(number int, reason string) []string {
	if reason == "" {
		return []string{"waiting to be started"}
	}
	lines := []string{"waiting to be started: " + human.Escape(reason)}
	topic, ok := explain.Why(reason)
	if !ok {
		return lines
	}
	lines = append(lines, topic.Meaning)
	for _, a := range topic.Do {
		command := strings.ReplaceAll(a.Command, "RUN", fmt.Sprint(number))
		lines = append(lines, strings.TrimPrefix(command+": ", ": ")+a.Text)
	}
	return lines
}

// stateOrder is the order in which states are told.
var stateOrder = []job.State{
	job.Completed, job.Running, job.Suspended, job.Pending,
	job.Failed, job.Timeout, job.OutOfMemory, job.BootFail, job.NodeFail, job.Lost, job.Cancelled,
}

func countsText(counts map[job.State]int) string {
	states := slices.SortedFunc(maps.Keys(counts), func(x, y job.State) int {
		return slices.Index(stateOrder, x) - slices.Index(stateOrder, y)
	})
	var parts []string
	for _, s := range states {
		if counts[s] > 0 {
			parts = append(parts, human.Count(counts[s])+" "+string(s))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// statusJSON is what status --json prints of a run.
type statusJSON struct {
	result
	Name     string              `json:"name"`
	States   map[job.State]int   `json:"states"`
	Rate     float64             `json:"rate_per_s,omitempty"`
	Left     float64             `json:"left_seconds,omitempty"`
	Lanes    int                 `json:"lanes"`
	Busy     int                 `json:"busy"`
	Arrays   []run.ArrayStanding `json:"arrays"`
	Failures []failureJSON       `json:"failures"`
	Next     string              `json:"next"` // the command to go on with, or ""
}

type failureJSON struct {
	Code   job.Cause `json:"code"`
	State  job.State `json:"state"`
	Count  int       `json:"count"`
	Tasks  string    `json:"tasks"`
	Detail string    `json:"detail,omitempty"`
}

func statusOf(r *rundir.Run, s *run.Standing, rep *report.Report) statusJSON {
	j := statusJSON{result: mapResult(r, s), Name: s.Snapshot.Spec.Name, States: s.Snapshot.Counts, Arrays: s.Arrays, Failures: failuresOf(rep), Next: rep.Next()}
	if !s.Ended {
		rate, left := s.Pace(time.Now(), paceOver)
		j.Rate, j.Left = rate, left.Seconds()
	}
	for _, g := range s.Snapshot.Agents {
		if g.Alive {
			j.Lanes += g.Lanes
			j.Busy += g.Running
		}
	}
	return j
}

func failuresOf(rep *report.Report) []failureJSON {
	out := []failureJSON{}
	for _, g := range rep.Groups() {
		out = append(out, failureJSON{Code: g.Cause, State: g.State, Count: len(g.Tasks), Tasks: job.NewIndexSet(g.Tasks...).String(), Detail: g.Detail})
	}
	return out
}

// taskStatus tells everything about some tasks.
func (a *app) taskStatus(ctx context.Context, c *run.Conductor, s selected, asJSON bool) error {
	stand, stories, err := c.Tasks(ctx, s.Run, s.tasks)
	if err != nil {
		return err
	}
	output := stand.Snapshot.Spec.Output
	if asJSON {
		all := []taskJSON{}
		for _, t := range stories {
			all = append(all, taskOf(t, output))
		}
		return a.printJSON(map[string]any{"version": 1, "run": s.Number, "tasks": all})
	}
	for i, t := range stories {
		if i > 0 {
			a.print().Out.Printf("\n")
		}
		a.printTask(s.Number, t, output)
	}
	return nil
}

// taskJSON is a task in status --json.
type taskJSON struct {
	Task     int           `json:"task"`
	State    job.State     `json:"state"`
	Input    []string      `json:"input"`
	Output   string        `json:"output,omitempty"`
	Attempts []attemptJSON `json:"attempts"`
}

type attemptJSON struct {
	Attempt  int        `json:"attempt"`
	State    job.State  `json:"state"`
	Exit     string     `json:"exit,omitempty"` // code:signal
	Cause    job.Cause  `json:"cause,omitempty"`
	Detail   string     `json:"detail,omitempty"`
	Host     string     `json:"host"`
	Lane     int        `json:"lane"`
	Instance string     `json:"instance,omitempty"`
	Began    time.Time  `json:"began"`
	Ended    *time.Time `json:"ended,omitempty"`
	Seconds  float64    `json:"seconds"` // the program ran
	CPU      float64    `json:"cpu_seconds"`
	Memory   int64      `json:"memory_bytes"`
}

func taskOf(t run.TaskStory, output string) taskJSON {
	j := taskJSON{Task: t.Task.Index, State: t.State, Input: t.Task.Words(), Output: outputOf(t.Task, output), Attempts: []attemptJSON{}}
	for _, at := range t.Attempts {
		e := attemptJSON{
			Attempt: at.Number, State: at.State, Cause: at.Exit.Cause, Detail: at.Exit.Detail, Host: at.Host, Lane: at.Lane,
			Instance: at.Instance, Began: at.Began, CPU: (at.Exit.User + at.Exit.System).Seconds(), Memory: at.Exit.MaxRSS,
		}
		end := time.Now()
		if at.State.Ended() {
			e.Exit = at.Exit.String()
			end = at.Ended
			e.Ended = &at.Ended
		}
		if at.State == job.Lost { // nobody knows when
			e.Exit, e.Ended, end = "", nil, at.Began
		}
		e.Seconds = max(0, end.Sub(at.Began).Seconds())
		j.Attempts = append(j.Attempts, e)
	}
	return j
}

// printTask tells one task to a person.
func (a *app) printTask(number int, t run.TaskStory, output string) {
	p := a.print()
	p.Out.Printf("task %d_%d  %s\n", number, t.Task.Index, p.Out.Paint(ui.StateStyle(t.State), string(t.State)))
	line := func(label, text string) { p.Out.Printf("  %-8s  %s\n", label, text) }
	line("input", human.Escape(job.QuoteWords(t.Task.Words())))
	if path := outputOf(t.Task, output); path != "" {
		text := human.Escape(path)
		switch {
		case len(t.Outputs) > 0:
			text += ", " + human.Bytes(t.Outputs[0].Size)
		default:
			text += " (not there)"
		}
		line("output", text)
	}
	for _, at := range t.Attempts {
		text := fmt.Sprintf("%d: %s", at.Number, at.State)
		if at.State.Ended() && at.State != job.Completed && at.State != job.Lost {
			text += ", exit " + at.Exit.String()
		}
		if at.State.Ended() && at.State != job.Lost {
			text += ", ran " + human.Duration(at.Ended.Sub(at.Began))
		}
		text += fmt.Sprintf(", lane %d of %s, began %s", at.Lane, human.Escape(at.Host), at.Began.Format("2006-01-02 15:04:05"))
		if at.Exit.Cause != "" {
			text += fmt.Sprintf("  [%s]", at.Exit.Cause)
		}
		line("attempt", text)
		if at.Exit.Detail != "" {
			line("", human.Escape(at.Exit.Detail))
		}
		if at.Exit.MaxRSS > 0 {
			line("", fmt.Sprintf("%s of CPU time, %s of memory", human.Duration(at.Exit.User+at.Exit.System), human.Bytes(at.Exit.MaxRSS)))
		}
	}
	if len(t.Attempts) == 0 {
		line("attempts", "none")
		return
	}
	line("log", fmt.Sprintf("muster logs %d_%d", number, t.Task.Index))
}

// outputOf is where a task's output is, or is to be; "" when it has none.
func outputOf(t job.Task, output string) string {
	if t.Out == "" || output == "" {
		return ""
	}
	return output + "/" + t.Out
}
