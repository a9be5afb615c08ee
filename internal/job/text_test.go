package job

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// checkBad reports an error that is not ErrBadInput, not one line, or does not
// say want.
func checkBad(t *testing.T, err error, want string) {
	t.Helper()
	if !errors.Is(err, ErrBadInput) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestBadInputf(t *testing.T) {
	cause := errors.New("cause")
	err := BadInputf("what: %w", cause)
	if !errors.Is(err, ErrBadInput) || !errors.Is(err, cause) || err.Error() != "what: cause" {
		t.Errorf("%v", err)
	}
}

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"0":         0,
		"30":        30 * time.Minute,
		" 30 ":      30 * time.Minute,
		"5:30":      5*time.Minute + 30*time.Second,
		"90:00":     90 * time.Minute,
		"1:30:15":   time.Hour + 30*time.Minute + 15*time.Second,
		"0:0:1":     time.Second,
		"1-0":       day,
		"1-12":      36 * time.Hour,
		"1-12:30":   36*time.Hour + 30*time.Minute,
		"1-2:03:04": day + 2*time.Hour + 3*time.Minute + 4*time.Second,
		"90s":       90 * time.Second,
		"1h30m":     90 * time.Minute,
		"2d":        2 * day,
		"2d12h":     60 * time.Hour,
		"1.5h":      90 * time.Minute,
		"250ms":     250 * time.Millisecond,
		"106751d":   106751 * day,
	} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%q: %v (%v), want %v", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", " ", "x", "-1", "+1", "-5s", "+5s", "1-", "-", ":", "1:", ":1", "1:2:3:4", "1-2:3:4:5", "1-2-3", "1.5", "5 m",
		"2d-1h", "2d+1h", "1d2d", "d", "1.5d", "1h d", "99999999999999999999", "106752d", "153722868", "106751-24", "١",
		"2d2562047h",
	} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%q: %v, want an error", s, got)
		}
	}
	_, err := ParseDuration("5 m")
	checkBad(t, err, `"5 m" is not a time span: write 30 (minutes), 90s, 1h30m, 2d, 1:30:00 or 1-12:00`)
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                "00:00:00",
		90 * time.Second: "00:01:30",
		49*time.Hour + 2*time.Minute + 3*time.Second: "2-01:02:03",
		1500 * time.Millisecond:                      "1.5s",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "unit")
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64/int64(unit)).Draw(t, "n")) * unit
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%v became %s became %v (%v)", d, FormatDuration(d), got, err)
		}
	})
}

func TestParseMemory(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "512": 512 << 20, "512M": 512 << 20, "512m": 512 << 20, "512MB": 512 << 20, "512MiB": 512 << 20,
		"1k": 1 << 10, "2G": 2 << 30, "2 GiB": 2 << 30, "3T": 3 << 40, "1000B": 1000, "1.5G": 3 << 29, "0.25": 1 << 18, " 7 ": 7 << 20,
		"8388607T": 8388607 << 40,
	} {
		if got, err := ParseMemory(s); err != nil || got != want {
			t.Errorf("%q: %d (%v), want %d", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "M", "-1", "+1", "1P", "1MM", "1IB", "1Mi", "1KBB", "1.", ".5", "1.2345G", "1..2", "1e3", "8388608T", "1,5G", "B", "1BM", "99999999999999999999", "8388607.999999T",
	} {
		if got, err := ParseMemory(s); err == nil {
			t.Errorf("%q: %d, want an error", s, got)
		}
	}
	_, err := ParseMemory("lots")
	checkBad(t, err, `"lots" is not an amount of memory: write 512 (MiB), 512M, 1.5G or 64GiB`)
}

func TestFormatMemory(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1000: "1000B", 1024: "1K", 512 << 20: "512M", 2 << 30: "2G", 5 << 50: "5120T"} {
		if got := FormatMemory(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]int64{1, 1 << 10, 1 << 20, 1 << 40}).Draw(t, "unit")
		n := rapid.Int64Range(0, math.MaxInt64/unit).Draw(t, "n") * unit
		if got, err := ParseMemory(FormatMemory(n)); err != nil || got != n {
			t.Fatalf("%d became %s became %d (%v)", n, FormatMemory(n), got, err)
		}
	})
}

func TestParseNP(t *testing.T) {
	triple := func(n, p, th int) NP { return NP{Triple: true, Nodes: n, PerNode: p, Threads: th} }
	for s, want := range map[string]NP{
		"4": {Processes: 4}, " 4 ": {Processes: 4},
		"[1,2,1]": triple(1, 2, 1), "[ 1, 2 ,3 ]": triple(1, 2, 3), "1,2,3": triple(1, 2, 3),
		"[1,2]": triple(1, 2, 1), "1,2": triple(1, 2, 1),
	} {
		if got, err := ParseNP(s); err != nil || got != want {
			t.Errorf("%q: %+v (%v), want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "-1", "+4", "4.5", "[4]", "[1,2,3,4]", "[1,2", "1,2]", "[]", "[0,1,1]", "[1,,1]", "1 2 1", "99999999999", "[[1,2]]"} {
		if got, err := ParseNP(s); err == nil {
			t.Errorf("%q: %+v, want an error", s, got)
		}
	}
	_, err := ParseNP("[1;2]")
	checkBad(t, err, `--np cannot be "[1;2]": write 4 (processes) or [2,4,1] (nodes, processes per node, threads per process)`)
	if s := (NP{}).String(); s != "" {
		t.Errorf("nothing asked for is written %q", s)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, math.MaxInt32)
		want := NP{Processes: n.Draw(t, "processes")}
		if rapid.Bool().Draw(t, "triple") {
			want = triple(n.Draw(t, "nodes"), n.Draw(t, "per node"), n.Draw(t, "threads"))
		}
		if got, err := ParseNP(want.String()); err != nil || got != want {
			t.Fatalf("%v became %v (%v)", want, got, err)
		}
	})
}

func TestFailOn(t *testing.T) {
	tests := []struct {
		s           string
		failed, all int
		want        bool
	}{
		{"", 0, 10, false}, {"", 1, 10, true},
		{"3", 2, 10, false}, {"3", 3, 10, true},
		{"5%", 4, 100, false}, {"5%", 5, 100, true}, {"5%", 1, 10, true}, {"5%", 0, 0, false},
		{"0.5%", 4, 1000, false}, {"0.5%", 5, 1000, true},
		{"100%", 9, 10, false}, {"100 %", 10, 10, true},
	}
	for _, tt := range tests {
		f, err := ParseFailOn(tt.s)
		if err != nil {
			t.Errorf("%q: %v", tt.s, err)
		} else if got := f.Fails(tt.failed, tt.all); got != tt.want {
			t.Errorf("%q: %d of %d: %t", tt.s, tt.failed, tt.all, got)
		}
	}
	for _, s := range []string{"0", "-1", "x", "%", "0%", "101%", "5.%", ".5%", "1.2345%", "5%%", "1.5", "9999999999999999999"} {
		if f, err := ParseFailOn(s); err == nil {
			t.Errorf("%q: %v, want an error", s, f)
		}
	}
	_, err := ParseFailOn("some")
	checkBad(t, err, `--fail-on cannot be "some": write 3 (failed tasks, at least 1) or 5% (of all tasks, up to 100%)`)
	if s := (FailOn{}).String(); s != "1" {
		t.Errorf("the default is written %q", s)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := FailOn{Tasks: rapid.IntRange(1, math.MaxInt).Draw(t, "tasks")}
		if rapid.Bool().Draw(t, "share") {
			want = FailOn{Percent: rapid.IntRange(1, 100_000).Draw(t, "thousandths")}
		}
		if got, err := ParseFailOn(want.String()); err != nil || got != want {
			t.Fatalf("%+v became %v became %+v (%v)", want, want, got, err)
		}
	})
}

func TestWordsOfFlags(t *testing.T) {
	if a, err := ParseAppType("MIMO"); a != MIMO || err != nil {
		t.Error(a, err)
	}
	if d, err := ParseDistribution("cyclic"); d != Cyclic || err != nil {
		t.Error(d, err)
	}
	if e, err := ParseExisting(" skip "); e != ExistingSkip || err != nil {
		t.Error(e, err)
	}
	if i, err := ParseIsolation("node"); i != IsolateNode || err != nil {
		t.Error(i, err)
	}
	_, err := ParseAppType("simo")
	checkBad(t, err, `--apptype cannot be "simo": it is one of siso, mimo; did you mean siso?`)
	_, err = ParseDistribution("")
	checkBad(t, err, `--distribution cannot be "": it is one of block, cyclic, dynamic`)
	_, err = ParseExisting("overwrite")
	checkBad(t, err, `--existing cannot be "overwrite": it is one of refuse, skip, replace`)
	_, err = ParseIsolation("lnae")
	checkBad(t, err, `--isolation cannot be "lnae": it is one of task, lane, node; did you mean lane?`)
}

func TestClosest(t *testing.T) {
	known := []string{"status", "logs", "wait", "cancel", "resume", "report", "map"}
	for word, want := range map[string]string{
		"stauts": "status", "Log": "logs", "wiat": "wait", "cancle": "cancel", "res": "resume", "mapping": "map",
		"": "", "launch": "", "x": "", strings.Repeat("s", 1000): "",
	} {
		if got := Closest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestTaskNames(t *testing.T) {
	tests := []struct {
		in              []Input
		name, stem, ext string
	}{
		{nil, "", "", ""},
		{[]Input{{Word: "0.5"}}, "0.5", "0", "5"},
		{[]Input{{Word: "-s"}, {Word: "/in/a.tar.gz", File: true}, {Word: "/in/b", File: true}}, "a.tar.gz", "a.tar", "gz"},
		{[]Input{{Word: "http://x/y"}, {Word: "z"}}, "y", "y", ""},
		{[]Input{{Word: "/in/.rc", File: true}}, ".rc", ".rc", ""},
	}
	for _, tt := range tests {
		name := Task{In: tt.in}.Name()
		if stem, ext := SplitName(name); name != tt.name || stem != tt.stem || ext != tt.ext {
			t.Errorf("%v: %q = %q + %q", tt.in, name, stem, ext)
		}
	}
}

func TestArrayEnv(t *testing.T) {
	want := "SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1 " +
		"SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_STEP=1 JOB_ID=7 SGE_TASK_ID=2 SGE_TASK_FIRST=1 SGE_TASK_LAST=3 SGE_TASK_STEPSIZE=1"
	if got := strings.Join(ArrayEnv("7", 2, 3), " "); got != want {
		t.Errorf("%s", got)
	}
}
