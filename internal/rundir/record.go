package rundir

import (
	"time"

	"muster/internal/clock"
	"muster/internal/job"
)

// Kind is the kind of a journal record.
type Kind byte

const (
	KindAgent    Kind = 'A' // an incarnation of an agent begins: first record of every journal
	KindInstance Kind = 'I' // a phase of an instance has ended
	KindStart    Kind = 'S' // an attempt at a task begins
	KindUp       Kind = 'U' // the program of an attempt is alive (launch)
	KindEnd      Kind = 'E' // an attempt has ended; Completed means: published
	KindLaunch   Kind = 'L' // a launch has come to another step on this node
	KindNote     Kind = 'N' // something a person should know
	KindReduce   Kind = 'R' // the reducer has ended, or was not run
	KindSuspend  Kind = 'P' // the agent's programs stand still, or go on; Note says which (Suspended, Continued)
	KindClock    Kind = 'C' // the agent's clock was compared with another one
	KindFinish   Kind = 'Z' // the agent ends by itself; nothing follows
)

// Record is one line of a journal. Which fields count depends on Kind. At is
// time since the journal's Agent record, by the agent's monotonic clock.
type Record struct {
	Kind Kind
	At   time.Duration

	Agent    *AgentStart    // KindAgent
	Instance *InstancePhase // KindInstance
	Start    *TaskStart     // KindStart
	Up       *TaskUp        // KindUp
	Launch   *LaunchStep    // KindLaunch
	End      *TaskEnd       // KindEnd
	Reduce   *ReduceEnd     // KindReduce
	Clock    *clock.Reading // KindClock: of the clock of Began and At
	Note     string         // KindNote; KindFinish: why; KindSuspend
}

// The notes of KindSuspend. The last one of a journal counts.
const (
	Suspended = "suspended"
	Continued = "continued"
)

// AgentStart opens a journal.
type AgentStart struct {
	Version     int       // of the journal's format
	Run         int       //
	Generation  int       // of the submission; set by NewJournal
	Element     int       // array element, from 1
	Incarnation int       // which try at this element, from 1; set by NewJournal
	Token       string    // the agent's token, as in its marks and its temporary folder below the output
	Host        string    // the scheduler's name of the node, else the machine's own
	Job         string    // what the scheduler calls the element ("1234_7"), "" where there is none
	PID         int       // of the agent, as the host sees it; 0: not known
	Began       time.Time // wall clock of At 0
	Submitted   time.Time // when the array was submitted
	Lanes       int
	Staged      time.Duration // how long staging and Prepare took (it began at At 0)
	StagedBytes int64         // that staging copied to the node; 0: they were there
	StagedHow   string        // how image and program came to be there ("image copied, program reused"), "" where they were not staged
	Boot        string        // clock.BootID of the node
}

// InstancePhase says that instance ID's phase lasted from Began until Record.At.
type InstancePhase struct {
	ID    string
	Lane  int // −1: shared by the node's lanes
	Phase job.Phase
	Began time.Duration
	Cause job.Cause // with PhaseBooted: why it did not come up
	Text  string
}

// TaskStart says that an attempt began. Numbers of attempts grow over all
// incarnations and are never used twice for a task.
type TaskStart struct {
	Task, Attempt, Lane int
	Instance            string
	PID                 int
}

// TaskUp says that the program of an attempt at a launch's task counts as alive, from
// Record.At on.
type TaskUp struct{ Task, Attempt int }

// LaunchStep says how far a launch is on a node. Each step comes once in a journal; with
// waves, once for each.
type LaunchStep struct {
	Step  Step
	Alive int   // programs that are alive on this node
	Bytes int64 // StepUp: memory that the launch has taken on this node; 0: not known
}

// Step is a step of a launch on a node.
type Step string

const (
	StepUp   Step = "up"   // every program of the node is alive, or has ended
	StepHold Step = "hold" // those of all nodes are: the time to hold them begins
	StepDown Step = "down" // they are being taken down
	StepGone Step = "gone" // nothing is left of them
)

// NoRoom begins the last words of an agent on whose node a launch has no room. How much is
// missing follows; a second line says how there could be more.
const NoRoom = "no room: "

// TaskEnd says how an attempt ended. Attempt 0: none was made, and yet the task is
// done with (cancelled before it was started, its output was there).
type TaskEnd struct {
	Task, Attempt, Lane int
	Instance            string
	Began               time.Duration // the program was started
	Ended               time.Duration // the program had ended; Record.At: published
	State               job.State
	Exit                job.Exit
	Final               bool // no further attempt follows by itself
	Outputs             []Output
}

// Output is one published file or folder.
type Output struct {
	Name string `json:"name"` // path below the output folder
	Size int64  `json:"size"`
	Hash string `json:"hash,omitempty"` // "sha256:…" of the content, "" for a folder
}

// ReduceEnd says how the reduce step ended.
type ReduceEnd struct {
	Ran          bool   // false: not run, Why says why
	Why          string //
	Began, Ended time.Duration
	State        job.State
	Exit         job.Exit
	Output       *Output
}
