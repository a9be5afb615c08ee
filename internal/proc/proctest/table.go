// Package proctest gives tests the table of their processes.
package proctest

import (
	"context"
	"testing"
	"time"

	"muster/internal/proc"
)

// grace is for what is ending by itself, such as a shell whose script has said all.
const grace = time.Second

// Table makes the test's process the owner of everything that the test starts. At the test's end nothing of that
// may be left; what is, is told of and killed, so that it does not spoil the next test.
func Table(t testing.TB) *proc.Table {
	t.Helper()
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, err := table.Descendants()
		for end := time.Now().Add(grace); err == nil && len(left) > 0 && time.Now().Before(end); left, err = table.Descendants() {
			time.Sleep(5 * time.Millisecond)
		}
		if err != nil || len(left) > 0 {
			t.Errorf("processes were left: %+v, %v", left, err)
		}
		if _, err := table.Kill(context.Background(), func(proc.Info) bool { return true }); err != nil {
			t.Error(err)
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}
