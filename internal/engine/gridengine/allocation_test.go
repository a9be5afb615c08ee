package gridengine

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/engine/enginetest"
	"muster/internal/engine/local"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

// insideVariable holds, for the part of the tests that runs inside a parallel job, the
// program that it is.
const insideVariable = "MUSTER_TEST_INSIDE"

// TestConformanceInAllocation runs the suite inside a parallel job with three nodes: this
// test submits the job, whose script is this program again.
func TestConformanceInAllocation(t *testing.T) {
	cluster := enginetest.FindCluster(t, "MUSTER_TEST_GRIDENGINE")
	if program := os.Getenv(insideVariable); program != "" {
		inAllocation(t, cluster, program)
		return
	}
	table := proctest.Table(t)
	dir := cluster.Shared(t)
	program := cluster.Install(t, "")
	log := filepath.Join(dir, "log")
	script := filepath.Join(dir, "script")
	text := "exec " + job.QuoteWords([]string{program, "-test.run=^TestConformanceInAllocation$", "-test.v"}) + "\n"
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := New(testOptions(dir, program, table))
	if err != nil {
		t.Fatal(err)
	}
	path, err := e.find("qsub")
	if err != nil {
		t.Fatal(err)
	}
	out, err := table.Run(t.Context(), proc.Cmd{
		Path: path, Dir: dir,
		Args: []string{"qsub", "-clear", "-sync", "y", "-terse", "-S", "/bin/sh", "-N", "allocation", "-pe", "mpi", "6", "-l", "h_rt=600",
			"-wd", dir, "-j", "y", "-o", log, "-v", "PATH,MUSTER_TEST_GRIDENGINE," + insideVariable + "=" + program, script},
		Env: os.Environ(),
	})
	said, _ := os.ReadFile(log) // what is not there says nothing
	if err != nil || !out.Exit.OK() || !strings.Contains(string(said), "--- PASS: TestConformanceInAllocation") {
		t.Errorf("inside the job: %v, %+v %s%s\n%s", err, out.Exit, out.Stdout, out.Stderr, said)
	}
	for line := range strings.Lines(string(said)) {
		if strings.Contains(line, "---") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func inAllocation(t *testing.T, cluster enginetest.Cluster, program string) {
	table := proctest.Table(t)
	root := cluster.Shared(t)
	if !InAllocation(os.Environ()) {
		t.Error("a parallel job is taken for none")
	}
	open := func(t *testing.T) engine.Engine {
		inner, err := local.New(local.Options{
			Root: root, Table: table, Command: []string{program, "local-array"}, KillWait: 3 * time.Second, MaxArray: 5,
		})
		if err != nil {
			t.Fatal(err)
		}
		a, err := NewAllocation(inner, Options{Table: table, Environ: os.Environ(), Command: []string{program, "gridengine-node"}})
		if err != nil {
			t.Fatal(err)
		}
		return noSurvivor{a}
	}
	t.Run("nodes", func(t *testing.T) { elementsAreOnTheirNodes(t, open(t).(noSurvivor), cluster.Shared(t)) })
	enginetest.Run(t, enginetest.Config{
		Open:    open,
		Shared:  cluster.Shared,
		Wait:    2 * time.Minute,
		AtOnce:  2,
		Adds:    func(name string) bool { return FromGridEngine(name) || strings.HasPrefix(name, "SLURM_") },
		Orphans: enginetest.OrphansStay,
	})
}

// noSurvivor leaves out the cases with submitters of their own, which are the inner engine's,
// and Show, which has no script.
type noSurvivor struct{ a *Allocation }

func (n noSurvivor) Info(ctx context.Context, want job.Resource) (engine.Info, error) {
	info, err := n.a.Info(ctx, want)
	info.Survives = false
	return info, err
}
func (n noSurvivor) Submit(ctx context.Context, a job.Array) (engine.ID, error) {
	return n.a.Submit(ctx, a)
}
func (n noSurvivor) Find(ctx context.Context, tag string) ([]engine.ID, error) {
	return n.a.Find(ctx, tag)
}
func (n noSurvivor) Status(ctx context.Context, ids ...engine.ID) ([]engine.Report, error) {
	return n.a.Status(ctx, ids...)
}
func (n noSurvivor) Control(ctx context.Context, id engine.ID, op job.Op) error {
	return n.a.Control(ctx, id, op)
}

func elementsAreOnTheirNodes(t *testing.T, e noSurvivor, dir string) {
	nodes := len(e.a.places)
	if nodes < 2 {
		t.Fatalf("the job has the nodes %v", e.a.places)
	}
	id, err := e.Submit(t.Context(), job.Array{
		Tag: "nodes", Elements: nodes + 1, Argv: []string{"/bin/sh", "-c", `hostname > "node-$MUSTER_ELEMENT"`},
		Dir: dir, LogDir: dir, Env: []string{"PATH=/usr/bin:/bin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Wait(t.Context(), e, 50*time.Millisecond, id); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for i := range nodes + 1 {
		b, err := os.ReadFile(filepath.Join(dir, "node-"+strconv.Itoa(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimSpace(string(b)))
		want = append(want, e.a.places[i%nodes].node)
	}
	if !slices.Equal(got, want) || want[0] != os.Getenv("HOSTNAME") {
		t.Errorf("elements ran on %q, want %q, the first on %s", got, want, os.Getenv("HOSTNAME"))
	}
}

func TestInAllocation(t *testing.T) {
	qrsh := []string{"SGE_ROOT=/r", "JOB_ID=12", "PE_HOSTFILE=/f"}
	for _, c := range []struct {
		environ []string
		want    bool
	}{
		{qrsh, true},
		{nil, false},
		{qrsh[:2], false},
		{append(slices.Clone(qrsh), "MUSTER_ARRAY=ge-abc_1"), false},
		{append(slices.Clone(qrsh), "MUSTER_ARRAY=local-7_1"), false},
	} {
		if got := InAllocation(c.environ); got != c.want {
			t.Errorf("InAllocation(%q) = %v", c.environ, got)
		}
	}
}

func TestParsePlaces(t *testing.T) {
	text := "n2 1 all.q@n2 UNDEFINED\nn3.site 2 all.q@n3 UNDEFINED\nn1 1 all.q@n1 UNDEFINED\nn2 3 fast.q@n2 UNDEFINED\n\n"
	want := []place{{"n3.site", 2}, {"n2", 4}, {"n1", 1}}
	if got := parsePlaces(text, "n3"); !slices.Equal(got, want) {
		t.Errorf("places are %v, want %v", got, want)
	}
}
