package agent

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"muster/internal/job"
)

func removed(name string) error { return os.Remove(name) }

// The scheduler lost sight of the node and started the element again, while the old
// agent is at work. That one leaves, and nothing is done twice of what it has done.
func TestTwins(t *testing.T) {
	t.Parallel() // most of it is waiting
	l := newLab(t, 8, `echo ${1##*/} >> ROOT/log
case ${1##*/} in
[12]) cp $1 $2;;
*) : > ROOT/waits; until [ -e ROOT/go ]; do sleep 0.01; done; cp $1 $2;;
esac`, nil)
	l.others = true
	g := l.begin()
	elder := l.start(g)
	l.until("waits")
	younger := l.start(g)
	if code := elder.wait(); code != exitStopped {
		t.Errorf("the elder's exit code is %d", code)
	}
	host, err := os.Hostname()
	check(t, err)
	snap := l.load()
	same(t, "the elder's words", wordsOf(snap, 1), "superseded by incarnation 2 on "+host)
	write(t, l.dir+"/go", "")
	if code := younger.wait(); code != exitDone {
		t.Errorf("the younger's exit code is %d", code)
	}
	snap = l.load()
	if snap.Counts[job.Completed] != 8 {
		t.Errorf("%s", states(snap))
	}
	for i := 1; i <= 2; i++ {
		if n := l.executions()[strconv.Itoa(i)]; n != 1 {
			t.Errorf("task %d had completed, and was run %d times", i, n)
		}
	}
	// Two at once were given up, and are told so; nothing of the elder is left.
	lost := 0
	for _, a := range snap.Attempts {
		if a.State == job.Lost && a.Cause == job.CauseSuperseded {
			lost++
		}
	}
	if lost != 2 {
		t.Errorf("%d attempts were left to the younger one, want 2: %+v", lost, snap.Attempts)
	}
	if left := l.outputs(); strings.Contains(left, ".muster") {
		t.Errorf("the output folder holds %s", left)
	}
}

// An element whose agent was killed with everything, as by a power cut, is not waited for.
func TestElderKilled(t *testing.T) {
	l := newLab(t, 4, `echo ${1##*/} >> ROOT/log; [ ${1##*/} = 1 ] || [ -e ROOT/go ] || { : > ROOT/waits; while :; do sleep 0.01; done; }; cp $1 $2`, nil)
	l.lanes, l.others = 1, true
	g := l.begin()
	elder := l.start(g)
	l.until("waits")
	check(t, elder.cmd.Process.Kill())
	elder.wait()
	write(t, l.dir+"/go", "")
	if code := l.start(g).wait(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	snap := l.load()
	same(t, "states", states(snap), "COMPLETED COMPLETED/2 COMPLETED COMPLETED")
	if n := l.executions()["1"]; n != 1 {
		t.Errorf("task 1 had completed, and was run %d times", n)
	}
}
