package clustertest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// testStaging: nodes bring the program to their own disks; two of them read the
// central storage, the third fetches from one of these. The next run finds it there.
func testStaging(l *lab) {
	l.env = append(l.env, "MUSTER_SCRATCH=/tmp") // each node has one of its own
	app := filepath.Join(l.dir, "app")
	if err := os.Mkdir(app, 0o755); err != nil {
		l.Fatal(err)
	}
	program := filepath.Join(app, "task.sh")
	l.write(filepath.Join(app, "data"), strings.Repeat("some of it\n", 100_000))
	if err := os.Rename(l.script("task.sh"), program); err != nil {
		l.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		l.write(filepath.Join(l.in, name), "gated\n")
	}
	mapping := []string{"map", "--json", "--engine", l.engine, "--guest", "native", "--input", l.in, "--output", l.out,
		"--mapper", program, "--np=[3,1,1]", "--stage", "tree", "--existing", "replace"}
	c := l.start(mapping...)
	c.until("a task on each of three nodes", func() bool {
		_, nodes := l.count()
		return len(nodes) == 3
	})
	copied, fetched := l.staged()
	if copied != 2 || fetched != 1 {
		l.Errorf("%d nodes read the central storage and %d another node; want 2 and 1", copied, fetched)
	}
	l.open()
	c.good(3)
	l.start(mapping...).good(3)
	// It may be on other nodes than the first.
	for node, times := range l.brought() {
		if times > 1 {
			l.Errorf("%s has brought the program to its disk %d times", node, times)
		}
	}
}

// brought counts how often each node has brought the program to its disk.
func (l *lab) brought() map[string]int {
	l.Helper()
	journals, err := filepath.Glob(filepath.Join(l.state, "runs", "*", "journal", "*"))
	if err != nil {
		l.Fatal(err)
	}
	times := map[string]int{}
	for _, j := range journals {
		for _, head := range regexp.MustCompile(`(?m)^.* host=(\S+) .* how="[^"]*program (?:copied|from )`).FindAllStringSubmatch(l.read(j), -1) {
			times[head[1]]++
		}
	}
	return times
}

// staged counts the agents that have brought the program from the central storage, and
// from another node.
func (l *lab) staged() (copied, fetched int) {
	l.Helper()
	journals, err := filepath.Glob(filepath.Join(l.state, "runs", "*", "journal", "*"))
	if err != nil {
		l.Fatal(err)
	}
	for _, j := range journals {
		text := l.read(j)
		copied += len(regexp.MustCompile(`how="[^"]*program copied`).FindAllString(text, -1))
		fetched += len(regexp.MustCompile(`how="[^"]*program from `).FindAllString(text, -1))
	}
	return copied, fetched
}
