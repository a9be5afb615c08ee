// Package report says what came of a run: how long its phases took, how fast
// it was launched, what fell behind, what failed and why, and what to do about
// it. Every figure and every piece of advice is computed from the run.
package report

import (
	"time"

	"muster/internal/job"
	"muster/internal/timeline"
)

// Run is what is known of a run.
type Run struct {
	Number    int
	Name      string // of the program, for people
	Spec      job.Spec
	State     job.State
	Reason    string // of State, in a few words, or ""
	Submitted time.Time
	Ended     time.Time         // zero: it has not ended
	Tasks     map[job.State]int // how many tasks are in each state
	Failures  []Failure         // tasks that have ended and are not completed, by task
	Timeline  *timeline.Timeline
	Lanes     int            // of all agents together; 0: those in the timeline
	Hosts     map[int]string // agent → its host
	Agents    []Agent        // by element; nil where there is no run directory to tell
	PeakMem   int64          // bytes: the largest program of all attempts; 0: not known
	CPU       time.Duration  // CPU time of all programs together; 0: not known
	Notes     []string       // what agents had to say
	Told      []Told         // what they told the command that followed the run, in the order in which it was heard
	Reduce    *Reduce        // nil: no reduce step, or not yet
	Steps     []Step         // of a launch, on each node
	Alive     int            // programs of a launch that are alive now
}

// Failure is how a task ended that is not completed: its last attempt, or none
// when it was never started.
type Failure struct {
	Task    int
	Attempt int // 0: never started
	Input   string
	State   job.State
	Exit    job.Exit
	Agent   int
	Host    string
	Lane    int
	LogTail string // the end of what the program wrote, or ""
}

// Reduce is how the reduce step ended.
type Reduce struct {
	Ran    bool
	Why    string // it did not run
	State  job.State
	Exit   job.Exit
	Took   time.Duration
	Output string // path of what it wrote, or ""
}

// Report is a run's report. Its JSON form is described at WriteJSON.
type Report struct {
	run Run
	sum timeline.Summary

	launches []timeline.NodeLaunch

	groups []Group
	advice []Advice
}

// From computes the report of a run.
func From(r Run) *Report {
	if r.Timeline == nil {
		r.Timeline = &timeline.Timeline{}
	}
	rep := &Report{run: r, sum: timeline.Summarise(r.Timeline), launches: r.Timeline.NodeLaunches()}
	if rep.run.Lanes == 0 {
		rep.run.Lanes = len(rep.sum.Lanes)
	}
	rep.groups = groupFailures(&rep.run)
	rep.advice = rep.advise()
	return rep
}

// Groups are the failures by cause, the largest group first, what was lost or
// cancelled after what failed.
func (r *Report) Groups() []Group { return r.groups }

// Advice is what the run teaches for the next one.
func (r *Report) Advice() []Advice { return r.advice }

// Summary is what the run's timeline amounts to.
func (r *Report) Summary() timeline.Summary { return r.sum }

// counts of tasks.
func (r *Report) total() int {
	n := 0
	for _, c := range r.run.Tasks {
		n += c
	}
	return n
}

func (r *Report) failed() int {
	n := 0
	for s, c := range r.run.Tasks {
		if s.Failure() {
			n += c
		}
	}
	return n
}

func (r *Report) lost() int {
	return r.run.Tasks[job.Lost] + r.run.Tasks[job.NodeFail] + r.run.Tasks[job.Gone]
}

// unfinished counts the tasks that muster resume runs without being asked for
// failed ones.
func (r *Report) unfinished() int {
	return r.lost() + r.run.Tasks[job.Cancelled] + r.run.Tasks[job.Pending]
}

// took is how long the run took, or has taken so far.
func (r *Report) took() time.Duration {
	if r.run.Submitted.IsZero() {
		return 0 // every output was there already
	}
	if !r.run.Ended.IsZero() {
		return max(r.run.Ended.Sub(r.run.Submitted), 0)
	}
	return r.run.Timeline.End
}
