package machine_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkBoot tells what a cold start takes until the guest's program runs.
func BenchmarkBoot(b *testing.B) {
	l := newLab(b)
	var cpu time.Duration
	for b.Loop() {
		m, err := l.host.Boot(b.Context(), l.config)
		g := with(b, m, err)
		g.hears()
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
		exit := g.ends().Exit
		cpu += exit.User + exit.System
	}
	b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "ms-cpu/op")
}

// BenchmarkResume tells what a warm start takes: until the guest runs, until it has answered, and until the process has gone, with its CPU
// time.
func BenchmarkResume(b *testing.B) {
	l := newLab(b)
	dir := b.TempDir()
	l.save(dir)
	var runs, answers, ends, cpu time.Duration
	for b.Loop() {
		began := time.Now()
		m := l.resume(b, dir)
		runs += time.Since(began)
		m.ask("echo x")
		answers += time.Since(began)
		ending := time.Now()
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
		ends += time.Since(ending)
		end, err := m.Wait(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		cpu += end.Exit.User + end.Exit.System
	}
	each := func(d time.Duration, what string) {
		b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), what)
	}
	each(runs, "ms-runs/op")
	each(answers, "ms-answer/op")
	each(ends, "ms-end/op")
	each(cpu, "ms-cpu/op")
}

// BenchmarkMany tells what 64 (or MACHINES) machines that are alive at once take of memory.
func BenchmarkMany(b *testing.B) {
	l := newLab(b)
	dir := b.TempDir()
	l.save(dir)
	many := 64
	if n, err := strconv.Atoi(os.Getenv("MACHINES")); err == nil {
		many = n
	}
	for b.Loop() {
		var all []*guest
		began := time.Now()
		for range many {
			m := l.resume(b, dir)
			m.ask("echo x")
			all = append(all, m)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s-up")
		var private, pss int64
		for _, m := range all {
			private += rollup(b, m.PID(), "Private_Clean") + rollup(b, m.PID(), "Private_Dirty")
			pss += rollup(b, m.PID(), "Pss")
		}
		b.ReportMetric(float64(private)/float64(many)/1024, "MB-private/machine")
		b.ReportMetric(float64(pss)/float64(many)/1024, "MB-pss/machine")
		began = time.Now()
		for _, m := range all {
			if err := m.Close(); err != nil {
				b.Error(err)
			}
		}
		b.ReportMetric(time.Since(began).Seconds(), "s-down")
	}
}

// rollup reads a field of smaps_rollup, in KiB.
func rollup(b *testing.B, pid int, field string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); words[0] == field+":" {
			n, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatalf("no %s in %s", field, text)
	return 0
}
