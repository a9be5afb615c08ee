package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/image"
)

// Folder is what a stage's folder is called, below the folder of its user's
// scratch folders.
const Folder = "stage"

// Store is a stage: a folder on the node's own disk. Its methods may be called by
// several goroutines and several processes at once.
type Store struct {
	dir   string
	limit int64
}

// Open opens the stage in the folder dir, whose parent is the caller's own, and
// makes it if need be. limit is how many bytes it may hold; 0: half of what the
// disk has for it.
func Open(dir string, limit int64) (*Store, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making the stage: %w", err)
	}
	return &Store{dir, limit}, nil
}

// Dir is the stage's folder.
func (s *Store) Dir() string { return s.dir }

// How a tree came to the node.
const (
	Copied = "copied" // from the central storage
	Reused = "reused" // it was there
	Peer   = "from"   // another node, whose name follows
)

// Use is a claim to a staged tree: as long as it is held, the tree stays.
type Use struct {
	Dir   string // the image's folder, if it is one; Tree is below it
	How   string // Copied, Reused, or another word of the source
	Bytes int64  // that were brought here for it
	Tree  Tree   // with the checksum of every file
	lock  *os.File
}

// Files is the folder that holds the files.
func (u *Use) Files() string { return image.Tree(u.Dir) }

// Lock is the file whose lock is the claim: a process that inherits it shares
// the claim.
func (u *Use) Lock() *os.File { return u.lock }

// Close gives the claim up.
func (u *Use) Close() error { return u.lock.Close() }

// Source gives a tree's files. fetch calls put for each of the entries want (by
// their index), possibly several at once, with the file's content; put checks and
// keeps it. How is what Use.How says of it.
type Source interface {
	Fetch(ctx context.Context, t *Tree, want []int, put Put) (how string, err error)
}

// Put takes a file's content. An error is the disk's, or ErrChanged when the content
// is not the file's.
type Put func(i int, content Content) error

// spares is how many copies of a tree there may be: damaged ones that somebody
// uses stay beside the good one.
const spares = 8

// errOccupied: the copy is damaged, and somebody uses it all the same.
var errOccupied = errors.New("a damaged copy is in use")

// Acquire claims the tree, and brings it here first where it is missing or
// damaged. However many ask at once, one copies and the others wait. Close the Use.
// Errors: ErrSpace, ErrChanged, ctx.Err(), the source's.
func (s *Store) Acquire(ctx context.Context, t Tree, from Source) (*Use, error) {
	for n := 1; ; n++ {
		u, err := s.acquire(ctx, t, t.Key+"."+strconv.Itoa(n), from)
		if n < spares && errors.Is(err, errOccupied) {
			continue
		}
		if err != nil && !errors.Is(err, ErrSpace) {
			err = fmt.Errorf("staging %s (%s): %w", t.What, t.From, err)
		}
		return u, err
	}
}

// Has claims the tree if it is here and whole; else it is fs.ErrNotExist or ErrChanged.
func (s *Store) Has(ctx context.Context, t Tree) (*Use, error) {
	return s.claim(ctx, t, t.Key+".1")
}

// claim claims the copy of that name if it is whole.
func (s *Store) claim(ctx context.Context, t Tree, name string) (*Use, error) {
	if _, err := os.Lstat(s.path(name)); err != nil {
		return nil, err
	}
	lock, err := s.lock(ctx, name+useExt, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	r, err := s.whole(ctx, name)
	if err != nil {
		lock.Close()
		return nil, err
	}
	now := time.Now()
	os.Chtimes(lock.Name(), now, now) // when it was last used
	r.Tree.manifest = t.manifest
	return &Use{Dir: s.path(name), How: Reused, Tree: r.Tree, lock: lock}, nil
}

func (s *Store) acquire(ctx context.Context, t Tree, name string, from Source) (*Use, error) {
	for {
		u, err := s.claim(ctx, t, name)
		if err == nil {
			return u, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrChanged) {
			return nil, err
		}
		copying, err := s.try(name+copyExt, unix.LOCK_EX)
		if err != nil {
			return nil, err
		}
		if copying != nil {
			u, err := s.bring(ctx, t, name, from)
			os.Remove(copying.Name())
			copying.Close()
			return u, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// bring copies the tree. The caller holds the copy lock.
func (s *Store) bring(ctx context.Context, t Tree, name string, from Source) (_ *Use, err error) {
	// Another may have brought it before we got the lock.
	u, err := s.claim(ctx, t, name)
	if err == nil {
		return u, nil
	}
	if errors.Is(err, ErrChanged) {
		if err := s.discard(ctx, name); err != nil {
			return nil, err
		}
	}
	lock, err := s.lock(ctx, name+useExt, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	c := copying{store: s, name: name, tree: t, dir: s.path(name + partExt)}
	c.tree.Entries = slices.Clone(t.Entries)
	how, bytes, err := c.run(ctx, from)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(c.dir, s.path(name)); err != nil {
		return nil, fmt.Errorf("putting the copy into its place: %w", err)
	}
	return &Use{Dir: s.path(name), How: how, Bytes: bytes, Tree: c.tree, lock: lock}, nil
}

// discard removes a damaged copy, unless somebody uses it.
func (s *Store) discard(ctx context.Context, name string) error {
	// Others hold the lock for a moment, to look.
	for range 40 {
		lock, err := s.try(name+useExt, unix.LOCK_EX)
		if err != nil {
			return err
		}
		if lock != nil {
			defer lock.Close()
			return s.remove(name)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return errOccupied
}

// remove removes a tree. The caller holds its use lock exclusively. It is renamed
// first: what is half removed is never taken for whole.
func (s *Store) remove(name string) error {
	trash, err := os.MkdirTemp(s.dir, trashStart)
	if err != nil {
		return err
	}
	for _, n := range []string{name, name + partExt} {
		if err := os.Rename(s.path(n), filepath.Join(trash, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a staged tree: %w", err)
		}
	}
	return image.RemoveTree(trash)
}

// record is stage.json.
type record struct {
	Version int           `json:"version"`
	Boot    string        `json:"boot"` // since when its files are known to be good: a power cut leaves some that were never written
	Made    time.Time     `json:"made"`
	Files   []image.Entry `json:"files"` // as they are here, without checksums; none while it is in the making
	Tree    Tree          `json:"tree"`
}

const recordVersion = 1

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func readRecord(dir string) (record, error) {
	var r record
	text, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return r, err
	}
	err = json.Unmarshal(text, &r)
	if err == nil && r.Version != recordVersion {
		err = errors.New("made by another version of muster")
	}
	return r, err
}

func (r *record) write(dir string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writeWhole(filepath.Join(dir, recordName), text)
}

// whole checks a copy: every file's kind, size, time and mode; after the machine
// was started anew, the content too. Errors: fs.ErrNotExist, ErrChanged.
func (s *Store) whole(ctx context.Context, name string) (record, error) {
	dir := s.path(name)
	if _, err := os.Lstat(dir); err != nil {
		return record{}, err
	}
	r, err := readRecord(dir)
	if err != nil {
		return r, fmt.Errorf("%w: %v", ErrChanged, err)
	}
	files, err := image.Stock(image.Tree(dir))
	if err != nil {
		return r, fmt.Errorf("%w: %v", ErrChanged, err)
	}
	if !slices.Equal(files, r.Files) {
		return r, fmt.Errorf("%w: files are missing or have been changed", ErrChanged)
	}
	if r.Boot == bootID() {
		return r, nil
	}
	if err := r.sums(ctx, image.Tree(dir)); err != nil {
		return r, err
	}
	r.Boot = bootID()
	return r, r.write(dir)
}

// sums compares the content of every file.
func (r *record) sums(ctx context.Context, tree string) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	return r.Tree.each(ctx, func(_ int, e *image.Entry) error {
		sum, _, err := sumFile(root, e.Path)
		if err == nil && sum != e.Hash {
			err = ErrChanged
		}
		if err != nil {
			return fmt.Errorf("%w: the content of %s", ErrChanged, e.Path)
		}
		return nil
	})
}

// pause waits a little, for somebody else.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10*time.Millisecond + rand.N(30*time.Millisecond)):
		return nil
	}
}

const (
	recordName = "stage.json"
	partExt    = ".part"
	useExt     = ".use"
	copyExt    = ".copy"
	roomName   = "room"
	trashStart = "trash-"
)
