package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Remove removes an image and all its names. Errors: ErrInUse.
func (s *Store) Remove(i Info) error {
	lock, err := tryLock(filepath.Join(i.Dir, lockName), os.O_RDONLY, unix.LOCK_EX)
	switch {
	case err == nil && lock == nil:
		return fmt.Errorf("%w: %s; it goes when its runs have ended", ErrInUse, i.label())
	case err == nil:
		defer lock.Close()
	case !errors.Is(err, fs.ErrNotExist): // without its lock it is damaged, and may go
		return fmt.Errorf("removing image %s: %w", i.label(), err)
	}
	for _, n := range i.Names {
		if err := os.Remove(filepath.Join(s.namesDir(i.Guest), n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the name %s: %w", n, err)
		}
	}
	trash, err := os.MkdirTemp(s.guestDir(i.Guest), trashStart)
	if err != nil {
		return fmt.Errorf("removing image %s: %w", i.label(), err)
	}
	// Renamed first: what is half removed is never taken for an image.
	err = os.Rename(i.Dir, filepath.Join(trash, i.Key))
	if err = errors.Join(err, removeTree(trash)); err != nil {
		return fmt.Errorf("removing image %s: %w", i.label(), err)
	}
	return nil
}

func (i Info) label() string {
	if len(i.Names) > 0 {
		return i.Names[0]
	}
	return i.Key
}

// Collect removes what nobody can ask for any more: images without a name,
// builds whose builder died, half-removed images. Images in use stay. It returns
// what it removed, and how many bytes that were.
func (s *Store) Collect() (removed []Info, size int64, err error) {
	all, err := s.List()
	if err != nil {
		return nil, 0, err
	}
	for _, i := range all {
		if len(i.Names) > 0 {
			continue
		}
		if err := s.Remove(i); errors.Is(err, ErrInUse) {
			continue
		} else if err != nil {
			return removed, size, err
		}
		removed, size = append(removed, i), size+i.Manifest.Size
	}
	return removed, size, s.sweep()
}

// sweep removes trash, and staging folders that nobody is building in.
func (s *Store) sweep() error {
	guests, err := os.ReadDir(s.root)
	if err != nil {
		return fmt.Errorf("listing images: %w", err)
	}
	for _, g := range guests {
		entries, err := os.ReadDir(filepath.Join(s.root, g.Name()))
		if err != nil {
			continue // not a folder
		}
		for _, e := range entries {
			path := filepath.Join(s.root, g.Name(), e.Name())
			switch {
			case strings.HasPrefix(e.Name(), trashStart):
				err = removeTree(path)
			case strings.HasPrefix(e.Name(), stagingStart):
				err = s.sweepDead(g.Name(), e.Name())
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepDead removes a staging folder unless its builder is alive.
func (s *Store) sweepDead(guest, name string) error {
	key, _, _ := strings.Cut(strings.TrimPrefix(name, stagingStart), "-")
	building := s.imageDir(guest, key) + buildingExt
	lock, err := tryLock(building, os.O_CREATE|os.O_RDWR, unix.LOCK_EX)
	if err != nil || lock == nil {
		return err
	}
	defer lock.Close()
	defer os.Remove(building)
	return s.sweepStaging(guest, key)
}

// RemoveTree removes a folder whose folders have lost their write permission, as
// an image's have.
func RemoveTree(dir string) error { return removeTree(dir) }

func removeTree(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer root.Close()
	base := filepath.Base(dir)
	// Folders are opened up in the order in which they are found, parents first.
	for pending := []string{base}; len(pending) > 0; {
		p := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if err := root.Chmod(p, 0o700); err != nil {
			return err
		}
		entries, err := fs.ReadDir(root.FS(), p)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.IsDir() {
				pending = append(pending, p+"/"+e.Name())
			}
		}
	}
	return root.RemoveAll(base)
}
