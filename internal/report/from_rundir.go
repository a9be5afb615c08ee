package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/internal/job"
	"muster/internal/rundir"
	"muster/internal/timeline"
)

// Known is what a Snapshot does not tell: how the run stands, as its conductor
// judges it, and what its tasks are.
type Known struct {
	Number int
	State  job.State
	Reason string     // of State, in a few words
	Ended  time.Time  // zero: it has not
	Now    time.Time  // when the snapshot was taken; what is under way lasts until then
	Tasks  []job.Task // for the inputs of failures; may be nil
}

// FromSnapshot gathers what a report needs. The snapshot must have been loaded
// with LoadOptions.Instances and .Attempts; nothing of it is kept. Logs are added
// by AddLogs.
func FromSnapshot(s *rundir.Snapshot, k Known) Run {
	r := Run{
		Number: k.Number, Name: s.Spec.Name, Spec: s.Spec, State: k.State, Reason: k.Reason, Ended: k.Ended,
		Submitted: submitted(s), Tasks: map[job.State]int{}, Hosts: map[int]string{}, Timeline: TimelineOf(s, k.Now),
	}
	r.Agents = agentsOf(s, r.Submitted)
	r.Steps, r.Alive = stepsOf(s, r.Submitted), s.Alive()
	if !k.State.Ended() && !r.Submitted.IsZero() {
		r.Timeline.End = max(r.Timeline.End, k.Now.Sub(r.Submitted)) // whatever has been recorded of it
	}
	for state, n := range s.Counts {
		r.Tasks[state] = n
	}
	lanes := map[int]int{}
	for _, a := range s.Agents {
		if !reduces(s, &a) && !a.Began.IsZero() {
			r.Hosts[a.Element] = a.Host
			lanes[a.Element] = max(lanes[a.Element], a.Lanes)
		}
	}
	for _, a := range r.Agents {
		r.Hosts[a.Element] = a.last()
	}
	r.Timeline.Nodes = r.Nodes()
	for _, n := range lanes {
		r.Lanes += n
	}
	for i := 1; i <= s.Len(); i++ {
		st := s.Task(i)
		r.CPU += st.Exit.User + st.Exit.System
		r.PeakMem = max(r.PeakMem, st.Exit.MaxRSS)
		if st.State.Ended() && st.State != job.Completed {
			r.Failures = append(r.Failures, failureOf(s, i, st, k.Tasks))
		}
	}
	said := map[string]bool{}
	for _, n := range s.Notes {
		if said[n.Text] { // by another element on the same node
			continue
		}
		said[n.Text] = true
		r.Notes = append(r.Notes, n.Text)
	}
	for _, err := range s.Damage {
		r.Notes = append(r.Notes, err.Error())
	}
	if d := s.Reduce; d != nil {
		r.Reduce = &Reduce{Ran: d.Ran, Why: d.Why, State: d.State, Exit: d.Exit, Took: max(d.Ended-d.Began, 0)}
		if d.Ran && d.State == job.Completed {
			r.Reduce.Output = s.Spec.ReducerOut
		}
	}
	return r
}

func failureOf(s *rundir.Snapshot, task int, st rundir.TaskStatus, tasks []job.Task) Failure {
	f := Failure{Task: task, Attempt: st.Attempt, State: st.State, Exit: st.Exit, Lane: st.Lane}
	if st.Agent >= 0 {
		f.Agent, f.Host = s.Agents[st.Agent].Element, s.Agents[st.Agent].Host
	}
	if task <= len(tasks) {
		f.Input = job.QuoteWords(tasks[task-1].Words())
	}
	return f
}

// submitted is when the run was first submitted.
func submitted(s *rundir.Snapshot) time.Time {
	var first time.Time
	for _, sub := range s.Submissions {
		if first.IsZero() || sub.At.Before(first) {
			first = sub.At
		}
	}
	for _, a := range s.Agents {
		if !a.Submitted.IsZero() && (first.IsZero() || a.Submitted.Before(first)) {
			first = a.Submitted
		}
	}
	return first
}

// reduces reports whether the agent's array is a reduce step.
func reduces(s *rundir.Snapshot, a *rundir.AgentState) bool {
	for i := range s.Submissions {
		if s.Submissions[i].Generation == a.ID.Generation {
			return s.Submissions[i].Kind == rundir.SubmitReduce
		}
	}
	return false
}

// TimelineOf puts the phases of a map onto one clock, that of the submitting host, as
// well as the agents' clocks are known (rundir.AgentState.Clock).
// An agent is known by its element: the agents of a resumed run carry on in the
// rows of those before them. What had not ended when its agent was lost ends with the
// agent's last sign of life; what is under way lasts until now.
func TimelineOf(s *rundir.Snapshot, now time.Time) *timeline.Timeline {
	b := timelineBuilder{snap: s, now: now, tl: &timeline.Timeline{Origin: submitted(s)}}
	b.agents()
	b.instances()
	b.attempts()
	slices.SortFunc(b.tl.Spans, func(x, y timeline.Span) int {
		return cmp.Or(cmp.Compare(x.Start, y.Start), cmp.Compare(x.Agent, y.Agent), cmp.Compare(x.Lane, y.Lane), cmp.Compare(x.Task, y.Task), cmp.Compare(x.End, y.End))
	})
	for i := range b.tl.Spans {
		b.tl.End = max(b.tl.End, b.tl.Spans[i].End)
	}
	return b.tl
}

type timelineBuilder struct {
	snap *rundir.Snapshot
	now  time.Time
	tl   *timeline.Timeline
	base []time.Duration // of each agent's clock, since Origin
	skip []bool          // agents that are not of the map, or have not said anything
}

// add adds a span whose times are by the clock of agent.
func (b *timelineBuilder) add(agent int, s timeline.Span) {
	s.Agent = b.snap.Agents[agent].Element
	s.Start += b.base[agent]
	s.End = max(s.End+b.base[agent], s.Start)
	b.tl.Spans = append(b.tl.Spans, s)
}

func (b *timelineBuilder) agents() {
	b.base = make([]time.Duration, len(b.snap.Agents))
	b.skip = make([]bool, len(b.snap.Agents))
	for i := range b.snap.Agents {
		a := &b.snap.Agents[i]
		if b.skip[i] = a.Began.IsZero() || reduces(b.snap, a); b.skip[i] {
			continue
		}
		b.base[i] = max(b.snap.Clock(i, 0).Sub(b.tl.Origin), 0)
		queued := max(a.Submitted.Sub(b.tl.Origin), 0)
		if end, ok := b.before(i); ok {
			queued = max(queued, end) // it was queued once more
		}
		b.add(i, timeline.Span{Phase: job.PhaseSubmitted, Lane: -1, Start: min(queued-b.base[i], 0)})
		if a.Staged > 0 {
			b.add(i, timeline.Span{Phase: job.PhaseStaged, Lane: -1, End: a.Staged})
		}
	}
}

// before is when the incarnation before agent i of the same element gave its last sign of life.
func (b *timelineBuilder) before(i int) (end time.Duration, ok bool) {
	id := b.snap.Agents[i].ID
	if id.Incarnation == 1 {
		return 0, false
	}
	for k := range b.snap.Agents {
		o := &b.snap.Agents[k]
		if o.ID.Generation == id.Generation && o.ID.Element == id.Element && o.ID.Incarnation < id.Incarnation && o.Lanes > 0 {
			end, ok = max(end, b.snap.Clock(k, o.Last).Sub(b.tl.Origin)), true
		}
	}
	return end, ok
}

func (b *timelineBuilder) instances() {
	for i := range b.snap.Instances {
		in := &b.snap.Instances[i]
		if b.skip[in.Agent] {
			continue
		}
		s := timeline.Span{Phase: in.Phase, Start: in.Began, End: in.Ended, Lane: in.Lane, Instance: in.ID}
		if in.Phase == job.PhaseBooted && in.Cause != "" {
			s.State = job.BootFail
		}
		b.add(in.Agent, s)
	}
}

func (b *timelineBuilder) attempts() {
	for i := range b.snap.Attempts {
		at := &b.snap.Attempts[i]
		if b.skip[at.Agent] {
			continue
		}
		s := timeline.Span{Phase: job.PhaseRunning, Start: at.Began, End: at.Ended, Lane: at.Lane, Instance: at.Instance,
			Task: at.Task, Attempt: at.Attempt, State: at.State}
		launch := b.snap.Spec.Launch != nil
		if launch && at.Up == 0 {
			s.Phase = job.PhaseStarting
		}
		a := &b.snap.Agents[at.Agent]
		switch {
		case at.State.Ended():
			if at.Ended <= at.Began && at.State != job.Completed {
				continue // no program was started
			}
		case a.Alive:
			s.Open, s.State = true, ""
			s.End = max(b.now.Sub(b.tl.Origin)-b.base[at.Agent], a.Last)
		default:
			s.State, s.End = job.Lost, a.Last
		}
		if launch && at.Up > 0 {
			starting := s
			starting.Phase, starting.End, starting.Open, starting.State = job.PhaseStarting, at.Up, false, ""
			b.add(at.Agent, starting)
			s.Start = at.Up
		}
		b.add(at.Agent, s)
		if !launch && at.State.Ended() && at.Published > at.Ended {
			s.Phase, s.State, s.Start, s.End = job.PhaseExited, "", at.Ended, at.Published
			b.add(at.Agent, s)
		}
	}
}

// Bounds of what AddLogs reads.
const (
	logsPerCause = 20
	logTail      = 2000 // bytes of each
)

// AddLogs reads the ends of the logs of some failures of each cause into r.
// What cannot be read is told among r.Notes.
func AddLogs(r *Run, from *rundir.Run) {
	type key struct{ task, attempt int }
	wanted := map[key]*Failure{}
	perCause := map[job.Cause]int{}
	for i := range r.Failures {
		f := &r.Failures[i]
		if f.Attempt > 0 && perCause[f.Exit.Cause] < logsPerCause {
			perCause[f.Exit.Cause]++
			wanted[key{f.Task, f.Attempt}] = f
		}
	}
	if len(wanted) == 0 {
		return
	}
	tails := map[key][]byte{}
	reader := from.Streams(func(task, attempt int) bool { return wanted[key{task, attempt}] != nil })
	err := reader.Next(func(c rundir.Chunk) error {
		k := key{c.Task, c.Attempt}
		t := append(tails[k], c.Data...)
		tails[k] = t[max(len(t)-logTail, 0):]
		return nil
	})
	if err != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("some logs cannot be read: %v", err))
	}
	for k, t := range tails {
		wanted[k].LogTail = strings.ToValidUTF8(string(t), "\uFFFD")
	}
}
