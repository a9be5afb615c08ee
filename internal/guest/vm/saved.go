package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
)

// SavedFolder is the folder of saved guests, below Node.Keep.
const SavedFolder = "vm-states"

// Saved is a saved guest that is kept on this machine, or one that is being saved.
type Saved struct {
	Dir      string
	Image    string // the folder of its image
	Size     int64  // bytes that it takes on the disk
	LastUsed time.Time
	InUse    bool // a guest that was resumed from it may be alive; of one that is not whole: somebody is saving it
	Whole    bool // otherwise somebody is saving it, or has died over that
}

// savedImage is the file of a state that names the folder of its image: for people.
const savedImage = "image"

// ListSaved lists the saved guests below keep, which is Node.Keep.
func ListSaved(keep string) ([]Saved, error) {
	var all []Saved
	err := eachSaved(keep, func(s Saved, _ func() error) error {
		all = append(all, s)
		return nil
	})
	return all, err
}

// ClearSaved removes the saved guests below keep that nobody uses, and what is left of those whose makers died.
func ClearSaved(keep string) (gone []Saved, err error) {
	err = eachSaved(keep, func(s Saved, remove func() error) error {
		if s.InUse {
			return nil
		}
		if err := remove(); err != nil {
			return fmt.Errorf("removing a saved guest: %w", err)
		}
		gone = append(gone, s)
		return nil
	})
	return gone, err
}

// eachSaved calls do for each saved guest, and holds the lock of those that are not in use meanwhile: remove removes them.
func eachSaved(keep string, do func(s Saved, remove func() error) error) error {
	dir := filepath.Join(keep, SavedFolder)
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing the saved guests: %w", err)
	}
	var errs []error
	for _, n := range names {
		if n.IsDir() {
			errs = append(errs, oneSaved(filepath.Join(dir, n.Name()), do))
		}
	}
	return errors.Join(errs...)
}

func oneSaved(dir string, do func(s Saved, remove func() error) error) error {
	st, err := os.Stat(dir)
	if err != nil {
		return nil // it has gone meanwhile
	}
	s := Saved{Dir: dir, LastUsed: st.ModTime(), Size: taken(dir)}
	if b, err := os.ReadFile(filepath.Join(dir, savedImage)); err == nil {
		s.Image = string(b)
	}
	key, _, making := strings.Cut(filepath.Base(dir), newPart)
	var lock *os.File
	if making {
		lock, err = tryLock(buildingName(filepath.Dir(dir), key))
	} else {
		lock, err = os.Open(filepath.Join(dir, readyName))
		if err == nil {
			if st, err := lock.Stat(); err == nil {
				s.LastUsed, s.Whole = st.ModTime(), true
			}
			err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		s.InUse = true
	case err != nil && !errors.Is(err, fs.ErrNotExist): // without its sign: somebody was removing it
		return err
	}
	switch {
	case lock == nil:
	case making:
		defer unlock(lock)
	default:
		defer lock.Close()
	}
	return do(s, func() error {
		// Nobody claims it without its sign.
		if err := os.Remove(filepath.Join(dir, readyName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return guest.RemoveAll(dir)
	})
}
