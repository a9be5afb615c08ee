package rundir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writeFile writes name whole or not at all, durably, in place of what was there.
func writeFile(name string, write func(io.Writer) error) error {
	tmp, err := writeTemp(name, write)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(tmp, name); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(tmp))
	}
	return syncDir(filepath.Dir(name))
}

// createFile is writeFile for a name that must be new: of several processes at
// once one succeeds, and the others get fs.ErrExist.
func createFile(name string, write func(io.Writer) error) error {
	tmp, err := writeTemp(name, write)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(tmp) // a stale temporary is passed over by every reader
	if err := claimName(tmp, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(filepath.Dir(name))
}

// claimName gives tmp the name name, which must be new.
func claimName(tmp, name string) error {
	err := os.Link(tmp, name)
	if err == nil {
		return nil
	}
	// NFS repeats a request whose answer was lost, and then reports that the
	// link exists: ours, if it is the same file.
	if sameFile(tmp, name) {
		return nil
	}
	if !cannotLink(err) {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, name, unix.RENAME_NOREPLACE)
	if err == nil || !cannotLink(err) {
		return err
	}
	// Neither links nor exclusive renames. The empty file is the claim; readers
	// take an empty file for one that is not there yet.
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Rename(tmp, name))
}

// cannotLink reports whether err says that the file system does not know this
// way of giving a name, rather than that this name could not be given.
func cannotLink(err error) bool {
	for _, e := range []error{unix.EPERM, unix.ENOTSUP, unix.ENOSYS, unix.EINVAL, unix.EMLINK} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func sameFile(a, b string) bool {
	fa, err := os.Lstat(a)
	if err != nil {
		return false
	}
	fb, err := os.Lstat(b)
	return err == nil && os.SameFile(fa, fb)
}

// writeTemp writes and syncs a temporary file beside name and returns its name.
// When it fails nothing is left.
func writeTemp(name string, write func(io.Writer) error) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(name), tempPrefix)
	if err != nil {
		return "", err
	}
	if err := fill(f, write); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// fill writes, syncs and closes f; the errors of all three count, because some
// file systems tell a full disk only at the end.
func fill(f *os.File, write func(io.Writer) error) error {
	w := bufio.NewWriterSize(f, 64<<10)
	err := write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil // some file systems sync names by themselves and refuse this
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// readFile reads a file that is written once, or as a whole. A missing or empty one
// is fs.ErrNotExist: it is not there yet.
func readFile(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err == nil && len(data) == 0 {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return data, err
}
