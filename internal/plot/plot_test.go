package plot_test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/job"
	"muster/internal/plot"
	"muster/internal/timeline"
	"muster/internal/timeline/timelinetest"
)

var keep = flag.String("keep", "", "leave the figures in this folder, to be looked at")

const ms = time.Millisecond

// shapes are runs of every kind that a figure must stay readable for.
func shapes() map[string]func() plot.Run {
	lane := timelinetest.Shape{Lanes: 2, Isolation: job.IsolateLane, Submitted: 40 * ms, Staged: 15 * ms, Clone: 14 * ms, Boot: 240 * ms,
		Run: 900 * ms, Exit: 6 * ms, Discard: 60 * ms}
	run := func(name string, sh timelinetest.Shape, change func(*plot.Run)) plot.Run {
		r := plot.Run{Number: 12, Name: name, State: job.Completed, Guest: "wine", Engine: "local", Isolation: sh.Isolation, Tasks: sh.Tasks, Timeline: sh.Make()}
		if change != nil {
			change(&r)
		}
		return r
	}
	one := lane
	one.Tasks, one.Lanes = 1, 1

	eight := lane
	eight.Tasks = 8

	many := lane
	many.Tasks, many.Run = 500, 120*ms
	many.Fail = map[int]job.State{7: job.Failed, 190: job.Timeout, 203: job.Failed}
	many.Slow = map[int]float64{190: 40}

	wide := lane
	wide.Lanes, wide.Tasks, wide.Agents, wide.Run = 16, 640, 4, 4*time.Second
	wide.Submitted, wide.Staged, wide.Boot = 800*ms, 300*ms, 900*ms

	huge := lane
	huge.Tasks, huge.Run, huge.Exit = 100_000, 9*ms, 2*ms
	huge.Fail = map[int]job.State{}
	for t := 40_000; t < 44_000; t += 3 {
		huge.Fail[t] = job.Failed
	}

	boots := lane
	boots.Isolation, boots.Tasks, boots.Run, boots.Boot = job.IsolateTask, 60, 90*ms, 1260*ms

	cancelled := lane
	cancelled.Lanes, cancelled.Tasks, cancelled.Cut = 4, 200, 9*time.Second
	cancelled.Fail = map[int]job.State{30: job.Cancelled, 31: job.Cancelled}

	launchAll := lane
	launchAll.Isolation, launchAll.Lanes, launchAll.Tasks, launchAll.Run = job.IsolateTask, 512, 512, 30*time.Second

	slow := lane
	slow.Tasks, slow.Lanes, slow.Slow = 64, 8, map[int]float64{}
	for t := 8; t <= 64; t += 8 {
		slow.Slow[t] = 2.2
	}

	sick := slow.Make() // one lane of a second agent takes twice as long for everything
	for i := range sick.Spans {
		s := &sick.Spans[i]
		s.Agent = 1 + s.Lane/4
		if s.Lane == 5 && s.Phase == job.PhaseRunning {
			s.Start = s.End - (s.End-s.Start)*9/10
		}
		if s.Lane != 5 && s.Phase == job.PhaseRunning {
			s.End = s.Start + (s.End-s.Start)/3
		}
	}

	farm := lane
	farm.Agents, farm.Lanes, farm.Tasks, farm.Run = 100, 8, 4000, 3*time.Second

	cluster := lane
	cluster.Agents, cluster.Lanes, cluster.Tasks = 8, 4, 400
	cluster.Submitted, cluster.Staged = 800*ms, 600*ms
	published := cluster // the geometry of the published experiment
	published.Agents, published.Lanes, published.Tasks = 256, 64, 16_384
	hosts := map[int]string{}
	for i := 1; i <= published.Agents; i++ {
		hosts[i] = fmt.Sprintf("n%03d.cluster.example", i)
	}

	node := lane
	node.Isolation, node.Tasks = job.IsolateNode, 40
	atOnce := node.Make() // launch: programs in one instance, not limited by lanes
	for i := range atOnce.Spans {
		if s := &atOnce.Spans[i]; s.Task > 0 {
			s.Lane = -1
		}
	}

	calls := lane // one program for eight tasks
	calls.Tasks, calls.Run = 12, 2*time.Second
	batches := calls.Make()
	for _, s := range slices.Clone(batches.Spans) {
		for k := 1; s.Task > 0 && k < 8; k++ {
			more := s
			more.Task += 100 * k
			batches.Spans = append(batches.Spans, more)
		}
	}
	slices.SortStableFunc(batches.Spans, func(a, b timeline.Span) int { return cmp.Compare(a.Start, b.Start) })

	before := lane
	before.Tasks, before.Run = 500, 150*ms

	return map[string]func() plot.Run{
		"one":   func() plot.Run { return run("heat.exe", one, nil) },
		"eight": func() plot.Run { return run("heat.exe", eight, nil) },
		"many":  func() plot.Run { return run("heat.exe", many, func(r *plot.Run) { r.State = job.Failed }) },
		"wide":  func() plot.Run { return run("heat.exe", wide, func(r *plot.Run) { r.Engine = "slurm" }) },
		"huge": func() plot.Run {
			return run("true", huge, func(r *plot.Run) { r.State, r.Guest = job.Failed, "native" })
		},
		"boots":     func() plot.Run { return run("heat.exe", boots, nil) },
		"cancelled": func() plot.Run { return run("heat.exe", cancelled, func(r *plot.Run) { r.State = job.Cancelled }) },
		"all":       func() plot.Run { return run("app.exe", launchAll, nil) },
		"slow":      func() plot.Run { return run("heat.exe", slow, nil) },
		"sick": func() plot.Run {
			return run("heat.exe", slow, func(r *plot.Run) { r.Timeline, r.Hosts = sick, map[int]string{1: "n016", 2: "n017"} })
		},
		"farm": func() plot.Run { return run("heat.exe", farm, func(r *plot.Run) { r.Engine = "slurm" }) },
		"cluster": func() plot.Run {
			return run("heat.exe", cluster, func(r *plot.Run) { r.Engine, r.Hosts = "slurm", hosts })
		},
		"published": func() plot.Run {
			return run("heat.exe", published, func(r *plot.Run) { r.Engine, r.Hosts = "slurm", hosts })
		},
		"node":    func() plot.Run { return run("heat.exe", node, nil) },
		"at-once": func() plot.Run { return run("heat.exe", node, func(r *plot.Run) { r.Timeline = atOnce }) },
		"calls": func() plot.Run {
			return run("heat.exe", calls, func(r *plot.Run) { r.Timeline, r.Tasks = batches, 96 })
		},
		"compared": func() plot.Run {
			return run("heat.exe", many, func(r *plot.Run) { r.Before, r.BeforeNumber = before.Make(), 11 })
		},
		"empty": func() plot.Run { return plot.Run{Number: 3, Name: "heat.exe", Tasks: 10, State: job.Cancelled} },
		"odd": func() plot.Run {
			return run("a<b>&\"c\"\n\x1b[31m\xff 時計 "+strings.Repeat("long ", 40), eight, nil)
		},
	}
}

func TestFigures(t *testing.T) {
	for name, make := range shapes() {
		t.Run(name, func(t *testing.T) {
			f := plot.NewRun(make())
			svg := render(t, func(w io.Writer) error { return plot.WriteSVG(w, f) })
			raster := render(t, func(w io.Writer) error { return plot.WritePNG(w, f, 100) })
			if *keep != "" {
				for ext, data := range map[string][]byte{".svg": svg, ".png": raster} {
					if err := os.WriteFile(filepath.Join(*keep, name+ext), data, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			checkSVG(t, f, svg)
			checkPNG(t, f, raster, 100)
			t.Logf("%s: svg %d kB\n%s\n%s", name, len(svg)/1000, f.Title(), f.Caption())
		})
	}
}

func render(t *testing.T, write func(io.Writer) error) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := write(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// checkSVG wants well-formed XML of bounded size that says what it must.
func checkSVG(t *testing.T, f plot.Figure, svg []byte) {
	t.Helper()
	if len(svg) >= 1_000_000 {
		t.Errorf("%d bytes", len(svg))
	}
	var text, title, desc strings.Builder
	in := &text
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			in = &text
			switch e.Name.Local {
			case "title":
				in = &title
			case "desc":
				in = &desc
			}
		case xml.CharData:
			in.Write(e)
			in.WriteByte(' ')
		}
	}
	if got := strings.TrimSpace(title.String()); got != f.Title() {
		t.Errorf("title %q, want %q", got, f.Title())
	}
	if got := strings.TrimSpace(desc.String()); got != f.Caption() {
		t.Errorf("description %q, want %q", got, f.Caption())
	}
	shown := strings.Join(strings.Fields(text.String()), " ")
	for _, want := range []string{"Launch: ", "Up at once", "Lanes", strings.Join(strings.Fields(f.Caption()), " ")} {
		if !strings.Contains(shown, want) {
			t.Errorf("the figure does not say %q", want)
		}
	}
}

// checkPNG wants a picture of the right size that is neither blank nor lacks
// paper at its edges.
func checkPNG(t *testing.T, f plot.Figure, data []byte, dpi float64) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	w, h := f.Size()
	b := img.Bounds()
	if math.Abs(float64(b.Dx())-w.Points()/72*dpi) > 1 || math.Abs(float64(b.Dy())-h.Points()/72*dpi) > 1 {
		t.Errorf("%v for %v × %v", b, w, h)
	}
	inked := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if !isWhite(img, x, y) {
				inked++
				if x == b.Min.X || x == b.Max.X-1 || y == b.Min.Y || y == b.Max.Y-1 {
					t.Fatalf("ink at the very edge: %d,%d", x, y)
				}
			}
		}
	}
	if share := float64(inked) / float64(b.Dx()*b.Dy()); share < 0.01 || share > 0.7 {
		t.Errorf("%.1f %% of the picture is inked", 100*share)
	}
}

func isWhite(img image.Image, x, y int) bool {
	r, g, b, a := img.At(x, y).RGBA()
	return r == 0xFFFF && g == 0xFFFF && b == 0xFFFF && a == 0xFFFF
}

func TestCaptionsSayWhatWasFound(t *testing.T) {
	for name, wants := range map[string][]string{
		"one":       {"1 instance ready in ", "opening instances 24 %"},
		"many":      {"95 % of 500 programs started in ", "3 attempts failed (task 7, 190, 203).", "task 190, ran 4.80 s, 40 times the median"},
		"wide":      {"95 % of 64 instances ready in "},
		"huge":      {"1,334 attempts failed (task 40000-43999:3)."},
		"boots":     {"ideal, the same programs with no lane ever idle and instances that cost nothing", "opening instances 88 %"},
		"cancelled": {"159 of 200 tasks not started.", "2 attempts were lost or cancelled (task 30-31).", "4 programs had not ended"},
		"sick":      {"Lane 5 of n017 slow: "},
		"cluster":   {"Slowest node: n007, every lane at work after 2.13 s (median 1.61 s)."},
		"published": {"95 % of 16,384 instances ready in "},
		"empty":     {"Nothing was started."},
	} {
		caption := plot.NewRun(shapes()[name]()).Caption()
		for _, want := range wants {
			if !strings.Contains(caption, want) {
				t.Errorf("%s: %q lacks %q", name, caption, want)
			}
		}
	}
}

// Rows bear the names of nodes: a lane's number alone says nothing on a cluster.
func TestRowsAreNamedAfterNodes(t *testing.T) {
	for name, wants := range map[string][]string{
		"cluster":   {">n001<", ">n008<", ">lane 1<", "32 lanes of 8 nodes", "Lanes, node by node"},
		"published": {">n001–n004<", ">n249–n252<", "16,384 lanes of 256 nodes", "Lanes, 4 nodes to a row"},
		"farm":      {">agents 1–2<"},
	} {
		svg := string(render(t, func(w io.Writer) error { return plot.WriteSVG(w, plot.NewRun(shapes()[name]())) }))
		for _, want := range wants {
			if !strings.Contains(svg, want) {
				t.Errorf("%s does not show %q", name, want)
			}
		}
	}
}

func TestDrawingIsDeterministic(t *testing.T) {
	r := shapes()["many"]()
	first := render(t, func(w io.Writer) error { return plot.WriteSVG(w, plot.NewRun(r)) })
	for range 3 {
		if again := render(t, func(w io.Writer) error { return plot.WriteSVG(w, plot.NewRun(r)) }); !bytes.Equal(first, again) {
			t.Fatal("the same run gives another figure")
		}
	}
}

func luminance(c color.Color) float64 {
	lin := func(v uint32) float64 {
		f := float64(v) / 0xFFFF
		if f <= 0.04045 {
			return f / 12.92
		}
		return math.Pow((f+0.055)/1.055, 2.4)
	}
	r, g, b, _ := c.RGBA()
	return 0.2126*lin(r) + 0.7152*lin(g) + 0.0722*lin(b)
}

func contrast(a, b color.Color) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestPhasesStandOutFromPaperAndFromTheirNeighbours(t *testing.T) {
	seen := map[color.Color]job.Phase{}
	phases := job.Phases()
	for i, p := range phases {
		c := plot.PhaseColor(p)
		if got := contrast(c, color.White); got < 3 {
			t.Errorf("%s: contrast %.2f with paper", p, got)
		}
		if other, taken := seen[c]; taken {
			t.Errorf("%s looks like %s", p, other)
		}
		seen[c] = p
		if i > 0 {
			if got := contrast(c, plot.PhaseColor(phases[i-1])); got < 1.7 {
				t.Errorf("%s and %s: contrast %.2f: alike in black and white", phases[i-1], p, got)
			}
		}
	}
}

func TestWriteFileByExtension(t *testing.T) {
	dir := t.TempDir()
	f := plot.NewRun(shapes()["eight"]())
	for name, magic := range map[string]string{"a.svg": "<?xml", "b.PNG": "\x89PNG"} {
		path := filepath.Join(dir, name)
		if err := plot.WriteFile(path, f); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(data, []byte(magic)) {
			t.Errorf("%s: %v, begins with %q", name, err, data[:min(len(data), 8)])
		}
	}
	if err := plot.WriteFile(filepath.Join(dir, "c.pdf"), f); !errors.Is(err, plot.ErrFormat) {
		t.Errorf("c.pdf: %v", err)
	}
	if err := plot.WriteFile(filepath.Join(dir, "none", "d.svg"), f); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
	if err := plot.WritePNG(io.Discard, f, 0); err == nil {
		t.Error("0 dpi is accepted")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestTable(t *testing.T) {
	r := shapes()["many"]()
	path := filepath.Join(t.TempDir(), "figure.csv")
	if err := plot.WriteTable(path, plot.NewRun(r)); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	for _, row := range rows[1:] {
		last[row[0]+" "+row[1]] = row[3]
	}
	for line, want := range map[string]string{"a started": "500", "a ended": "500", "a requested": "500", "b programs running": "0", "c agent 1 lane 0: booted": "1"} {
		if last[line] != want {
			t.Errorf("%s ends with %q, want %s", line, last[line], want)
		}
	}
}

func BenchmarkHuge(b *testing.B) {
	r := shapes()["huge"]()
	for b.Loop() {
		if err := plot.WriteSVG(io.Discard, plot.NewRun(r)); err != nil {
			b.Fatal(err)
		}
	}
}
