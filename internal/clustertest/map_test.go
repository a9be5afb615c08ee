package clustertest

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"muster/internal/guest/wine/winetest"
)

// onceEach checks that each of n tasks was started once.
func (l *lab) onceEach(n int) (nodes []string) {
	l.Helper()
	times, nodes := l.count()
	for task, k := range times {
		if k != 1 {
			l.Errorf("task %q was started %d times", task, k)
		}
	}
	if len(times) != n {
		l.Errorf("%d tasks were started, not %d", len(times), n)
	}
	return nodes
}

// testMany: hundreds of tasks are one array of a few elements, and the scheduler is not
// asked about each.
func testMany(l *lab) {
	const n = 300
	want := l.inputs(n)
	l.start(l.mapping("task.sh", "--nodes", "4")...).good(n)
	l.checkOutputs(want)
	if nodes := l.onceEach(n); len(nodes) < 2 || len(nodes) > 4 {
		l.Errorf("of 4 nodes those that did something are %v", nodes)
	}
	if calls := l.called(l.submits); len(calls) != 1 {
		l.Errorf("%s was called %d times for one map: %q", l.submits, len(calls), calls)
	}
	asked := 0
	for _, command := range l.asks {
		asked += len(l.called(command))
	}
	if asked > n/4 {
		l.Errorf("the scheduler was asked %d times about a run of %d tasks", asked, n)
	}
}

// testReducer: after the submission nothing of the submitting side is needed.
func testReducer(l *lab) {
	const n = 12
	for i := range n {
		l.write(filepath.Join(l.in, fmt.Sprintf("t%02d", i)), fmt.Sprintf("gated\n%d\n", i))
	}
	result := filepath.Join(l.dir, "result")
	c := l.start(l.mapping("task.sh", "--nodes", "2", "--reducer", l.script("reduce.sh"), "--redout", result)...)
	c.until("the submission of map and reducer", func() bool {
		return len(l.called(l.submits)) == 2
	})
	c.killSession()
	l.open()
	l.until("the reducer's result", func() bool { return slices.Contains(names(l.dir), "result") })
	l.start("wait", "last", "--json").good(n)
	var want strings.Builder
	for i := range n {
		fmt.Fprintf(&want, "GATED\n%d\nEND\n", i)
	}
	if got := l.read(result); got != want.String() {
		l.Errorf("the reducer made %q, want %q", got, want.String())
	}
	l.onceEach(n + 1) // the reducer too
}

// testWine: the environment is built once, and both nodes run programs in it.
func testWine(l *lab) {
	const n = 8
	exe := winetest.Build(l.T, "upper")["upper"]
	seen := filepath.Join(l.dir, "upper.exe")
	l.write(seen, l.read(exe))
	want := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("t%02d", i)
		l.write(filepath.Join(l.in, name), "some words of "+name+"\n")
		want[name+".out"] = strings.ToUpper("some words of " + name + "\n")
	}
	l.start("map", "--json", "--engine", l.engine, "--guest", "wine", "--nodes", "2", "--lanes", "2", "--input", l.in, "--output", l.out,
		"--stdin", "--stdout", "--", seen).good(n)
	l.checkOutputs(want)
}

// testTriple: whole nodes, each process with its own CPUs and told about them.
func testTriple(l *lab) {
	const n, nodes, perNode = 12, 2, 2
	for i := range n {
		l.write(filepath.Join(l.in, fmt.Sprintf("t%02d", i)), "")
	}
	l.start(l.mapping("where.sh", fmt.Sprintf("--np=[%d,%d,1]", nodes, perNode))...).good(n)
	type process struct{ node, cpus string }
	ranks := map[int]process{}
	for name, text := range l.outputs() {
		told := map[string]string{}
		for line := range strings.Lines(text) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
			told[k] = v
		}
		rank, err := strconv.Atoi(told["LLMR_RANK"])
		if err != nil || rank < 0 || rank >= nodes*perNode {
			l.Fatalf("%s: LLMR_RANK=%q", name, told["LLMR_RANK"])
		}
		for k, v := range map[string]string{
			"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LLMR_TASKS_PER_NODE": strconv.Itoa(perNode),
			"LLMR_NODE_ID": strconv.Itoa(rank / perNode), "LLMRID": strconv.Itoa(rank % perNode),
		} {
			if told[k] != v {
				l.Errorf("%s, rank %d: %s=%q, want %q", name, rank, k, told[k], v)
			}
		}
		if _, err := strconv.Atoi(told["CPUS"]); err != nil {
			l.Errorf("%s, rank %d: pinned to %q, want one CPU", name, rank, told["CPUS"])
		}
		is := process{told["NODE"], told["CPUS"]}
		if before, ok := ranks[rank]; ok && before != is {
			l.Errorf("rank %d is %v and %v", rank, before, is)
		}
		ranks[rank] = is
	}
	if len(ranks) != nodes*perNode {
		l.Errorf("there were processes of %d ranks, want %d: %v", len(ranks), nodes*perNode, ranks)
	}
	taken := map[process]int{}
	for rank, p := range ranks {
		if other, ok := taken[p]; ok {
			l.Errorf("ranks %d and %d share a CPU of %s: %v", other, rank, p.node, p.cpus)
		}
		taken[p] = rank
		if p.node != ranks[rank/perNode*perNode].node {
			l.Errorf("ranks %d and %d are on different nodes: %v", rank/perNode*perNode, rank, ranks)
		}
	}
	if ranks[0].node == ranks[perNode].node {
		l.Errorf("both nodes of the triple are %s", ranks[0].node)
	}
}

// hostileNames are names of inputs that a shell, a scheduler or a script could spoil.
func hostileNames() []string {
	return []string{
		"two words", " lead", "trail ", "it's", `a"b`, `a\b`, "$(touch pwned)", "`touch pwned`", "${HOME}", "a;b", "a&b", "a|b", "a>b", "*", "?",
		"[a-z]", "~", "-n", "--help", "#SBATCH --hold", "#$ -h", "%A_%a", "%j", "{in}", "größe", "日本語", "a\nb", "a\tb", "\xff\xfe", strings.Repeat("x", 200),
	}
}

// testHostile: such names in the inputs, and in the folders' own.
func testHostile(l *lab) {
	for _, dir := range []*string{&l.in, &l.out, &l.state} {
		*dir = filepath.Join(l.dir, "it's a $(touch pwned) folder %j", filepath.Base(*dir))
		l.mkdir(*dir)
	}
	l.env = append(slices.DeleteFunc(l.env, func(kv string) bool { return strings.HasPrefix(kv, "MUSTER_STATE=") }), "MUSTER_STATE="+l.state)
	want := map[string]string{}
	for i, name := range hostileNames() {
		l.write(filepath.Join(l.in, name), fmt.Sprintf("text %d\n", i))
		want[name+".out"] = fmt.Sprintf("TEXT %d\nEND\n", i)
	}
	l.start(l.mapping("task.sh", "--nodes", "2")...).good(len(want))
	l.checkOutputs(want)
	l.onceEach(len(want))
	if slices.Contains(names(l.dir), "pwned") {
		l.Error("a name was run by a shell")
	}
}

// testCancel: what is cancelled ends on the nodes, and resume does the rest, and only that.
func testCancel(l *lab) {
	const n, gated = 24, 6
	want := map[string]string{}
	for i := range n {
		// Each lane is soon busy with a gated one.
		text := fmt.Sprintf("%d\n", i)
		if i%(n/gated) == 3 {
			text = "gated\n" + text
		}
		name := fmt.Sprintf("t%02d", i)
		l.write(filepath.Join(l.in, name), text)
		want[name+".out"] = strings.ToUpper(text) + "END\n"
	}
	c := l.start(l.mapping("task.sh", "--nodes", "2", "--lanes", "2")...)
	c.until("some outputs, and then none any more", func() bool {
		times, _ := l.count()
		waiting := 0
		for task := range times {
			if strings.Contains(l.read(filepath.Join(l.in, task)), "gated") {
				waiting++
			}
		}
		return waiting >= 4 && len(l.outputs()) > 0
	})
	if code, out, errs := l.run("cancel", "last"); code != 0 {
		l.Errorf("cancel ended with %d: %q %q", code, out, errs)
	}
	if v := c.judged(); v.State != "CANCELLED" {
		l.Errorf("cancelled, the run is %+v", v)
	}
	done := l.outputs()
	before, _ := l.count()
	l.open()
	l.start("resume", "last", "--json").good(n)
	l.checkOutputs(want)
	after, _ := l.count()
	for name := range done {
		if task := strings.TrimSuffix(name, ".out"); after[task] != before[task] {
			l.Errorf("the completed task %s was run again", task)
		}
	}
	for task := range maps.Keys(after) {
		if after[task] > before[task]+1 {
			l.Errorf("resume ran task %s %d times", task, after[task]-before[task])
		}
	}
}
