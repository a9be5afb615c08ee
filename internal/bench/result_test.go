package bench

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/plot"
)

var (
	update = flag.Bool("update", false, "write the goldens anew")
	keep   = flag.String("keep", "", "leave what a result is shown in here, to be looked at")
)

// made is a result of made-up figures: ours and three rivals, three repeats.
func made() *Result {
	r := &Result{
		When: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Version: "v1", Machine: "2 CPUs, 24 GiB, kernel 6.18, wine-8.0", CPUs: 2, Load: 0.25, Guest: "wine",
		Isolation: "node", Engine: "local", Nodes: 1, Repeats: 3, Took: 9 * time.Minute, Published: Published(),
		Stops: []Stop{{"GNU parallel -j8, one booted prefix", 2048, "not all programs were alive at once: 1990 of 2048"}},
	}
	for _, s := range []struct {
		name   string
		most   int
		fixed  time.Duration // of a launch
		each   time.Duration
		copied time.Duration // each
	}{
		{"muster, isolation node", 16384, 260 * time.Millisecond, 3100 * time.Microsecond, 90 * time.Microsecond},
		{"xargs -P8, one booted prefix", 1024, 4 * time.Millisecond, 6500 * time.Microsecond, 0},
		{"GNU parallel -j8, one booted prefix", 1024, 90 * time.Millisecond, 9 * time.Millisecond, 0},
		{"plain wine, full boot each", 4, 700 * time.Millisecond, 300 * time.Millisecond, 800 * time.Millisecond},
	} {
		for _, n := range Counts(s.most) {
			for repeat := 1; repeat <= 3; repeat++ {
				wobble := time.Duration(90 + 10*repeat) // 100, 110, 120 %
				k := time.Duration(n)
				r.Samples = append(r.Samples, Sample{
					Series: s.name, Instances: n, Repeat: repeat, Nodes: 1, Launch: (s.fixed + s.each*k) * wobble / 100,
					Copy: (s.copied*k + s.copied) * wobble / 100, Copies: s.copied > 0, Alive: n, Source: FromProc,
					Memory: int64(n) * 1_100_000, CPU: k * 5 * time.Millisecond, Down: k * time.Millisecond,
				})
			}
		}
	}
	return r
}

// TestWrite compares what a result is shown in with its goldens: tables, the JSON
// form, the page and the drawings as SVG.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if *keep != "" {
		dir = *keep
	}
	names, err := made().Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := "launch.csv launch.json copy-time.svg copy-time.png launch-time.svg launch-time.png launch-rate.svg launch-rate.png report.md"; strings.Join(names, " ") != want {
		t.Errorf("wrote %v, want %s", names, want)
	}
	compareGoldens(t, dir, "testdata", names)
}

// compareGoldens compares files with those of the same names that are right.
func compareGoldens(t *testing.T, dir, goldens string, names []string) {
	t.Helper()
	for _, name := range names {
		if strings.HasSuffix(name, ".png") {
			continue // the same drawing; its bytes are the encoder's affair
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join(goldens, name)
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not the golden one; go test ./internal/bench -update -keep DIR writes it anew, to be looked at", name)
		}
	}
}

// A result of one launch has figures too.
func TestSmallest(t *testing.T) {
	r := made()
	r.Samples, r.Stops, r.Repeats = r.Samples[:1], nil, 1
	for _, d := range r.Figures() {
		var svg bytes.Buffer
		if err := plot.WriteSVG(&svg, d.Figure); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(svg.String(), "muster, isolation node") {
			t.Errorf("%s does not name the only series", d.Name)
		}
	}
}
