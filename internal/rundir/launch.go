package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The elements of a launch meet in the run directory: each leaves a file when all its
// programs are up, and sees by the files of the others when the hold begins. Nobody on the
// submitting side is needed for that.

func (r *Run) upPath(gen, element int) string {
	return filepath.Join(r.Dir, launchDir, strconv.Itoa(gen), upPrefix+strconv.Itoa(element))
}

// TellUp says that all programs of an agent's element are up, or, in waves, its first wave. Idempotent.
func (r *Run) TellUp(id AgentID) error {
	name := r.upPath(id.Generation, id.Element)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("tell that all programs are up: %w", err)
	}
	if err := os.WriteFile(name, []byte(id.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("tell that all programs are up: %w", err)
	}
	return nil
}

// RetractUp takes back what an agent, or an elder twin of it, has said. No error where
// nothing was.
func (r *Run) RetractUp(id AgentID) error {
	if err := os.Remove(r.upPath(id.Generation, id.Element)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take back that all programs are up: %w", err)
	}
	return nil
}

// UpElements tells which elements of a generation have said that all their programs are up.
func (r *Run) UpElements(gen int) (map[int]bool, error) {
	up := map[int]bool{}
	names, err := readNames(filepath.Dir(r.upPath(gen, 1)))
	if errors.Is(err, fs.ErrNotExist) {
		return up, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look whose programs are up: %w", err)
	}
	for _, name := range names {
		if n, ok := strings.CutPrefix(name, upPrefix); ok {
			if ns, ok := parseNumbers(n, 1, 1); ok {
				up[ns[0]] = true
			}
		}
	}
	return up, nil
}

// up takes in that the program of an attempt is alive.
func (f *fold) up(agent int, rec *Record) {
	u := rec.Up
	if i, ok := f.open[attemptKey{agent, u.Task, u.Attempt}]; ok {
		f.attempts[i].Up = rec.At
	}
	s := f.slot(u.Task, u.Attempt)
	if s == nil || int(s.agent) != agent || int(s.attempt) != u.Attempt || s.state != scRunning {
		return
	}
	f.leave(s)
	s.up = max(rec.At, 1)
	f.enter(s)
}

func (f *fold) launch(a *AgentState, rec *Record) {
	l := *rec.Launch
	l.Step = Step(f.word(string(l.Step)))
	a.Steps = append(a.Steps, StepAt{l, rec.At})
}

// Alive is how many programs of a launch are alive, as far as the journals tell.
func (s *Snapshot) Alive() int {
	n := 0
	for i := range s.Agents {
		if s.Agents[i].Alive {
			n += s.Agents[i].Up
		}
	}
	return n
}

// Step is when an agent came to a step of a launch for the first time; false: it has not.
func (a *AgentState) Step(step Step) (at time.Duration, ok bool) {
	for _, s := range a.Steps {
		if s.Step == step {
			return s.At, true
		}
	}
	return 0, false
}
