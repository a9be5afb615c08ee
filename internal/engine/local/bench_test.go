package local

import (
	"context"
	"os"
	"testing"
	"time"

	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

// BenchmarkArray is the way of an array of one short element: until it is
// started (start-ms), until Submit has returned (submit-ms), until Wait has (ns/op).
// proc-ms is a bare start and wait of the same program, and self-ms of this binary.
func BenchmarkArray(b *testing.B) {
	table := proctest.Table(b)
	e, err := New(testOptions(b.TempDir(), table))
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	a := job.Array{Elements: 1, Argv: []string{"/bin/true"}, Dir: dir, LogDir: dir, Tag: "bench"}
	var start, submit, bare, self time.Duration
	ctx := context.Background()
	for b.Loop() {
		began := time.Now()
		id, err := e.Submit(ctx, a)
		if err != nil {
			b.Fatal(err)
		}
		submit += time.Since(began)
		if err := e.Wait(ctx, id); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		r, err := e.Status(ctx, id)
		if err != nil || r[0].State != job.Completed {
			b.Fatalf("%+v, %v", r, err)
		}
		start += r[0].Elements[0].Started.Sub(began)
		bare += runBare(b, table, "/bin/true")
		self += runBare(b, table, "/proc/self/exe", "-test.run=^$")
		b.StartTimer()
	}
	per := func(d time.Duration, name string) {
		b.ReportMetric(d.Seconds()*1000/float64(b.N), name)
	}
	per(start, "start-ms")
	per(submit, "submit-ms")
	per(bare, "proc-ms")
	per(self, "self-ms")
}

func runBare(b *testing.B, table *proc.Table, path string, args ...string) time.Duration {
	began := time.Now()
	child, err := table.Start(proc.Cmd{Path: path, Args: append([]string{path}, args...), Env: os.Environ()})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := child.Wait(context.Background()); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// BenchmarkStatus asks for an array of a thousand elements.
func BenchmarkStatus(b *testing.B) {
	table := proctest.Table(b)
	e, err := New(testOptions(b.TempDir(), table))
	if err != nil {
		b.Fatal(err)
	}
	const elements = 1000
	var events []event
	for i := 1; i <= elements; i++ {
		events = append(events,
			event{Element: i, State: job.Running, Process: process{PID: i, Started: 1}, At: time.Now()},
			event{Element: i, State: job.Completed, At: time.Now()})
	}
	writeArray(b, e.base(), 1, elsewhere(elements), events...)
	for b.Loop() {
		if _, err := e.Status(context.Background(), idOf(1)); err != nil {
			b.Fatal(err)
		}
	}
}
