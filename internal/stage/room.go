package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/image"
	"muster/internal/ui/human"
)

// spare is how much of a disk staging leaves free, for the clones and work
// folders of tasks.
const spare = 64 << 20

// Info is a tree of a stage.
type Info struct {
	Name     string // of its folder
	Dir      string
	What     string // "the image", "the program's folder"
	From     string
	Size     int64 // bytes that it takes, roughly
	LastUsed time.Time
	Whole    bool // false: in the making, or its maker died
	InUse    bool
}

// List lists what the stage holds, the most recently used first.
func (s *Store) List() ([]Info, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("listing the stage: %w", err)
	}
	var out []Info
	for _, e := range entries {
		name, part := strings.CutSuffix(e.Name(), partExt)
		if !e.IsDir() || strings.HasPrefix(name, trashStart) {
			continue
		}
		i := Info{Name: name, Dir: s.path(e.Name()), Whole: !part}
		if r, err := readRecord(i.Dir); err == nil {
			i.What, i.From, i.Size, i.LastUsed = r.Tree.What, r.Tree.From, r.Tree.room(), r.Made
		}
		if st, err := os.Stat(s.path(name + useExt)); err == nil {
			i.LastUsed = st.ModTime()
			lock, err := s.try(name+useExt, unix.LOCK_EX)
			i.InUse = err == nil && lock == nil
			if lock != nil {
				lock.Close()
			}
		}
		out = append(out, i)
	}
	slices.SortStableFunc(out, func(a, b Info) int { return b.LastUsed.Compare(a.LastUsed) })
	return out, nil
}

// Clear removes everything that nobody uses, the folder included where that is all, and returns what
// it removed.
func (s *Store) Clear() (removed []Info, err error) {
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		gone, err := s.evict(i.Name)
		if err != nil {
			return removed, err
		}
		if gone {
			removed = append(removed, i)
		}
	}
	if err := s.sweep(); err != nil {
		return removed, err
	}
	if room, err := s.try(roomName, unix.LOCK_EX); room != nil && err == nil {
		defer room.Close()
		if left, err := os.ReadDir(s.dir); err == nil && len(left) == 1 {
			os.Remove(room.Name())
			os.Remove(s.dir) // not if somebody has come meanwhile
		}
	}
	return removed, nil
}

// evict removes a tree unless somebody uses or makes it.
func (s *Store) evict(name string) (bool, error) {
	use, err := s.try(name+useExt, unix.LOCK_EX)
	if err != nil || use == nil {
		return false, err
	}
	defer use.Close()
	if err := s.remove(name); err != nil {
		return false, err
	}
	return true, os.Remove(use.Name())
}

// sweep removes what was being removed when its remover died, and locks of
// nothing. The caller holds the room lock, or is a person who clears.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), trashStart) {
			// Another may be removing it just now.
			if err := image.RemoveTree(s.path(e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		name, isLock := strings.CutSuffix(e.Name(), useExt)
		if !isLock {
			continue
		}
		lock, err := s.try(e.Name(), unix.LOCK_EX)
		if err != nil {
			return err
		}
		if lock == nil {
			continue
		}
		_, whole := os.Lstat(s.path(name))
		_, part := os.Lstat(s.path(name + partExt))
		if errors.Is(whole, fs.ErrNotExist) && errors.Is(part, fs.ErrNotExist) {
			os.Remove(lock.Name())
		}
		lock.Close()
	}
	return nil
}

// makeRoom removes the trees that were not used for longest until name, which takes
// size bytes in all and need more bytes and files than are here, has its place. Error: ErrSpace.
func (s *Store) makeRoom(ctx context.Context, name string, size, need, files int64) error {
	lock, err := s.lock(ctx, roomName, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := s.sweep(); err != nil {
		return err
	}
	all, err := s.List()
	if err != nil {
		return err
	}
	var used int64
	for _, i := range all {
		if i.Name != name {
			used += i.Size
		}
	}
	for {
		d, err := s.disk()
		if err != nil {
			return err
		}
		limit := s.limit
		if limit == 0 {
			limit = (d.free + used + size - need) / 2
		}
		tooMuch := used+size > limit
		if !tooMuch && d.free >= need+spare && (d.files < 0 || d.files >= files) {
			return nil
		}
		// The oldest last.
		last := len(all) - 1
		for ; last >= 0; last-- {
			if all[last].Name == name || all[last].InUse {
				continue
			}
			if gone, err := s.evict(all[last].Name); err != nil {
				return err
			} else if gone {
				break
			}
		}
		if last >= 0 {
			used -= all[last].Size
			all = slices.Delete(all, last, last+1)
			continue
		}
		switch {
		case tooMuch:
			return fmt.Errorf("%w: it takes %s, and %s may hold %s, of which %s are in use (--stage-limit)",
				ErrSpace, human.Bytes(size), s.dir, human.Bytes(limit), human.Bytes(used))
		case d.files >= 0 && d.files < files:
			return fmt.Errorf("%w: it has %d files more, and %s has room for %d", ErrSpace, files, s.dir, d.files)
		}
		return fmt.Errorf("%w: it takes %s more, and %s has %s free, of which %s stay free for tasks",
			ErrSpace, human.Bytes(need), s.dir, human.Bytes(d.free), human.Bytes(spare))
	}
}

type disk struct{ free, files int64 } // files −1: no bound

func (s *Store) disk() (disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return disk{}, fmt.Errorf("asking for the free space of %s: %w", s.dir, err)
	}
	d := disk{free: int64(st.Bavail) * cmp.Or(st.Frsize, st.Bsize), files: int64(st.Ffree)}
	if st.Files == 0 {
		d.files = -1
	}
	return d, nil
}
