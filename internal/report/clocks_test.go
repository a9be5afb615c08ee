package report_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"muster/internal/clock"
	"muster/internal/goldentest"
	"muster/internal/job"
	"muster/internal/report"
	"muster/internal/rundir"
)

// skewed is a node with a clock of its own. What happens there is told in true
// time, and journalled as its clock shows it.
type skewed struct {
	host    string
	ahead   time.Duration
	drift   float64         // it gains so much
	same    bool            // it is the submitting host
	reading []clock.Reading // by its own clock, against the reference
}

// cluster is a run directory that several nodes write.
type cluster struct {
	t   *testing.T
	run *rundir.Run
	sub rundir.Submission
}

const headBoot = "boot of head"

// newCluster makes a run whose submitting host's clock is 3 s behind the file
// server's, give or take 2 ms.
func newCluster(t *testing.T, tasks, elements int, timing string) *cluster {
	t.Helper()
	store, err := rundir.OpenStore(t.TempDir(), rundir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	spec := wineSpec()
	spec.Version, spec.Name, spec.Tasks, spec.Engine, spec.Timing = job.SpecVersion, "heat.exe", tasks, "slurm", timing
	var list []job.Task
	for i := 1; i <= tasks; i++ {
		list = append(list, job.Task{Index: i, In: []job.Input{{Word: fmt.Sprintf("/in/%d", i), File: true}}, Out: fmt.Sprintf("%d.out", i)})
	}
	run, err := store.Create(spec, list)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := run.AddSubmission(rundir.Submission{Kind: rundir.SubmitMap, Engine: "slurm", Tag: "t", At: began, Elements: elements, Host: "head",
		Clock: clock.Host{Boot: headBoot, Files: against(clock.Files, -3*time.Second, 2*ms)}})
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{t, run, sub}
}

// against is a reading that is wrong by at most so much.
func against(m clock.Method, ahead, wrong time.Duration) clock.Reading {
	return clock.Reading{Method: m, Ahead: clock.Range{Least: ahead - wrong, Most: ahead + wrong}}
}

// works has an incarnation of element come up after up, stage, open two lanes, and
// run a task in each; ends says that it says goodbye.
func (c *cluster) works(n skewed, element int, up time.Duration, tasks []int, ends bool) {
	c.t.Helper()
	local := func(true time.Duration) time.Duration { // since it came up, by its clock
		return time.Duration(float64(true-up) * (1 + n.drift))
	}
	boot := "boot of " + n.host
	if n.same {
		boot = headBoot
	}
	opening := rundir.AgentStart{Host: n.host, Lanes: 2, Began: began.Add(up + n.ahead), Submitted: began, Staged: local(up + 300*ms), StagedBytes: 64 << 20, StagedHow: "image copied, program reused", Boot: boot}
	j, err := c.run.NewJournal(c.sub.Generation, element, opening, rundir.JournalOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	var recs []rundir.Record
	for i := range n.reading {
		at := time.Duration(i) * (time.Second + 50*ms)
		recs = append(recs, rundir.Record{Kind: rundir.KindClock, At: local(up + at), Clock: &n.reading[i]})
	}
	for lane := range 2 {
		recs = append(recs, instance(job.PhaseCloned, lane, local(up+300*ms), local(up+320*ms), ""),
			instance(job.PhaseBooted, lane, local(up+320*ms), local(up+500*ms), ""))
	}
	for lane, task := range tasks {
		recs = append(recs, start(task, 1, lane, local(up+510*ms)))
		if ends {
			recs = append(recs, end(task, 1, lane, local(up+510*ms), local(up+time.Second), local(up+time.Second+10*ms), job.Completed, job.Exit{}))
		}
	}
	if ends {
		recs = append(recs, rundir.Record{Kind: rundir.KindFinish, At: local(up + time.Second + 20*ms), Note: "done"})
	}
	(&journal{c.t, c.run, j}).write(recs...)
	if err := j.Close(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) load() *rundir.Snapshot {
	c.t.Helper()
	s, err := c.run.Load(context.Background(), rundir.LoadOptions{Instances: true, Attempts: true, Alive: func(rundir.AgentState) bool { return false }})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// Whatever the nodes' clocks show, the timeline is the one that a single clock
// would have shown, within the error that is told.
func TestTimesOfWrongClocksAreCorrected(t *testing.T) {
	const hour = time.Hour
	files := func(ahead time.Duration) []clock.Reading { // against the server, which is 3 s ahead of the host
		return []clock.Reading{against(clock.Files, ahead-3*time.Second, 3*ms)}
	}
	nodes := []skewed{
		{host: "n01", same: true},
		{host: "n02", ahead: hour, reading: files(hour)},
		{host: "n03", ahead: -10 * time.Minute, reading: files(-10 * time.Minute)},
		{host: "n04", ahead: 2 * time.Second, drift: 0.01, // far more than a clock may
			reading: append(files(2*time.Second), files(2*time.Second+10*ms)...)},
		{host: "n05", ahead: -hour, reading: []clock.Reading{against(clock.Socket, -hour, 200*time.Microsecond)}},
		{host: "n06", ahead: -hour}, // nothing is known but that it cannot have begun before it was submitted
	}
	c := newCluster(t, 12, len(nodes), "files")
	for i, n := range nodes {
		c.works(n, i+1, 2*time.Second, []int{2*i + 1, 2*i + 2}, true)
	}
	snap := c.load()
	tl := report.TimelineOf(snap, began.Add(time.Minute))
	goldentest.Check(t, "clocks.txt", []byte(strings.Join(spans(tl), "\n")+"\n"))
	goldentest.Check(t, "clocks-report.txt", []byte(text(t, report.FromSnapshot(snap, report.Known{Number: 12, State: job.Completed, Ended: began.Add(3 * time.Second), Now: began.Add(time.Minute)}), 80)))

	errors := map[int]time.Duration{}
	for _, a := range snap.Agents {
		errors[a.Element] = a.Clock.Error
	}
	right := map[job.Phase][2]time.Duration{
		job.PhaseStaged: {2 * time.Second, 2300 * ms}, job.PhaseCloned: {2300 * ms, 2320 * ms}, job.PhaseBooted: {2320 * ms, 2500 * ms}, job.PhaseRunning: {2510 * ms, 3 * time.Second},
	}
	for _, s := range tl.Spans {
		want, ok := right[s.Phase]
		if !ok || s.Agent == 6 {
			continue
		}
		if slack := errors[s.Agent]; (s.Start-want[0]).Abs() > slack || (s.End-want[1]).Abs() > slack {
			t.Errorf("agent %d: %s %v-%v, truly %v-%v, known within %v", s.Agent, s.Phase, s.Start, s.End, want[0], want[1], slack)
		}
	}
}

// A node is lost under its tasks, another one takes its element, and no listener was reached.
func TestReportOfACluster(t *testing.T) {
	c := newCluster(t, 16, 8, "socket")
	for i := 1; i <= 8; i++ {
		n := skewed{host: fmt.Sprintf("n%02d", i), ahead: time.Duration(i) * 100 * ms}
		up := 2*time.Second + time.Duration(i*i)*10*ms
		tasks := []int{2*i - 1, 2 * i}
		n.reading = []clock.Reading{against(clock.Socket, n.ahead, time.Duration(i)*30*time.Microsecond)}
		switch i {
		case 3:
			c.works(n, i, up, tasks, false)
			spare := skewed{host: "n09", reading: []clock.Reading{against(clock.Socket, 0, 50*time.Microsecond)}}
			c.works(spare, i, up+40*time.Second, tasks, true)
			continue
		case 5:
			n.reading = []clock.Reading{against(clock.Files, n.ahead-3*time.Second, 3*ms), {Method: clock.Socket, Why: "dial tcp 10.0.0.1:40111: connection refused"}}
		}
		c.works(n, i, up, tasks, true)
	}
	snap := c.load()
	r := report.FromSnapshot(snap, report.Known{Number: 12, State: job.Completed, Ended: began.Add(44 * time.Second), Now: began.Add(time.Minute)})
	goldentest.Check(t, "cluster.txt", []byte(text(t, r, 80)))
	var b strings.Builder
	if err := report.From(r).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	goldentest.Check(t, "cluster.json", []byte(b.String()))
}
