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
	return t
}

// ended is how many tasks are through, whichever way.
func (t tally) ended() int { return t.completed + t.failed + t.lost }
