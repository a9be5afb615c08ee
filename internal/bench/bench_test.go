package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/job"
)

// double is a contender that launches nothing.
type double struct {
	name    string
	most    int
	short   int // with so many instances one is missing
	fails   int // with so many instances it fails
	prepare error
	during  func(n int)

	launched []int
	closed   int
}

func (d *double) Name() string                                { return d.name }
func (d *double) Most() int                                   { return d.most }
func (d *double) Prepare(context.Context, func(string)) error { return d.prepare }
func (d *double) Close() error                                { d.closed++; return nil }
func (d *double) Launch(ctx context.Context, n int) (Sample, error) {
	d.launched = append(d.launched, n)
	if d.during != nil {
		d.during(n)
	}
	if n == d.fails {
		return Sample{}, errors.New("no memory")
	}
	s := Sample{Alive: n, Launch: time.Duration(n) * time.Millisecond, Source: FromProc}
	if n == d.short {
		s.Alive--
	}
	return s, ctx.Err()
}

// quiet carries steps out and keeps notes.
type quiet struct{ notes []string }

func (q *quiet) Do(ctx context.Context, _ string, _ time.Duration, f func(context.Context, func(string)) error) error {
	return f(ctx, func(string) {})
}
func (q *quiet) Note(text string) { q.notes = append(q.notes, text) }

func TestContendersTakeTurns(t *testing.T) {
	var order []string
	ours, theirs := &double{name: "ours", most: 8}, &double{name: "theirs", most: 2}
	for _, d := range []*double{ours, theirs} {
		d.during = func(n int) { order = append(order, fmt.Sprint(d.name, n)) }
	}
	samples, stops, err := Experiment{Contenders: []Contender{ours, theirs}, Counts: Counts(4), Repeats: 2}.Run(t.Context(), &quiet{})
	if err != nil || len(stops) > 0 {
		t.Fatal(err, stops)
	}
	if got, want := strings.Join(order, " "), "ours1 theirs1 ours1 theirs1 ours2 theirs2 ours2 theirs2 ours4 ours4"; got != want {
		t.Errorf("in the order %s, want %s", got, want)
	}
	if len(samples) != 10 || samples[2].Repeat != 2 || samples[2].Series != "ours" {
		t.Errorf("samples %+v", samples)
	}
	if ours.closed != 1 || theirs.closed != 1 {
		t.Error("a contender was not closed once")
	}
}

func TestWhoFailsIsMeasuredNoFurther(t *testing.T) {
	for _, c := range []struct {
		name string
		bad  *double
		want Stop
	}{
		{"fails", &double{fails: 2}, Stop{"bad", 2, "no memory"}},
		{"short", &double{short: 2}, Stop{"bad", 2, "not all programs were alive at once: 1 of 2"}},
		{"unprepared", &double{prepare: errors.New("no Wine")}, Stop{"bad", 0, "no Wine"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.bad.name, c.bad.most = "bad", 8
			ours := &double{name: "ours", most: 8}
			q := &quiet{}
			samples, stops, err := Experiment{Contenders: []Contender{ours, c.bad}, Counts: Counts(8), Repeats: 1}.Run(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(stops, []Stop{c.want}) {
				t.Errorf("stops %+v, want %+v", stops, c.want)
			}
			if slices.Max(append(c.bad.launched, 0)) > 2 || len(ours.launched) != 4 {
				t.Errorf("it was launched with %v, ours with %v", c.bad.launched, ours.launched)
			}
			for _, s := range samples {
				if s.Alive < s.Instances {
					t.Errorf("a launch that failed counts: %+v", s)
				}
			}
			if !slices.ContainsFunc(q.notes, func(s string) bool { return strings.HasPrefix(s, "bad: measured no further: ") }) {
				t.Errorf("nobody was told: %q", q.notes)
			}
		})
	}
}

// An experiment without a single launch of ours is none.
func TestOursMustLaunch(t *testing.T) {
	want := errors.New("no Wine")
	ours, theirs := &double{name: "ours", prepare: want}, &double{name: "theirs"}
	if _, _, err := (Experiment{Contenders: []Contender{ours, theirs}, Counts: Counts(2), Repeats: 1}).Run(t.Context(), &quiet{}); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if ours.closed != 1 || theirs.closed != 1 {
		t.Error("a contender was not closed")
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ours := &double{name: "ours", most: 8}
	ours.during = func(n int) {
		if n == 4 {
			cancel()
		}
	}
	samples, _, err := Experiment{Contenders: []Contender{ours}, Counts: Counts(8), Repeats: 1}.Run(ctx, &quiet{})
	if !errors.Is(err, context.Canceled) || len(samples) != 2 || ours.closed != 1 {
		t.Errorf("got %d samples and %v, closed %d times", len(samples), err, ours.closed)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{4, 1}, Spread{2.5, 1, 4}},
		{[]float64{9, 1, 2}, Spread{2, 1, 9}},
		{[]float64{4, 3, 2, 1}, Spread{2.5, 1, 4}},
	} {
		if got := SpreadOf(c.values); got != c.want {
			t.Errorf("SpreadOf(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestSummarise(t *testing.T) {
	samples := []Sample{
		{Series: "b", Instances: 2, Launch: 2 * time.Second, Alive: 2, Memory: 20},
		{Series: "a", Instances: 2, Launch: time.Second, Copies: true, Alive: 2},
		{Series: "b", Instances: 2, Launch: 4 * time.Second, Alive: 3, Memory: 40},
		{Series: "b", Instances: 1, Launch: time.Second, Alive: 1},
	}
	points := Summarise(samples)
	var got []string
	for _, p := range points {
		got = append(got, fmt.Sprint(p.Series, p.Instances, "×", p.Repeats))
	}
	if want := []string{"b1×1", "b2×2", "a2×1"}; !slices.Equal(got, want) {
		t.Fatalf("points %v, want %v", got, want)
	}
	p := points[1]
	if p.Launch != (Spread{3, 2, 4}) || p.Rate != (Spread{0.75, 0.5, 1}) || p.Alive != 2 || p.Memory != 15 || p.Copies {
		t.Errorf("point %+v", p)
	}
}

func TestCounts(t *testing.T) {
	for most, want := range map[int][]int{
		0: {1}, 1: {1}, 2: {1, 2}, 5: {1, 2, 4, 5}, 64: {1, 2, 4, 8, 16, 32, 64},
	} {
		if got := Counts(most); !slices.Equal(got, want) {
			t.Errorf("Counts(%d) = %v, want %v", most, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	const mb = 1_000_000
	need := Need{Memory: 2 * mb, PIDs: 2, Rate: 100}
	for _, c := range []struct {
		room Room
		want int
	}{
		{Room{}, 1},
		{Room{Memory: 10_000 * mb}, 2048}, // 4,000 fit into four fifths
		{Room{Memory: 10_000 * mb, PIDs: 1000}, 256},
		{Room{Memory: 1_000_000 * mb, PIDs: 1 << 22}, PublishedMost},
	} {
		if got := Fit(need, c.room); got != c.want {
			t.Errorf("Fit(%+v) = %d, want %d", c.room, got, c.want)
		}
	}
	if got, want := need.Estimate([]int{100, 200}, 2, 2, time.Second), 7*time.Second; got != want {
		t.Errorf("300 instances twice take %v, want %v", got, want)
	}
}

func TestSeconds(t *testing.T) {
	for v, want := range map[float64]string{312.4: "312 s", 56.23: "56.2 s", 3.456: "3.46 s", 0.289: "289 ms", 0.9996: "1.00 s", 0.0099999: "10 ms", 9.999: "10.0 s", 99.99: "100 s", 0.0012: "1.2 ms", 0: "0 ms"} {
		if got := Seconds(v); got != want {
			t.Errorf("Seconds(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestFailureIsOneLine(t *testing.T) {
	for stderr, want := range map[string]string{
		"building\nerror: Wine is not installed  [no-wine]\n  try   apt-get\n": "Wine is not installed  [no-wine]",
		"it broke\n": "it broke",
		"":           "muster launch ended with exit code 0 and said nothing",
	} {
		if got := failure([]string{"launch"}, job.Exit{}, []byte(stderr)); got.Error() != want {
			t.Errorf("%q: %q, want %q", stderr, got, want)
		}
	}
}

func TestLastObject(t *testing.T) {
	for text, want := range map[string]string{
		"{\"a\":1}\n":                           `{"a":1}`,
		"said before\n{\"a\":1}\n":              `{"a":1}`,
		"{\n  \"a\": {\n    \"b\": 1\n  }\n}\n": "{\n  \"a\": {\n    \"b\": 1\n  }\n}",
		"":                                      "",
	} {
		if got := string(lastObject([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestCopying(t *testing.T) {
	var r reportResult
	text := `{"lanes":4,"phases":{"staged":{"max_s":0.5,"total_s":3},"cloned":{"max_s":0.2,"total_s":16}},"nodes":[{"agent":1,"host":"n1"},{"agent":2,"host":"n2"},{"agent":3,"host":"n1"}]}`
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	if got := r.copying(); got != 2.5 {
		t.Errorf("copying took %g s, want the slowest staging and an eighth of the clones, 2.5 s", got)
	}
	if got := r.nodes(); got != 2 {
		t.Errorf("%d nodes", got)
	}
	if got := (reportResult{}).copying(); got != 0 {
		t.Errorf("with nothing copied %g s", got)
	}
}

// fakeProc is a /proc with the given stat, cmdline and schedstat files.
func fakeProc(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// statLine is a line of /proc/PID/stat: user and system time, and those of children, in ticks.
func statLine(pid int, comm string, state byte, parent, user, system, cuser, csystem, threads int) string {
	return fmt.Sprintf("%d (%s) %c %d 1 1 0 -1 4194304 100 0 0 0 %d %d %d %d 20 0 %d 0 12345 1000 10", pid, comm, state, parent, user, system, cuser, csystem, threads)
}

func TestCount(t *testing.T) {
	root := fakeProc(t, map[string]string{
		"7/stat": statLine(7, "probe.exe", 'S', 1, 0, 0, 0, 0, 1), "7/cmdline": "C:\\probe.exe\x001\x00word\x00\x00\x00",
		"8/stat": statLine(8, "probe.exe", 'R', 1, 0, 0, 0, 0, 1), "8/cmdline": "probe.exe\x002\x00word\x00",
		"9/stat": statLine(9, "probe.exe", 'Z', 1, 0, 0, 0, 0, 1), "9/cmdline": "",
		"10/stat": statLine(10, "probe.exe", 'S', 1, 0, 0, 0, 0, 1), "10/cmdline": "probe.exe\x003\x00words\x00",
		"11/stat": statLine(11, "muster", 'S', 1, 0, 0, 0, 0, 1), "11/cmdline": "muster\x00launch\x00word\x00",
		"12/stat": statLine(12, "probe.exe) S 1", 'S', 1, 0, 0, 0, 0, 1), "12/cmdline": "probe.exe\x00word\x00",
		"13/cmdline": "gone\x00word\x00",
		"self/stat":  statLine(7, "probe.exe", 'S', 1, 0, 0, 0, 0, 1),
	})
	c := newCounter(Prey{Name: "probe.exe", Word: "word"})
	c.root = root
	for range 2 {
		if n, err := c.count(); err != nil || n != 2 {
			t.Errorf("%d are counted (%v), want 2", n, err)
		}
	}
	// One that was seen in the midst of its exec is counted when it has its arguments.
	if err := os.WriteFile(filepath.Join(root, "10", "cmdline"), []byte("probe.exe\x003\x00word\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n, err := c.count(); err != nil || n != 3 {
		t.Errorf("%d are counted (%v), want 3", n, err)
	}
	// The kernel keeps 15 bytes of a name.
	long := newCounter(Prey{Name: "probe-with-a-long-name.exe", Word: "word"})
	if got := string(long.comm); got != "probe-with-a-lo" {
		t.Errorf("looked for as %q", got)
	}
}

func TestCPUBelow(t *testing.T) {
	root := fakeProc(t, map[string]string{
		"5/stat": statLine(5, "bench", 'S', 1, 900, 900, 10, 10, 9),                                 // this process: what it has reaped, 200 ms
		"6/stat": statLine(6, "muster", 'S', 5, 10, 20, 0, 5, 12),                                   // 300 ms itself, 50 ms reaped
		"7/stat": statLine(7, "probe.exe", 'S', 6, 0, 0, 0, 0, 1), "7/schedstat": "4500000 100 3\n", // 4.5 ms
		"8/stat": statLine(8, "probe.exe", 'S', 1, 50, 50, 0, 0, 1), "8/schedstat": "1000000000 100 3\n", // somebody else's
		"9/stat": statLine(9, "wineserver", 'S', 6, 3, 4, 0, 0, 1), // a kernel without schedstat: 70 ms
	})
	got, err := cpuBelow(root, 5)
	if want := 624500 * time.Microsecond; err != nil || got != want {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}

func TestAvailable(t *testing.T) {
	root := fakeProc(t, map[string]string{"meminfo": "MemTotal:       100 kB\nMemFree:   5 kB\nMemAvailable:   64 kB\n"})
	if got := available(root); got != 64<<10 {
		t.Errorf("%d bytes are available, want %d", got, 64<<10)
	}
	if got := available(t.TempDir()); got != 0 {
		t.Errorf("without meminfo %d bytes are available", got)
	}
}

// The figures' three drawings show a series alike.
func TestLooksAreTheSame(t *testing.T) {
	looks := map[string]int{}
	for _, d := range made().Figures() {
		for _, s := range d.Figure.Series {
			if other, seen := looks[s.Name]; seen && other != s.Look {
				t.Errorf("%s looks different in %s", s.Name, d.Name)
			}
			looks[s.Name] = s.Look
		}
	}
	if len(looks) != 5 {
		t.Errorf("series %v", looks)
	}
}
