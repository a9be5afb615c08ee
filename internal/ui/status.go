package ui

import (
	"time"

	"muster/internal/job"
)

// Status is how a run stands at one moment.
type Status struct {
	Run     int               // its number
	Name    string            // of the program, for people
	Total   int               // tasks; 0: not known yet
	Counts  map[job.State]int // tasks by state; what is missing from Total is pending
	Rate    float64           // tasks ended per second, lately
	Left    time.Duration     // expected until the end; 0: not known
	Elapsed time.Duration     // since the submission

	// Of a launch: Total programs are to be alive at once, and Alive of those that run are.
	// Rate and Left are of their coming up.
	Launch bool
	Alive  int

	Slowest     job.Phase     // the phase that takes longest, or ""
	SlowestTime time.Duration // its typical length

	Failure string // the newest group of failures, in one line: "missing-dll: needs FOO.dll (3 tasks)"
	Message string // what is going on, in one line; "" when the tasks say it all
}

// tally is the counts put together as the bar shows them.
type tally struct {
	completed, failed, lost, running, waiting int
	suspended                                 int // part of running
	total                                     int

	launch bool
	alive  int // of a launch: part of running
}

func (st Status) tally() tally {
	var t tally
	for state, n := range st.Counts {
		switch {
		case state == job.Completed:
			t.completed += n
		case state == job.Pending:
			t.waiting += n
		case state == job.Suspended:
			t.running += n
			t.suspended += n
		case state == job.Running:
			t.running += n
		case state.Failure():
			t.failed += n
		default: // ended, and not by the work's own fault
			t.lost += n
		}
	}
	known := t.completed + t.failed + t.lost + t.running
	t.waiting = max(t.waiting, st.Total-known)
	t.total = known + t.waiting
	if t.launch = st.Launch; t.launch {
		t.alive = min(st.Alive, t.running)
	}
	return t
}

// ended is how many tasks are through, whichever way.
func (t tally) ended() int { return t.completed + t.failed + t.lost }

// progress is how many tasks are where they are to be: through, or alive in a launch.
func (t tally) progress() int { return t.ended() + t.alive }

// Progress is how many tasks are where they are to be: through, or alive in a launch.
func (st Status) Progress() int { return st.tally().progress() }
