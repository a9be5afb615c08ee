package proc_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

func TestGiveUp(t *testing.T) {
	table := proctest.Table(t)
	cmd := sh("exec sleep 1000")
	cmd.GiveUp = []int{unix.CAP_CHOWN, unix.CAP_FOWNER}
	const bits = 1<<unix.CAP_CHOWN | 1<<unix.CAP_FOWNER
	had := bounding(t, os.Getpid())
	want := had
	if os.Geteuid() == 0 {
		want &^= bits
	}
	// More at a time than there are spare threads.
	pids := make([]int, 12)
	var starts sync.WaitGroup
	for n := range pids {
		starts.Go(func() {
			c, err := table.Start(cmd)
			if err != nil {
				t.Error(err)
				return
			}
			pids[n] = c.PID()
		})
	}
	starts.Wait()
	for _, pid := range pids {
		if pid != 0 && bounding(t, pid) != want {
			t.Errorf("the child has %x of %x, want %x", bounding(t, pid), had, want)
		}
	}
	// This process's own threads, and other children, keep what they had.
	if other := start(t, table, sh("exec sleep 1000")); bounding(t, other.PID()) != had {
		t.Errorf("another child has %x of %x", bounding(t, other.PID()), had)
	}
	if _, err := table.KillAll(t.Context(), false); err != nil {
		t.Error(err)
	}
}

// A failed start does not cost its thread, and a thread is used again.
func TestGiveUpAgain(t *testing.T) {
	table := proctest.Table(t)
	bad := proc.Cmd{Path: "/no/such/program", GiveUp: []int{unix.CAP_CHOWN}}
	good := sh("exit 3")
	good.GiveUp = bad.GiveUp
	for range 20 {
		if _, err := table.Start(bad); err == nil {
			t.Fatal("a program that is not there was started")
		}
		c := start(t, table, good)
		if e := wait(t, c); e.Code != 3 {
			t.Fatalf("%+v", e)
		}
	}
}

// bounding is the bounding set of a process.
func bounding(t *testing.T, pid int) (set uint64) {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "CapBnd:")
	if _, err := fmt.Sscanf(after, "%x", &set); err != nil {
		t.Fatal(err)
	}
	return set
}
