package proc_test

import (
	"context"
	"slices"
	"syscall"
	"testing"

	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

// family starts two children with the mark, one of which leaves an orphan and one a tree, and a stranger.
func family(t *testing.T, table *proc.Table) (one, two, stranger *proc.Child) {
	t.Helper()
	one = start(t, table, sh("(setsid sleep 1000 &) ; sleep 1000 & env -i sleep 1000 & wait", "MARK=a", "ONE=1"))
	two = start(t, table, sh("exec sleep 1000", "MARK=a", "TWO=2"))
	stranger = start(t, table, sh("(setsid sleep 1000 &) ; exec sleep 1000", "MARK=ab"))
	eventually(t, "all run, and the shells between have gone", func() bool {
		all, err := table.Descendants()
		return err == nil && len(all) == 7 && len(sleepers(t, table)) == 6
	})
	return one, two, stranger
}

// sleepers are the parents' numbers of what sleeps below the table.
func sleepers(t *testing.T, table *proc.Table) (parents []int) {
	t.Helper()
	all, err := table.Descendants()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Comm == "sleep" {
			parents = append(parents, i.PPID)
		}
	}
	return parents
}

func TestFamilyKill(t *testing.T) {
	for _, tc := range []struct {
		name   string
		family func(*proc.Table, *proc.Child) proc.Family
		left   int // sleepers
	}{
		{"by mark", func(table *proc.Table, _ *proc.Child) proc.Family { return table.Family("MARK=a") }, 2},
		{"by several marks", func(table *proc.Table, _ *proc.Child) proc.Family { return table.Family("ONE=1", "MARK=ab") }, 1},
		{"by a mark that nobody has", func(table *proc.Table, _ *proc.Child) proc.Family { return table.Family("MARK=") }, 6},
		{"of a child, with its orphans", func(_ *proc.Table, c *proc.Child) proc.Family { return c.Family("ONE=1") }, 3},
		{"of a child alone", func(_ *proc.Table, c *proc.Child) proc.Family { return c.Family() }, 4},
		{"but for some", func(table *proc.Table, _ *proc.Child) proc.Family {
			return table.Family("MARK=a").But(func(i proc.Info) bool { return slices.Contains(i.Env(), "TWO=2") })
		}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := proctest.Table(t)
			one, _, stranger := family(t, table)
			ctx, done := context.WithTimeout(context.Background(), limit)
			defer done()
			for round := range 2 {
				killed, err := tc.family(table, one).Kill(ctx)
				if err != nil || (killed == 0) != (round > 0 || tc.left == 6) {
					t.Errorf("round %d: killed %d, %v", round, killed, err)
				}
			}
			if got := sleepers(t, table); len(got) != tc.left {
				t.Errorf("%d sleep on, want %d", len(got), tc.left)
			}
			if tc.name == "by mark" && !slices.Contains(children(t, table), stranger.PID()) {
				t.Error("another family's child was killed")
			}
			if _, err := table.KillAll(ctx, false); err != nil {
				t.Error(err)
			}
		})
	}
}

// children are the table's living children.
func children(t *testing.T, table *proc.Table) (pids []int) {
	t.Helper()
	all, err := table.Descendants()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Depth == 1 {
			pids = append(pids, i.PID)
		}
	}
	return pids
}

func TestFamilySignal(t *testing.T) {
	table := proctest.Table(t)
	one, _, _ := family(t, table)
	stopped := func() int {
		all, err := table.Descendants()
		if err != nil {
			t.Fatal(err)
		}
		return len(slices.DeleteFunc(all, func(i proc.Info) bool { return i.State != 'T' }))
	}
	if err := one.Family("ONE=1").Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the shell and its three stand still", func() bool { return stopped() == 4 })
	if err := table.Family("MARK=a").Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody stands still", func() bool { return stopped() == 0 })
	if _, err := table.KillAll(context.Background(), false); err != nil {
		t.Error(err)
	}
}

// A family whose members come and go faster than they are listed is caught all the same.
func TestFamilyKillForkers(t *testing.T) {
	table := proctest.Table(t)
	for range 3 {
		start(t, table, sh(`while :; do (setsid sleep 1000 &) ; sleep 0.002; done`, "MARK=bomb"))
	}
	eventually(t, "some sleep", func() bool { return len(sleepers(t, table)) > 10 })
	ctx, done := context.WithTimeout(context.Background(), limit)
	defer done()
	if n, err := table.Family("MARK=bomb").Kill(ctx); err != nil || n < 3 {
		t.Errorf("killed %d, %v", n, err)
	}
	if left, err := table.Descendants(); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
