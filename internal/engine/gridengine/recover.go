package gridengine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// recover settles a submission that has not come to its end: it took place when all
// its jobs are there, or have been. A part of it is taken back.
func (e *Engine) recover(ctx context.Context, a *array, q snapshot) (bool, error) {
	for _, number := range q.named(a.token) {
		if slices.Contains(mapped(a.jobs), number) {
			continue
		}
		p, err := e.pieceOf(ctx, a, number)
		if err != nil {
			return false, err
		}
		a.jobs[p] = number
	}
	// What has run and ended has left its notes.
	for element, notes := range a.notes {
		for _, p := range a.pieces() {
			if element >= p.first && element < p.first+p.size && a.jobs[p.number] == "" && notes[0].Job != "" {
				a.jobs[p.number], _, _ = strings.Cut(notes[0].Job, ".")
			}
		}
	}
	if len(a.jobs) == 0 {
		return false, nil
	}
	if !a.whole() {
		return false, e.takeBack(ctx, a)
	}
	for p, number := range a.jobs {
		if err := put(a.dir, jobPrefix+strconv.Itoa(p), []byte(number+"\n")); err != nil {
			return false, err
		}
	}
	if err := touch(a.dir, submittedFile); err != nil {
		return false, err
	}
	if len(a.jobs) > 1 && !a.files[holdFile] {
		return true, e.Control(ctx, idOf(a.token), job.OpRelease)
	}
	return true, nil
}

func mapped(jobs map[int]string) []string {
	var out []string
	for _, number := range jobs {
		out = append(out, number)
	}
	return out
}

// pieceOf tells which piece a job is: with several, the folder of its streams differs.
func (e *Engine) pieceOf(ctx context.Context, a *array, number string) (int, error) {
	if len(a.pieces()) == 1 {
		return 1, nil
	}
	text, err := e.asTold(ctx, "qstat", "-j", number)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "stdout_path_list:"); ok {
			name := filepath.Base(strings.TrimSpace(rest))
			n, _, _ := strings.Cut(strings.TrimPrefix(name, ".part"), ".")
			if p, err := strconv.Atoi(n); err == nil && strings.HasPrefix(name, ".part") {
				return p, nil
			}
		}
	}
	return 1, nil
}

// underWay is how long a submission of several pieces may take before it is given up as
// that of a submitter who has died.
const underWay = 2 * time.Minute

func (e *Engine) takeBack(ctx context.Context, a *array) error {
	if time.Since(a.Created) < underWay {
		return fmt.Errorf("%w: %d of the %d jobs of array %q are in the queue, and its submission may be under way", engine.ErrUnavailable, len(a.jobs), len(a.pieces()), a.Tag)
	}
	if err := e.qdel(ctx, a); err != nil {
		return err
	}
	return os.RemoveAll(a.dir)
}

// keep is how long the notes of an array are kept after the last of them was written.
const keep = 60 * 24 * time.Hour

// forget removes the notes of arrays of long ago. What cannot be removed now will be
// another time.
func (e *Engine) forget(now time.Time) {
	entries, err := os.ReadDir(e.base())
	if err != nil {
		return
	}
	for _, entry := range entries {
		st, err := entry.Info()
		if err == nil && entry.IsDir() && tokenOf(idOf(entry.Name())) != "" && now.Sub(st.ModTime()) > keep {
			_ = os.RemoveAll(filepath.Join(e.base(), entry.Name()))
		}
	}
}
