package timeline_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/goldentest"
	"muster/internal/job"
	"muster/internal/timeline"
	"muster/internal/timeline/timelinetest"
)

const ms = time.Millisecond

func TestQuantileIsAMeasuredValueOfTheRightRank(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "n")
		d := make([]time.Duration, n)
		for i := range d {
			d[i] = time.Duration(rapid.IntRange(0, 50).Draw(t, "d"))
		}
		slices.Sort(d)
		percent := rapid.IntRange(1, 100).Draw(t, "percent")
		q := timeline.Quantile(d, float64(percent)/100)
		atMost, below := 0, 0
		for _, v := range d {
			if v <= q {
				atMost++
			}
			if v < q {
				below++
			}
		}
		if !slices.Contains(d, q) || atMost*100 < percent*n || below*100 >= percent*n {
			t.Fatalf("%d-percentile of %v = %v: %d are at most that, %d below", percent, d, q, atMost, below)
		}
	})
}

func TestQuantileKnownValues(t *testing.T) {
	var twenty []time.Duration
	for i := range 20 {
		twenty = append(twenty, time.Duration(i+1))
	}
	for _, c := range []struct {
		d    []time.Duration
		p    float64
		want time.Duration
	}{
		{nil, 0.5, 0}, {twenty[:1], 0.5, 1}, {twenty[:1], 0.95, 1}, {twenty, 0.5, 10}, {twenty, 0.95, 19}, {twenty, 1, 20}, {twenty[:3], 0.5, 2},
	} {
		if got := timeline.Quantile(c.d, c.p); got != c.want {
			t.Errorf("Quantile(%v, %v) = %d, want %d", c.d, c.p, got, c.want)
		}
	}
}

func drawIntervals(t *rapid.T) []timeline.Interval {
	iv := make([]timeline.Interval, rapid.IntRange(0, 60).Draw(t, "n"))
	for i := range iv {
		from := rapid.IntRange(0, 40).Draw(t, "from")
		iv[i] = timeline.Interval{From: time.Duration(from), To: time.Duration(from + rapid.IntRange(0, 20).Draw(t, "len"))}
	}
	return iv
}

func TestConcurrencyCountsEveryMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		iv := drawIntervals(t)
		c := timeline.Concurrency(iv)
		for at := time.Duration(-1); at < 64; at++ {
			want := 0
			for _, v := range iv {
				if v.From <= at && at < v.To {
					want++
				}
			}
			if got := c.At(at); got != want {
				t.Fatalf("at %d: %d, want %d (%v)", at, got, want, iv)
			}
		}
		for i := 1; i < len(c); i++ {
			if c[i].At <= c[i-1].At || c[i].N == c[i-1].N {
				t.Fatalf("not a strict staircase: %v", c)
			}
		}
	})
}

func TestCumulativeCountsWhatHasPassed(t *testing.T) {
	c := timeline.Cumulative([]time.Duration{5, 1, 5, 9})
	want := timeline.Curve{{At: 1, N: 1}, {At: 5, N: 3}, {At: 9, N: 4}}
	if !slices.Equal(c, want) {
		t.Errorf("got %v, want %v", c, want)
	}
}

func TestDownsampleKeepsExtremesOfEveryColumn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c timeline.Curve
		at := time.Duration(0)
		for range rapid.IntRange(1, 400).Draw(t, "n") {
			at += time.Duration(rapid.IntRange(1, 30).Draw(t, "gap"))
			c = append(c, timeline.Point{At: at, N: rapid.IntRange(0, 1000).Draw(t, "count")})
		}
		columns := rapid.IntRange(1, 20).Draw(t, "columns")
		d := c.Downsample(columns)
		if len(d) > 4*(columns+1) {
			t.Fatalf("%d points for %d columns", len(d), columns)
		}
		if d.Peak() != c.Peak() {
			t.Fatalf("peak %v became %v", c.Peak(), d.Peak())
		}
		low := func(c timeline.Curve) int {
			return slices.MinFunc(c, func(a, b timeline.Point) int { return a.N - b.N }).N
		}
		if low(d) != low(c) || d[0] != c[0] || d[len(d)-1] != c[len(c)-1] {
			t.Fatalf("%v became %v", c, d)
		}
		for _, p := range d {
			if !slices.Contains(c, p) {
				t.Fatalf("%v was never there", p)
			}
		}
	})
}

func span(p job.Phase, from, to int, agent, lane int, inst string, task int) timeline.Span {
	return timeline.Span{Phase: p, Start: time.Duration(from) * ms, End: time.Duration(to) * ms, Agent: agent, Lane: lane, Instance: inst, Task: task, Attempt: min(task, 1)}
}

func TestLives(t *testing.T) {
	bootFail := span(job.PhaseBooted, 510, 600, 1, 1, "lane1", 0)
	bootFail.State = job.BootFail
	open := span(job.PhaseRunning, 720, 900, 1, 1, "lane1", 4)
	open.Open = true
	tl := &timeline.Timeline{End: 900 * ms, Spans: []timeline.Span{
		span(job.PhaseStaged, 0, 5, 1, -1, "", 0),
		span(job.PhaseCloned, 10, 20, 1, 0, "lane0", 0),
		span(job.PhaseBooted, 20, 100, 1, 0, "lane0", 0),
		span(job.PhaseRunning, 100, 200, 1, 0, "lane0", 1),
		span(job.PhaseExited, 200, 210, 1, 0, "lane0", 1),
		span(job.PhaseRunning, 300, 400, 2, 0, "lane0", 2), // another agent, no clone: its life begins with the program
		span(job.PhaseCloned, 500, 510, 1, 1, "lane1", 0),
		bootFail,
		span(job.PhaseCloned, 610, 620, 1, 1, "lane1", 0), // opened anew under the same name
		span(job.PhaseBooted, 620, 700, 1, 1, "lane1", 0),
		open,
		span(job.PhaseDiscarded, 800, 850, 1, 0, "lane0", 0),
	}}
	got := tl.Lives()
	want := []timeline.Life{
		{Agent: 1, Lane: 0, Instance: "lane0", Began: 10 * ms, Ready: 100 * ms, Gone: 800 * ms, Came: true},
		{Agent: 2, Lane: 0, Instance: "lane0", Began: 300 * ms, Ready: 300 * ms, Gone: 400 * ms, Came: true},
		{Agent: 1, Lane: 1, Instance: "lane1", Began: 500 * ms, Gone: 600 * ms},
		{Agent: 1, Lane: 1, Instance: "lane1", Began: 610 * ms, Ready: 700 * ms, Gone: 900 * ms, Came: true, Open: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	s := timeline.Summarise(tl)
	if s.Instances.Begun != 4 || s.Instances.Came != 3 || s.Instances.Last != 700*ms || s.Instances.Peak != 2 {
		t.Errorf("launch of instances: %+v", s.Instances)
	}
	if want := 3 / 0.69; math.Abs(s.Instances.Rate-want) > 1e-9 {
		t.Errorf("rate %v, want %v", s.Instances.Rate, want)
	}
	if s.Attempts != 3 || s.Programs.Begin != 10*ms || s.Programs.Peak != 1 {
		t.Errorf("launch of programs: %+v", s.Programs)
	}
}

func TestSummariseNothingAndOne(t *testing.T) {
	if s := timeline.Summarise(&timeline.Timeline{}); len(s.Phases) != 0 || s.Programs.Rate != 0 || s.Instances.Begun != 0 {
		t.Errorf("an empty timeline: %+v", s)
	}
	one := timelinetest.Shape{Tasks: 1, Lanes: 1, Isolation: job.IsolateLane, Clone: 10 * ms, Boot: 90 * ms, Run: time.Second}.Make()
	s := timeline.Summarise(one)
	run := s.Phase(job.PhaseRunning)
	if run.Count != 1 || run.Median != run.Max || run.P95 != run.Max || run.Total != run.Max || run.Max == 0 {
		t.Errorf("one task: %+v", run)
	}
	if len(s.Stragglers) != 0 {
		t.Errorf("one task straggles behind nobody: %v", s.Stragglers)
	}
}

func running(task int, ran time.Duration) timeline.Span {
	return timeline.Span{Phase: job.PhaseRunning, End: ran, Agent: 1, Lane: task, Task: task, Attempt: 1, State: job.Completed}
}

func TestStragglers(t *testing.T) {
	for _, c := range []struct {
		name string
		ran  []time.Duration
		want []int
	}{
		{"three are too few", []time.Duration{time.Second, time.Second, time.Hour}, nil},
		{"even", []time.Duration{1000 * ms, 1010 * ms, 990 * ms, 1005 * ms, 1001 * ms}, nil},
		{"one far out", []time.Duration{1000 * ms, 1010 * ms, 990 * ms, 1005 * ms, 1001 * ms, 1002 * ms, 1003 * ms, 9000 * ms}, []int{8}},
		{"the longest first", []time.Duration{5000 * ms, 1010 * ms, 990 * ms, 1005 * ms, 1001 * ms, 1002 * ms, 1003 * ms, 1000 * ms, 9000 * ms}, []int{9, 1}},
		{"a broad spread has none", []time.Duration{100 * ms, 500 * ms, 1000 * ms, 3000 * ms, 9000 * ms, 9500 * ms, 9900 * ms, 20000 * ms}, nil},
		{"milliseconds are noise", []time.Duration{3 * ms, 3 * ms, 3 * ms, 3 * ms, 3 * ms, 3 * ms, 3 * ms, 60 * ms}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			tl := &timeline.Timeline{}
			for i, r := range c.ran {
				tl.Spans = append(tl.Spans, running(i+1, r))
			}
			var got []int
			for _, s := range tl.Stragglers() {
				got = append(got, s.Task)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAnOpenProgramCanStraggle(t *testing.T) {
	tl := &timeline.Timeline{}
	for i := range 10 {
		tl.Spans = append(tl.Spans, running(i+1, time.Second))
	}
	hang := running(11, time.Minute)
	hang.Open, hang.State = true, ""
	tl.Spans = append(tl.Spans, hang)
	got := tl.Stragglers()
	if len(got) != 1 || got[0].Task != 11 || !got[0].Open || got[0].Times != 60 {
		t.Errorf("got %+v", got)
	}
}

func TestLaneUses(t *testing.T) {
	tl := &timeline.Timeline{Spans: []timeline.Span{
		span(job.PhaseStaged, 0, 100, 1, -1, "", 0),
		span(job.PhaseCloned, 100, 110, 1, 0, "lane0", 0),
		span(job.PhaseBooted, 110, 200, 1, 0, "lane0", 0),
		span(job.PhaseCloned, 100, 120, 1, 1, "lane1", 0),
		span(job.PhaseRunning, 200, 700, 1, 0, "lane0", 1),
		span(job.PhaseRunning, 300, 800, 1, 0, "lane0", 2), // one call for two tasks: not 1000 ms of work
		span(job.PhaseRunning, 200, 400, 1, 1, "lane1", 3),
		span(job.PhaseDiscarded, 1000, 1100, 1, 1, "lane1", 0),
	}}
	got := tl.LaneUses()
	want := []timeline.LaneUse{
		{LaneID: timeline.LaneID{Agent: 1, Lane: 0}, Programs: 2, Window: 1000 * ms, Running: 600 * ms, Opening: 100 * ms, Last: 800 * ms},
		{LaneID: timeline.LaneID{Agent: 1, Lane: 1}, Programs: 1, Window: 1000 * ms, Running: 200 * ms, Opening: 20 * ms, Closing: 100 * ms, Last: 400 * ms},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if b := got[0].Busy(); b != 0.6 {
		t.Errorf("busy %v", b)
	}
}

// One call of a program for three tasks is one program, and three attempts.
func TestProgramsOfSeveralTasks(t *testing.T) {
	tl := &timeline.Timeline{End: 900 * ms, Spans: []timeline.Span{
		span(job.PhaseRunning, 0, 500, 1, 0, "lane0", 1),
		span(job.PhaseRunning, 0, 500, 1, 0, "lane0", 2),
		span(job.PhaseRunning, 0, 400, 1, 1, "lane1", 4),
		span(job.PhaseRunning, 0, 500, 1, 0, "lane0", 3),
		span(job.PhaseRunning, 500, 900, 1, 0, "lane0", 5),
		span(job.PhaseRunning, 500, 900, 1, -1, "node0", 6), // a node's programs are many by nature
		span(job.PhaseRunning, 500, 900, 1, -1, "node0", 7),
	}}
	s := timeline.Summarise(tl)
	if s.Programs.Begun != 5 || s.Attempts != 7 || s.Tasks != 7 || s.Programs.Peak != 3 || s.Phase(job.PhaseRunning).Count != 5 || s.Lanes[1].Programs != 2 {
		t.Errorf("got %+v", s)
	}
}

func small() *timeline.Timeline {
	return timelinetest.Shape{Tasks: 4, Lanes: 2, Isolation: job.IsolateLane, Submitted: 20 * ms, Staged: 5 * ms, Clone: 12 * ms, Boot: 80 * ms,
		Run: 300 * ms, Exit: 4 * ms, Discard: 30 * ms, Fail: map[int]job.State{3: job.Failed}, Cut: 750 * ms}.Make()
}

func TestGoldenExports(t *testing.T) {
	var trace, table bytes.Buffer
	if err := timeline.WriteTrace(&trace, small()); err != nil {
		t.Fatal(err)
	}
	if err := timeline.WriteCSV(&table, small()); err != nil {
		t.Fatal(err)
	}
	goldentest.Check(t, "trace.json", trace.Bytes())
	named := small()
	named.Nodes = map[int]string{named.Spans[0].Agent: "n017"}
	trace.Reset()
	if err := timeline.WriteTrace(&trace, named); err != nil || !bytes.Contains(trace.Bytes(), []byte(`"name":"n017 (agent 1)"`)) {
		t.Errorf("processes do not bear the names of nodes: %v", err)
	}
	goldentest.Check(t, "spans.csv", table.Bytes())
}

type traceFile struct {
	TraceEvents []struct {
		Ph, Name, Cat string
		Pid, Tid      int
		Ts, Dur       float64
		Args          map[string]any
	}
}

func TestTraceIsWellFormedAndNothingOverlapsOnAThread(t *testing.T) {
	for _, sh := range []timelinetest.Shape{
		{},
		{Tasks: 300, Agents: 3, Lanes: 4, Isolation: job.IsolateTask, Clone: ms, Boot: 20 * ms, Run: 50 * ms, Exit: 20 * ms, Discard: ms},
		{Tasks: 200, Lanes: 3, Isolation: job.IsolateNode, Boot: 20 * ms, Run: 50 * ms, Exit: 90 * ms, Cut: time.Second},
	} {
		tl := sh.Make()
		tl.Spans = append(tl.Spans, timeline.Span{Phase: job.PhaseRunning, Start: tl.End, End: tl.End + 1, Agent: 1, Instance: "a\"b\\\n</x>\xff", Task: 1})
		var buf bytes.Buffer
		if err := timeline.WriteTrace(&buf, tl); err != nil {
			t.Fatal(err)
		}
		var f traceFile
		if err := json.Unmarshal(buf.Bytes(), &f); err != nil {
			t.Fatalf("not JSON: %v", err)
		}
		ends := map[int]float64{}
		named := map[int]bool{}
		n := 0
		for _, e := range f.TraceEvents {
			switch e.Ph {
			case "M":
				named[e.Tid] = true
			case "X":
				n++
				if !named[e.Tid] {
					t.Fatalf("thread %d has no name", e.Tid)
				}
				if e.Ts < ends[e.Tid]-0.0005 {
					t.Fatalf("thread %d: %s at %v begins before %v", e.Tid, e.Name, e.Ts, ends[e.Tid])
				}
				ends[e.Tid] = e.Ts + e.Dur
			default:
				t.Fatalf("unexpected event %q", e.Ph)
			}
		}
		if n != len(tl.Spans) {
			t.Errorf("%d events for %d spans", n, len(tl.Spans))
		}
	}
}

func TestCSVReadsBack(t *testing.T) {
	tl := small()
	tl.Spans[3].Instance = "odd, \"name\"\n"
	var buf bytes.Buffer
	if err := timeline.WriteCSV(&buf, tl); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&buf).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(tl.Spans)+1 || rows[4][5] != tl.Spans[3].Instance {
		t.Errorf("%d rows, row 4 %q", len(rows), rows[4])
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestExportsTellWriteErrors(t *testing.T) {
	for name, write := range map[string]func() error{
		"trace": func() error { return timeline.WriteTrace(brokenWriter{}, small()) },
		"csv":   func() error { return timeline.WriteCSV(brokenWriter{}, small()) },
	} {
		if err := write(); err == nil {
			t.Errorf("%s: a failing writer goes unnoticed", name)
		}
	}
}

func big() *timeline.Timeline {
	return timelinetest.Shape{Tasks: 100_000, Lanes: 2, Isolation: job.IsolateTask, Clone: 2 * ms, Boot: 5 * ms, Run: 8 * ms, Exit: ms, Discard: ms}.Make()
}

func BenchmarkSummarise100k(b *testing.B) {
	tl := big()
	for b.Loop() {
		timeline.Summarise(tl)
	}
}

func BenchmarkTrace100k(b *testing.B) {
	tl := big()
	var buf bytes.Buffer
	for b.Loop() {
		buf.Reset()
		if err := timeline.WriteTrace(&buf, tl); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(buf.Len()))
}
