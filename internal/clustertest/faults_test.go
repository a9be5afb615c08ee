package clustertest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func names(dir string) (out []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func (l *lab) mkdir(dir string) {
	l.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		l.Fatal(err)
	}
}

// refused checks that a command ended with that code, one line that holds words, and
// nothing left behind.
func (l *lab) refused(code int, args []string, words ...string) {
	l.Helper()
	args = slices.DeleteFunc(args, func(a string) bool { return a == "--json" })
	got, out, errs := l.run(args...)
	said := strings.TrimSpace(errs)
	if got != code {
		l.Errorf("muster %s ended with %d, not %d", args[0], got, code)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			l.Errorf("%q is not in what it said", w)
		}
	}
	if n := strings.Count("\n"+said, "\nerror:"); n != 1 {
		l.Errorf("it said %d errors, not one", n)
	}
	if len(l.executions()) > 0 || len(l.outputs()) > 0 {
		l.Errorf("something was run: %v, %v", l.executions(), l.outputs())
	}
	l.Logf("%s: %d, %q\n%s", strings.Join(args, " "), got, out, said)
}

func testTripleTooLarge(l *lab) {
	l.inputs(2)
	l.refused(2, l.mapping("task.sh", "--np=[2,64,4]"), "256", "4")
	l.refused(2, l.mapping("task.sh", "--np=[999,1,1]"), "999", "8")
	if calls := l.called(l.submits); len(calls) != 0 {
		l.Errorf("%s was called: %q", l.submits, calls)
	}
}

func testPartition(l *lab) {
	l.inputs(2)
	l.refused(2, l.mapping("task.sh", "--partition", "no-such"), "no-such")
}

// testUnseen: each node has a /tmp of its own, so a run directory there is not seen.
func testUnseen(l *lab) {
	l.inputs(2)
	state, err := os.MkdirTemp("/tmp", "ct")
	if err != nil {
		l.Fatal(err)
	}
	defer os.RemoveAll(state)
	l.refused(3, l.mapping("task.sh", "--state", state), state)
}

func testControllerDown(l *lab) {
	l.inputs(2)
	down := true
	l.Cleanup(func() {
		if down {
			l.mend(l.StartController())
		}
	})
	if err := l.KillController(); err != nil {
		l.Fatal(err)
	}
	l.refused(3, l.mapping("task.sh"))
	l.mend(l.StartController())
	down = false
	// All is as before, as soon as the nodes have told that they are there.
	l.until("the nodes' return", func() bool {
		code, _, _ := l.run(l.mapping("task.sh", "--dry-run")...)
		return code == 0
	})
	l.start(l.mapping("task.sh")...).good(2)
}

func (l *lab) mend(err error) {
	l.Helper()
	if err != nil {
		l.Error(err)
	}
}

// lose loses one of the nodes that work on the run of n tasks, as by a power cut, when
// something is done there and something is not. It returns the tasks that were completed then.
func (l *lab) lose(c *call, n int) (completed []string) {
	l.Helper()
	var node string
	c.until("work on two nodes", func() bool {
		_, nodes := l.count()
		if len(nodes) > 1 {
			node = nodes[0]
		}
		return node != "" && len(l.outputs()) >= n/6
	})
	l.Cleanup(func() { l.mend(l.StartNode(node)) })
	for name := range l.outputs() {
		completed = append(completed, strings.TrimSuffix(name, ".out"))
	}
	if err := l.KillNode(node); err != nil {
		l.Fatal(err)
	}
	l.Logf("%s is lost, with %d of %d tasks completed", node, len(completed), n)
	return completed
}

// lost maps over tasks of half a second, loses a node, and checks that in the end all is done,
// and nothing that was completed twice.
func lost(l *lab, flags ...string) {
	const n = 48
	want := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("t%02d", i)
		l.write(filepath.Join(l.in, name), "sleep 1\n")
		want[name+".out"] = "SLEEP 1\nEND\n"
	}
	// Four lanes are a whole node, which nobody else is on.
	const lanes = 4
	c := l.start(l.mapping("task.sh", append([]string{"--nodes", "2", "--lanes", fmt.Sprint(lanes)}, flags...)...)...)
	completed := l.lose(c, n)
	c.good(n)
	l.checkOutputs(want)
	times, _ := l.count()
	for _, task := range completed {
		if times[task] != 1 {
			l.Errorf("task %s was completed before the node was lost, and was started %d times", task, times[task])
		}
	}
	again := 0
	for task, k := range times {
		if k > 2 {
			l.Errorf("task %s was started %d times", task, k)
		}
		again += k - 1
	}
	// The lanes of the lost node, each in the middle of one task.
	if again > lanes {
		l.Errorf("%d tasks were started twice; the lost node had %d lanes", again, lanes)
	}
}

func testLostRequeue(l *lab) { lost(l, "--requeue") }
func testLostDynamic(l *lab) { lost(l, "--distribution", "dynamic", "--requeue") }

// testLostForGood: the only node that the run may use is lost, and nothing may start again. The
// run ends, and what the scheduler would start again there leaves its queue (every case looks in
// the end).
func testLostForGood(l *lab) {
	const node = "n8"
	only := map[string]string{"slurm": "--nodelist=" + node, "gridengine": "-l hostname=" + node}[l.engine]
	for i := range 4 {
		l.write(filepath.Join(l.in, fmt.Sprintf("t%d", i)), "gated\n")
	}
	c := l.start(l.mapping("task.sh", "--nodes", "1", "--lanes", "4", "--options", only)...)
	c.until("all tasks", func() bool { return len(l.executions()) == 4 })
	l.Cleanup(func() { l.mend(l.StartNode(node)) })
	if err := l.KillNode(node); err != nil {
		l.Fatal(err)
	}
	v := c.judged()
	if code := c.wait(); code != 1 || v.State != "NODE_FAIL" || v.Completed != 0 || !strings.Contains(v.Reason, "lost the node "+node) {
		l.Errorf("a run whose node was lost ended with %d as %+v: %s", code, v, c.said())
	}
}
