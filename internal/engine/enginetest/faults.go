package enginetest

import (
	"context"
	"os"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// Faults breaks what an engine depends on, and mends it. Nodes are named as in
// engine.Element. Each method returns when it has happened.
type Faults interface {
	KillNode(name string) error   // as a power cut: the node's daemon and all that runs there
	KillDaemon(name string) error // the node's daemon only: its elements run on
	StartNode(name string) error  // the daemon again, after either

	StopController() error     // it does not answer, as on a host that hangs
	ContinueController() error // after that
	KillController() error     // SIGKILL
	StartController() error    // after that
}

// broken mends, at the end of the case, what it has broken, and waits until the
// engine works again.
type broken struct {
	Faults
	l    *lab
	mend []repair // in order
}

type repair struct {
	what string
	how  func() error
}

func (l *lab) faults() *broken {
	b := &broken{Faults: l.config.Faults, l: l}
	l.Cleanup(b.mendAll)
	return b
}

// lose breaks one node with how.
func (b *broken) lose(how func(string) error, node string) {
	b.l.Helper()
	b.mend = append(b.mend, repair{"starting node " + node + " again", func() error { return b.StartNode(node) }})
	b.do("losing node "+node, func() error { return how(node) })
}

// silence stops the controller, until it is continued.
func (b *broken) silence() {
	b.l.Helper()
	b.mend = append(b.mend, repair{"continuing the controller", b.ContinueController})
	b.do("stopping the controller", b.StopController)
}

// down kills the controller, until it is started.
func (b *broken) down() {
	b.l.Helper()
	b.mend = append(b.mend, repair{"starting the controller again", b.StartController})
	b.do("killing the controller", b.KillController)
}

// back undoes the last fault before the end of the case.
func (b *broken) back() {
	b.l.Helper()
	last := b.mend[len(b.mend)-1]
	b.mend = b.mend[:len(b.mend)-1]
	b.do(last.what, last.how)
}

func (b *broken) do(what string, how func() error) {
	b.l.Helper()
	if err := how(); err != nil {
		b.l.Fatalf("%s: %v", what, err)
	}
}

func (b *broken) mendAll() {
	for _, r := range b.mend {
		if err := r.how(); err != nil {
			b.l.Errorf("%s: %v", r.what, err)
		}
	}
	// The next case must not meet the end of this one.
	ctx, cancel := context.WithTimeout(context.Background(), b.l.config.Wait)
	defer cancel()
	for {
		_, err := b.l.engine.Find(ctx, "no such tag")
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			b.l.Errorf("the engine does not work again: %v", err)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// whole makes an array of one element that has a node for itself, so that losing the
// node loses nothing of other cases.
func (l *lab) whole(script string) job.Array {
	l.Helper()
	a := l.array(1, incarnation+script)
	a.CPUs = l.info.CPUs
	return a
}

// nodeOf waits until the array's only element runs, and tells where.
func (l *lab) nodeOf(id engine.ID) string {
	l.Helper()
	l.until("the start of array "+string(id), func() bool { return l.began(1) > 0 })
	return l.follow(id, job.Running).Elements[0].Node
}

// startedAgain waits for the report that the array's only element has been.
func (l *lab) startedAgain(id engine.ID) (e engine.Element) {
	l.Helper()
	l.until("the report of the new start", func() bool {
		r := l.status(id)
		l.sound(r)
		e = r.Elements[0]
		return e.Restart > 0 && e.State == job.Running
	})
	return e
}

// within waits for a condition that must hold d after since at the latest.
func (l *lab) within(d time.Duration, since time.Time, what string, cond func() bool) {
	l.Helper()
	for !cond() {
		if time.Since(since) > d {
			l.Fatalf("%s: not within %v", what, d)
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.Logf("%s: after %v", what, time.Since(since).Round(time.Second/10))
}

func testLostNode(l *lab) {
	faults := l.faults()
	id := l.submit(l.whole(waitFor("go")))
	node := l.nodeOf(id)
	elsewhere := l.submit(l.array(1, waitFor("go")))
	next := l.array(1, `: > "$D/next"`)
	next.After = []string{string(id)}
	after := l.submit(next)
	l.follow(elsewhere, job.Running)

	lost := time.Now()
	faults.lose(faults.KillNode, node)
	var r engine.Report
	l.within(l.config.Lost, lost, "the report of the lost node", func() bool {
		r = l.status(id)
		l.sound(r)
		return r.State.Ended()
	})
	if e := r.Elements[0]; (e.State != job.NodeFail && e.State != job.Lost) || e.Exit.Cause != job.CauseAgentLost {
		l.Errorf("the element of the lost node is %+v", e)
	}
	// The others neither fail nor wait.
	l.completed(after)
	if r := l.status(elsewhere); r.State != job.Running {
		l.Errorf("an element on another node is %+v", r)
	}
	l.gate("go")
	l.completed(elsewhere)
	l.passes()
	if n := l.began(1); n != 1 {
		l.Errorf("an element that may not be started again was started %d times", n)
	}
}

func testLostNodeRequeue(l *lab) {
	faults := l.faults()
	a := l.whole(waitFor("go") + `
: > "$D/before.end"`)
	a.Requeue = true
	id := l.submit(a)
	after := l.submit(l.dependent(id))
	node := l.nodeOf(id)

	lost := time.Now()
	faults.lose(faults.KillNode, node)
	l.within(l.config.Lost, lost, "the lost element's new start", func() bool { return l.began(1) > 1 })
	if e := l.startedAgain(id); e.Node == node {
		l.Errorf("the element that runs again is %+v; it was lost on %s", e, node)
	}
	l.gate("go")
	if e := l.completed(id).Elements[0]; e.Restart < 1 {
		l.Errorf("the element that was run again is %+v", e)
	}
	l.inOrder(after)
	if n := l.began(1); n != 2 {
		l.Errorf("the element was started %d times", n)
	}
}

// testTwin loses a node's daemon while the element there lives on. Both it and the
// one that takes its place then run, which is what run directories are made for.
func testTwin(l *lab) {
	faults := l.faults()
	a := l.whole(`echo $MUSTER_ELEMENT > "$D/element-$I"
while ! test -e "$D/go"; do echo >> "$D/beat-$I"; sleep 0.1; done
: > "$D/done-$I"`)
	a.Requeue = true
	id := l.submit(a)
	node := l.nodeOf(id)

	lost := time.Now()
	faults.lose(faults.KillDaemon, node)
	l.within(l.config.Lost, lost, "the twin's start", func() bool { return l.began(1) > 1 })
	beats := l.files("beat-")
	size := func(name string) int64 {
		st, err := os.Stat(l.path(name))
		if err != nil {
			l.Fatal(err)
		}
		return st.Size()
	}
	l.until("the twin's beat", func() bool { beats = l.files("beat-"); return len(beats) > 1 })
	for _, name := range beats {
		before := size(name)
		l.until("further beats of "+name, func() bool { return size(name) > before+3 })
	}
	if e := l.startedAgain(id); e.Node == node {
		l.Errorf("the element that runs again is %+v; its twin is on %s", e, node)
	}
	for _, name := range l.files("element-") {
		if got := l.read(name); got != "1\n" {
			l.Errorf("one of the twins takes itself for element %q", got)
		}
	}
	l.gate("go")
	l.completed(id)
	l.until("the end of both", func() bool { return len(l.files("done-")) == 2 })
	if n := l.began(1); n != 2 {
		l.Errorf("the element was started %d times", n)
	}
}

// ranOnce checks that n elements of the arrays with that script were started, each once.
func (l *lab) ranOnce(n int) {
	l.Helper()
	for i := 1; i <= n; i++ {
		if got := l.began(i); got != 1 {
			l.Errorf("element %d was started %d times", i, got)
		}
	}
	if got := len(l.files("began-")); got != n {
		l.Errorf("%d starts of %d elements", got, n)
	}
}
