package report_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"muster/internal/goldentest"
	"muster/internal/job"
	"muster/internal/report"
	"muster/internal/rundir"
	"muster/internal/timeline"
)

// launchRun is a launch of programs that come up one every 10 ms, on one node, and are held for a second.
// never of them do not come up; with waves they go in two.
func launchRun(programs, never, waves int) report.Run {
	hold := time.Second
	origin := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	tl := &timeline.Timeline{Origin: origin}
	r := report.Run{Number: 12, Name: "app.exe", Submitted: origin, Timeline: tl, Lanes: 8, Hosts: map[int]string{1: "n017"},
		State: job.Completed, Tasks: map[job.State]int{job.Completed: programs - never},
		Spec: job.Spec{Guest: "wine", Engine: "local", Isolation: job.IsolateNode, Launch: &job.Launch{Programs: programs, Hold: &hold}}}
	step := func(s rundir.Step, at time.Duration, alive int) {
		r.Steps = append(r.Steps, report.Step{Agent: 1, At: at, LaunchStep: rundir.LaunchStep{Step: s, Alive: alive, Bytes: int64(alive) << 20}})
	}
	at := 100 * ms
	each := programs / waves
	for wave := range waves {
		up, came := at, 0
		down := at + time.Duration(each)*10*ms + hold
		for i := range each {
			task := wave*each + i + 1
			s := timeline.Span{Agent: 1, Lane: -1, Task: task, Attempt: 1, Instance: "node0.1"}
			s.Phase, s.Start, s.End = job.PhaseStarting, up, up+10*ms
			if task > programs-never {
				s.State, s.End = job.Failed, down
				r.Tasks[job.Failed]++
				r.Failures = append(r.Failures, report.Failure{Task: task, Attempt: 1, State: job.Failed, Host: "n017", Agent: 1,
					Exit: job.Exit{Cause: job.CauseNotReady, Detail: "not alive after 5m0s: its own code did not run yet"}})
				r.State, r.Reason = job.Failed, "2 of 64 programs failed"
			}
			tl.Spans = append(tl.Spans, s)
			if s.State == "" {
				came++
				up += 10 * ms
				s.Phase, s.Start, s.End, s.State = job.PhaseRunning, up, down+20*ms, job.Completed
				tl.Spans = append(tl.Spans, s)
			}
		}
		step(rundir.StepUp, up, came)
		step(rundir.StepHold, up, came)
		step(rundir.StepDown, down, came)
		step(rundir.StepGone, down+30*ms, 0)
		at = down + 50*ms
	}
	tl.End = at
	r.Ended = origin.Add(at)
	return r
}

func TestGoldenLaunches(t *testing.T) {
	for name, r := range map[string]report.Run{
		"launch.txt": launchRun(64, 0, 1), "launch-failed.txt": launchRun(64, 2, 1), "launch-waves.txt": launchRun(64, 0, 2),
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := report.From(r).WriteText(&b, 80); err != nil {
				t.Fatal(err)
			}
			b.WriteString("\n== summary\n")
			if err := report.From(r).WriteSummary(&b, 80); err != nil {
				t.Fatal(err)
			}
			goldentest.Check(t, name, b.Bytes())
			if strings.Contains(b.String(), "resume") {
				t.Error("a launch is not resumed")
			}
		})
	}
}

func TestLaunchFigures(t *testing.T) {
	l, ok := report.From(launchRun(64, 2, 1)).Launch()
	if !ok || l.AliveMax != 62 || l.Programs != 64 || l.Each != 1<<20 || l.Waves != 1 {
		t.Errorf("%+v, %v", l, ok)
	}
	if l.After != 100*ms+62*10*ms || l.Phases["held"] != time.Second+20*ms || l.Phases["taken_down"] != 30*ms {
		t.Errorf("after %v, phases %v", l.After, l.Phases)
	}
	l, _ = report.From(launchRun(64, 0, 2)).Launch()
	if l.AliveMax != 32 || l.Waves != 2 || l.Phases["held"] != 2*time.Second || l.Phases["taken_down"] != 60*ms {
		t.Errorf("in waves: %+v", l)
	}
	if _, ok := report.From(runOf(wineShape(4, 2), wineSpec())).Launch(); ok {
		t.Error("a map is no launch")
	}
}
