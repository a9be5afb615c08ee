package enginetest

import (
	"muster/internal/engine"
	"muster/internal/job"
)

func testStates(l *lab) {
	a := l.array(2, `: > "$D/began-$MUSTER_ELEMENT"
`+waitFor("go-$MUSTER_ELEMENT"))
	a.Hold = true
	id := l.submit(a)
	r := l.status(id)
	l.sound(r)
	if r.State != job.Pending || r.Reason == "" || r.Elements[0].State != job.Pending || !r.Elements[0].Started.IsZero() {
		l.Errorf("a held array is %+v", r)
	}
	l.control(id, job.OpRelease)
	l.appears("began-1")
	l.appears("began-2")
	running := l.follow(id, job.Running)
	l.gate("go-1")
	// One element has ended, the other has not: the array runs.
	l.until("the end of element 1", func() bool {
		now := l.status(id)
		l.sound(now)
		l.forward(running, now)
		running = now
		return now.Elements[0].State == job.Completed
	})
	if running.State != job.Running || running.Elements[1].State.Ended() {
		l.Errorf("with one of two elements ended the array is %+v", running)
	}
	l.gate("go-2")
	r = l.completed(id)
	l.forward(running, r)
	for _, e := range r.Elements {
		if e.Started.IsZero() || e.Node == "" || !e.Exit.OK() {
			l.Errorf("element %d ended as %+v", e.Index, e)
		}
	}
}

// dependent is an array that notes whether the file before.end was there when
// it started.
func (l *lab) dependent(after ...engine.ID) job.Array {
	a := l.array(1, `if test -e "$D/before.end"; then : > "$D/in-order"; else : > "$D/too-early"; fi`)
	for _, id := range after {
		a.After = append(a.After, string(id))
	}
	return a
}

// inOrder waits for the dependent array and checks its note.
func (l *lab) inOrder(id engine.ID) {
	l.Helper()
	l.completed(id)
	if l.exists("too-early") || !l.exists("in-order") {
		l.Errorf("the dependent array did not start after the end of the one before: %v", l.files(""))
	}
}

// afterEnd runs an array that ends with how, and one after it.
func afterEnd(l *lab, how string, state job.State) {
	first := l.submit(l.array(1, waitFor("go")+`
: > "$D/before.end"
`+how))
	second := l.submit(l.dependent(first))
	// A scheduler may not have looked at it yet, and then knows no reason.
	l.until("the reason why an array waits for another", func() bool {
		r := l.status(second)
		if r.State != job.Pending {
			l.Fatalf("an array that waits for another is %+v", r)
		}
		return r.Reason != ""
	})
	l.gate("go")
	l.follow(first, state)
	l.inOrder(second)
}

func testAfterCompleted(l *lab) { afterEnd(l, "exit 0", job.Completed) }
func testAfterFailed(l *lab)    { afterEnd(l, "exit 3", job.Failed) }

func testAfterCancelled(l *lab) {
	first := l.submit(l.array(1, `trap ': > "$D/before.end"; exit 1' TERM
: > "$D/began"
while :; do sleep 0.02; done`))
	second := l.submit(l.dependent(first))
	l.appears("began")
	l.control(first, job.OpCancel)
	l.follow(first, job.Cancelled)
	l.inOrder(second)
}

func testAfterNever(l *lab) {
	a := l.array(1, "exit 0")
	a.Hold = true
	first := l.submit(a)
	second := l.submit(l.array(1, `: > "$D/ran"`))
	third := l.array(1, `test -e "$D/ran" && : > "$D/last"`)
	third.After = []string{string(first), string(second)}
	last := l.submit(third)
	l.completed(second)
	l.passes()
	if l.exists("last") {
		l.Error("an array has run before the end of a held one that it waits for")
	}
	l.control(first, job.OpCancel)
	l.follow(first, job.Cancelled)
	l.completed(last)
}

func testAfterSeveral(l *lab) {
	quick := l.submit(l.array(1, "exit 0"))
	l.completed(quick)
	slow := l.submit(l.array(2, waitFor("go")+`
test $MUSTER_ELEMENT = 1 || : > "$D/before.end"`))
	// One has ended before the submission, one has not begun to end.
	second := l.submit(l.dependent(quick, slow))
	third := l.submit(l.dependent(second, quick))
	l.gate("go")
	l.completed(slow)
	l.inOrder(second)
	l.inOrder(third)
}

// passes runs an array to its end: what was free to start before it would have
// started by now.
func (l *lab) passes() {
	l.Helper()
	l.completed(l.submit(l.array(1, "exit 0")))
}

func (l *lab) stillHeld(id engine.ID) {
	l.Helper()
	if r := l.status(id); r.State != job.Pending || r.Reason == "" {
		l.Errorf("a held array is %+v", r)
	}
}

func testHold(l *lab) {
	a := l.array(1, `: > "$D/ran"`)
	a.Hold = true
	id := l.submit(a)
	l.passes()
	l.stillHeld(id)
	l.control(id, job.OpHold) // it is held already
	l.passes()
	l.stillHeld(id)
	if l.exists("ran") {
		l.Error("a held array has run")
	}
	l.control(id, job.OpRelease)
	l.completed(id)
	l.control(id, job.OpRelease) // neither of an ended one is an error
	l.control(id, job.OpHold)
	if !l.exists("ran") {
		l.Error("a released array has not run")
	}
}

func testHoldWaiting(l *lab) {
	first := l.submit(l.array(1, waitFor("go")))
	a := l.array(1, `: > "$D/ran"`)
	a.After = []string{string(first)}
	second := l.submit(a)
	l.follow(first, job.Running)
	l.control(first, job.OpHold) // what runs goes on
	l.control(second, job.OpHold)
	l.gate("go")
	l.completed(first)
	l.passes()
	l.stillHeld(second)
	if l.exists("ran") {
		l.Error("a held array has run")
	}
	l.control(second, job.OpRelease)
	l.completed(second)
}
