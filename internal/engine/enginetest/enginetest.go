// Package enginetest is the conformance suite of package engine's contract. A
// driver's test is a Config and a call of Run. Elements are real shell scripts
// that leave files in a shared folder, so the same cases hold for an engine on
// this machine and for a scheduler whose nodes share a folder with it.
package enginetest

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// Config describes the engine under test. Open, Shared, Wait are needed.
type Config struct {
	// Open returns an engine; the ones of one Config see the same arrays.
	Open func(t *testing.T) engine.Engine

	// Shared returns a new empty folder that submitter and elements both see under
	// one name. It must not vanish before the test has ended.
	Shared func(t *testing.T) string

	// Wait bounds every wait. It is only ever reached by a failing test.
	Wait time.Duration

	// Index names the index variables that elements get, out of those in IndexNames.
	Index []string

	// Adds reports whether the engine itself puts a variable of that name into the
	// environment, beyond Index and those that every engine sets. nil: none.
	Adds func(name string) bool

	// Elsewhere submits an array from a process of its own, which ends, by SIGKILL,
	// as soon as Submit has returned. It may be nil only when Info.Survives is false.
	Elsewhere func(t *testing.T, a job.Array) engine.ID

	// Orphans says which processes that an element leaves behind the engine ends.
	// The processes of elements must be visible in /proc here unless it is OrphansStay.
	Orphans Orphans

	// TimeLimit is the shortest Array.Time that the engine keeps to; 0: it takes no notice.
	TimeLimit time.Duration

	// AtOnce is how many cases run at the same time; 0: GOMAXPROCS. With a
	// scheduler most of a case is waiting, so it may be many more.
	AtOnce int

	// Ask returns the command line and the environment of a program that opens the
	// engine anew and prints the Report of id as JSON (see Answer). It is run as an
	// element, so it is another process, on another node where there are some. nil: the
	// engine's arrays are known to one process only, and Info.Survives is false.
	Ask func(t *testing.T, id engine.ID) (argv, env []string)

	// Faults breaks nodes and the controller. nil: the engine has neither.
	Faults Faults

	// Lost bounds how long it may take until Status tells of a lost node, and until an
	// element with Requeue runs again. Needed with Faults.
	Lost time.Duration
}

// Orphans says how far an engine goes in ending what an element leaves behind.
type Orphans int

const (
	OrphansStay   Orphans = iota // they may live on: ending them is the agents' work (a Slurm with proctrack/linuxproc)
	OrphansMarked                // ended, also after setsid and a double fork, if they have kept their environment
	OrphansAll                   // ended, those without their environment at the latest with the array
)

// IndexNames lists the index variables that the suite knows the meaning of.
func IndexNames() []string {
	return []string{
		"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX",
		"SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID",
		"SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE",
	}
}

// testCase is one case; when says, where it does not hold for every engine, whether
// it holds for this one.
type testCase struct {
	name string
	run  func(l *lab)
	when func(c Config, i engine.Info) bool
}

func always(Config, engine.Info) bool { return true }

func survives(_ Config, i engine.Info) bool { return i.Survives }

func orphans(c Config, _ engine.Info) bool { return c.Orphans != OrphansStay }

func timed(c Config, _ engine.Info) bool { return c.TimeLimit > 0 }

func split(_ Config, i engine.Info) bool { return i.MaxArray > 0 }

func several(_ Config, i engine.Info) bool { return i.Nodes > 1 }

// spare holds where some nodes can be lost and the rest still do all the work.
func spare(c Config, i engine.Info) bool { return c.Faults != nil && i.Nodes >= 6 }

func breakable(c Config, _ engine.Info) bool { return c.Faults != nil }

// together lists the cases that can run at the same time as any other of them.
// The long ones come first.
func together() []testCase {
	return []testCase{
		{"time limit", testTimeLimit, timed},
		{"warning ahead of the time limit", testWarn, timed},
		{"split", testSplit, split},
		{"index variables of a split array", testIndexSplit, func(c Config, i engine.Info) bool { return len(c.Index) > 0 && i.MaxArray > 0 }},
		{"started again when it asks", testRequeue, always},
		{"not started again without leave", testNoRequeue, always},
		{"a cancelled one is not started again", testCancelRequeue, always},
		{"info", testInfo, always},
		{"elements", testElements, always},
		{"index variables", testIndex, func(c Config, _ engine.Info) bool { return len(c.Index) > 0 }},
		{"argv", testArgv, always},
		{"environment", testEnvironment, always},
		{"working folder", testDir, always},
		{"log files", testLogs, always},
		{"exits", testExits, always},
		{"states", testStates, always},
		{"after a completed array", testAfterCompleted, always},
		{"after a failed array", testAfterFailed, always},
		{"after a cancelled array", testAfterCancelled, always},
		{"after an array that never ran", testAfterNever, always},
		{"after several arrays", testAfterSeveral, always},
		{"hold", testHold, always},
		{"hold what waits", testHoldWaiting, always},
		{"cancel pending", testCancelPending, always},
		{"cancel at once", testCancelAtOnce, always},
		{"cancel running", testCancelRunning, always},
		{"cancel what ignores SIGTERM", testCancelStubborn, always},
		{"cancel what has ended", testCancelEnded, always},
		{"cancel ends descendants", testCancelDescendants, orphans},
		{"an end ends descendants", testEndDescendants, orphans},
		{"find", testFind, always},
		{"status of several", testStatus, always},
		{"gone", testGone, always},
		{"refused", testRefused, always},
		{"wait", testWait, always},
		{"context", testContext, always},
		{"concurrent use", testConcurrent, always},
		{"survival of the submitter", testSurvival, survives},
		{"dependency survives the submitter", testSurvivalAfter, survives},
		{"two processes submit at once", testTwoProcesses, survives},
	}
}

// wholeCases lists those that want several nodes for themselves at the same time. One after the
// other, and before any node is lost: two that each have half of what they want
// would wait for each other for ever.
func wholeCases() []testCase {
	return []testCase{
		{"spread", testSpread, several},
		{"CPUs", testCPUs, func(_ Config, i engine.Info) bool { return i.Nodes > 1 && i.CPUs > 1 }},
		{"asked from elsewhere", testAsk, survives},
	}
}

// nodeCases lists those that lose nodes. They can run at the same time as those of together:
// the node that a case loses is one that its own element has taken as a whole.
func nodeCases() []testCase {
	return []testCase{
		{"lost node", testLostNode, spare},
		{"lost node with requeue", testLostNodeRequeue, spare},
		{"twin of a requeued element", testTwin, spare},
	}
}

// controllerCases lists those that nothing else can run beside.
func controllerCases() []testCase {
	return []testCase{
		{"controller does not answer", testControllerStopped, breakable},
		{"controller restarted", testControllerKilled, breakable},
	}
}

// Run runs every case that holds for the engine, and logs the names of the
// others.
func Run(t *testing.T, c Config) {
	e := c.Open(t)
	info, err := e.Info(t.Context(), job.Resource{})
	if err != nil {
		t.Fatalf("Info: %v", err)
	}
	if info.Survives && (c.Elsewhere == nil || c.Ask == nil) {
		t.Fatal("Info.Survives needs Config.Elsewhere and Config.Ask")
	}
	if c.Faults != nil && c.Lost == 0 {
		t.Fatal("Config.Faults needs Config.Lost")
	}
	if c.AtOnce == 0 {
		c.AtOnce = runtime.GOMAXPROCS(0)
	}
	c.run(t, info, 1, wholeCases())
	// The longest first.
	first := append(nodeCases(), together()...)
	if _, ok := e.(engine.Shower); ok {
		first = append(first, testCase{"show", testShow, always})
	}
	c.run(t, info, c.AtOnce, first)
	c.run(t, info, 1, controllerCases())
}

// run runs cases, so many at a time, and returns when all have ended. It is not
// t.Parallel, which knows neither an order of groups nor more cases than CPUs.
func (c Config) run(t *testing.T, info engine.Info, atOnce int, cases []testCase) {
	places := make(chan struct{}, atOnce)
	var work sync.WaitGroup
	for _, tc := range cases {
		if !tc.when(c, info) {
			t.Logf("case %q does not apply to this engine", tc.name)
			continue
		}
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			t.Run(tc.name, func(t *testing.T) { tc.run(newLab(t, c, info)) })
		})
	}
	work.Wait()
}
