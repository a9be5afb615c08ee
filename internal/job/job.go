// Package job holds the nouns of muster: what was asked for (Spec), the pieces
// of work (Task), what an engine is given (Array), how things stand (State) and
// how they ended (Exit), with their text forms. It does no I/O.
package job

import (
	"fmt"
	"time"
)

// State is the state of a task, an array element or a run. The names are
// Slurm's wherever Slurm has one (squeue(1), JOB STATE CODES).
type State string

const (
	Pending     State = "PENDING"
	Running     State = "RUNNING"
	Suspended   State = "SUSPENDED"
	Completed   State = "COMPLETED"
	Failed      State = "FAILED"
	Timeout     State = "TIMEOUT"
	OutOfMemory State = "OUT_OF_MEMORY"
	BootFail    State = "BOOT_FAIL"
	NodeFail    State = "NODE_FAIL"
	Cancelled   State = "CANCELLED"

	// Lost is a task whose agent ended while the task was running. It says
	// nothing about the task: lost is not failed, and resume runs it again.
	Lost State = "LOST"

	// Gone is an array that its engine no longer knows.
	Gone State = "GONE"
)

// Ended reports whether nothing more happens to what is in state s by itself.
func (s State) Ended() bool {
	switch s {
	case Pending, Running, Suspended:
		return false
	}
	return true
}

// Failure reports whether s is an end for which the work itself, not its
// surroundings, is to blame; resume runs such tasks again only with --failed.
func (s State) Failure() bool {
	switch s {
	case Failed, Timeout, OutOfMemory, BootFail:
		return true
	}
	return false
}

// Cause names why something ended as it did: a stable code that groups
// failures and that `muster explain` expands. Empty for success.
type Cause string

const (
	CauseExit         Cause = "exit-code"     // the program ended with a non-zero code of its own
	CauseSignal       Cause = "signal"        // a signal ended the program
	CauseNoOutput     Cause = "no-output"     // exit code 0, but the output is not there
	CauseOutputExists Cause = "output-exists" // the output's name was taken meanwhile
	CausePublish      Cause = "publish"       // the output could not be put under its name (disk full, …)
	CauseTimeout      Cause = "timeout"       // --timeout passed
	CauseCancelled    Cause = "cancelled"     // cancelled by the user
	CauseStart        Cause = "cannot-start"  // the program could not be started at all
	CauseBoot         Cause = "boot"          // the instance did not come up
	CauseInstance     Cause = "instance-died" // the instance (a Wine server, a VM) ended under the program
	CauseCrash        Cause = "crash"         // an unhandled exception of a Windows program
	CauseMissingDLL   Cause = "missing-dll"   // a DLL that the program imports is missing
	CauseCannotLoad   Cause = "cannot-load"   // the program's file cannot be loaded by the guest
	CauseOOM          Cause = "out-of-memory" // killed for memory
	CauseInput        Cause = "input-gone"    // the input was not there when its turn came
	CauseAgentLost    Cause = "agent-lost"    // the agent ended while the task was running
	CauseNotReady     Cause = "not-ready"     // of a launch: it was not alive in time
	CauseMaxFails     Cause = "max-fails"     // not started: --max-fails was reached
	CauseBatch        Cause = "batch-failed"  // MIMO: the call that this task belonged to failed
	CauseGivenBack    Cause = "given-back"    // the allocation's time was nearly over; another one goes on with the task
	CauseSuperseded   Cause = "superseded"    // a newer incarnation of its agent has taken over
	CauseInternal     Cause = "muster"        // muster's own failure
)

// Exit is how a program ended.
type Exit struct {
	Code   int    `json:"code"`             // exit code, 0–255; 0 when a signal ended it
	Signal int    `json:"signal,omitempty"` // the signal that ended it, or 0
	Cause  Cause  `json:"cause,omitempty"`  // "" exactly when the program succeeded
	Detail string `json:"detail,omitempty"` // one line for a person: "access violation (0xC0000005)", "needs FOO.dll"

	User   time.Duration `json:"user,omitempty"`   // CPU time of the program and its waited-for children
	System time.Duration `json:"system,omitempty"` //
	MaxRSS int64         `json:"maxrss,omitempty"` // bytes, of the largest process
}

// OK reports whether the program succeeded.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == 0 && e.Cause == "" }

// String gives Slurm's form, code:signal.
func (e Exit) String() string { return fmt.Sprintf("%d:%d", e.Code, e.Signal) }

// Phase is a step in an instance's or a task's life. Phases of one kind always
// have the same name and colour everywhere.
type Phase string

const (
	PhaseSubmitted Phase = "submitted" // from submission until the agent runs
	PhaseStaged    Phase = "staged"    // image and program brought to the node and verified
	PhaseCloned    Phase = "cloned"    // the instance's private copy made
	PhaseBooted    Phase = "booted"    // the instance's operating system up
	PhaseStarting  Phase = "starting"  // of a launch: the program was started, and is not alive yet
	PhaseRunning   Phase = "running"   // the program; of a launch: alive
	PhaseExited    Phase = "exited"    // from the program's end until its output is published
	PhaseDiscarded Phase = "discarded" // the instance taken down and removed
)

// Phases lists every phase in the order in which they happen.
func Phases() []Phase {
	return []Phase{PhaseSubmitted, PhaseStaged, PhaseCloned, PhaseBooted, PhaseStarting, PhaseRunning, PhaseExited, PhaseDiscarded}
}

// Isolation is how instances are shared, the agent's policy for every guest.
type Isolation string

const (
	IsolateTask Isolation = "task" // an instance for each task
	IsolateLane Isolation = "lane" // an instance for each lane, reused by its tasks
	IsolateNode Isolation = "node" // the fewest instances that the limits allow, shared by a node's lanes
)

// Op is what can be asked of something that is under way. Every op is
// idempotent.
type Op string

const (
	OpCancel   Op = "cancel"
	OpHold     Op = "hold"    // of an array: do not start what is pending
	OpRelease  Op = "release" // undo hold
	OpSuspend  Op = "suspend"
	OpContinue Op = "continue"
)
