package agent

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"muster/internal/admit"
	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/node"
	"muster/internal/scratch"
)

// TestOutside: what the keeper has seen reaches the agent.
func TestOutside(t *testing.T) {
	folder := &scratch.Folder{Dir: t.TempDir()}
	a := &agent{Config: Config{Scratch: folder.Dir}}
	if h, err := a.host(); err != nil || h.Outside != (node.Outside{}) {
		t.Errorf("nothing was told: %+v, %v", h.Outside, err)
	}
	if err := tellOutside(folder); err != nil {
		t.Fatal(err)
	}
	want, err := node.This().LookOutside()
	if err != nil {
		t.Fatal(err)
	}
	// Threads come and go.
	if h, err := a.host(); err != nil || h.Outside.PIDMax != want.PIDMax || want.PIDMax < 300 {
		t.Errorf("%+v was told, want %+v; %v", h.Outside, want, err)
	}
	if err := os.WriteFile(filepath.Join(folder.Dir, outsideFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.host(); err == nil {
		t.Error("half a file is no error")
	}
}

// TestAdmission: no machine has room for so many instances; an allocation is
// held to; a few fit.
func TestAdmission(t *testing.T) {
	const gib = 1 << 30
	hold := time.Second
	for _, c := range []struct {
		name      string
		programs  int
		isolation job.Isolation
		environ   []string
		fits      bool
	}{
		{"one", 1, job.IsolateLane, nil, true},
		{"too many", 1 << 30, job.IsolateNode, nil, false},
		{"a small allocation, shared", 16, job.IsolateNode, []string{"SLURM_MEM_PER_NODE=4096"}, true},
		{"a small allocation, one each", 16, job.IsolateTask, []string{"SLURM_MEM_PER_NODE=4096"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &agent{
				Config: Config{Scratch: t.TempDir(), Environ: c.environ},
				spec:   job.Spec{Isolation: c.isolation, Launch: &job.Launch{Programs: c.programs, Hold: &hold}},
				traits: guest.Traits{Program: guest.Load{Memory: 1 << 20, Tasks: 1}, Instance: guest.Load{Memory: gib / 3, Tasks: 2}},
			}
			if c.programs == 1 { // wherever this test runs
				a.traits.Instance.Memory = 1 << 10
			}
			g, err := a.admission(c.programs)
			var r *admit.Refusal
			if c.fits {
				if err != nil {
					t.Fatal(err)
				}
				g.Close()
			} else if !errors.As(err, &r) || r.Decision.OK() {
				t.Errorf("got %v", err)
			}
		})
	}
}
