package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/goldentest"
	"muster/internal/job"
	"muster/internal/report"
	"muster/internal/timeline"
	"muster/internal/timeline/timelinetest"
	"muster/internal/ui/human"
)

const ms = time.Millisecond

func wineShape(tasks, lanes int) timelinetest.Shape {
	return timelinetest.Shape{Tasks: tasks, Lanes: lanes, Isolation: job.IsolateLane, Submitted: 40 * ms, Staged: 15 * ms, Clone: 14 * ms,
		Boot: 240 * ms, Run: 400 * ms, Exit: 6 * ms, Discard: 60 * ms}
}

func wineSpec() job.Spec {
	return job.Spec{Program: "/home/ann/my sims/heat.exe", Output: "/home/ann/out", Input: "/home/ann/in", Guest: "wine", Engine: "local",
		Isolation: job.IsolateLane, Lanes: 2, AppType: job.SISO, Distribution: job.Block}
}

// runOf makes a run that is done out of a shape.
func runOf(sh timelinetest.Shape, spec job.Spec) report.Run {
	tl := sh.Make()
	r := report.Run{Number: 12, Name: "heat.exe", Spec: spec, State: job.Completed, Submitted: tl.Origin, Ended: tl.Origin.Add(tl.End),
		Timeline: tl, Lanes: sh.Lanes, Hosts: map[int]string{1: "n017"}, Tasks: map[job.State]int{}}
	r.Tasks[job.Completed] = sh.Tasks - len(sh.Fail)
	for _, s := range sh.Fail {
		r.Tasks[s]++
	}
	return r
}

func fail(task int, state job.State, e job.Exit, host, log string) report.Failure {
	return report.Failure{Task: task, Attempt: 1, Input: fmt.Sprintf("/home/ann/in/%04d.par", task), State: state, Exit: e, Agent: 1, Host: host, LogTail: log}
}

func failedRun() report.Run {
	sh := wineShape(60, 2)
	sh.Fail = map[int]job.State{7: job.Failed, 8: job.Failed, 9: job.Failed, 19: job.Failed, 23: job.Failed, 31: job.Timeout, 44: job.Failed}
	sh.Slow = map[int]float64{31: 150}
	spec := wineSpec()
	spec.Timeout = time.Minute
	r := runOf(sh, spec)
	r.State = job.Failed
	r.Tasks[job.Completed]--
	r.Tasks[job.Lost]++
	r.Failures = []report.Failure{
		fail(7, job.Failed, job.Exit{Code: 3, Cause: job.CauseExit}, "n017", ""),
		fail(8, job.Failed, job.Exit{Code: 3, Cause: job.CauseExit}, "n017", "reading 0008.par\ncannot open \x1b[31mgrid file\n\n"),
		fail(9, job.Failed, job.Exit{Code: 3, Cause: job.CauseExit}, "n022", "cannot open grid file"),
		fail(19, job.Failed, job.Exit{Code: 5, Cause: job.CauseCrash, Detail: "access violation (0xC0000005)"}, "n017", "wine: Unhandled page fault"),
		fail(23, job.Failed, job.Exit{Code: 53, Cause: job.CauseMissingDLL, Detail: "needs libfftw3-3.dll"}, "n017", ""),
		fail(31, job.Timeout, job.Exit{Signal: 9, Cause: job.CauseTimeout}, "n017", ""),
		fail(44, job.Failed, job.Exit{Cause: job.CauseNoOutput}, "n017", "done"),
		fail(50, job.Lost, job.Exit{Cause: job.CauseAgentLost}, "n022", ""),
	}
	r.Hosts = map[int]string{1: "n017", 2: "n022"}
	r.Notes = []string{"the scratch folder is on a disk, not in memory"}
	return r
}

// runs are the runs of the goldens.
func runs() map[string]report.Run {
	one := runOf(wineShape(1, 1), wineSpec())

	good := runOf(wineShape(60, 2), wineSpec())
	good.Spec.Mem, good.PeakMem = 2<<30, 310<<20
	good.Reduce = &report.Reduce{Ran: true, State: job.Completed, Took: 1300 * ms, Output: "/home/ann/out/llmapreduce.out"}

	boots := wineShape(60, 2)
	boots.Isolation, boots.Boot, boots.Run = job.IsolateTask, 1260*ms, 90*ms
	spec := wineSpec()
	spec.Isolation = job.IsolateTask
	booting := runOf(boots, spec)

	cut := wineShape(200, 4)
	cut.Cut = 9 * time.Second
	cancelled := runOf(cut, wineSpec())
	cancelled.State = job.Cancelled
	cancelled.Tasks = map[job.State]int{job.Completed: 71, job.Cancelled: 4, job.Pending: 125}
	for i := range 4 {
		cancelled.Failures = append(cancelled.Failures, fail(72+i, job.Cancelled, job.Exit{Signal: 15, Cause: job.CauseCancelled}, "n017", ""))
	}
	cancelled.Reduce = &report.Reduce{Why: "the run was cancelled"}

	running := cancelled
	running.State, running.Ended, running.Failures, running.Reduce = job.Running, time.Time{}, nil, nil
	running.Tasks = map[job.State]int{job.Completed: 71, job.Running: 4, job.Pending: 125}

	return map[string]report.Run{
		"one": one, "good": good, "failed": failedRun(), "booting": booting, "cancelled": cancelled, "running": running,
		"empty": {Number: 3, Name: "heat.exe", State: job.Completed},
		"none":  {Number: 4, Name: "heat.exe", State: job.Failed, Spec: wineSpec(), Tasks: map[job.State]int{job.Pending: 10}},
	}
}

func text(t *testing.T, r report.Run, width int) string {
	t.Helper()
	var buf bytes.Buffer
	if err := report.From(r).WriteText(&buf, width); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestGoldenTexts(t *testing.T) {
	for name, r := range runs() {
		t.Run(name, func(t *testing.T) { goldentest.Check(t, name+".txt", []byte(text(t, r, 80))) })
	}
	t.Run("narrow", func(t *testing.T) { goldentest.Check(t, "narrow.txt", []byte(text(t, failedRun(), 56))) })
}

func TestGoldenJSON(t *testing.T) {
	for _, name := range []string{"failed", "empty"} {
		var buf bytes.Buffer
		if err := report.From(runs()[name]).WriteJSON(&buf); err != nil {
			t.Fatal(err)
		}
		goldentest.Check(t, name+".json", buf.Bytes())
		var m map[string]any
		if err := json.Unmarshal(buf.Bytes(), &m); err != nil || m["version"] != float64(report.JSONVersion) {
			t.Errorf("%s: %v, version %v", name, err, m["version"])
		}
	}
}

func TestTextFitsTheWidthButForWhatIsCopied(t *testing.T) {
	for name, r := range runs() {
		for _, width := range []int{56, 80, 120} {
			for _, line := range strings.Split(text(t, r, width), "\n") {
				if strings.HasPrefix(line, "  log ") || strings.HasPrefix(line, "  try ") || strings.HasPrefix(line, "reduce ") || strings.HasSuffix(line, "]") || strings.Contains(line, "muster ") {
					continue
				}
				if human.Width(line) > width {
					t.Errorf("%s, width %d: %q", name, width, line)
				}
				if strings.ContainsRune(line, '\x1b') {
					t.Errorf("%s: an escape sequence of a program reaches the terminal: %q", name, line)
				}
			}
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteErrorsAreTold(t *testing.T) {
	r := report.From(runs()["good"])
	if err := r.WriteText(brokenWriter{}, 80); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("text: %v", err)
	}
	if err := r.WriteJSON(brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("json: %v", err)
	}
}

func TestManyDetailsOfOneCauseAreOneGroup(t *testing.T) {
	r := report.Run{Number: 1, State: job.Failed, Tasks: map[job.State]int{job.Failed: 1000}}
	for i := range 1000 {
		r.Failures = append(r.Failures, fail(i+1, job.Failed, job.Exit{Cause: job.CausePublish, Detail: fmt.Sprintf("out/%d: no space left on device", i)}, "n1", ""))
	}
	groups := report.From(r).Groups()
	if len(groups) != 1 || len(groups[0].Tasks) != 1000 || groups[0].Details != 1000 {
		t.Fatalf("%d groups", len(groups))
	}
	if got := text(t, r, 80); !strings.Contains(got, "tasks  1-1000\n") || len(got) > 1000 {
		t.Errorf("got:\n%s", got)
	}
}

// A report of 100,000 tasks, half of them failed, stays short.
func TestHugeReportIsShort(t *testing.T) {
	sh := wineShape(100_000, 2)
	sh.Run = 9 * ms
	sh.Fail = map[int]job.State{}
	for i := 1; i <= sh.Tasks; i += 2 {
		sh.Fail[i] = job.Failed
	}
	r := runOf(sh, wineSpec())
	r.State = job.Failed
	for i := 1; i <= sh.Tasks; i += 2 {
		r.Failures = append(r.Failures, fail(i, job.Failed, job.Exit{Code: 1 + i%100, Cause: job.CauseExit}, "n017", "no"))
	}
	got := text(t, r, 80)
	if n := strings.Count(got, "\n"); n > 40 || !strings.Contains(got, "50,000 of 100,000 tasks ended with exit code") {
		t.Errorf("%d lines:\n%s", n, got)
	}
}

func TestGroupsAreOrderedFailuresFirstThenBySize(t *testing.T) {
	var got []string
	for _, g := range report.From(failedRun()).Groups() {
		got = append(got, fmt.Sprint(g.Cause, g.Tasks))
	}
	want := []string{"exit-code[7 8 9]", "crash[19]", "missing-dll[23]", "timeout[31]", "no-output[44]", "agent-lost[50]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Every cause has words of its own.
func TestEveryCauseHasWords(t *testing.T) {
	causes := []job.Cause{job.CauseExit, job.CauseSignal, job.CauseNoOutput, job.CauseOutputExists, job.CausePublish, job.CauseTimeout,
		job.CauseCancelled, job.CauseStart, job.CauseBoot, job.CauseInstance, job.CauseCrash, job.CauseMissingDLL, job.CauseCannotLoad,
		job.CauseOOM, job.CauseInput, job.CauseAgentLost, job.CauseMaxFails, job.CauseBatch, job.CauseGivenBack, job.CauseSuperseded, job.CauseInternal}
	seen := map[string]job.Cause{}
	for _, c := range causes {
		r := report.Run{Number: 1, State: job.Failed, Tasks: map[job.State]int{job.Failed: 1},
			Failures: []report.Failure{fail(1, job.Failed, job.Exit{Code: 1, Cause: c}, "", "")}}
		head := ""
		for _, line := range strings.Split(text(t, r, 80), "\n") {
			if strings.HasPrefix(line, "error: ") {
				head = strings.TrimSuffix(line, "  ["+string(c)+"]")
			}
		}
		if head == "" || strings.Contains(head, "ended badly") || seen[head] != "" {
			t.Errorf("%s: %q (also of %q)", c, head, seen[head])
		}
		seen[head] = c
	}
}

func advice(r report.Run) []string {
	var flags []string
	for _, a := range report.From(r).Advice() {
		flags = append(flags, a.Flag)
	}
	return flags
}

func TestAdvice(t *testing.T) {
	mem := func(asked, peak int64) report.Run {
		r := runOf(wineShape(20, 2), wineSpec())
		r.Spec.Mem, r.PeakMem = asked<<20, peak<<20
		return r
	}
	oom := mem(512, 512)
	oom.Tasks[job.OutOfMemory], oom.Tasks[job.Completed] = 2, 18

	idle := runOf(wineShape(3, 8), wineSpec())

	unfinished := runOf(wineShape(3, 8), wineSpec())
	unfinished.Tasks[job.Pending] = 5

	timeout := failedRun()

	boot := runOf(wineShape(20, 2), wineSpec())
	boot.Tasks[job.Completed], boot.Tasks[job.BootFail], boot.State = 18, 2, job.Failed
	boot.Failures = []report.Failure{
		fail(3, job.BootFail, job.Exit{Cause: job.CauseBoot, Detail: "wineserver ended"}, "n017", ""),
		fail(4, job.BootFail, job.Exit{Cause: job.CauseBoot, Detail: "wineserver ended"}, "n017", ""),
	}
	allBoot := boot
	allBoot.Tasks = map[job.State]int{job.BootFail: 2}

	native := runOf(wineShape(100, 2), wineSpec())
	native.Spec.Guest, native.CPU = "native", 4*time.Second

	machine := mem(512, 10) // the memory of a VM
	machine.Spec.Guest = "vm"

	again := runOf(wineShape(20, 2), wineSpec())
	again.Spec.Retries = 1
	again.Tasks = map[job.State]int{job.Completed: 17, job.Failed: 3}
	n := 0
	for i := range again.Timeline.Spans {
		if s := &again.Timeline.Spans[i]; s.Phase == job.PhaseRunning && n < 3 {
			s.Attempt, s.State = 2, job.Failed
			n++
		}
	}

	mimo := runOf(wineShape(20, 2), wineSpec())
	mimo.Spec.AppType = job.MIMO
	mimo.Timeline = &timeline.Timeline{Origin: mimo.Timeline.Origin, End: 40 * time.Second, Spans: []timeline.Span{
		{Phase: job.PhaseRunning, End: 40 * time.Second, Agent: 1, Lane: 0, Task: 1, Attempt: 1, State: job.Completed},
		{Phase: job.PhaseRunning, End: 10 * time.Second, Agent: 1, Lane: 1, Task: 11, Attempt: 1, State: job.Completed},
	}}

	for _, c := range []struct {
		name string
		run  report.Run
		want []string
	}{
		{"nothing to say", runOf(wineShape(20, 2), wineSpec()), nil},
		{"far too much memory asked", mem(2048, 310), []string{"--mem 390M"}},
		{"memory about right", mem(512, 310), nil},
		{"the memory of a virtual machine", machine, nil},
		{"too little memory", oom, []string{"--mem 1G"}},
		{"idle lanes of a run that was cut off", unfinished, nil},
		{"more lanes than tasks", idle, []string{"--lanes 3"}},
		{"boots dominate", runs()["booting"], []string{"--isolation lane"}},
		{"hanging tasks", timeout, []string{"--timeout 2s"}},
		{"some boots failed", boot, []string{"--retries 2"}},
		{"all boots failed: no accident", allBoot, nil},
		{"programs wait", native, []string{"--lanes 16"}},
		{"retries in vain", again, []string{"--retries 0"}},
		{"unequal shares", mimo, []string{"--distribution cyclic"}},
		{"not while it runs", runs()["running"], nil},
		{"not without programs", runs()["none"], nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := advice(c.run); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
