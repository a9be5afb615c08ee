package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"muster/internal/engine"
	"muster/internal/job"
)

// wake is the signal by which a supervisor looks at its folder again.
const wake = syscall.SIGUSR1

// request leaves op in the array's folder. The supervisor is woken where it is
// near; elsewhere it looks at every beat.
func request(base string, id engine.ID, op job.Op) error {
	if op != job.OpCancel && op != job.OpHold && op != job.OpRelease {
		return fmt.Errorf("%s of %s: %w: the local engine only cancels, holds and releases", op, id, engine.ErrRefused)
	}
	n := numberOf(id)
	if n == 0 {
		return nil
	}
	dir := dirOf(base, n)
	h, err := readHead(dir)
	if err != nil {
		return err
	}
	if h == nil {
		return nil
	}
	switch op {
	case job.OpCancel:
		err = touch(filepath.Join(dir, cancelFile))
	case job.OpHold:
		err = touch(filepath.Join(dir, holdFile))
	case job.OpRelease:
		err = os.Remove(filepath.Join(dir, holdFile))
	}
	// The folder may be removed just now: the array is gone.
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s of %s: %w", op, id, err)
	}
	me, err := here()
	if err != nil {
		return err
	}
	if !me.near(h.Supervisor) {
		return nil
	}
	return h.Supervisor.signal(wake)
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// exists takes a folder that cannot be looked at for one without the request.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
