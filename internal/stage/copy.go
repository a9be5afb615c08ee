package stage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/image"
)

// copying is a copy in the making. Its folder has another name until it is whole.
type copying struct {
	store   *Store
	name    string
	tree    Tree // Entries are our own: checksums are filled in
	dir     string
	root    *os.Root // of the files
	buffers sync.Pool
	bytes   atomic.Int64
}

// run makes the copy, with what an earlier copier has left of it, and says how it
// came and how many bytes were fetched.
func (c *copying) run(ctx context.Context, from Source) (how string, n int64, err error) {
	if err := c.open(); err != nil {
		return "", 0, err
	}
	defer c.root.Close()
	c.buffers.New = func() any { return new([256 << 10]byte) }
	want, missing, err := c.missing(ctx)
	if err != nil {
		return "", 0, err
	}
	if err := c.store.makeRoom(ctx, c.name, c.tree.room(), missing, int64(len(want))); err != nil {
		return "", 0, errors.Join(err, image.RemoveTree(c.dir))
	}
	r := record{Version: recordVersion, Made: time.Now(), Tree: Tree{What: c.tree.What, From: c.tree.From, Key: c.tree.Key, Size: c.tree.Size}}
	if err := r.write(c.dir); err != nil {
		return "", 0, c.full(err)
	}
	if err := c.folders(); err != nil {
		return "", 0, c.full(err)
	}
	if how, err = from.Fetch(ctx, &c.tree, want, c.put); err != nil {
		return "", 0, c.full(err)
	}
	return how, c.bytes.Load(), c.finish(r)
}

func (c *copying) open() error {
	files := image.Tree(c.dir)
	if err := os.MkdirAll(files, 0o700); err != nil {
		return c.full(err)
	}
	var err error
	if c.root, err = os.OpenRoot(files); err != nil {
		return err
	}
	return c.root.Chmod(".", 0o700)
}

// missing lists the files that are not here yet, and how many bytes they have. What a copier that died has
// left counts when its checksum is right.
func (c *copying) missing(ctx context.Context) (want []int, bytes int64, err error) {
	have := make([]bool, len(c.tree.Entries))
	for _, e := range c.tree.Entries {
		if e.Mode.IsDir() {
			// A copier that died late has taken the write permission away.
			if err := c.root.Chmod(e.Path, 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, 0, err
			}
		}
	}
	err = c.tree.each(ctx, func(i int, e *image.Entry) error {
		st, err := c.root.Lstat(e.Path)
		if err != nil || e.Hash == "" || !st.Mode().IsRegular() || st.Size() != e.Size {
			return nil
		}
		sum, _, err := sumFile(c.root, e.Path)
		if err == nil && sum == e.Hash {
			have[i] = true
			return c.attributes(e)
		}
		return nil
	})
	for i, e := range c.tree.Entries {
		if e.Mode.IsRegular() && !have[i] {
			want = append(want, i)
			bytes += e.Size
		}
	}
	return want, bytes, err
}

// folders makes the folders and the links.
func (c *copying) folders() error {
	for _, e := range c.tree.Entries {
		var err error
		switch e.Mode.Type() {
		case fs.ModeDir:
			err = c.root.Mkdir(e.Path, 0o700)
		case fs.ModeSymlink:
			err = c.root.Symlink(e.Link, e.Path)
		}
		if errors.Is(err, fs.ErrExist) {
			err = nil // an earlier copier's; finish compares
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Content is a file's content on its way. Size is what it is said to be.
type Content struct {
	io.Reader
	Size int64
}

// put writes the file of entry i, and checks it on the way.
func (c *copying) put(i int, content Content) (err error) {
	e := &c.tree.Entries[i]
	if content.Size != e.Size {
		return fmt.Errorf("%w: %s has %d bytes, and had %d", ErrChanged, e.Path, content.Size, e.Size)
	}
	const fresh = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := c.root.OpenFile(e.Path, fresh, 0o600)
	if errors.Is(err, fs.ErrExist) { // an earlier copier's: it would be without permission to write
		if err = c.root.Remove(e.Path); err == nil {
			f, err = c.root.OpenFile(e.Path, fresh, 0o600)
		}
	}
	if err != nil {
		return err
	}
	buffer := c.buffers.Get().(*[256 << 10]byte)
	defer c.buffers.Put(buffer)
	h := sha256.New()
	// One byte more than there must be tells a file that has grown.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(h, f)}, struct{ io.Reader }{io.LimitReader(content, e.Size+1)}, buffer[:])
	sum := hex.EncodeToString(h.Sum(nil))
	switch {
	case err != nil:
	case n != e.Size:
		err = fmt.Errorf("%w: of the %d bytes of %s came %d", ErrChanged, e.Size, e.Path, n)
	case e.Hash != "" && sum != e.Hash:
		err = fmt.Errorf("%w: the checksum of %s is wrong", ErrChanged, e.Path)
	default:
		err = seal(f, e)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, c.root.Remove(e.Path))
	}
	e.Hash = sum
	c.bytes.Add(n)
	return nil
}

// seal is attributes for an open file, which costs a third: no names are looked up.
func seal(f *os.File, e *image.Entry) error {
	at := unix.NsecToTimespec(e.MTime)
	if err := unix.UtimesNanoAt(int(f.Fd()), "", []unix.Timespec{at, at}, unix.AT_EMPTY_PATH); err != nil {
		at := time.Unix(0, e.MTime) // an old kernel
		if err := os.Chtimes(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), at, at); err != nil {
			return err
		}
	}
	if err := f.Chmod(e.Mode.Perm()); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return given(f.Chown(nobody, nobody))
}

// attributes gives a file its mode, time and owner. What root brings belongs to
// nobody, so that a program of root's without CAP_FOWNER cannot take the write permission back.
func (c *copying) attributes(e *image.Entry) error {
	at := time.Unix(0, e.MTime)
	if e.MTime != 0 {
		if err := c.root.Chtimes(e.Path, at, at); err != nil {
			return err
		}
	}
	if err := c.root.Chmod(e.Path, e.Mode.Perm()); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return given(c.root.Lchown(e.Path, nobody, nobody))
}

const nobody = 65534

// given passes over that root of a user namespace only cannot give files away: the
// mode has to do.
func given(err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// finish takes the write permissions, and writes the record of what is here now.
func (c *copying) finish(r record) (err error) {
	for _, e := range slices.Backward(c.tree.Entries) { // what is in a folder changes the folder's time
		if e.Mode.IsDir() {
			if err := c.attributes(&e); err != nil {
				return err
			}
		}
	}
	if err := c.root.Chmod(".", 0o500); err != nil {
		return err
	}
	if c.tree.manifest != nil {
		if err := image.WriteRest(c.dir, c.tree.manifest); err != nil {
			return c.full(err)
		}
	}
	if r.Files, err = image.Stock(image.Tree(c.dir)); err != nil {
		return err
	}
	if err := c.compare(r.Files); err != nil {
		// Nothing of it can be trusted: the next copier begins anew.
		return errors.Join(err, image.RemoveTree(c.dir))
	}
	r.Boot, r.Tree = bootID(), c.tree
	return c.full(r.write(c.dir))
}

// compare compares what is here with what must be.
func (c *copying) compare(files []image.Entry) error {
	want := slices.Clone(c.tree.Entries)
	order := func(a, b image.Entry) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) }
	files = slices.Clone(files)
	slices.SortFunc(want, order)
	slices.SortFunc(files, order)
	same := slices.EqualFunc(want, files, func(w, f image.Entry) bool {
		w.Hash, w.Quick = "", false
		if w.Mode.IsDir() && w.MTime == 0 {
			f.MTime = 0
		}
		if w.Mode.Type() == fs.ModeSymlink {
			w.Mode, w.MTime = f.Mode, f.MTime // links have neither of their own
		}
		return w == f
	})
	if !same {
		return fmt.Errorf("%w: the copy has other files than the tree", ErrChanged)
	}
	return nil
}

// full puts a full disk into words. What was copied goes: the tasks that run here need
// the room.
func (c *copying) full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = errors.Join(err, image.RemoveTree(c.dir))
		return fmt.Errorf("%w: %s takes more than %s has: %w", ErrSpace, c.tree.What, c.store.dir, err)
	}
	return err
}

// Central is the central storage: every file is read from where the tree is, many
// at once.
type Central struct{}

// Fetch implements Source.
func (Central) Fetch(ctx context.Context, t *Tree, want []int, put Put) (string, error) {
	root, err := os.OpenRoot(t.From)
	if err != nil {
		return "", err
	}
	defer root.Close()
	err = t.some(ctx, want, func(i int, e *image.Entry) error {
		err := centralFile(root, e.Path, i, put)
		if errors.Is(err, ErrChanged) {
			// A network has its moments: what is really changed is so the second time too.
			err = centralFile(root, e.Path, i, put)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(t.From, e.Path), err)
		}
		return nil
	})
	return Copied, err
}

func centralFile(root *os.Root, name string, i int, put Put) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return put(i, Content{f, st.Size()})
}
