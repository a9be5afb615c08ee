package agent

import (
	"context"
	"errors"

	"muster/internal/admit"
)

// noRoom begins the last words of an agent whose launch does not fit on its node; the
// conductor knows it.
const noRoom = "no room: "

// admit opens the gate that starts have to pass, and before that the instances that all
// programs share: what they take is not the programs'. It reports false when not all can fit,
// which is known before anything is started, or when nothing can be found out.
func (l *launching) admit(ctx context.Context) bool {
	a := l.a
	gate, err := a.admission(a.queue.count())
	if err != nil {
		a.queue.stop(refusal(err))
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
	words := noRoom + firstLine(err)
	if hint := r.Hint(); hint != "" {
		words += "; " + hint
	}
	return words
}

// pass waits until there is room for one more program. It reports false when none is
// to be started any more.
func (l *launching) pass(ctx context.Context) bool {
	err := l.gate.Wait(ctx)
	if err != nil && ctx.Err() == nil {
		l.a.queue.stop(refusal(err))
		l.finish(errNoRoom)
	}
	return err == nil
}
