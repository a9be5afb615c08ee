package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"muster/internal/job"
	"muster/internal/timeline"
	"muster/internal/ui/human"
)

// WriteText writes the report for a person, in lines of at most width cells (0:
// 80; not below 56); commands, names and log lines are not cut. Plain text without colour.
// The most important line comes last.
func (r *Report) WriteText(w io.Writer, width int) error {
	if width <= 0 {
		width = 80
	}
	t := &textReport{Report: r, width: max(width, 56)}
	t.head()
	t.phases()
	t.launch()
	t.nodes()
	t.stragglers()
	t.notes()
	t.reduce()
	t.failures()
	t.advice()
	t.verdict()
	if _, err := io.WriteString(w, t.b.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// textReport builds the text.
type textReport struct {
	*Report
	b     strings.Builder
	width int
}

func (t *textReport) linef(format string, args ...any) {
	t.b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " "))
	t.b.WriteByte('\n')
}

// prose writes text that may be broken, after a label and indented as far as it.
func (t *textReport) prose(label, text string) {
	for i, line := range human.Wrap(text, t.width-len(label)) {
		if i > 0 {
			label = strings.Repeat(" ", len(label))
		}
		t.linef("%s%s", label, line)
	}
}

func (t *textReport) head() {
	run := &t.run
	s := fmt.Sprintf("Run %d", run.Number)
	if name := human.Line(run.Name, 60); name != "" {
		s += ", " + name
	}
	s += ": " + string(run.State)
	if run.Reason != "" {
		s += ", " + human.Escape(run.Reason)
	}
	t.prose("", s)
	var facts []string
	for _, f := range []string{run.Spec.Guest, run.Spec.Engine} {
		if f != "" {
			facts = append(facts, f)
		}
	}
	if run.Spec.Isolation != "" {
		facts = append(facts, "isolation "+string(run.Spec.Isolation))
	}
	if run.Spec.Launch != nil && run.Lanes > 0 {
		facts = append(facts, human.Plural(run.Lanes, "start")+" at a time")
	} else if run.Lanes > 0 {
		facts = append(facts, human.Plural(run.Lanes, "lane"))
	}
	if n := t.agents(); n > 1 {
		facts = append(facts, human.Plural(n, "agent"))
	}
	if !run.Submitted.IsZero() {
		facts = append(facts, "submitted "+run.Submitted.Format("2006-01-02 15:04:05"))
	}
	if len(facts) > 0 {
		t.prose("  ", strings.Join(facts, ", "))
	}
}

// phases is the table. With one value there is no median, and it says so by
// a dash.
func (t *textReport) phases() {
	if len(t.sum.Phases) == 0 {
		return
	}
	total := t.width >= 62
	t.linef("")
	head := fmt.Sprintf("%-10s %9s %11s %11s %11s", "phase", "count", "median", "p95", "max")
	if total {
		head += fmt.Sprintf(" %13s", "total")
	}
	t.linef("%s", head)
	open := 0
	for _, p := range t.sum.Phases {
		open += p.Open
		median, p95, most := human.Duration(p.Median), human.Duration(p.P95), human.Duration(p.Max)
		if p.Count < 2 {
			median, p95 = "-", "-"
		}
		if p.Count == 0 {
			most = "-"
		}
		line := fmt.Sprintf("%-10s %9s %11s %11s %11s", p.Phase, human.Count(p.Count), median, p95, most)
		if total {
			line += fmt.Sprintf(" %13s", human.Duration(p.Total))
		}
		t.linef("%s", line)
	}
	if open > 0 {
		t.prose("", human.Plural(open, "phase")+" had not ended, and count nowhere above.")
	}
}

func (t *textReport) launch() {
	if t.sum.Attempts+t.sum.Instances.Begun == 0 {
		return
	}
	t.linef("")
	if in := t.sum.Instances; in.Begun > 0 {
		s := fmt.Sprintf("%s ready", human.Count(in.Came))
		if in.Came < in.Begun {
			s = fmt.Sprintf("%s of %s ready", human.Count(in.Came), human.Count(in.Begun))
		}
		t.prose("instances  ", s+rampText(in)+peakText(in))
	}
	if p := t.sum.Programs; p.Begun > 0 {
		s := fmt.Sprintf("%s started", human.Count(p.Begun))
		if t.run.Spec.Launch != nil {
			s = fmt.Sprintf("%s of %s alive", human.Count(p.Begun), human.Count(t.run.Spec.Launch.Programs))
		}
		if t.sum.Attempts > p.Begun { // one call for several tasks
			s += " for " + human.Plural(t.sum.Tasks, "task")
		}
		if again, helped := t.retried(); again > 0 {
			s += fmt.Sprintf(" (%s tried again, %s with success)", plural(again, "task was", "tasks were"), human.Count(helped))
		}
		t.prose("programs   ", s+rampText(p)+peakText(p))
	}
	if lanes := t.sum.Lanes; len(lanes) > 0 && t.run.Spec.Launch == nil {
		t.prose("lanes      ", t.lanesText(lanes))
	}
}

// rampText says how fast things came. One thing has no rate.
func rampText(l timeline.Launch) string {
	switch {
	case l.Came == 0:
		return ""
	case l.Came == 1 || l.Rate == 0:
		return " after " + human.Duration(l.Last)
	case l.By95 == l.Last:
		return fmt.Sprintf(" in %s, %s", human.Duration(l.Last), human.Rate(l.Rate))
	}
	return fmt.Sprintf(" in %s (95 %% in %s), %s", human.Duration(l.Last), human.Duration(l.By95), human.Rate(l.Rate))
}

func peakText(l timeline.Launch) string {
	if l.Came < 2 || l.Peak == 0 {
		return ""
	}
	return fmt.Sprintf(", at most %s at once", human.Count(l.Peak))
}

func (t *textReport) lanesText(lanes []timeline.LaneUse) string {
	s := human.Percent(int(t.busy()*1000), 1000) + " of their time in programs"
	if len(lanes) < 2 {
		return s
	}
	least, most := lanes[0], lanes[0]
	for _, u := range lanes {
		if u.Busy() < least.Busy() {
			least = u
		}
		if u.Busy() > most.Busy() {
			most = u
		}
	}
	if most.Busy()-least.Busy() < 0.05 {
		return s
	}
	return s + fmt.Sprintf("; least %s with %s, most %s with %s", t.laneName(least.LaneID), human.Percent(int(least.Busy()*1000), 1000),
		t.laneName(most.LaneID), human.Percent(int(most.Busy()*1000), 1000))
}

func (t *textReport) laneName(id timeline.LaneID) string {
	s := fmt.Sprintf("lane %d", id.Lane)
	if id.Lane < 0 {
		s = "node"
	}
	if t.agents() < 2 {
		return s
	}
	if host := t.run.Hosts[id.Agent]; host != "" {
		return s + " of " + human.Line(host, 60)
	}
	return fmt.Sprintf("%s of agent %d", s, id.Agent)
}

func (t *textReport) stragglers() {
	all := t.sum.Stragglers
	if len(all) == 0 {
		return
	}
	const most = 5
	t.linef("")
	t.prose("", fmt.Sprintf("%s far behind the median of %s:", plural(len(all), "program ran", "programs ran"), human.Duration(t.sum.Phase(job.PhaseRunning).Median)))
	for i, s := range all {
		if i == most {
			t.linef("  and %s more", human.Count(len(all)-most))
			break
		}
		line := fmt.Sprintf("  %d_%d  %s", t.run.Number, s.Task, human.Duration(s.Ran))
		if s.Times > 0 {
			line += fmt.Sprintf(", %.0f times the median", s.Times)
		}
		line += ", " + t.laneName(timeline.LaneID{Agent: s.Agent, Lane: s.Lane})
		if s.Open {
			line += ", still running"
		} else if s.State != job.Completed {
			line += ", " + string(s.State)
		}
		t.linef("%s", line)
	}
}

func (t *textReport) notes() {
	if len(t.run.Notes) == 0 {
		return
	}
	const most = 5
	t.linef("")
	for i, n := range t.run.Notes {
		if i == most {
			t.linef("note  and %s more", human.Count(len(t.run.Notes)-most))
			break
		}
		t.prose("note  ", human.Escape(n))
	}
}

func (t *textReport) reduce() {
	r := t.run.Reduce
	if r == nil {
		return
	}
	t.linef("")
	switch {
	case !r.Ran:
		t.prose("reduce  ", "not run: "+human.Escape(r.Why))
	case r.State == job.Completed:
		s := "completed in " + human.Duration(r.Took)
		if r.Output != "" {
			s += ": " + human.Escape(r.Output)
		}
		t.linef("reduce  %s", s)
	default:
		s := fmt.Sprintf("%s after %s, exit %s", r.State, human.Duration(r.Took), r.Exit)
		if r.Exit.Detail != "" {
			s += ": " + human.Escape(r.Exit.Detail)
		}
		t.prose("reduce  ", s)
	}
}

func (t *textReport) failures() {
	for i := range t.groups {
		g := &t.groups[i]
		t.linef("")
		head := fmt.Sprintf("%s of %s %s", human.Count(len(g.Tasks)), human.Plural(t.total(), t.run.noun()), t.what(g))
		if g.State.Failure() {
			head = "error: " + head
		}
		t.linef("%s  [%s]", head, g.Cause)
		field := func(label, text string, prose bool) {
			switch {
			case text == "":
			case prose:
				t.prose(fmt.Sprintf("  %-5s  ", label), text)
			default:
				t.linef("  %-5s  %s", label, text)
			}
		}
		field("cause", g.cause(), true)
		field("where", t.where(g), true)
		field("tasks", human.Ranges(g.Tasks, 12), true)
		if len(g.Tasks) == 1 {
			field("input", human.Escape(g.Example.Input), false)
		}
		field("log", t.log(g), false)
		field("try", t.try(g), false)
		field("retry", t.retry(g), false)
	}
}

func (t *textReport) advice() {
	if len(t.Report.advice) == 0 {
		return
	}
	t.linef("")
	t.linef("next time")
	for _, a := range t.Report.advice {
		t.linef("  %s", a.Flag)
		t.prose("      ", a.Why)
	}
}

// verdict is the last line: how it stands, and what to do.
func (t *textReport) verdict() {
	if t.run.Spec.Launch != nil {
		t.launchVerdict()
		return
	}
	total, done := t.total(), t.run.Tasks[job.Completed]
	t.linef("")
	if total == 0 {
		t.linef("The run has no tasks.")
		return
	}
	took := ""
	if d := t.took(); d > 0 {
		took = " in " + human.Duration(d)
	}
	if !t.run.State.Ended() {
		t.linef("%s of %s completed%s so far, %s running: muster wait %d", human.Count(done), human.Plural(total, "task"), took,
			human.Count(t.run.Tasks[job.Running]), t.run.Number)
		return
	}
	if done == total {
		where := ""
		if t.run.Spec.Output != "" {
			where = ": " + human.Escape(t.run.Spec.Output)
		}
		if total == 1 {
			t.linef("The task completed%s%s", took, where)
		} else {
			t.linef("All %s completed%s%s", human.Plural(total, "task"), took, where)
		}
		return
	}
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, human.Count(n)+" "+what)
		}
	}
	add(t.failed(), "failed")
	add(t.lost(), "lost")
	add(t.run.Tasks[job.Cancelled], "cancelled")
	add(t.run.Tasks[job.Pending], "not started")
	t.linef("%s of %s completed%s; %s: %s", human.Count(done), human.Plural(total, "task"), took, strings.Join(parts, ", "), t.next())
}

// next is the command to go on with, "" when all is done.
func (r *Report) next() string {
	switch {
	case !r.run.State.Ended():
		return fmt.Sprintf("muster wait %d", r.run.Number)
	case r.run.Spec.Launch != nil: // it is begun anew
		return ""
	case r.unfinished() > 0 && r.failed() == 0:
		return fmt.Sprintf("muster resume %d", r.run.Number)
	case r.failed() > 0:
		return fmt.Sprintf("muster resume %d --failed", r.run.Number)
	}
	return ""
}

// seconds is d in seconds, to the microsecond.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Second)
}
