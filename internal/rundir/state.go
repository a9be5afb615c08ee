package rundir

import (
	"math"
	"slices"
	"strings"
	"time"

	"muster/internal/clock"
	"muster/internal/job"
)

// The life of a task, as journals tell it:
//
//	PENDING ──start──▶ RUNNING ──end──▶ COMPLETED            (for good)
//	                      │       └───▶ FAILED, TIMEOUT, …   (until a later attempt starts)
//	                      └─ its agent is gone ─▶ LOST
//
// A task that is RUNNING under an agent whose programs stand still is SUSPENDED.
// An end that is not final, of an agent that lives, is PENDING: the agent will
// try again. The order in which journals are read makes no difference.

// stateCode is a job.State in one byte.
type stateCode uint8

const (
	scPending stateCode = iota
	scRunning
	scCompleted
	scFailed
	scTimeout
	scOutOfMemory
	scBootFail
	scNodeFail
	scCancelled
	scLost
	scSuspended
	numStates
)

func stateOf(c stateCode) job.State {
	return [numStates]job.State{job.Pending, job.Running, job.Completed, job.Failed, job.Timeout,
		job.OutOfMemory, job.BootFail, job.NodeFail, job.Cancelled, job.Lost, job.Suspended}[c]
}

func codeOf(s job.State) stateCode {
	switch s {
	case job.Pending:
		return scPending
	case job.Running:
		return scRunning
	case job.Completed:
		return scCompleted
	case job.Timeout:
		return scTimeout
	case job.OutOfMemory:
		return scOutOfMemory
	case job.BootFail:
		return scBootFail
	case job.NodeFail:
		return scNodeFail
	case job.Cancelled:
		return scCancelled
	case job.Lost:
		return scLost
	case job.Suspended:
		return scSuspended
	}
	return scFailed
}

// slot is what is known of a task: of the attempt that counts, but for tries.
type slot struct {
	began, ended, published time.Duration
	user, system            time.Duration
	rss                     int64
	up                      time.Duration // of a launch: alive from then on; 0: it was not, so far
	agent                   int32         // index; −1 in an empty slot
	lane                    int32
	attempt                 int32
	tries                   int32 // highest number of any attempt
	exit                    int32 // index in exits, when it is not a plain success; 0: it is
	outs, outsEnd           int32 // in outputs
	state                   stateCode
	final                   bool
}

// exitInfo is the part of a job.Exit that successes do not have.
type exitInfo struct {
	code, signal int
	cause        job.Cause
	detail       string
}

// tally counts the tasks that an agent's records decide and whose state depends
// on whether it is alive.
type tally struct {
	running   int
	up        int            // of them: alive
	unsettled [numStates]int // ended, but not finally
}

type attemptKey struct{ agent, task, attempt int }

// fold recomputes the state of a run from records, in any order of agents.
type fold struct {
	opt     LoadOptions
	slots   []slot
	exits   []exitInfo
	outputs []Output
	counts  [numStates]int
	agents  []AgentState
	tallies []tally

	instances   []InstanceSpan
	attempts    []Attempt
	open        map[attemptKey]int // attempts that have not ended; index in attempts
	notes       []Note
	reduce      *ReduceEnd
	reduceAgent int

	words map[string]string // repeated words, kept once
	stray int               // records of tasks that the run does not have
}

func newFold(tasks int, opt LoadOptions) *fold {
	f := &fold{opt: opt, slots: make([]slot, tasks), exits: make([]exitInfo, 1), words: map[string]string{}, reduceAgent: -1}
	for i := range f.slots {
		f.slots[i].agent = -1
	}
	f.counts[scPending] = tasks
	if opt.Attempts {
		f.open = map[attemptKey]int{}
	}
	return f
}

// word returns s in memory of its own, once for equal words.
func (f *fold) word(s string) string {
	if w, ok := f.words[s]; ok {
		return w
	}
	s = strings.Clone(s)
	if len(f.words) < 4096 {
		f.words[s] = s
	}
	return s
}

// addAgent makes room for an agent and returns its index, which stays the same.
func (f *fold) addAgent(id AgentID) int {
	a := AgentState{ID: id}
	a.Generation, a.Element, a.Incarnation = id.Generation, id.Element, id.Incarnation
	f.agents = append(f.agents, a)
	f.tallies = append(f.tallies, tally{})
	return len(f.agents) - 1
}

// add takes a record of an agent in. It keeps nothing of rec's memory.
func (f *fold) add(agent int, rec *Record) {
	a := &f.agents[agent]
	a.Records++
	a.Last = max(a.Last, rec.At)
	switch rec.Kind {
	case KindAgent:
		a.AgentStart = *rec.Agent
		a.Host = strings.Clone(a.Host)
		a.Token = strings.Clone(a.Token)
		a.Boot = strings.Clone(a.Boot)
		a.Job = strings.Clone(a.Job)
	case KindStart:
		f.start(agent, rec)
	case KindUp:
		f.up(agent, rec)
	case KindLaunch:
		f.launch(a, rec)
	case KindEnd:
		f.end(agent, rec)
	case KindInstance:
		if f.opt.Instances {
			p := *rec.Instance
			p.ID, p.Phase, p.Cause, p.Text = f.word(p.ID), job.Phase(f.word(string(p.Phase))), job.Cause(f.word(string(p.Cause))), strings.Clone(p.Text)
			f.instances = append(f.instances, InstanceSpan{Agent: agent, Ended: rec.At, InstancePhase: p})
		}
	case KindSuspend:
		a.Stopped = rec.Note == Suspended
	case KindNote:
		f.notes = append(f.notes, Note{Agent: agent, At: rec.At, Text: strings.Clone(rec.Note)})
	case KindReduce:
		f.addReduce(agent, rec.Reduce)
	case KindClock:
		c := *rec.Clock
		c.Method, c.Why = clock.Method(f.word(string(c.Method))), strings.Clone(c.Why)
		a.Readings = append(a.Readings, c)
	case KindFinish:
		a.Finished = true
		a.Why = strings.Clone(rec.Note)
	}
	if f.opt.Each != nil {
		f.opt.Each(agent, rec)
	}
}

func (f *fold) addReduce(agent int, r *ReduceEnd) {
	if f.reduceAgent >= 0 && f.agents[agent].ID.before(f.agents[f.reduceAgent].ID) {
		return
	}
	c := *r
	c.Why, c.State = strings.Clone(c.Why), job.State(f.word(string(c.State)))
	c.Exit.Cause, c.Exit.Detail = job.Cause(f.word(string(c.Exit.Cause))), strings.Clone(c.Exit.Detail)
	if c.Output != nil {
		o := cloneOutput(*c.Output)
		c.Output = &o
	}
	f.reduce, f.reduceAgent = &c, agent
}

func cloneOutput(o Output) Output {
	o.Name, o.Hash = strings.Clone(o.Name), strings.Clone(o.Hash)
	return o
}

func (f *fold) slot(task, attempt int) *slot {
	if task < 1 || task > len(f.slots) || attempt < 0 || attempt > math.MaxInt32 {
		f.stray++
		return nil
	}
	s := &f.slots[task-1]
	s.tries = max(s.tries, int32(attempt))
	return s
}

func (f *fold) start(agent int, rec *Record) {
	st := rec.Start
	s := f.slot(st.Task, st.Attempt)
	if s == nil {
		return
	}
	if st.Attempt == 0 {
		f.stray++
		return
	}
	if f.opt.Attempts {
		f.open[attemptKey{agent, st.Task, st.Attempt}] = len(f.attempts)
		f.attempts = append(f.attempts, Attempt{Agent: agent, Task: st.Task, Attempt: st.Attempt, Lane: st.Lane,
			Instance: f.word(st.Instance), Began: rec.At, State: job.Running})
	}
	if !f.takes(s, agent, st.Attempt, scRunning) {
		return
	}
	f.leave(s)
	*s = slot{began: rec.At, agent: int32(agent), lane: int32(st.Lane), attempt: int32(st.Attempt), tries: s.tries, state: scRunning}
	f.enter(s)
}

func (f *fold) end(agent int, rec *Record) {
	e := rec.End
	attempt := e.Attempt
	if attempt == 0 && e.Task >= 1 && e.Task <= len(f.slots) {
		// No attempt was made: it was cancelled before it was started, or its output
		// was there. That is said of the task as it stands.
		attempt = int(f.slots[e.Task-1].attempt)
	}
	s := f.slot(e.Task, attempt)
	if s == nil {
		return
	}
	code := codeOf(e.State)
	if f.opt.Attempts && e.Attempt > 0 {
		f.endAttempt(agent, rec)
	}
	if !f.takes(s, agent, attempt, code) {
		return
	}
	f.leave(s)
	up := s.up
	if int(s.agent) != agent || int(s.attempt) != attempt {
		up = 0
	}
	*s = slot{began: e.Began, ended: e.Ended, published: rec.At, up: up, user: e.Exit.User, system: e.Exit.System, rss: e.Exit.MaxRSS,
		agent: int32(agent), lane: int32(e.Lane), attempt: int32(attempt), tries: s.tries, state: code, final: e.Final || code == scCompleted}
	if x := e.Exit; !x.OK() || x.Detail != "" {
		s.exit = int32(len(f.exits))
		f.exits = append(f.exits, exitInfo{code: x.Code, signal: x.Signal, cause: job.Cause(f.word(string(x.Cause))), detail: f.word(x.Detail)})
	}
	if f.opt.Outputs && len(e.Outputs) > 0 {
		s.outs = int32(len(f.outputs))
		for _, o := range e.Outputs {
			f.outputs = append(f.outputs, cloneOutput(o))
		}
		s.outsEnd = int32(len(f.outputs))
	}
	f.enter(s)
}

func (f *fold) endAttempt(agent int, rec *Record) {
	e := rec.End
	key := attemptKey{agent, e.Task, e.Attempt}
	at := Attempt{Agent: agent, Task: e.Task, Attempt: e.Attempt, Lane: e.Lane, Instance: f.word(e.Instance),
		Began: e.Began, Ended: e.Ended, Published: rec.At, State: job.State(f.word(string(e.State))), Cause: job.Cause(f.word(string(e.Exit.Cause)))}
	if i, ok := f.open[key]; ok {
		at.Up = f.attempts[i].Up
		f.attempts[i] = at
		delete(f.open, key)
		return
	}
	f.attempts = append(f.attempts, at)
}

// takes tells whether an attempt in state code is to take the slot: completed
// before all others, then the later attempt, then an end before a start, then
// the later agent.
func (f *fold) takes(s *slot, agent, attempt int, code stateCode) bool {
	if s.agent < 0 {
		return true
	}
	if done := code == scCompleted; done != (s.state == scCompleted) {
		return done
	}
	if int32(attempt) != s.attempt {
		return int32(attempt) > s.attempt
	}
	if runs := code == scRunning; runs != (s.state == scRunning) {
		return !runs
	}
	return !f.agents[agent].ID.before(f.agents[s.agent].ID)
}

// leave and enter keep the counts right while a slot changes.
func (f *fold) leave(s *slot) { f.count(s, -1) }
func (f *fold) enter(s *slot) { f.count(s, +1) }

func (f *fold) count(s *slot, by int) {
	f.counts[s.state] += by
	if s.agent < 0 {
		return
	}
	t := &f.tallies[s.agent]
	switch {
	case s.state == scRunning:
		t.running += by
		if s.up > 0 {
			t.up += by
			f.agents[s.agent].MostUp = max(f.agents[s.agent].MostUp, t.up)
		}
	case !s.final:
		t.unsettled[s.state] += by
	}
}

// judge asks which agents are alive.
func (f *fold) judge() {
	for i := range f.agents {
		a := &f.agents[i]
		a.Running = f.tallies[i].running
		a.Up = f.tallies[i].up
		a.Alive = !a.Finished && (f.opt.Alive == nil || f.opt.Alive(*a))
	}
}

// total gives the counts as the agents' lives make them.
func (f *fold) total() map[job.State]int {
	counts := f.counts
	for i := range f.agents {
		t := &f.tallies[i]
		if !f.agents[i].Alive {
			counts[scRunning] -= t.running
			counts[scLost] += t.running
			continue
		}
		if f.agents[i].Stopped {
			counts[scRunning] -= t.running
			counts[scSuspended] += t.running
		}
		for c, n := range t.unsettled {
			counts[c] -= n
			counts[scPending] += n
		}
	}
	m := make(map[job.State]int, numStates)
	for c, n := range counts {
		if n != 0 {
			m[stateOf(stateCode(c))] = n
		}
	}
	return m
}

// state is the slot's state with its agent's life taken into account.
func (f *fold) state(s *slot) job.State {
	code := s.state
	if s.agent >= 0 {
		switch alive := f.agents[s.agent].Alive; {
		case code == scRunning && !alive:
			code = scLost
		case code == scRunning && f.agents[s.agent].Stopped:
			code = scSuspended
		case code != scRunning && !s.final && alive:
			code = scPending
		}
	}
	return stateOf(code)
}

func (f *fold) status(index int) TaskStatus {
	if index < 1 || index > len(f.slots) {
		return TaskStatus{State: job.Pending, Agent: -1}
	}
	s := &f.slots[index-1]
	x := f.exits[s.exit]
	return TaskStatus{
		State: f.state(s), Attempts: int(s.tries), Attempt: int(s.attempt), Agent: int(s.agent), Lane: int(s.lane),
		Began: s.began, Up: s.up, Ended: s.ended, Published: s.published, Final: s.final,
		Exit: job.Exit{Code: x.code, Signal: x.signal, Cause: x.cause, Detail: x.detail, User: s.user, System: s.system, MaxRSS: s.rss},
	}
}

func (f *fold) taskOutputs(index int) []Output {
	if index < 1 || index > len(f.slots) {
		return nil
	}
	s := &f.slots[index-1]
	return slices.Clone(f.outputs[s.outs:s.outsEnd])
}
