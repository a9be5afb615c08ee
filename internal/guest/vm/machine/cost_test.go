package machine_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/internal/guest/vm/machine"
)

// saved boots the lab's machine and saves it when its guest waits.
func (l *lab) saved(dir string) {
	l.t.Helper()
	m, err := l.host.BootToSave(l.t.Context(), l.config, dir)
	if err != nil {
		l.t.Fatal(err)
	}
	defer m.Close()
	if got := l.line(m, bufio.NewReader(m.Stream())); got != "ready" {
		l.t.Fatalf("the guest said %q", got)
	}
	if err := l.host.Save(l.t.Context(), m); err != nil {
		l.t.Fatal(err)
	}
}

// BenchmarkResume tells what a warm start takes: until the guest runs, until it has answered, and until the process has gone, with its CPU
// time and what 64 (or MACHINES) at once take of memory.
func BenchmarkResume(b *testing.B) {
	l := newLab(b)
	dir := b.TempDir()
	if d := os.Getenv("STATEDIR"); d != "" {
		dir = d
	}
	l.saved(dir)
	var runs, answers, ends, cpu time.Duration
	for b.Loop() {
		began := time.Now()
		m, err := l.host.Resume(b.Context(), l.config, dir)
		if err != nil {
			b.Fatal(err)
		}
		runs += time.Since(began)
		fmt.Fprintln(m.Stream(), "echo x")
		l.line(m, bufio.NewReader(m.Stream()))
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

// BenchmarkMany tells what machines that are alive at once take of memory.
func BenchmarkMany(b *testing.B) {
	l := newLab(b)
	dir := b.TempDir()
	l.saved(dir)
	many := 64
	if n, err := strconv.Atoi(os.Getenv("MACHINES")); err == nil {
		many = n
	}
	for b.Loop() {
		var all []*machine.Machine
		began := time.Now()
		for range many {
			m, err := l.host.Resume(b.Context(), l.config, dir)
			if err != nil {
				b.Fatal(err)
			}
			fmt.Fprintln(m.Stream(), "echo x")
			l.line(m, bufio.NewReader(m.Stream()))
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
