package enginetest

import (
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// incarnation is a piece of script that makes a name of its own for each time that an
// element is started, in $I, and leaves the file began-ELEMENT-$I. Process numbers
// would not do: nodes may have the same ones.
const incarnation = `read I < /proc/sys/kernel/random/uuid
: > "$D/began-$MUSTER_ELEMENT-$I"
`

// began counts how often an element has been started.
func (l *lab) began(element int) int {
	return len(l.files("began-" + strconv.Itoa(element) + "-"))
}

// asks is a piece of script: asking to be started again.
var asks = "exit " + strconv.Itoa(job.ExitRequeue)

func testRequeue(l *lab) {
	a := l.array(2, incarnation+`
test $MUSTER_ELEMENT = 2 && { `+waitFor("go")+`; exit 0; }
test -e "$D/asked" || { : > "$D/asked"; `+asks+`; }
`+waitFor("go")+`
: > "$D/before.end"`)
	a.Requeue = true
	first := l.submit(a)
	second := l.submit(l.dependent(first))
	l.until("the second start of element 1", func() bool {
		r := l.status(first)
		l.sound(r)
		if r.State.Ended() {
			l.Fatalf("an array with an element that asked to be started again ended: %+v", r)
		}
		return l.began(1) == 2
	})
	l.gate("go")
	r := l.completed(first)
	if r.Elements[0].Restart != 1 || r.Elements[1].Restart != 0 {
		l.Errorf("the element that asked to be started again and the other are %+v", r.Elements)
	}
	if l.began(1) != 2 || l.began(2) != 1 {
		l.Errorf("the elements were started %d and %d times, want 2 and 1", l.began(1), l.began(2))
	}
	l.inOrder(second)
}

func testNoRequeue(l *lab) {
	r := l.follow(l.submit(l.array(2, incarnation+`test $MUSTER_ELEMENT = 2 || `+asks)), job.Failed)
	got := r.Elements[0]
	if got.State != job.Failed || got.Exit.Code != job.ExitRequeue || got.Exit.Cause != job.CauseExit || got.Restart != 0 {
		l.Errorf("an element that may not be started again, and asked to be, is %+v", got)
	}
	l.passes()
	if l.began(1) != 1 || l.began(2) != 1 {
		l.Errorf("the elements were started %d and %d times", l.began(1), l.began(2))
	}
}

func testCancelRequeue(l *lab) {
	a := l.array(1, `trap '`+asks+`' TERM
`+incarnation+`while :; do sleep 0.02; done`)
	a.Requeue = true
	id := l.submit(a)
	l.until("the start of the element", func() bool { return l.began(1) > 0 })
	l.control(id, job.OpCancel)
	r := l.follow(id, job.Cancelled)
	if r.Elements[0].State != job.Cancelled {
		l.Errorf("the cancelled element is %+v", r.Elements[0])
	}
	l.passes()
	if l.began(1) != 1 {
		l.Errorf("a cancelled element was started %d times", l.began(1))
	}
}

// testWarn has one element that goes on in a new allocation when it is warned, and
// one that has no leave to.
func testWarn(l *lab) {
	script := `trap 'echo "$I" >> "$D/warned-$1"; ` + asks + `' USR1
` + incarnation + `test "$1-$(wc -l < "$D/warned-$1")" = again-1 && exit 0
while :; do sleep 0.05; done`
	submit := func(word string, requeue bool) engine.ID {
		if err := l.write("warned-"+word, ""); err != nil {
			l.Fatal(err)
		}
		a := l.array(1, script, word)
		// Long enough for a shell on a busy machine to get as far as its trap.
		a.Time = max(l.config.TimeLimit, 9*time.Second)
		a.Warn = a.Time / 3
		a.Requeue = requeue
		return l.submit(a)
	}
	again, once := submit("again", true), submit("once", false)
	if e := l.follow(once, job.Failed).Elements[0]; e.Exit.Code != job.ExitRequeue {
		l.Errorf("an element that leaves when it is warned is %+v", e)
	}
	if e := l.completed(again).Elements[0]; e.Restart != 1 {
		l.Errorf("an element that was warned and asked to go on is %+v", e)
	}
	for _, word := range []string{"again", "once"} {
		if n := strings.Count(l.read("warned-"+word), "\n"); n != 1 {
			l.Errorf("the element %q was warned %d times", word, n)
		}
	}
}
