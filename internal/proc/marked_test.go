package proc_test

import (
	"context"
	"slices"
	"testing"

	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

func TestKillMarked(t *testing.T) {
	table := proctest.Table(t)
	// One in the session, one that has left it, and one whose environment is gone.
	marked := start(t, table, sh("sleep 1000 & setsid sleep 1000 & env -i sleep 1000 & wait", "MARK=a"))
	spared := start(t, table, sh("exec sleep 1000", "MARK=b"))
	children := func(n int) func() bool {
		return func() bool {
			all, err := table.Descendants()
			if err != nil {
				t.Fatal(err)
			}
			return len(slices.DeleteFunc(all, func(i proc.Info) bool { return i.Comm != "sleep" })) == n
		}
	}
	eventually(t, "all sleep", children(4))
	ctx, done := context.WithTimeout(t.Context(), limit)
	defer done()
	n, err := proc.KillMarked(ctx, func(env []string) bool { return slices.Contains(env, "MARK=a") })
	if n != 4 || err != nil {
		t.Errorf("killed %d, %v; want the shell and its three children", n, err)
	}
	if e := wait(t, marked); e.Signal != 9 {
		t.Errorf("it ended with %+v", e)
	}
	if !children(1)() {
		t.Error("there is not one process left")
	}
	if _, err := table.Kill(ctx, all); err != nil {
		t.Error(err)
	}
	wait(t, spared)
}
