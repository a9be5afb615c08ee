package gridengine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// Control asks Grid Engine to delete, hold or release the array's jobs.
func (e *Engine) Control(ctx context.Context, id engine.ID, op job.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if op != job.OpCancel && op != job.OpHold && op != job.OpRelease {
		return fmt.Errorf("%s of %s: %w: Grid Engine is asked to cancel, hold and release only", op, id, engine.ErrRefused)
	}
	a, err := e.array(id)
	if err != nil || a == nil {
		return err
	}
	switch op {
	case job.OpCancel:
		err = e.cancel(ctx, a)
	case job.OpHold:
		if err = touch(a.dir, holdFile); err == nil {
			err = e.tell(ctx, a, "qhold", "-h", "u")
		}
	case job.OpRelease:
		if err = os.Remove(filepath.Join(a.dir, holdFile)); err == nil || os.IsNotExist(err) {
			err = e.tell(ctx, a, "qrls", "-h", "u")
		}
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", op, id, err)
	}
	return nil
}

// cancel asks the elements that run to end, and deletes the others. Grid Engine's own
// way has no SIGTERM: at best (-notify) everything that a job has started gets SIGUSR2, of
// which programs die. What has not ended well after its time was deleted by force, when
// it is asked again.
func (e *Engine) cancel(ctx context.Context, a *array) error {
	asked := a.since(cancelFile)
	if asked.IsZero() {
		if err := touch(a.dir, cancelFile); err != nil {
			return err
		}
	} else if time.Since(asked) > a.KillWait+patient {
		return e.qdel(ctx, a)
	}
	q, err := e.snapshot(ctx)
	if err != nil {
		return err
	}
	for _, p := range a.pieces() {
		for _, t := range q[a.jobs[p.number]] {
			if t.standing() != job.Pending {
				continue
			}
			for _, s := range t.tasks {
				if err := e.tellJob(ctx, "qdel", t.job, "-t", fmt.Sprintf("%d-%d:%d", s.first, s.last, s.step)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// qdel deletes the jobs of an array.
func (e *Engine) qdel(ctx context.Context, a *array) error { return e.tell(ctx, a, "qdel") }

// tell runs a command on the array's jobs, as tellJob does.
func (e *Engine) tell(ctx context.Context, a *array, name string, args ...string) error {
	for _, p := range a.pieces() {
		number := a.jobs[p.number]
		if number == "" {
			continue
		}
		if err := e.tellJob(ctx, name, append(args[:len(args):len(args)], number)...); err != nil {
			return err
		}
	}
	return nil
}

// tellJob runs a command on what its arguments name: a job, or some of its tasks. That those are no
// longer there, or are so already, is no error.
func (e *Engine) tellJob(ctx context.Context, name string, args ...string) error {
	got, err := e.ask(ctx, nil, nil, name, args...)
	if err != nil {
		return err
	}
	if !got.ok() && !settled(got.words) {
		return refused(name, got)
	}
	return nil
}

// settled tells complaints that there is nothing to do any more from others.
func settled(words string) bool {
	for _, sign := range []string{"does not exist", "do not exist", "already in deletion", "registered the job", "no such job"} {
		if strings.Contains(words, sign) {
			return true
		}
	}
	return false
}
