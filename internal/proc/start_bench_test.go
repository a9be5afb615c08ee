package proc_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

// BenchmarkStart tells what a start costs this process, in processor time of its own,
// and, in full, until the child has ended.
func BenchmarkStart(b *testing.B) {
	for _, tc := range []struct {
		name string
		cmd  proc.Cmd
	}{
		{"plain", proc.Cmd{}},
		{"pinned", proc.Cmd{CPUs: []int{0}}},
		{"fixed-layout", proc.Cmd{FixedLayout: true}},
		{"fewer-rights", proc.Cmd{FixedLayout: true, GiveUp: []int{unix.CAP_CHOWN, unix.CAP_FOWNER, unix.CAP_DAC_OVERRIDE}}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			table := proctest.Table(b)
			c := tc.cmd
			c.Path, c.Args, c.Env = "/bin/true", []string{"true"}, os.Environ()
			var self, all time.Duration
			self, all = used(syscall.RUSAGE_SELF), used(syscall.RUSAGE_CHILDREN)
			for b.Loop() {
				child, err := table.Start(c)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := child.Wait(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			n := float64(b.N)
			b.ReportMetric((used(syscall.RUSAGE_SELF)-self).Seconds()*1e6/n, "self-µs/op")
			b.ReportMetric((used(syscall.RUSAGE_CHILDREN)-all).Seconds()*1e6/n, "child-µs/op")
		})
	}
}

func used(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
