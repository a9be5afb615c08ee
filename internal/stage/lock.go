package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Locks are flock(2) on files of the node's own disk: they end with the processes
// that hold them, so the lock of a copier that was killed is free.

// try takes the lock of that name without waiting; nil when another holds it.
func (s *Store) try(name string, how int) (*os.File, error) {
	for {
		f, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrNotExist) && os.Mkdir(s.dir, 0o700) == nil {
			continue // a person has cleared it
		}
		if err != nil {
			return nil, fmt.Errorf("locking the stage: %w", err)
		}
		switch err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK):
			f.Close()
			return nil, nil
		case errors.Is(err, unix.EINTR):
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("locking the stage: %w", err)
		case same(f):
			return f, nil
		}
		// Its last holder has removed the file: the lock counts only on the one that
		// has the name now.
		f.Close()
	}
}

// lock waits for a lock.
func (s *Store) lock(ctx context.Context, name string, how int) (*os.File, error) {
	for {
		if f, err := s.try(name, how); f != nil || err != nil {
			return f, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// same reports whether f is still the file that has its name.
func same(f *os.File) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(f.Name())
	return errA == nil && errB == nil && os.SameFile(a, b)
}
