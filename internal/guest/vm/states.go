package vm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
)

// states is a node's folder of saved guests. Each was booted once on this node, and is used by everybody whose guests
// would be the same: KEY is a hash of what they are made of. Nothing is synced: what was saved before the
// machine's last start is not used any more.
//
//	KEY.building      there and held exclusively while a state of that key is made
//	KEY.new.RANDOM/   a state that is being made, or whose maker died
//	KEY.RANDOM/       a state
//	KEY.RANDOM/ready  the machine's boot id, or another word: it is not to be used; held shared (flock) by all who use the state; its time is when it was last used
type states struct {
	dir   string
	limit int64 // bytes that states may take which nobody uses
}

// state is a claim to a saved guest: as long as it is held, nobody removes it.
type state struct {
	dir  string
	lock *os.File
}

func (s *state) close() error { return s.lock.Close() }

// condemn takes the sign from a state that does not come to life, so that nobody tries it again. Its files go when
// room is made; should that fail, the next one finds out as this one did.
func (s *state) condemn() { _ = os.Remove(s.lock.Name()) }

const (
	readyName = "ready"
	newPart   = ".new."
)

// get returns a state of that key that is not bad, and has it made where there is none: one process makes it, the others wait.
// made tells whether this call did.
func (s states) get(ctx context.Context, key string, bad *state, save func(dir string) error) (st *state, made bool, err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("making the folder of saved guests: %w", err)
	}
	if bad != nil {
		_ = os.WriteFile(bad.lock.Name(), []byte("bad"), 0o600) // nobody else finds it, and it goes when nobody is alive on it
	}
	if st := s.find(key, bad); st != nil {
		return st, false, nil
	}
	lock, err := s.lock(ctx, buildingName(s.dir, key))
	if err != nil {
		return nil, false, err
	}
	defer unlock(lock)
	if st := s.find(key, bad); st != nil {
		return st, false, nil
	}
	s.sweep(key)
	dir := filepath.Join(s.dir, key+newPart+rand.Text()[:8])
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("making a folder for a saved guest: %w", err)
	}
	if err := save(dir); err != nil {
		return nil, false, errors.Join(err, guest.RemoveAll(dir))
	}
	if err := os.WriteFile(filepath.Join(dir, readyName), []byte(bootID()), 0o600); err != nil {
		return nil, false, errors.Join(fmt.Errorf("keeping a saved guest: %w", err), guest.RemoveAll(dir))
	}
	final := strings.Replace(dir, newPart, ".", 1)
	if err := os.Rename(dir, final); err != nil {
		return nil, false, errors.Join(fmt.Errorf("keeping a saved guest: %w", err), guest.RemoveAll(dir))
	}
	st, err = claim(final)
	if err != nil {
		return nil, false, fmt.Errorf("claiming a saved guest: %w", err)
	}
	s.makeRoom()
	return st, true, nil
}

// find claims a state of that key.
func (s states) find(key string, bad *state) *state {
	for _, dir := range s.list() {
		if k, _, _ := strings.Cut(filepath.Base(dir), "."); k != key || bad != nil && bad.dir == dir {
			continue
		}
		st, err := claim(dir)
		if err != nil {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(dir, readyName)); err == nil && string(b) == bootID() {
			now := time.Now()
			_ = os.Chtimes(st.lock.Name(), now, now) // only the order of removal hangs on it
			return st
		}
		st.close()
	}
	return nil
}

// claim claims the state in dir.
func claim(dir string) (*state, error) {
	f, err := os.Open(filepath.Join(dir, readyName))
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := os.Stat(f.Name()); err != nil { // removed meanwhile
		f.Close()
		return nil, err
	}
	return &state{dir, f}, nil
}

// buildingName is the file that the maker of a state holds.
func buildingName(dir, key string) string { return filepath.Join(dir, key+".building") }

// lock waits for the exclusive right to make a state.
func (s states) lock(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := tryLock(path)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("locking the saved guests: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tryLock takes that right, unless somebody has it: unix.EWOULDBLOCK.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	// Whoever had it before has removed the file, so this may be one that nobody else finds.
	mine, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(path); err == nil && os.SameFile(mine, there) {
			return f, nil
		}
	}
	f.Close()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return nil, unix.EWOULDBLOCK
}

// unlock gives it up, and leaves nothing of it.
func unlock(f *os.File) {
	_ = os.Remove(f.Name()) // one that stays is in nobody's way
	f.Close()
}

// list lists the folders of states, the one used last first.
func (s states) list() []string {
	names, err := os.ReadDir(s.dir)
	if err != nil {
		return nil
	}
	used := map[string]time.Time{}
	var dirs []string
	for _, n := range names {
		if !n.IsDir() || strings.Contains(n.Name(), newPart) {
			continue
		}
		dir := filepath.Join(s.dir, n.Name())
		if st, err := os.Stat(filepath.Join(dir, readyName)); err == nil {
			used[dir] = st.ModTime()
		}
		dirs = append(dirs, dir)
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return used[b].Compare(used[a]) })
	return dirs
}

// sweep removes what dead makers have left, of any key. The caller holds that key's lock.
func (s states) sweep(key string) {
	names, _ := os.ReadDir(s.dir)
	for _, n := range names {
		k, _, making := strings.Cut(n.Name(), newPart)
		if !making {
			continue
		}
		if k != key {
			lock, err := tryLock(buildingName(s.dir, k))
			if err != nil {
				continue // it has a maker
			}
			defer unlock(lock)
		}
		_ = guest.RemoveAll(filepath.Join(s.dir, n.Name()))
	}
}

// makeRoom removes the states that were not used for longest, until those that nobody uses take no more than the limit. What
// cannot be removed is left for the next time.
func (s states) makeRoom() {
	var kept int64
	for _, dir := range s.list() {
		f, err := os.Open(filepath.Join(dir, readyName))
		if err != nil || unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			if err != nil {
				_ = guest.RemoveAll(dir) // it has lost its sign while it was being removed
			} else {
				f.Close()
			}
			continue
		}
		b, _ := os.ReadFile(f.Name())
		if kept += taken(dir); kept > s.limit || string(b) != bootID() {
			kept -= taken(dir)
			_ = os.Remove(f.Name()) // nobody claims it from here on
			_ = guest.RemoveAll(dir)
		}
		f.Close()
	}
}

// taken is how much disk the files of a folder take.
func taken(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && unix.Lstat(p, &st) == nil {
			n += st.Blocks * 512
		}
		return nil
	})
	return n
}

// bootID names the machine's running since its last start.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
