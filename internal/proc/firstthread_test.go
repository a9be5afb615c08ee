package proc_test

import (
	"context"
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

// withoutFirstThread ends this process's first thread, on which main begins. The Go runtime's own
// threads live on.
func withoutFirstThread() {
	_, _, _ = syscall.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
}

// A process whose first thread has ended is alive and is found by its mark, as a child and as an orphan.
func TestFirstThreadEnded(t *testing.T) {
	table := proctest.Table(t)
	cmd := proc.Cmd{Path: "/proc/self/exe", Args: []string{"test"}, Env: append(os.Environ(), "PROC_TEST_FIRST_THREAD=1", "MARK=first")}
	start(t, table, cmd)
	orphan := sh(`(setsid "$0" &)`, "PROC_TEST_FIRST_THREAD=1", "MARK=first")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	orphan.Args = append(orphan.Args, self)
	wait(t, start(t, table, orphan))
	eventually(t, "the first threads of both have ended", func() bool {
		all, err := table.Descendants()
		return err == nil && len(all) == 2 && !slices.ContainsFunc(all, func(i proc.Info) bool { return i.State != 'Z' })
	})
	if n, err := table.Family("MARK=first").Kill(context.Background()); err != nil || n != 2 {
		t.Errorf("killed %d, %v", n, err)
	}
	if left, err := table.Descendants(); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
