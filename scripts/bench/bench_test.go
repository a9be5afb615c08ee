package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWriteSection(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "performance.md")
	for _, s := range []struct{ name, text string }{
		{"native", "native, first"}, {"wine", "wine"}, {"native", "native, second"},
	} {
		if err := writeSection(doc, s.name, s.text); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	want := heading + `
<!-- bench:native -->
native, second
<!-- end of bench:native -->

<!-- bench:wine -->
wine
<!-- end of bench:wine -->
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReplaceKeepsOtherText(t *testing.T) {
	doc := "before\n<!-- bench:x -->\nold\n<!-- end of bench:x -->\nafter\n"
	got, err := replaceSection(doc, "x", "new\n\n")
	if want := strings.Replace(doc, "old", "new", 1); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := replaceSection("<!-- bench:x -->\nno end\n", "x", "new"); err == nil {
		t.Error("a mark without its end was accepted")
	}
}

func TestForms(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{thousands(7), "7"}, {thousands(1000), "1,000"}, {thousands(1234567), "1,234,567"},
		{perSec(2.345), "2.35/s"}, {perSec(2345.4), "2,345/s"},
		{ratio(0.6123), "0.612"}, {ratio(41.26), "41.3"},
		{mega(0), "not seen"}, {mega(99_400_000), "99 MB"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestLastResult(t *testing.T) {
	r, err := lastResult("{\"event\":1}\n{\"version\":1,\"run\":12,\"completed\":5}\n")
	if err != nil || r.Run != 12 || r.Completed != 5 {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := lastResult("all done\n"); err == nil {
		t.Error("text that is no JSON was accepted")
	}
}

func TestProcess(t *testing.T) {
	self := process{os.Getpid()}
	if self.peak() < 1<<20 {
		t.Errorf("this process has a peak of %d bytes", self.peak())
	}
	if home := "PATH=" + os.Getenv("PATH"); !self.hasEnv(home) || self.hasEnv(home+"x") {
		t.Errorf("hasEnv(%q) is wrong about this process", home)
	}
}

// A trace of two processors: the program (10) under its server (5), and strangers.
func TestPhases(t *testing.T) {
	const trace = `   10/10    [000] 1.000000000: raw_syscalls:sys_enter: NR 59 (1, 2, 3, 4, 5, 6)
   10/10    [000] 1.000500000:            page-faults:
   11/11    [001] 1.000500000:            page-faults:
   10/10    [000] 1.001000000: raw_syscalls:sys_enter: NR 42 (4, 7ffe, 9, 0, 0, 0)
   10/10    [000] 1.001500000:     sched:sched_switch: prev_comm=a b prev_pid=10 prev_prio=120 prev_state=S ==> next_comm=wineserver64 next_pid=5 next_prio=120
    5/5     [000] 1.001700000:     sched:sched_switch: prev_comm=wineserver64 prev_pid=5 prev_prio=120 prev_state=S ==> next_comm=a b next_pid=10 next_prio=120
   10/10    [000] 1.001800000: raw_syscalls:sys_enter: NR 0 (6, 7ffe, 40, 0, 0, 0)
   10/10    [000] 1.002000000: raw_syscalls:sys_enter: NR 157 (f, 7ffe, 0, 0, 0, 0)
   10/10    [000] 1.004000000: raw_syscalls:sys_enter: NR 1 (1, 7ffe, 6, 0, 0, 0)
   10/10    [000] 1.005000000:     sched:sched_switch: prev_comm=p.exe prev_pid=10 prev_prio=120 prev_state=Z ==> next_comm=swapper/0 next_pid=0 next_prio=120
`
	var events []event
	for line := range strings.Lines(trace) {
		e, ok := parseEvent(strings.TrimSuffix(line, "\n"))
		if !ok {
			t.Fatalf("not understood: %s", line)
		}
		events = append(events, e)
	}
	got, ok := phasesOf(events, 10, 5)
	want := []phase{
		{calls: 1, faults: 1, wall: time.Millisecond, client: time.Millisecond},
		{trips: 1, calls: 2, switches: 1, wall: time.Millisecond, client: 800 * time.Microsecond, server: 200 * time.Microsecond},
		{calls: 1, wall: 2 * time.Millisecond, client: 2 * time.Millisecond},
		{calls: 1, switches: 1, wall: time.Millisecond, client: time.Millisecond},
	}
	if !ok || !slices.Equal(got, want) {
		t.Errorf("%v, %+v\nwant %+v", ok, got, want)
	}
	if _, ok := phasesOf(events[4:], 10, 5); ok {
		t.Error("a start whose beginning is missing is taken for a whole one")
	}
}

// A series that was measured no further is compared with nothing.
func TestVMRatios(t *testing.T) {
	var points []vmPoint
	text := `[
		{"series": "stripped cold", "jobs": 1, "vms_per_job": 1, "launch_s": {"median": 2.5}, "start_s": {"median": 2}, "down_s": {"median": 0.1}},
		{"series": "stripped cold", "jobs": 2, "vms_per_job": 1, "launch_s": {"median": 9}, "start_s": {"median": 9}},
		{"series": "stripped warm", "jobs": 1, "vms_per_job": 1, "launch_s": {"median": 0.5}, "start_s": {"median": 0.1}}]`
	if err := json.Unmarshal([]byte(text), &points); err != nil {
		t.Fatal(err)
	}
	rows := vmRatios(points, "TCG")
	if len(rows) != 2 || rows[0].ratio != "5" || rows[1].ratio != "20" || rows[1].muster != "100 ms" || rows[1].compared != "booted stripped: 2.00 s" {
		t.Errorf("rows %+v", rows)
	}
}
