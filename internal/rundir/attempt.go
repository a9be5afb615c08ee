package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Each attempt writes into a folder of its own. The folders are used again under
// new names, because making and removing one for every task is dear: ext4 gives
// no inode away that was freed in the last five seconds, and looks through all of those
// at each new one (recently_deleted in fs/ext4/ialloc.c).

// maxSpare is how many empty folders are kept.
const maxSpare = 512

const sparePrefix = "spare-"

// Attempt makes the folder T.A for what an attempt writes, and returns its
// path. Made before, it stays as it is.
func (p *Publisher) Attempt(task, attempt int) (string, error) {
	name := path.Join(p.temp, attemptDirName(task, attempt))
	full := filepath.Join(p.folder, name)
	if spare, ok := p.takeSpare(); ok {
		err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(p.folder, p.temp, spare), unix.AT_FDCWD, full, unix.RENAME_NOREPLACE)
		if err == nil {
			return full, nil
		}
		p.giveSpare(spare)
	}
	if err := p.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make a temporary folder for an output: %w", err)
	}
	return full, nil
}

func (p *Publisher) takeSpare() (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.spare)
	if n == 0 {
		return "", false
	}
	name := p.spare[n-1]
	p.spare = p.spare[:n-1]
	return name, true
}

func (p *Publisher) giveSpare(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spare = append(p.spare, name)
}

// recycle empties an attempt's folder and keeps it for another.
func (p *Publisher) recycle(attempt string) error {
	p.mu.Lock()
	full := len(p.spare) >= maxSpare
	p.spares++
	spare := sparePrefix + strconv.Itoa(p.spares)
	p.mu.Unlock()
	if full || !p.empty(attempt) {
		return p.remove(attempt)
	}
	if err := p.fault("remove"); err != nil {
		return err
	}
	dir := filepath.Join(p.folder, p.temp)
	err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, attempt), unix.AT_FDCWD, filepath.Join(dir, spare), unix.RENAME_NOREPLACE)
	if err != nil {
		return p.remove(attempt)
	}
	p.giveSpare(spare)
	return nil
}

// empty removes the files in an attempt's folder. It reports false when there is
// more to it than that, or when the program has changed the folder itself.
func (p *Publisher) empty(attempt string) bool {
	dir := path.Join(p.temp, attempt)
	fi, err := p.root.Lstat(dir)
	// An output folder may hand its group down to all that is made in it.
	if err != nil || fi.Mode()&^fs.ModeSetgid != fs.ModeDir|0o700 {
		return false
	}
	names, err := rootNames(p.root, dir)
	if err != nil {
		return false
	}
	for _, n := range names {
		if p.fault("remove") != nil || p.root.Remove(path.Join(dir, n)) != nil {
			return false
		}
	}
	return true
}

func (p *Publisher) remove(attempt string) error {
	if _, ok := parseNumbers(attempt, 2, 2); !ok {
		return fmt.Errorf("%q is no attempt", attempt)
	}
	if err := p.fault("remove"); err != nil {
		return err
	}
	if err := removeTree(p.root, path.Join(p.temp, attempt)); err != nil {
		return fmt.Errorf("remove a temporary folder: %w", err)
	}
	return nil
}

// Left lists what an attempt has left in its folder, which must still be one; a
// program that took its own rights to it away loses nothing by that.
func (p *Publisher) Left(task, attempt int) ([]fs.DirEntry, error) {
	dir := path.Join(p.temp, attemptDirName(task, attempt))
	if err := openUp(p.root, dir); err != nil {
		return nil, fmt.Errorf("look for outputs: %w", err)
	}
	names, err := fs.ReadDir(p.root.FS(), dir)
	if err != nil {
		return nil, fmt.Errorf("look for outputs: %w", err)
	}
	return names, nil
}

// openUp gives the owner of a folder all rights to it.
func openUp(root *os.Root, dir string) error {
	fi, err := root.Lstat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%w: %s is no folder any more", ErrKind, path.Base(dir))
	}
	if fi.Mode().Perm()&0o700 == 0o700 {
		return nil
	}
	return root.Chmod(dir, 0o700)
}

// removeTree removes name and all that is below it, also below folders that a
// program has taken its own rights away from.
func removeTree(root *os.Root, name string) error {
	err := root.RemoveAll(name)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// WalkDir shows a folder before it reads it, so it can be opened up in time.
	walkErr := fs.WalkDir(root.FS(), name, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return openUp(root, p)
	})
	return errors.Join(walkErr, root.RemoveAll(name))
}

// Discard removes what an attempt has left that is not to be published.
func (p *Publisher) Discard(task, attempt int) error {
	return p.remove(attemptDirName(task, attempt))
}

// Close removes the temporary folder if nothing is left in it.
func (p *Publisher) Close() error {
	for name, ok := p.takeSpare(); ok; name, ok = p.takeSpare() {
		// Not RemoveAll: what a program may have slipped in is Recover's business.
		_ = p.root.Remove(path.Join(p.temp, name))
	}
	err := p.root.Remove(p.temp)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, p.root.Close())
}
