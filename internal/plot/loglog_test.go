package plot_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"muster/internal/plot"
)

// logLogs are figures of measurements of every kind.
func logLogs() map[string]*plot.LogLog {
	line := func(name string, look int, y float64, xs ...float64) plot.LogSeries {
		s := plot.LogSeries{Name: name, Look: look}
		for _, x := range xs {
			s.Points = append(s.Points, plot.LogPoint{X: x, Y: y * x, Lo: 0.8 * y * x, Hi: 1.5 * y * x})
		}
		return s
	}
	star := plot.LogSeries{Name: "published", Reference: true, Points: []plot.LogPoint{{X: 16384, Y: 300}}}
	figure := func(series ...plot.LogSeries) *plot.LogLog {
		return &plot.LogLog{
			Head: "Launch time against instances", Sub: "2 CPUs", XName: "instances", XMost: 100_000, YName: "Seconds",
			Findings: []string{"16,384 after 52 s.", "Signs are medians."}, Series: series,
		}
	}
	zero := line("nothing", 1, 0, 1, 2, 4)
	zero.Points = append(zero.Points, plot.LogPoint{X: 8, Y: 1, Lo: 0, Hi: 2})
	return map[string]*plot.LogLog{
		"empty":   figure(),
		"one":     figure(line("muster", 0, 0.3, 1)),
		"several": figure(line("muster", 0, 0.003, 1, 10, 100, 1000, 10_000), line("xargs", 1, 0.006, 1, 10, 100, 1000), line("plain", 2, 0.5, 1, 2, 4), star),
		"zero":    figure(zero, star),
		"same":    figure(line("one", 0, 1, 1, 10, 100), line("another", 7, 1, 1, 10, 100)),
	}
}

func TestLogLog(t *testing.T) {
	for name, f := range logLogs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			png := render(t, func(w io.Writer) error { return plot.WritePNG(w, f, 60) })
			checkPNG(t, f, png, 60)
			svg := string(render(t, func(w io.Writer) error { return plot.WriteSVG(w, f) }))
			wants := []string{f.Head, "Signs are medians.", ">1<", ">100<", ">100,000<"}
			for _, s := range f.Series {
				wants = append(wants, ">"+s.Name+"<")
			}
			for _, want := range wants {
				if !strings.Contains(svg, want) {
					t.Errorf("the figure does not show %q", want)
				}
			}
			for _, bad := range []string{"NaN", "Inf"} {
				if strings.Contains(svg, bad) {
					t.Errorf("there is a %s in the drawing", bad)
				}
			}
		})
	}
}

func TestLogLogTable(t *testing.T) {
	var b bytes.Buffer
	if err := logLogs()["several"].Table(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"series,instances,Seconds,from,to\n", "muster,1000,3,2.4,4.5\n", "published,16384,300,0,0\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}
