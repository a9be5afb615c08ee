package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

const (
	beat  = 5 * time.Second  // a supervisor's heartbeat
	stale = 60 * time.Second // a heartbeat this old, seen from another host, is a dead supervisor's
)

// report says how an array stands, by its folder and by whether its supervisor
// is alive.
func report(base string, id engine.ID) (engine.Report, error) {
	gone := engine.Report{ID: id, State: job.Gone}
	n := numberOf(id)
	if n == 0 {
		return gone, nil
	}
	dir := dirOf(base, n)
	h, err := readHead(dir)
	if err != nil || h == nil {
		return gone, err
	}
	me, err := here()
	if err != nil {
		return gone, err
	}
	near := me.near(h.Supervisor)
	// Before the events are read: only those of a supervisor that was dead already
	// are surely complete.
	alive := near && h.Supervisor.alive()
	h, events, err := load(dir)
	if err != nil || h == nil {
		return gone, err
	}
	r := fold(id, h, events)
	if r.State.Ended() {
		return r, nil
	}
	if !near {
		if alive, err = beating(base, dir); err != nil {
			return gone, err
		}
		r.Reason = joinReason("it runs on host "+h.Supervisor.Host, r.Reason)
	}
	switch {
	case alive:
	case near && living(events):
		// It has not ended as long as anything of it is at work.
		r.Reason = "its supervisor was killed, and what it had started is ending"
	default:
		fail(&r, events)
	}
	return r, nil
}

func joinReason(a, b string) string {
	if b == "" {
		return a
	}
	return a + "; " + b
}

// fold makes the report out of what has happened.
func fold(id engine.ID, h *head, events []event) engine.Report {
	r := engine.Report{ID: id, Elements: make([]engine.Element, h.Elements)}
	for i := range r.Elements {
		r.Elements[i] = engine.Element{Index: i + 1, State: job.Pending}
	}
	for _, e := range events {
		if e.Element == 0 {
			r.Reason = e.Reason
			continue
		}
		el := &r.Elements[e.Element-1]
		el.State = e.State
		switch {
		case e.State == job.Running:
			if !el.Started.IsZero() {
				el.Restart++
			}
			el.Started, el.Node = e.At, h.Supervisor.Host
		case e.State.Ended():
			el.Ended, el.Exit = e.At, e.Exit
		}
	}
	r.State = engine.Overall(r.Elements)
	if r.State != job.Pending {
		r.Reason = ""
	}
	return r
}

// living reports whether an element that a dead supervisor has left is alive.
func living(events []event) bool {
	for _, p := range orphans(events) {
		if p.alive() {
			return true
		}
	}
	return false
}

// fail gives the elements whose supervisor is dead their end: those that ran
// were told to end when it died, the others will never start.
func fail(r *engine.Report, events []event) {
	last := time.Time{}
	for _, e := range events {
		last = e.At
	}
	for i := range r.Elements {
		el := &r.Elements[i]
		if el.State.Ended() {
			continue
		}
		detail := "the supervisor of its array was killed while it ran"
		if el.State == job.Pending {
			detail = "the supervisor of its array was killed before it was started"
		}
		el.State = job.NodeFail
		el.Exit = job.Exit{Cause: job.CauseAgentLost, Detail: detail}
		el.Ended = last // nobody saw it; not before this
	}
	r.State = engine.Overall(r.Elements)
	r.Reason = "its supervisor was killed"
}

// beating reports whether the heartbeat of the array in dir has moved lately.
// The file server stamps both files that are compared, so the hosts' clocks do not matter.
func beating(base, dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, heartbeatFile)) // opening makes NFS ask the server
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the array's heartbeat: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("looking for the array's heartbeat: %w", err)
	}
	now, err := serverTime(base)
	if err != nil {
		return false, err
	}
	return now.Sub(st.ModTime()) < stale, nil
}

// serverTime is what the clock of the file server that holds base says.
func serverTime(base string) (time.Time, error) {
	f, err := os.CreateTemp(base, oldPrefix+"clock-")
	if err != nil {
		return time.Time{}, fmt.Errorf("asking for the file server's time: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return time.Time{}, fmt.Errorf("asking for the file server's time: %w", err)
	}
	return st.ModTime(), nil
}
