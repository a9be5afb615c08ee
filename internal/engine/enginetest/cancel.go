package enginetest

import (
	"sync"

	"muster/internal/engine"
	"muster/internal/job"
)

func testCancelPending(l *lab) {
	a := l.array(2, `: > "$D/ran"`)
	a.Hold = true
	held := l.submit(a)
	gate := l.submit(l.array(1, waitFor("go")))
	b := l.array(1, `: > "$D/ran"`)
	b.After = []string{string(gate)}
	waiting := l.submit(b)

	l.control(held, job.OpCancel)
	l.control(waiting, job.OpCancel)
	r := l.follow(held, job.Cancelled)
	l.follow(waiting, job.Cancelled)
	for _, e := range r.Elements {
		if e.State != job.Cancelled || !e.Started.IsZero() {
			l.Errorf("an element that was cancelled before its start is %+v", e)
		}
	}
	l.control(held, job.OpRelease) // comes too late
	l.gate("go")
	l.completed(gate)
	l.passes()
	if l.exists("ran") {
		l.Error("a cancelled array has run")
	}
}

func testCancelRunning(l *lab) {
	id := l.submit(l.array(2, `trap 'echo bye > "$D/trapped-$MUSTER_ELEMENT"; exit 5' TERM
: > "$D/began-$MUSTER_ELEMENT"
while :; do sleep 0.02; done`))
	l.appears("began-1")
	l.appears("began-2")
	l.control(id, job.OpCancel)
	l.control(id, job.OpCancel)
	r := l.follow(id, job.Cancelled)
	for _, e := range r.Elements {
		if e.State != job.Cancelled || e.Exit.Cause != job.CauseCancelled {
			l.Errorf("a cancelled element is %+v", e)
		}
	}
	if len(l.files("trapped-")) != 2 {
		l.Errorf("the elements did not get SIGTERM and the time to answer it: %v", l.files(""))
	}
	l.control(id, job.OpCancel)
	if again := l.status(id); again.State != job.Cancelled {
		l.Errorf("cancelled again, the array is %+v", again)
	}
}

func testCancelAtOnce(l *lab) {
	var ids []engine.ID
	for range 4 {
		// Between its submission and its first steps an array has many moments to be hit in.
		id := l.submit(l.array(2, `while :; do sleep 0.05; done`))
		var work sync.WaitGroup
		for range 3 {
			work.Go(func() {
				if err := l.engine.Control(l.Context(), id, job.OpCancel); err != nil {
					l.Errorf("Control: %v", err)
				}
			})
		}
		work.Wait()
		ids = append(ids, id)
	}
	for _, id := range ids {
		for _, e := range l.follow(id, job.Cancelled).Elements {
			if e.State != job.Cancelled {
				l.Errorf("of an array that was cancelled at once, element %d is %+v", e.Index, e)
			}
		}
	}
}

func testCancelStubborn(l *lab) {
	id := l.submit(l.array(1, `trap ': > "$D/ignored"' TERM
: > "$D/began"
while :; do sleep 0.02; done`))
	l.appears("began")
	l.control(id, job.OpCancel)
	r := l.follow(id, job.Cancelled)
	if r.Elements[0].Exit.Signal != 9 {
		l.Errorf("an element that ignores SIGTERM ended as %+v", r.Elements[0])
	}
	if !l.exists("ignored") {
		l.Error("SIGTERM did not come before SIGKILL")
	}
}

func testCancelEnded(l *lab) {
	for _, end := range []struct {
		how   string
		state job.State
	}{{"exit 0", job.Completed}, {"exit 1", job.Failed}} {
		id := l.submit(l.array(1, end.how))
		before := l.follow(id, end.state)
		l.control(id, job.OpCancel)
		l.passes()
		after := l.status(id)
		l.forward(before, after)
		if after.State != end.state || after.Elements[0].Exit.Code != before.Elements[0].Exit.Code {
			l.Errorf("cancelled after its end, %+v became %+v", before, after)
		}
	}
}

// offspring is a piece of script that starts a child in the same group, one in
// a session of its own, one behind a double fork, and, where the engine ends even
// that, one that has also thrown its environment away. Each ignores SIGTERM and
// says that it is there.
func (l *lab) offspring() string {
	script := `
cat > "$D/child.sh" <<'END'
trap '' TERM
: > "$1/child-$2"
while :; do sleep 0.05; done
END
sh "$D/child.sh" "$D" group &
setsid sh "$D/child.sh" "$D" session &
(setsid sh -c 'sh "$1/child.sh" "$1" forked & exit 0' sh "$D" &)
`
	children := "group session forked"
	if l.config.Orphans == OrphansAll {
		children += " bare"
		script += `(setsid env -i PATH="$PATH" sh -c 'sh "$1/child.sh" "$1" bare & exit 0' sh "$D" &)
`
	}
	return script + `for c in ` + children + `; do while ! test -e "$D/child-$c"; do sleep 0.02; done; done
`
}

// noneLeft checks that nothing of the case's arrays, which have ended, is alive.
func (l *lab) noneLeft() {
	l.Helper()
	if l.config.Orphans == OrphansStay {
		return
	}
	if left := processes(l.dir); len(left) > 0 {
		l.Errorf("processes of an ended array are alive: %q", left)
	}
}

func testCancelDescendants(l *lab) {
	id := l.submit(l.array(1, l.offspring()+`: > "$D/began"
while :; do sleep 0.02; done`))
	l.appears("began")
	l.control(id, job.OpCancel)
	l.follow(id, job.Cancelled)
	l.noneLeft()
}

func testEndDescendants(l *lab) {
	// The second element still runs when the first has ended.
	id := l.submit(l.array(2, `test $MUSTER_ELEMENT = 1 || {
`+waitFor("go")+`
exit 0; }`+l.offspring()))
	l.until("the end of element 1", func() bool { return l.status(id).Elements[0].State.Ended() })
	for _, child := range []string{"group", "session", "forked"} {
		if left := processes(l.dir + "\x00" + child + "\x00"); len(left) > 0 {
			l.Errorf("processes of an ended element are alive: %q", left)
		}
	}
	l.gate("go")
	l.completed(id)
	l.noneLeft()
}

func testTimeLimit(l *lab) {
	a := l.array(2, `test $MUSTER_ELEMENT = 1 && exit 0
trap ': > "$D/trapped"; exit 1' TERM
while :; do sleep 0.02; done`)
	a.Time = l.config.TimeLimit
	r := l.follow(l.submit(a), job.Timeout)
	if r.Elements[0].State != job.Completed || r.Elements[1].State != job.Timeout || r.Elements[1].Exit.Cause != job.CauseTimeout {
		l.Errorf("with one element over its time the array is %+v", r)
	}
	if !l.exists("trapped") {
		l.Error("the element did not get SIGTERM first")
	}
}
