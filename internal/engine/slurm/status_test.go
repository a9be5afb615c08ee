package slurm

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/goldentest"
	"muster/internal/job"
)

// describe is a report in lines.
func describe(r engine.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "array %s %s %s\n", r.ID, r.State, r.Reason)
	at := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format(time.TimeOnly)
	}
	for _, e := range r.Elements {
		fmt.Fprintf(&b, "%4d %-10s %-8s %-12s %-3s %s %s restarts %d %s\n", e.Index, e.State, e.Exit, e.Exit.Cause, e.Node, at(e.Started), at(e.Ended), e.Restart, e.Exit.Detail)
	}
	return b.String()
}

// byJob parses what squeue has printed.
func byJob(t *testing.T, out string) map[int][]record {
	t.Helper()
	list, err := parseQueue(out)
	if err != nil {
		t.Fatal(err)
	}
	records := map[int][]record{}
	for _, r := range list {
		records[r.job] = append(records[r.job], r)
	}
	return records
}

// What a real squeue has printed for a split array, of which a piece is held, for one that
// waits for it, and for one whose log folder was not there.
func TestReportGolden(t *testing.T) {
	out, err := os.ReadFile("testdata/squeue.txt")
	if err != nil {
		t.Fatal(err)
	}
	records := byJob(t, string(out))
	now := time.Unix(1795260931, 0)
	var got strings.Builder
	for _, id := range []engine.ID{"151+152", "153", "154", "99", "local-1"} {
		got.WriteString(describe(report(id, records, now)))
	}
	goldentest.Check(t, "reports.txt", got.String())
	if got := incomplete([]int{99, 151, 152, 154}, records); fmt.Sprint(got) != "[99]" {
		t.Errorf("incomplete are %v", got)
	}
}

func line(job, index int, state, rest string) string {
	return fmt.Sprintf("%d|%d|%s|%s\n", job, index, state, rest)
}

func TestForgottenElements(t *testing.T) {
	const rest = "0|0|1000|NONE|n1|None|muster:t:1-3/5"
	// The first piece's elements 1 and 3 have been forgotten, as has the second piece.
	records := byJob(t, line(12, 2, "RUNNING", rest))
	r := report("12+13", records, time.Unix(2000, 0))
	// The number of elements of the whole is known from any.
	if r.State != job.Running || len(r.Elements) != 5 {
		t.Errorf("%s", describe(r))
	}
	if got := incomplete([]int{12, 13}, records); fmt.Sprint(got) != "[12 13]" {
		t.Errorf("incomplete are %v", got)
	}
	// Accounting remembers them.
	list, err := parseAccount("12_1|COMPLETED|0:0|1000|1100|n1\n12_2|RUNNING|0:0|1000|Unknown|n1\n12_3|CANCELLED by 1000|0:15|Unknown|1100|None assigned\n13_1|FAILED|7:0|1000|1100|n2\n13_[2]|PENDING|0:0|Unknown|Unknown|None assigned\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		records[r.job] = append(records[r.job], r)
	}
	goldentest.Check(t, "accounted.txt", describe(report("12+13", records, time.Unix(2000, 0))))
	// Nobody remembers element 1: how it has ended is not known, so that of the array is not.
	records = byJob(t, line(12, 2, "COMPLETED", "0|0|1000|1100|n1|None|muster:t:1-2/2"))
	if r := report("12", records, time.Unix(2000, 0)); r.State != job.Gone || r.Elements != nil {
		t.Errorf("%s", describe(r))
	}
}

func TestRequeuedElements(t *testing.T) {
	now := time.Unix(2000, 0)
	for _, c := range []struct {
		line string
		want job.State
	}{
		{line(12, 1, "COMPLETING", "0|0|1000|1999|n1|None|muster:t:1-1/1"), job.Running},
		{line(12, 1, "COMPLETING", "0|1|1000|NONE|n1|None|muster:t:1-1/1"), job.Pending},
		{line(12, 1, "COMPLETING", "0|1|1000|2600|n1|None|muster:t:1-1/1"), job.Pending}, // its time limit
		{line(12, 1, "PENDING", "0|1|2100|NONE||BeginTime|muster:t:1-1/1"), job.Pending},
		{line(12, 1, "REQUEUE_HOLD", "0|1|N/A|N/A||job requeued in held state|muster:t:1-1/1"), job.Pending},
	} {
		r := report("12", byJob(t, c.line), now)
		e := r.Elements[0]
		if e.State != c.want || !e.Ended.IsZero() || (e.State == job.Pending && !e.Started.IsZero()) {
			t.Errorf("%s: %s", c.line, describe(r))
		}
	}
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		state, status string
		want          string
	}{
		{"TIMEOUT", "15", "TIMEOUT 0:15 timeout"},
		{"TIMEOUT", "0", "TIMEOUT 0:0 timeout"},
		{"DEADLINE", "0", "TIMEOUT 0:0 timeout"},
		{"OUT_OF_MEMORY", "32000", "OUT_OF_MEMORY 125:0 out-of-memory"},
		{"NODE_FAIL", "0", "NODE_FAIL 0:0 agent-lost"},
		{"BOOT_FAIL", "0", "NODE_FAIL 0:0 agent-lost"},
		{"PREEMPTED", "15", "LOST 0:15 agent-lost"},
		{"CANCELLED", "0", "CANCELLED 0:0 cancelled"},
		{"FAILED", "0", "FAILED 0:0 cannot-start"},
		{"FAILED", "139", "FAILED 0:11 signal"}, // with a core dump
		{"COMPLETED", "0", "COMPLETED 0:0 "},
	} {
		e := report("12", byJob(t, line(12, 1, c.state, c.status+"|0|1000|1100|n1|None|muster:t:1-1/1")), time.Unix(2000, 0)).Elements[0]
		if got := fmt.Sprintf("%s %s %s", e.State, e.Exit, e.Exit.Cause); got != c.want {
			t.Errorf("%s with status %s: %s, want %s", c.state, c.status, got, c.want)
		}
	}
}

func TestParseQueueRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, out := range []string{"x\n", "a|1|RUNNING|0|0|1|1|n|r|c\n", "1|1|RUNNING|x|0|1|1|n|r|c\n"} {
		if got, err := parseQueue(out); err == nil {
			t.Errorf("%q is taken for %+v", out, got)
		}
	}
	for _, out := range []string{"12_1|COMPLETED\n", "12_x|COMPLETED|0:0|1|2|n1\n"} {
		if got, err := parseAccount(out); err == nil {
			t.Errorf("%q is taken for %+v", out, got)
		}
	}
}
