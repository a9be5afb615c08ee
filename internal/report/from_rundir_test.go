package report_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/goldentest"
	"muster/internal/job"
	"muster/internal/report"
	"muster/internal/rundir"
	"muster/internal/timeline"
)

// journal is a run directory in the making, with one agent.
type journal struct {
	t   *testing.T
	run *rundir.Run
	j   *rundir.Journal
}

var began = time.Date(2026, 3, 4, 10, 20, 30, 0, time.UTC)

func newJournal(t *testing.T, tasks int) *journal {
	t.Helper()
	store, err := rundir.OpenStore(t.TempDir(), rundir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var list []job.Task
	for i := 1; i <= tasks; i++ {
		list = append(list, job.Task{Index: i, In: []job.Input{{Word: fmt.Sprintf("/in/case %d", i), File: true}}, Out: fmt.Sprintf("case %d.out", i)})
	}
	spec := wineSpec()
	spec.Version, spec.Name, spec.Tasks, spec.Reducer, spec.ReducerOut = job.SpecVersion, "heat.exe", tasks, "/bin/sum", "/out/sum"
	run, err := store.Create(spec, list)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := run.AddSubmission(rundir.Submission{Kind: rundir.SubmitMap, Engine: "local", Tag: "t", At: began.Add(-time.Second), Elements: 1, Host: "head"})
	if err != nil {
		t.Fatal(err)
	}
	j, err := run.NewJournal(sub.Generation, 1, rundir.AgentStart{Host: "n017", Lanes: 2, Began: began, Submitted: began.Add(-time.Second), Staged: 100 * ms}, rundir.JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &journal{t, run, j}
}

func (j *journal) write(recs ...rundir.Record) {
	j.t.Helper()
	for _, r := range recs {
		if err := j.j.Append(r); err != nil {
			j.t.Fatal(err)
		}
	}
}

func (j *journal) load(alive bool) *rundir.Snapshot {
	j.t.Helper()
	if err := j.j.Close(); err != nil {
		j.t.Fatal(err)
	}
	s, err := j.run.Load(context.Background(), rundir.LoadOptions{Instances: true, Attempts: true, Alive: func(rundir.AgentState) bool { return alive }})
	if err != nil {
		j.t.Fatal(err)
	}
	return s
}

func instance(phase job.Phase, lane int, from, to time.Duration, cause job.Cause) rundir.Record {
	return rundir.Record{Kind: rundir.KindInstance, At: to, Instance: &rundir.InstancePhase{ID: fmt.Sprintf("lane%d", lane), Lane: lane, Phase: phase, Began: from, Cause: cause}}
}

func start(task, attempt, lane int, at time.Duration) rundir.Record {
	return rundir.Record{Kind: rundir.KindStart, At: at, Start: &rundir.TaskStart{Task: task, Attempt: attempt, Lane: lane, Instance: fmt.Sprintf("lane%d", lane)}}
}

func end(task, attempt, lane int, from, to, published time.Duration, state job.State, x job.Exit) rundir.Record {
	return rundir.Record{Kind: rundir.KindEnd, At: published, End: &rundir.TaskEnd{Task: task, Attempt: attempt, Lane: lane,
		Instance: fmt.Sprintf("lane%d", lane), Began: from, Ended: to, State: state, Exit: x, Final: true}}
}

func written(t *testing.T) *journal {
	j := newJournal(t, 6)
	j.write(
		instance(job.PhaseCloned, 0, 100*ms, 120*ms, ""), instance(job.PhaseBooted, 0, 120*ms, 400*ms, ""),
		instance(job.PhaseCloned, 1, 100*ms, 120*ms, ""), instance(job.PhaseBooted, 1, 120*ms, 300*ms, job.CauseBoot),
		start(1, 1, 0, 400*ms), end(1, 1, 0, 410*ms, 900*ms, 910*ms, job.Completed, job.Exit{User: 300 * ms, MaxRSS: 40 << 20}),
		start(2, 1, 0, 920*ms), end(2, 1, 0, 930*ms, 1400*ms, 1405*ms, job.Failed, job.Exit{Code: 3, Cause: job.CauseExit, User: 100 * ms, System: 50 * ms, MaxRSS: 90 << 20}),
		end(3, 1, 1, 0, 0, 310*ms, job.BootFail, job.Exit{Cause: job.CauseBoot, Detail: "wineserver ended"}),
		start(4, 1, 0, 1410*ms),
		rundir.Record{Kind: rundir.KindNote, At: 1500 * ms, Note: "the disk is slow"},
	)
	return j
}

func spans(tl *timeline.Timeline) []string {
	var out []string
	for _, s := range tl.Spans {
		line := fmt.Sprintf("%s %v-%v agent %d lane %d %s task %d.%d %s", s.Phase, s.Start, s.End, s.Agent, s.Lane, s.Instance, s.Task, s.Attempt, s.State)
		if s.Open {
			line += " open"
		}
		out = append(out, strings.TrimSpace(line))
	}
	return out
}

func TestTimelineOfARunDirectory(t *testing.T) {
	common := []string{
		"submitted 0s-1s agent 1 lane -1  task 0.0",
		"staged 1s-1.1s agent 1 lane -1  task 0.0",
		"cloned 1.1s-1.12s agent 1 lane 0 lane0 task 0.0",
		"cloned 1.1s-1.12s agent 1 lane 1 lane1 task 0.0",
		"booted 1.12s-1.4s agent 1 lane 0 lane0 task 0.0",
		"booted 1.12s-1.3s agent 1 lane 1 lane1 task 0.0 BOOT_FAIL",
		"running 1.41s-1.9s agent 1 lane 0 lane0 task 1.1 COMPLETED",
		"exited 1.9s-1.91s agent 1 lane 0 lane0 task 1.1",
		"running 1.93s-2.4s agent 1 lane 0 lane0 task 2.1 FAILED",
		"exited 2.4s-2.405s agent 1 lane 0 lane0 task 2.1",
	}
	for _, c := range []struct {
		name  string
		alive bool
		last  string
	}{
		{"the agent lives", true, "running 2.41s-6s agent 1 lane 0 lane0 task 4.1  open"},
		{"the agent is gone", false, "running 2.41s-2.5s agent 1 lane 0 lane0 task 4.1 LOST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := spans(report.TimelineOf(written(t).load(c.alive), began.Add(5*time.Second)))
			want := append(slices.Clone(common), c.last)
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestFromSnapshot(t *testing.T) {
	j := written(t)
	st, err := j.run.NewStream(j.j.ID(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return st.Write(1, 1, 1, []byte("fine\n")) },
		func() error { return st.Write(2, 1, 1, []byte(strings.Repeat("working\n", 1000))) },
		func() error { return st.Write(2, 1, 2, []byte("no convergence\xff\n")) },
		func() error { st.Finish(2, 1); return nil },
		st.Close,
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	snap := j.load(false)
	tasks, err := j.run.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	ended := began.Add(2 * time.Second)
	r := report.FromSnapshot(snap, report.Known{Number: 12, State: job.NodeFail, Reason: "its agent ended with 5 of 6 tasks not done", Ended: ended, Now: ended, Tasks: tasks})
	report.AddLogs(&r, j.run)

	if r.Lanes != 2 || r.Hosts[1] != "n017" || r.CPU != 450*ms || r.PeakMem != 90<<20 || !r.Submitted.Equal(began.Add(-time.Second)) {
		t.Errorf("lanes %d, hosts %v, CPU %v, memory %d, submitted %v", r.Lanes, r.Hosts, r.CPU, r.PeakMem, r.Submitted)
	}
	var got []string
	for _, f := range r.Failures {
		got = append(got, fmt.Sprintf("%d.%d %s %s %s %s", f.Task, f.Attempt, f.State, f.Host, f.Input, f.Exit.Cause))
	}
	want := []string{"2.1 FAILED n017 '/in/case 2' exit-code", "3.1 BOOT_FAIL n017 '/in/case 3' boot", "4.1 LOST n017 '/in/case 4' "}
	if !slices.Equal(got, want) {
		t.Errorf("failures %q, want %q", got, want)
	}
	if tail := r.Failures[0].LogTail; !strings.HasSuffix(tail, "no convergence\uFFFD\n") || len(tail) > 2100 {
		t.Errorf("log of %d bytes: %q", len(tail), tail[max(len(tail)-40, 0):])
	}
	goldentest.Check(t, "rundir.txt", []byte(text(t, r, 80)))
}
