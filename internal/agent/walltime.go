package agent

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"muster/internal/job"
)

// outOfTime is why an agent leaves whose allocation ends; the conductor knows it.
const outOfTime = "out of time"

// walltime is what an agent knows of the end of its allocation:
//
//	(not known, or so far away that every task fits)
//	    │ warned                        the scheduler's SIGUSR1
//	    ▼
//	nothing is started but what can end in time (--time-request)
//	    │ end − margin
//	    ▼
//	what still runs is ended, and given back
type walltime struct {
	ahead  time.Duration // how long before the end the warning comes
	margin time.Duration // what ending programs and closing everything takes
	task   time.Duration // what a task is said to take; 0: nothing is said

	mu     sync.Mutex
	end    time.Time // zero: not known
	warned bool
}

// latest is how much too early Slurm may warn (sbatch(1), --signal: 60 s), with some allowance.
const latest = 90 * time.Second

// longestMargin is the margin where there is time enough.
const longestMargin = 2 * grace

// newWalltime reads what the scheduler says of the end in an element's
// environment: Slurm from 23.02 on gives the time. began is when the element began, by
// this node's clock.
func newWalltime(spec job.Spec, environ []string, began time.Time) *walltime {
	w := &walltime{ahead: spec.Warn, task: spec.TaskTime}
	if w.ahead == 0 {
		w.ahead = job.WarnAhead(spec.Time)
	}
	w.margin = min(longestMargin, w.ahead/2)
	if spec.Time > 0 {
		w.end = began.Add(spec.Time)
	}
	if s, err := strconv.ParseInt(value(environ, "SLURM_JOB_END_TIME"), 10, 64); err == nil {
		w.end = time.Unix(s, 0)
	}
	return w
}

// value is that of a variable in an environment; "": it is not there.
func value(environ []string, name string) string {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// warn takes the warning in, and tells when to leave at the latest. What was known
// of the end is believed only where it agrees: clocks differ, and times get extended.
func (w *walltime) warn(now time.Time) (leave time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	soonest := now.Add(w.ahead)
	if agrees := !w.end.Before(soonest) && w.end.Before(soonest.Add(latest)); !w.warned && !agrees {
		w.end = soonest
	}
	w.warned = true
	return w.end.Add(-w.margin)
}

// fits reports whether a call of so many tasks that is started now ends in time, as
// far as anything is known of that.
func (w *walltime) fits(now time.Time, tasks int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.task == 0:
		return !w.warned
	case w.end.IsZero():
		return true
	}
	return !now.Add(time.Duration(tasks) * w.task).After(w.end.Add(-w.margin))
}

// watchTime waits for the scheduler's warning, and then for the last moment.
func (a *agent) watchTime(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-a.Warned:
	}
	leave := a.time.warn(time.Now())
	a.note("the scheduler has warned that the time is nearly over: what runs has %s to end by itself", time.Until(leave).Round(time.Second))
	if a.time.task == 0 {
		a.queue.stop(outOfTime)
	}
	last := time.NewTimer(time.Until(leave))
	defer last.Stop()
	select {
	case <-ctx.Done():
	case <-last.C:
		a.queue.cancel(outOfTime, errGivenBack)
		a.endCalls(errGivenBack)
	}
}
