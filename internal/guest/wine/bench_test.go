package wine_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
	"muster/internal/job"
)

// clock adds up how long the phases took.
type clock struct {
	last  time.Time
	total map[job.Phase]time.Duration
}

func (c *clock) Phase(p job.Phase) {
	now := time.Now()
	c.total[p] += now.Sub(c.last)
	c.last = now
}

// BenchmarkInstance opens an instance, starts a program in it twice, and closes
// it: the life of an instance, with what each step of it costs.
func BenchmarkInstance(b *testing.B) {
	for _, boot := range []string{wine.BootLean, wine.BootFull} {
		b.Run(boot, func(b *testing.B) {
			exe := winetest.Build(b, "hello")["hello"]
			w := newWorld(b, boot, filepath.Dir(exe), nil)
			c := &clock{total: map[job.Phase]time.Duration{}}
			var first, second, closing time.Duration
			place := w.place
			place.Events, place.Dir = c, filepath.Join(w.scratch, "bench")
			if err := os.Mkdir(place.Dir, 0o700); err != nil {
				b.Fatal(err)
			}
			start := func(i guest.Instance) time.Duration {
				began := time.Now()
				p, err := i.Start(context.Background(), guest.Command{Program: exe, Dir: w.folders.Work + "/1", Env: os.Environ()})
				if err != nil {
					b.Fatal(err)
				}
				if e, err := p.Wait(context.Background()); err != nil || !e.OK() {
					b.Fatal(e, err)
				}
				return time.Since(began)
			}
			for b.Loop() {
				c.last = time.Now()
				i, err := w.guest.Open(context.Background(), place)
				if err != nil {
					b.Fatal(err)
				}
				first += start(i)
				second += start(i)
				began := time.Now()
				if err := i.Close(context.Background()); err != nil {
					b.Fatal(err)
				}
				closing += time.Since(began)
			}
			for name, d := range map[string]time.Duration{
				"clone-ms": c.total[job.PhaseCloned], "boot-ms": c.total[job.PhaseBooted],
				"first-ms": first, "second-ms": second, "close-ms": closing,
			} {
				b.ReportMetric(d.Seconds()*1000/float64(b.N), name)
			}
		})
	}
}
