package memory

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/internal/engine"
	"muster/internal/engine/enginetest"
	"muster/internal/proc/proctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	e := New(Options{Table: proctest.Table(t), KillWait: 300 * time.Millisecond, MaxArray: 3})
	t.Cleanup(func() { e.Close() })
	enginetest.Run(t, enginetest.Config{
		Open:      func(*testing.T) engine.Engine { return e },
		Shared:    func(t *testing.T) string { return t.TempDir() },
		Wait:      30 * time.Second,
		Orphans:   enginetest.OrphansMarked,
		TimeLimit: 500 * time.Millisecond,
	})
}
