package plot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/internal/job"
	"muster/internal/timeline"
	"muster/internal/ui/human"
)

// findings are the sentences of the caption. Every one is computed from the run.
func (f *RunFigure) findings() []string {
	var out []string
	add := func(s string) {
		if s != "" {
			out = append(out, s)
		}
	}
	add(f.launchFinding())
	add(f.neverStarted())
	add(f.shareFinding())
	add(f.slowNode())
	add(f.slowLane())
	add(f.failureFinding())
	add(f.stragglerFinding())
	if n := f.sum.Phase(job.PhaseRunning).Open; n > 0 {
		add(human.Plural(n, "program") + " had not ended when this was drawn.")
	}
	return out
}

func (f *RunFigure) launchFinding() string {
	r := f.launch.ramp
	came, what := "ready", f.launch.unit
	if what == "program" {
		came = "started"
	}
	if f.run.Launch {
		came = "alive"
	}
	var s string
	switch {
	case r.Begun == 0:
		return "Nothing was started."
	case r.Came == 0:
		return fmt.Sprintf("None of %s got ready.", human.Plural(r.Begun, what))
	case r.Came == 1:
		s = fmt.Sprintf("1 %s %s in %s", what, came, precise(r.Last))
	case r.By95 == r.Last:
		s = fmt.Sprintf("%s %s in %s", human.Plural(r.Came, what), came, precise(r.Last))
	default:
		s = fmt.Sprintf("95 %% of %s %s in %s, the last in %s", human.Plural(r.Came, what), came, precise(r.By95), precise(r.Last))
	}
	if r.Rate > 0 && r.Came > 1 {
		s += fmt.Sprintf(" (%s)", human.Rate(r.Rate))
	}
	if ends := f.run.Timeline.ProgramEnds(); what == "program" && len(ends) == r.Came {
		s += fmt.Sprintf(", ended by %s", precise(ends[len(ends)-1]))
	}
	if l := &f.launch; l.idealOf > 1 {
		s += fmt.Sprintf("; ideal, %s: %s", l.why, precise(l.ideal))
	}
	s += "."
	if r.Came < r.Begun {
		s += fmt.Sprintf(" %s of %s never got ready.", human.Count(r.Begun-r.Came), human.Plural(r.Begun, what))
	}
	return s
}

// neverStarted says how many of the tasks never began.
func (f *RunFigure) neverStarted() string {
	n := f.run.Tasks - f.sum.Tasks
	if n <= 0 || f.sum.Tasks == 0 {
		return ""
	}
	return fmt.Sprintf("%s of %s not started.", human.Count(n), human.Plural(f.run.Tasks, f.noun()))
}

// shareFinding says where the lanes' time went, when not nearly all of it went
// into programs.
func (f *RunFigure) shareFinding() string {
	var window, running, opening, closing time.Duration
	for _, u := range f.sum.Lanes {
		if u.Lane < 0 {
			continue
		}
		window += u.Window
		running += u.Running
		opening += u.Opening
		closing += u.Closing
	}
	if window <= 0 {
		return ""
	}
	s := fmt.Sprintf("Programs took %s of the lanes' time", percent(running, window))
	if opening*20 >= window {
		s += fmt.Sprintf(", opening instances %s", percent(opening, window))
	}
	if closing*20 >= window {
		s += fmt.Sprintf(", discarding them %s", percent(closing, window))
	}
	return s + "."
}

// slowNode names the node that was the last to have every lane at work, when it
// was far behind the others.
func (f *RunFigure) slowNode() string {
	for _, st := range timeline.NodeStats(f.run.Timeline.NodeLaunches()) {
		if st.Name == timeline.StatEveryLane && st.Count > 1 && st.Max > st.Median+st.Median/4 {
			return fmt.Sprintf("Slowest node: %s, every lane at work after %s (median %s).", f.agentName(st.Slowest), precise(st.Max), precise(st.Median))
		}
	}
	return ""
}

// slowLane names the lane whose programs ran far longer than the others'.
func (f *RunFigure) slowLane() string {
	by := map[timeline.LaneID][]time.Duration{}
	var all []time.Duration
	for s := range f.run.Timeline.Programs() {
		if !s.Open {
			id := timeline.LaneID{Agent: s.Agent, Lane: s.Lane}
			by[id] = append(by[id], s.End-s.Start)
			all = append(all, s.End-s.Start)
		}
	}
	slices.Sort(all)
	median := timeline.Quantile(all, 0.5)
	var worst timeline.LaneID
	var worstMedian time.Duration
	for id, d := range by {
		slices.Sort(d)
		m := timeline.Quantile(d, 0.5)
		if len(d) >= 3 && len(d) < len(all) && cmp.Or(cmp.Compare(m, worstMedian), worst.Compare(id)) > 0 {
			worst, worstMedian = id, m
		}
	}
	if median <= 0 || worstMedian*2 < median*3 {
		return ""
	}
	name := fmt.Sprintf("lane %d", worst.Lane)
	if f.agents() > 1 {
		name += " of " + f.agentName(worst.Agent)
	}
	return fmt.Sprintf("%s slow: its programs took %s, all of them %s (medians).", strings.ToUpper(name[:1])+name[1:], precise(worstMedian), precise(median))
}

func (f *RunFigure) failureFinding() string {
	var failed, lost []int
	bootFails := 0
	for i := range f.run.Timeline.Spans {
		s := &f.run.Timeline.Spans[i]
		switch sg := signOf(s); {
		case sg == failSign && s.Phase == job.PhaseBooted:
			bootFails++
		case sg == failSign:
			failed = append(failed, s.Task)
		case sg == lostSign:
			lost = append(lost, s.Task)
		}
	}
	var parts []string
	add := func(tasks []int, what string) {
		if len(tasks) == 0 {
			return
		}
		s := human.Plural(len(tasks), "attempt") + " " + what
		slices.Sort(tasks)
		if which := job.NewIndexSet(tasks...).String(); len(which) <= 40 {
			s += " (task " + strings.ReplaceAll(which, ",", ", ") + ")"
		}
		parts = append(parts, s)
	}
	add(failed, "failed")
	add(lost, "were lost or cancelled")
	if bootFails > 0 {
		parts = append(parts, fmt.Sprintf("%s did not come up", human.Plural(bootFails, "instance")))
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, ", ") + "."
}

func (f *RunFigure) stragglerFinding() string {
	n := len(f.sum.Stragglers)
	if n == 0 {
		return ""
	}
	w := f.sum.Stragglers[0]
	return fmt.Sprintf("%s far behind; the longest, task %d, ran %s, %.0f times the median.", human.Plural(n, "straggler"), w.Task, precise(w.Ran), w.Times)
}

// precise writes a duration with three digits that count.
func precise(d time.Duration) string {
	switch {
	case d >= 100*time.Second:
		return human.Duration(d)
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return human.Duration(d)
}

func percent(part, whole time.Duration) string {
	return human.Percent(int(part/time.Microsecond), int(max(whole/time.Microsecond, 1)))
}
