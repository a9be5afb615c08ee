package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Locks are flock(2): they end with the process that holds them, so the lock of
// a dead builder is free.

// tryLock takes a lock without waiting; nil when another holds it.
func tryLock(path string, flags, how int) (*os.File, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("locking %s: %w", path, err)
}

// lockBuild waits for the right to build, and tells progress once that it waits.
func lockBuild(ctx context.Context, path string, progress func(string)) (*os.File, error) {
	for waited := false; ; {
		f, err := tryLock(path, os.O_CREATE|os.O_RDWR, unix.LOCK_EX)
		if err != nil {
			return nil, err
		}
		if f != nil {
			// A builder that has ended removes the file: the lock counts only on
			// the file that has the name now.
			if same(f, path) {
				return f, nil
			}
			f.Close()
			continue
		}
		if !waited {
			progress("another muster is building this image; waiting for it")
			waited = true
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the image that another muster builds: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// same reports whether f is still the file under path.
func same(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Use is a claim to an image: as long as it is held, the image is neither
// removed nor collected.
type Use struct {
	Dir      string
	Manifest Manifest
	lock     *os.File
}

// Acquire claims the image in the folder dir, after verifying quickly that it
// is the one with that key ("": any) and undamaged. Close the Use. Errors: ErrNotFound,
// ErrDamaged.
func Acquire(dir, key string) (*Use, error) {
	path := dir + "/" + lockName
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("claiming the image: %w", err)
	}
	// Removing takes the lock exclusively for a moment only, so waiting is short.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		f.Close()
		return nil, fmt.Errorf("claiming the image: %w", err)
	}
	u := &Use{Dir: dir, lock: f}
	if !same(f, path) {
		u.Close()
		return nil, fmt.Errorf("%w: %s has just been removed", ErrNotFound, dir)
	}
	if u.Manifest, err = readManifest(dir); err == nil {
		err = u.Manifest.check(dir, key, false)
	}
	if err != nil {
		u.Close()
		return nil, err
	}
	now := time.Now()
	os.Chtimes(path, now, now) // when it was last used: for people only
	return u, nil
}

// Close gives the claim up.
func (u *Use) Close() error { return u.lock.Close() }
