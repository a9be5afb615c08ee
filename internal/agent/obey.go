package agent

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"time"

	"muster/internal/job"
	"muster/internal/rundir"
)

// cancelledBy begins the last words of an agent whose run was cancelled.
const cancelledBy = "cancelled by "

// requestsEvery is how often the control folder is looked at.
const requestsEvery = 500 * time.Millisecond

// obey carries out what is asked through the run directory, until ctx ends. It is
// also who keeps what is suspended from moving.
func (a *agent) obey(ctx context.Context) {
	tick := time.NewTicker(requestsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			a.release()
			return
		case <-tick.C:
		}
		a.hear()
		a.pause.running()
		a.still()
	}
}

// hear carries out what has been asked since it was called last. Requests from
// before the submission have been seen to by others: they are told by their numbers, since
// the clocks of nodes differ.
func (a *agent) hear() {
	list, err := a.requests.Poll()
	if err != nil {
		a.Log.Warn("looking for requests", "err", err)
	}
	a.missed(isGone(err))
	for _, r := range list {
		switch {
		case r.Op == job.OpCancel:
			a.cancel(r)
		case r.Op == job.OpSuspend && r.Tasks == nil:
			a.suspend(r.By)
		case r.Op == job.OpContinue && r.Tasks == nil:
			a.goOn(r.By)
		default:
			a.note("a request for %q is not known to this muster", r.Op)
		}
	}
}

// folderGone is why an agent leaves that does not see the run's folder any more.
const folderGone = "the run's folder has gone"

// goneLimit is for how long the run's folder may be out of sight.
const goneLimit = 10 * time.Second

// missed takes in whether the run's folder is out of sight. When it stays so, nothing
// can be told to anybody: everything ends, as if the run had been cancelled.
func (a *agent) missed(gone bool) {
	switch {
	case !gone:
		a.gone = time.Time{}
	case a.gone.IsZero():
		a.gone = time.Now()
	case time.Since(a.gone) > goneLimit:
		a.Log.Error(folderGone, "folder", a.run.Dir)
		a.queue.cancel(folderGone, errFolderGone)
		a.endCalls(errFolderGone)
	}
}

// isGone reports whether an error says that a folder is not there (any more).
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESTALE)
}

// cancel ends the tasks that r names, running or not. What is given out and not
// running yet is cancelled as soon as it is (enter).
func (a *agent) cancel(r rundir.Request) {
	if r.Tasks == nil {
		a.queue.cancel(cancelledBy+r.By, errRunCancelled)
		a.endCalls(errRunCancelled)
		return
	}
	for t := range r.Tasks.All() {
		waiting := a.queue.drop(t)
		if a.launching != nil {
			a.launching.drop(t, waiting)
		}
		if waiting {
			a.tellCancelled(t)
			continue
		}
		a.mu.Lock()
		if cancel := a.running[t]; cancel != nil {
			cancel(errTaskCancelled)
		}
		a.mu.Unlock()
	}
}

// endCalls ends the calls that are running, because of cause. What stands still is
// let go on, for programs to hear of it.
func (a *agent) endCalls(cause error) {
	a.mu.Lock()
	for _, cancel := range a.running {
		cancel(cause)
	}
	a.mu.Unlock()
	if a.launching != nil {
		a.launching.finish(cause)
	}
	a.release()
}

// tellCancelled journals that a task was cancelled while no attempt at it was
// being made.
func (a *agent) tellCancelled(task int) {
	err := a.journal.Append(rundir.Record{Kind: rundir.KindEnd, At: a.journal.Now(), End: &rundir.TaskEnd{
		Task: task, State: job.Cancelled, Final: true,
		Exit: job.Exit{Cause: job.CauseCancelled, Detail: "cancelled before it was started"},
	}})
	if err != nil {
		a.Log.Error("recording a cancelled task", "err", err)
	}
}
