package clustertest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"muster/internal/guest/wine/winetest"
)

// Launches here are of launchPrograms programs on launchNodes nodes, dealt in blocks.
const (
	launchNodes    = 4
	launchPrograms = 32
	launchPerNode  = launchPrograms / launchNodes
)

// launching is the command that launches alive.sh. Programs behind last wait for the gate.
func (l *lab) launching(last int, flags ...string) []string {
	l.Helper()
	args := append([]string{"launch", "--json", "--engine", l.engine, "--guest", "native", "-n", strconv.Itoa(launchPrograms),
		"--nodes", strconv.Itoa(launchNodes), "--ready", "file:ready"}, flags...)
	return append(args, "--", l.script("alive.sh"), "{index}", strconv.Itoa(last))
}

// launched is the last line of launch --json.
type launched struct {
	verdict
	Programs int `json:"programs"`
	AliveMax int `json:"alive_max"`
}

func (c *call) launched() (v launched) {
	c.Helper()
	code := c.wait()
	lines := strings.Split(strings.TrimSpace(c.read(c.stdout)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &v); err != nil {
		c.Fatalf("muster launch ended with %d and said %s: %v", code, c.said(), err)
	}
	c.Logf("muster launch: %d, %+v", code, v)
	return v
}

// asleep counts, in /proc, the programs that are ready.
func (l *lab) asleep() int {
	n := 0
	for _, p := range l.living() {
		if strings.HasPrefix(p.text, "sleep\x0086399\x00") {
			n++
		}
	}
	return n
}

// testLaunch: one array; all programs of all nodes are alive at once, and held from then on only.
func testLaunch(l *lab) {
	const last = launchPrograms - launchPerNode // the programs of one node wait
	c := l.start(l.launching(last, "--hold", "6s")...)
	c.until("the programs of all nodes but one", func() bool {
		return l.asleep() == last && len(l.executions()) > last
	})
	l.open()
	c.until("all programs alive at once", func() bool { return l.asleep() == launchPrograms })
	if v := c.launched(); c.wait() != 0 || v.State != "COMPLETED" || v.Completed != launchPrograms || v.AliveMax != launchPrograms {
		l.Errorf("a launch ended with %d as %+v: %s", c.wait(), v, c.said())
	}
	if nodes := l.onceEach(launchPrograms); len(nodes) != launchNodes {
		l.Errorf("programs were started on %v", nodes)
	}
	perNode := map[string]int{}
	for _, e := range l.executions() {
		perNode[e.node]++
	}
	for node, n := range perNode {
		if n != launchPerNode {
			l.Errorf("%d programs were started on %s, not %d", n, node, launchPerNode)
		}
	}
	if calls := l.called(l.submits); len(calls) != 1 {
		l.Errorf("%s was called %d times for one launch: %q", l.submits, len(calls), calls)
	}
}

// testLaunchLost: a node is lost while its programs come up. The others are held all the
// same, and it is said which were lost, and where.
func testLaunchLost(l *lab) {
	const last = launchPrograms - launchPerNode
	c := l.start(l.launching(last, "--hold", "2s")...)
	c.until("the programs of all nodes but one, and some of that", func() bool {
		return l.asleep() == last && len(l.executions()) > last
	})
	node := ""
	for _, e := range l.executions() {
		if n, err := strconv.Atoi(strings.TrimPrefix(e.task, "p")); err == nil && n > last {
			node = e.node
		}
	}
	l.Cleanup(func() { l.mend(l.StartNode(node)) })
	if err := l.KillNode(node); err != nil {
		l.Fatal(err)
	}
	v := c.launched()
	if code := c.wait(); code != 1 || v.State != "NODE_FAIL" || v.Completed != last || v.AliveMax != last {
		l.Errorf("the launch ended with %d as %+v: %s", code, v, c.said())
	}
	if _, report, _ := l.run("report", "last"); !strings.Contains(report, node) {
		l.Errorf("the report does not speak of %s: %s", node, report)
	}
}

// testLaunchCancel: nothing stays, in the queue or on the nodes (every case looks in the end).
func testLaunchCancel(l *lab) {
	c := l.start(l.launching(launchPrograms, "--hold", "1h")...)
	c.until("all programs alive at once", func() bool { return l.asleep() == launchPrograms })
	if code, out, errs := l.run("cancel", "last"); code != 0 {
		l.Errorf("cancel ended with %d: %q, %q", code, out, errs)
	}
	if v := c.launched(); v.State != "CANCELLED" || v.AliveMax != launchPrograms {
		l.Errorf("the launch ended with %d as %+v: %s", c.wait(), v, c.said())
	}
	l.onceEach(launchPrograms)
}

// testLaunchNoRoom: the nodes refuse, and it is said with which numbers.
func testLaunchNoRoom(l *lab) {
	l.refused(3, l.launching(launchPrograms, "--hold", "1s", "--floor", "1000T"), "programs × ", "kept free): not one fits", "[no-room]")
}

// testLaunchWine: Windows programs on two nodes, of an image that was built once.
func testLaunchWine(l *lab) {
	const n = 8
	seen := filepath.Join(l.dir, "sleeper.exe")
	l.write(seen, l.read(winetest.Build(l.T, "sleeper")["sleeper"]))
	c := l.start("launch", "--json", "--engine", l.engine, "--guest", "wine", "-n", fmt.Sprint(n), "--nodes", "2", "--hold", "6s", "--", seen, "-1")
	c.until("all programs alive at once", func() bool {
		alive := slices.DeleteFunc(l.living(), func(p process) bool { return p.comm != "sleeper.exe" })
		return len(alive) == n
	})
	if v := c.launched(); c.wait() != 0 || v.State != "COMPLETED" || v.AliveMax != n {
		l.Errorf("a launch ended with %d as %+v: %s", c.wait(), v, c.said())
	}
}
