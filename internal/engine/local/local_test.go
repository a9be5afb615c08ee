package local

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/engine/enginetest"
	"muster/internal/job"
)

func TestConformance(t *testing.T) {
	table := newTable(t)
	root := t.TempDir()
	enginetest.Run(t, enginetest.Config{
		Open:   func(t *testing.T) engine.Engine { return newEngine(t, root, table) },
		Shared: func(t *testing.T) string { return t.TempDir() },
		Wait:   patience,
		Index:  enginetest.IndexNames(),
		Elsewhere: func(t *testing.T, a job.Array) engine.ID {
			child, out := submitter(t, table, root, a)
			exit, err := child.Wait(t.Context())
			if err != nil {
				t.Error(err)
			}
			if exit.Signal != 9 {
				t.Errorf("the submitter ended as %+v", exit)
			}
			b, err := io.ReadAll(io.NewSectionReader(out, 0, 1<<10))
			if err != nil {
				t.Error(err)
			}
			return engine.ID(strings.TrimSpace(string(b)))
		},
		Ask: func(t *testing.T, id engine.ID) (argv, env []string) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			return []string{self, "answer", root, string(id)}, nil
		},
		Orphans:   enginetest.OrphansAll,
		TimeLimit: 500 * time.Millisecond,
	})
}
