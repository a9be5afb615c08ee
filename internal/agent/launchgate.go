package agent

import (
	"context"
	"errors"
	"time"

	"muster/internal/admit"
	"muster/internal/job"
	"muster/internal/rundir"
)

// admit opens the gate that starts have to pass, and before that the instances that all
// programs share: what they take is not the programs'. It reports false when not all can fit,
// which is known before anything is started, or when nothing can be found out.
func (l *launching) admit(ctx context.Context) bool {
	a := l.a
	gate, err := a.admission(a.queue.count())
	if err != nil {
		l.refuse(err)
		return false
	}
	l.free = freeMemory()
	for _, sl := range a.shelf.shared {
		if _, err := a.shelf.get(ctx, sl); err != nil {
			break // whoever needs it first tells
		}
	}
	gate.Begin()
	l.gate = gate
	return true
}

// refusal says why a launch does not begin, or go on, for want of room.
func refusal(err error) string {
	var r *admit.Refusal
	if !errors.As(err, &r) {
		return "finding out what there is room for: " + firstLine(err)
	}
	return rundir.NoRoom + firstLine(err) + "\n" + r.Hint()
}

// refuse ends the launch for want of room, here and on all other nodes: its programs are to be
// alive together or not at all.
func (l *launching) refuse(err error) {
	a := l.a
	a.queue.stop(refusal(err))
	l.mu.Lock()
	first := !l.refused // every starter comes here
	l.refused = true
	l.mu.Unlock()
	if !first || a.own.Elements == 1 {
		return
	}
	if _, err := a.run.Ask(rundir.Request{Op: job.OpCancel, At: time.Now(), By: nodeName(a.Environ, a.machine), Why: firstLine(err)}); err != nil {
		a.note("telling the other nodes that there is no room here: %v", err)
	}
}

// pass waits until there is room for one more program. It reports false when none is
// to be started any more.
func (l *launching) pass(ctx context.Context) bool {
	err := l.gate.Wait(ctx)
	if err != nil && ctx.Err() == nil {
		l.refuse(err)
		l.finish(errNoRoom)
	}
	return err == nil
}
