package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// collect moves what is in the work folder and matches one of the patterns
// (path.Match; a folder matches with all that is below it) into the folder name in dir, and returns
// how many things are there then. Links are left behind: what they lead to is not the program's work.
//
// Both folders are opened once and everything is reached from there, so that no
// link that a program has put in the way leads anywhere else.
func collect(work, dir, name string, patterns []string) (int, error) {
	dest, err := openFolder(dir, name)
	if err != nil {
		return 0, fmt.Errorf("collecting: %w", err)
	}
	defer dest.Close()
	// What the program has put into the output folder by itself counts too.
	there, err := fs.ReadDir(dest.FS(), ".")
	if err != nil {
		return 0, fmt.Errorf("collecting: %w", err)
	}
	n := len(there)
	from, err := openFolder(filepath.Split(work))
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil // the program has removed it
	}
	if err != nil {
		return 0, fmt.Errorf("collecting: %w", err)
	}
	defer from.Close()
	m := mover{from: from, to: dest, seen: map[string]bool{}}
	for _, p := range patterns {
		names, err := fs.Glob(from.FS(), path.Clean(p))
		if err != nil {
			return n, fmt.Errorf("collecting %q: %w", p, err)
		}
		for _, name := range names {
			moved, err := m.move(name)
			if err != nil {
				return n, fmt.Errorf("collecting %s: %w", name, err)
			}
			if moved {
				n++
			}
		}
	}
	return n, nil
}

// openFolder opens the folder name in parent, which must be one and no link, also
// when a program has taken its own rights to it away.
func openFolder(parent, name string) (*os.Root, error) {
	root, err := os.OpenRoot(parent)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	st, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("%s is no folder any more", name)
	}
	if st.Mode().Perm()&0o700 != 0o700 {
		if err := root.Chmod(name, 0o700); err != nil {
			return nil, err
		}
	}
	return root.OpenRoot(name)
}

// mover copies from one folder to the other, and nothing twice: the work folder
// is on the node's own disk, the output seldom is.
type mover struct {
	from, to *os.Root
	seen     map[string]bool
}

func (m *mover) move(name string) (bool, error) {
	st, err := m.from.Lstat(name)
	if err != nil || m.seen[name] || name == "." {
		return false, err
	}
	if dir := path.Dir(name); dir != "." {
		if err := m.to.MkdirAll(dir, 0o777); err != nil {
			return false, err
		}
	}
	switch {
	case st.Mode().IsRegular():
		return true, m.file(name, st.Mode())
	case !st.IsDir():
		return false, nil
	}
	return true, fs.WalkDir(m.from.FS(), name, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir() && !d.Type().IsRegular():
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			return m.to.MkdirAll(p, st.Mode().Perm()|0o700)
		}
		return m.file(p, st.Mode())
	})
}

// file copies a file with the permissions that the program gave it.
func (m *mover) file(name string, mode fs.FileMode) error {
	if m.seen[name] {
		return nil
	}
	m.seen[name] = true
	src, err := m.from.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := m.to.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode.Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Chmod(mode.Perm()), dst.Close())
}
