package wine_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
)

var (
	crowdPrograms = flag.Int("crowd.programs", 32, "BenchmarkCrowd: programs alive at once")
	crowdEach     = flag.Int("crowd.each", 16, "BenchmarkCrowd: programs that a server takes")
	crowdStep     = flag.Int("crowd.step", 16, "BenchmarkCrowd: tell what starts cost after so many programs")
)

// inFlight is how many programs are being started at the same time.
const inFlight = 8

// BenchmarkCrowd brings many programs up in one instance and takes them down, once, and tells what starts cost
// in processor time, which other work on the machine changes less than it does the clock:
//
//	go test -run - -bench Crowd -benchtime 1x -v ./internal/guest/wine -crowd.programs 1000 -crowd.each 500 -crowd.step 250
func BenchmarkCrowd(b *testing.B) {
	exe := winetest.Build(b, "sleeper")["sleeper"]
	w := newWorld(b, wine.BootLean, filepath.Dir(exe), nil)
	first := w.inst
	defer func() { w.inst = first }()
	w.guest.SetFiles(wine.FilesFor(*crowdEach))
	place := w.place
	place.ID, place.Dir, place.Programs = "node0", filepath.Join(w.scratch, "node0"), *crowdPrograms
	place.Env = []string{guest.EnvInstance + "=node0@" + filepath.Base(w.scratch)}
	if err := os.Mkdir(place.Dir, 0o700); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		began := time.Now()
		inst, err := w.guest.Open(b.Context(), place)
		if err != nil {
			b.Fatal(err)
		}
		up, _ := inst.(guest.Crowded).Parts()
		b.Logf("%d servers are up after %s", up, time.Since(began))
		w.inst = inst
		w.crowd(b, exe)
		began, self := time.Now(), selfCPU()
		if err := inst.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "close-s")
		b.ReportMetric((selfCPU() - self).Seconds(), "close-self-s")
	}
}

// crowd starts the programs, a step at a time.
func (w *world) crowd(b *testing.B, exe string) {
	for from := 0; from < *crowdPrograms; from += *crowdStep {
		to := min(from+*crowdStep, *crowdPrograms)
		began, self, servers, all := time.Now(), selfCPU(), w.cpu("wineserver64"), w.cpu("")
		var starts errgroup.Group
		starts.SetLimit(inFlight)
		for n := from; n < to; n++ {
			starts.Go(func() error {
				c := guest.Command{Program: exe, Args: []string{"-1", `O:\` + itoa(n)}, Dir: w.folders.Work + "/1", Env: os.Environ(), Private: true}
				p, err := w.inst.Start(context.Background(), c)
				for err == nil && !p.(guest.Readier).Ready() {
					time.Sleep(time.Millisecond)
				}
				return err
			})
		}
		if err := starts.Wait(); err != nil {
			b.Fatal(err)
		}
		w.eventually("all run", func() bool {
			names, err := os.ReadDir(w.folders.Out)
			return err == nil && len(names) == to
		})
		n := float64(to - from)
		b.Logf("%5d alive: %4.0f/s; CPU of a start: server %.2f ms, this process %.2f ms, all but it %.2f ms", to, n/time.Since(began).Seconds(),
			ms(w.cpu("wineserver64")-servers)/n, ms(selfCPU()-self)/n, ms(w.cpu("")-all)/n)
	}
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// selfCPU is the processor time of this process.
func selfCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpu is the processor time of all living processes with that name, or of all.
func (w *world) cpu(comm string) (sum time.Duration) {
	all, err := w.table.Descendants()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range all {
		if comm != "" && p.Comm != comm {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", p.PID))
		if err != nil {
			continue
		}
		var ns int64
		fmt.Sscan(string(b), &ns)
		sum += time.Duration(ns)
	}
	return sum
}
