package rundir

import (
	"time"

	"muster/internal/clock"
	"muster/internal/job"
)

// LoadOptions says what a Snapshot is to hold besides states; each further
// thing costs time and memory.
type LoadOptions struct {
	// Alive tells whether an agent whose journal does not end is believed to be
	// alive; nil: it is. Watch.Alive is one.
	Alive func(AgentState) bool

	Outputs   bool // keep the outputs of tasks
	Instances bool // keep the phases of instances
	Attempts  bool // keep every attempt, not only the one that counts

	// Each, if not nil, is told every record as it is read. *r and what it points
	// to are valid during the call only. Calls come one at a time, those of one
	// agent in order.
	Each func(agent int, r *Record)
}

// Snapshot is the state of a run as its journals tell it.
type Snapshot struct {
	Run         int // its number
	Spec        job.Spec
	Submissions []Submission
	Agents      []AgentState      // in no order; TaskStatus.Agent is an index
	Counts      map[job.State]int // tasks by state, Lost included; states without tasks are left out
	Instances   []InstanceSpan    // with LoadOptions.Instances
	Attempts    []Attempt         // with LoadOptions.Attempts
	Notes       []Note
	Reduce      *ReduceEnd // of the last reduce step; nil: there was none
	ReduceAgent int        // index of its agent; −1: none
	Damage      []error    // *DamageError: what cannot be read of journals
	Torn        []Torn     // last records that agents which are gone have not written whole

	fold *fold
}

// Len is the number of tasks.
func (s *Snapshot) Len() int { return len(s.fold.slots) }

// Task tells how the task with this index (from 1) stands.
func (s *Snapshot) Task(index int) TaskStatus { return s.fold.status(index) }

// State is Task's State alone.
func (s *Snapshot) State(index int) job.State {
	if index < 1 || index > len(s.fold.slots) {
		return job.Pending
	}
	return s.fold.state(&s.fold.slots[index-1])
}

// Outputs are the published outputs of a task; LoadOptions.Outputs must have been set.
func (s *Snapshot) Outputs(index int) []Output { return s.fold.taskOutputs(index) }

// Clock is when something happened that an agent recorded, by the submitting
// host's clock as well as that is known (AgentState.Clock).
func (s *Snapshot) Clock(agent int, at time.Duration) time.Time {
	return s.Agents[agent].Clock.Apply(s.Agents[agent].Began.Add(at))
}

// TaskStatus is how a task stands: of the attempt that counts. Times are since
// Began of its agent.
type TaskStatus struct {
	State     job.State
	Attempts  int // highest number of any attempt so far; the next one is higher
	Attempt   int // the attempt that the rest speaks of
	Agent     int // index in Snapshot.Agents; −1: never started
	Lane      int
	Began     time.Duration
	Up        time.Duration // of a launch: alive from then on; 0: never
	Ended     time.Duration
	Published time.Duration
	Exit      job.Exit
	Final     bool // its agent was done with it
}

// Again reports whether resume is to run the task again: never a completed one,
// nor one that may still be under way, and one that has failed for good only if asked to.
func (t TaskStatus) Again(failed bool) bool {
	switch {
	case t.State == job.Completed, t.State == job.Running, t.State == job.Suspended:
		return false
	case t.State.Failure() && t.Final:
		return failed
	}
	return true
}

// AgentState is one incarnation of an agent.
type AgentState struct {
	AgentStart
	ID       AgentID
	Clock    clock.Correction // of Began and what is counted from it
	Readings []clock.Reading  // of its clock, as it found them
	Last     time.Duration    // At of its last record
	Records  int
	Steps    []StepAt // of a launch, in order
	Up       int      // of Running, in a launch: alive
	MostUp   int      // most of them at the same time
	Running  int      // tasks that it started and that have not ended, by its journal
	Stopped  bool     // its programs stand still (muster suspend)
	Finished bool     // its journal ends
	Why      string   // with Finished
	Alive    bool     // not finished, and believed to be alive
	Torn     bool     // its last record was not written whole
	Damaged  bool     // its journal is damaged
}

// StepAt is a step of a launch on an agent's node, and when it was come to.
type StepAt struct {
	LaunchStep
	At time.Duration
}

// InstanceSpan is one phase of an instance: from Began to Ended.
type InstanceSpan struct {
	Agent int
	Ended time.Duration
	InstancePhase
}

// Attempt is one attempt at a task. Ended and Published are 0 while State is
// RUNNING, which it stays when the agent ended before the attempt did.
type Attempt struct {
	Agent, Task, Attempt, Lane int
	Instance                   string
	Began, Ended, Published    time.Duration
	Up                         time.Duration // of a launch: alive from then on; 0: never
	State                      job.State
	Cause                      job.Cause
}

// Note is a KindNote record.
type Note struct {
	Agent int
	At    time.Duration
	Text  string
}
