package memory

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/internal/engine"
	"muster/internal/engine/enginetest"
	"muster/internal/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTable(t *testing.T) *proc.Table {
	t.Helper()
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, err := table.Descendants()
		if err != nil || len(left) > 0 {
			t.Errorf("processes left: %v, %v", left, err)
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

func TestConformance(t *testing.T) {
	e := New(Options{Table: newTable(t), KillWait: 300 * time.Millisecond, MaxArray: 3})
	t.Cleanup(func() { e.Close() })
	enginetest.Run(t, enginetest.Config{
		Open:      func(*testing.T) engine.Engine { return e },
		Shared:    func(t *testing.T) string { return t.TempDir() },
		Wait:      30 * time.Second,
		Orphans:   enginetest.OrphansMarked,
		TimeLimit: 500 * time.Millisecond,
	})
}
