package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/internal/job"
	"muster/internal/rundir"
	"muster/internal/timeline"
	"muster/internal/ui/human"
)

// Step is a step of a launch on a node.
type Step struct {
	Agent int
	At    time.Duration // since the submission
	rundir.LaunchStep
}

// Launch is what came of a launch. Times are seconds of the run's own clock, that of the
// submitting host.
type Launch struct {
	Programs  int // that were asked for
	Instances int // that came up
	AliveMax  int // most programs that were alive at the same time
	// After is when so many were first alive, since the submission; Rate is AliveMax by After.
	After time.Duration
	Rate  float64
	Each  int64 // bytes of memory for each program, servers and all; 0: not known
	Waves int   // in how many the programs went, on the node that took most; 1: all at once
	// Phases: submitted, staged, cloned, booted, started, held, taken_down. Each lasts from the first that
	// began with it to the last that ended it, so they may overlap; those that did not occur are left out. In waves
	// the last two are added up, on the node where they took longest.
	Phases map[string]time.Duration
}

// noun is what a task of the run is for a person.
func (r *Run) noun() string {
	if r.Spec.Launch != nil {
		return "program"
	}
	return "task"
}

// stepsOf puts the steps of all agents on the run's clock.
func stepsOf(s *rundir.Snapshot, origin time.Time) (steps []Step) {
	for i := range s.Agents {
		for _, st := range s.Agents[i].Steps {
			steps = append(steps, Step{Agent: s.Agents[i].Element, At: max(s.Clock(i, st.At).Sub(origin), 0), LaunchStep: st.LaunchStep})
		}
	}
	return steps
}

// Launch is what came of the run's launch; ok is false for a map.
func (r *Report) Launch() (l Launch, ok bool) {
	if r.run.Spec.Launch == nil {
		return l, false
	}
	l = Launch{
		Programs: r.run.Spec.Launch.Programs, Instances: r.sum.Instances.Came, AliveMax: r.sum.Programs.Peak,
		After: r.sum.Programs.PeakAt, Phases: map[string]time.Duration{},
	}
	if l.After > 0 {
		l.Rate = float64(l.AliveMax) / l.After.Seconds()
	}
	var bytes int64
	alive := 0
	for _, s := range r.run.Steps {
		if s.Step == rundir.StepUp && s.Bytes > 0 {
			bytes += s.Bytes
			alive += s.Alive
		}
	}
	if alive > 0 {
		l.Each = bytes / int64(alive)
	}
	for name, phase := range map[string]job.Phase{
		"submitted": job.PhaseSubmitted, "staged": job.PhaseStaged, "cloned": job.PhaseCloned, "booted": job.PhaseBooted, "started": job.PhaseStarting,
	} {
		if d, found := extent(r.run.Timeline, phase); found {
			l.Phases[name] = d
		}
	}
	if l.countWaves(r.run.Steps); l.Waves > 1 {
		return l, true
	}
	// All were alive from the last one's coming up on, whenever their agents learned of that.
	_, held := lastOf(r.run.Steps, rundir.StepHold)
	up, _ := lastOf(r.run.Steps, rundir.StepUp)
	down, taken := firstOf(r.run.Steps, rundir.StepDown)
	if held && taken && down > up {
		l.Phases["held"] = down - up
	}
	if gone, all := lastOf(r.run.Steps, rundir.StepGone); all && taken {
		l.Phases["taken_down"] = max(gone-down, 0)
	}
	return l, true
}

// countWaves finds in how many waves the programs went, and how long these were held and
// took to be gone.
func (l *Launch) countWaves(steps []Step) {
	type node struct {
		waves            int
		held, down, last time.Duration
		at               rundir.Step // that was come to last
	}
	nodes := map[int]*node{}
	for _, s := range steps {
		n := nodes[s.Agent]
		if n == nil {
			n = &node{}
			nodes[s.Agent] = n
		}
		switch {
		case s.Step == rundir.StepUp:
			n.waves++
		case s.Step == rundir.StepDown && n.at == rundir.StepHold:
			n.held += s.At - n.last
		case s.Step == rundir.StepGone && n.at == rundir.StepDown:
			n.down += s.At - n.last
		}
		n.at, n.last = s.Step, s.At
	}
	for _, n := range nodes {
		if l.Waves = max(l.Waves, n.waves); n.waves > 1 {
			l.Phases["held"], l.Phases["taken_down"] = max(l.Phases["held"], n.held), max(l.Phases["taken_down"], n.down)
		}
	}
}

// tookDown reports whether programs were alive when the launch was taken down.
func (r *Run) tookDown() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Step == rundir.StepDown && s.Alive > 0 })
}

// extent is from the beginning of the first span of a phase to the end of the last.
func extent(tl *timeline.Timeline, phase job.Phase) (d time.Duration, found bool) {
	var from, to time.Duration
	for i := range tl.Spans {
		s := &tl.Spans[i]
		if s.Phase != phase {
			continue
		}
		if !found || s.Start < from {
			from = s.Start
		}
		to, found = max(to, s.End), true
	}
	return to - from, found
}

func firstOf(steps []Step, step rundir.Step) (at time.Duration, found bool) {
	for _, s := range steps {
		if s.Step == step && (!found || s.At < at) {
			at, found = s.At, true
		}
	}
	return at, found
}

func lastOf(steps []Step, step rundir.Step) (at time.Duration, found bool) {
	for _, s := range steps {
		if s.Step == step && s.At >= at {
			at, found = s.At, true
		}
	}
	return at, found
}

// launchVerdict is the last line of a launch.
func (t *textReport) launchVerdict() {
	l, _ := t.Launch()
	t.linef("")
	if !t.run.State.Ended() {
		t.linef("%s of %s alive so far: muster wait %d", human.Count(t.run.Alive), human.Plural(l.Programs, "program"), t.run.Number)
		return
	}
	var parts []string
	switch {
	case l.AliveMax == 0:
		parts = append(parts, fmt.Sprintf("None of %s came alive", human.Plural(l.Programs, "program")))
	case l.Waves > 1:
		parts = append(parts, fmt.Sprintf("%s in %d waves, at most %s alive at the same time", human.Plural(l.Programs, "program"), l.Waves, human.Count(l.AliveMax)))
	case l.AliveMax < l.Programs:
		parts = append(parts, fmt.Sprintf("At most %s of %s were alive at the same time, after %s", human.Count(l.AliveMax), human.Plural(l.Programs, "program"), human.Duration(l.After)))
	default:
		parts = append(parts, fmt.Sprintf("%s alive after %s (%s)", human.Plural(l.Programs, "program"), human.Duration(l.After), human.Rate(l.Rate)))
	}
	if l.Each > 0 && l.AliveMax > 0 {
		parts[0] += ", " + human.Bytes(l.Each) + " each"
	}
	if d, held := l.Phases["held"]; held && t.run.Spec.Launch.Hold != nil {
		parts = append(parts, "held "+human.Duration(d))
	}
	if d, taken := l.Phases["taken_down"]; taken && t.run.tookDown() {
		parts = append(parts, "gone after "+human.Duration(d))
	}
	if n := t.failed(); n > 0 {
		parts = append(parts, human.Count(n)+" failed")
	}
	if n := t.lost(); n > 0 {
		parts = append(parts, human.Count(n)+" lost")
	}
	t.prose("", strings.Join(parts, "; "))
}
