// Package stage brings trees of files, an image or a program's folder, from the
// central storage to a folder of the node: once per node, however many agents
// and runs want them at the same time, verified by checksum, and kept for the
// next run within a bound.
//
// A stage's folder (0700, its user's alone) lies on the node's own disk:
//
//	KEY.N/              a whole tree; N counts from 1, and grows only while a damaged copy is in use
//	KEY.N/stage.json    what must be in it (record)
//	KEY.N/tree/         the files, write-protected
//	KEY.N/manifest      of an image: with it the copy is an image itself (see package image)
//	KEY.N.part/         a copy in the making, or one whose maker died: the next one goes on with it
//	KEY.N.use           held shared (flock) by all who use the tree; its time is when it was last used
//	KEY.N.copy          held exclusively by the one who copies
//	room                held exclusively while room is made
package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"muster/internal/image"
	"muster/internal/job"
	"muster/internal/ui/human"
)

var (
	// ErrSpace means that the node has no room for the tree; the message has the numbers.
	ErrSpace = errors.New("not enough room")
	// ErrChanged means that a file of the source is not what it is said to be:
	// damaged, cut short, or changed since it was described.
	ErrChanged = errors.New("it is not what it was")
)

const (
	// ProgramLimit is how large a program's folder may be that is staged.
	ProgramLimit = 1 << 30
	// filesLimit is where counting the files of a folder ends: nobody means to
	// stage that many.
	filesLimit = 200_000
)

// Tree says what is to be staged, and what must be in it.
type Tree struct {
	What    string        `json:"what"` // for people: "the image", "the program's folder"
	From    string        `json:"from"` // the folder that holds it
	Key     string        `json:"key"`  // equal keys, equal trees
	Size    int64         `json:"size"` // bytes of its files
	Entries []image.Entry `json:"entries"`

	manifest []byte // an image's own
}

// Image describes the image in the folder dir. Errors: those of image.Read.
func Image(dir string) (Tree, error) {
	m, text, err := image.Read(dir)
	if err != nil {
		return Tree{}, err
	}
	t := Tree{What: "the image", From: image.Tree(dir), Size: m.Size, Entries: m.Entries, manifest: text}
	// Two builds of one recipe may differ in times and registry: the manifest tells them apart.
	t.Key = digest(text)
	return t, t.check()
}

// Program describes the program's folder dir by names, sizes, times and modes. One
// that is larger than ProgramLimit is job.ErrBadInput, with its size.
func Program(dir string) (Tree, error) {
	t := Tree{What: "the program's folder", From: dir}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		e, err := entry(dir, p)
		if err != nil {
			return err
		}
		t.Size += e.Size
		if t.Entries = append(t.Entries, e); len(t.Entries) > filesLimit {
			return t.tooLarge("more than ")
		}
		return nil
	})
	if err != nil {
		return Tree{}, fmt.Errorf("looking through the program's folder %s: %w", dir, err)
	}
	if t.Size > ProgramLimit {
		return Tree{}, t.tooLarge("")
	}
	t.Key = t.digest()
	return t, nil
}

// entry describes one file, folder or link of a program's folder. What is staged
// is for reading and starting only; a file that its owner may start, anybody may:
// nobody else gets into the stage.
func entry(dir, p string) (image.Entry, error) {
	rel, err := filepath.Rel(dir, p)
	if err != nil {
		return image.Entry{}, err
	}
	e := image.Entry{Path: filepath.ToSlash(rel)}
	st, err := os.Lstat(p)
	if err != nil {
		return e, err
	}
	switch st.Mode().Type() {
	case fs.ModeDir:
		e.Mode = fs.ModeDir | 0o555
	case fs.ModeSymlink:
		e.Mode = fs.ModeSymlink | 0o777
		if e.Link, err = os.Readlink(p); err != nil {
			return e, err
		}
		if !filepath.IsAbs(e.Link) && !filepath.IsLocal(filepath.Join(filepath.Dir(rel), e.Link)) {
			e.Link = filepath.Join(filepath.Dir(p), e.Link) // out of the folder, which is elsewhere on the node
		}
	case 0:
		e.Mode, e.Size, e.MTime = 0o444, st.Size(), st.ModTime().UnixNano()
		if st.Mode().Perm()&0o111 != 0 {
			e.Mode = 0o555
		}
	default:
		return e, job.BadInputf("%s is neither file, folder nor link, and cannot be staged; --program-dir DIR names the folder that goes with the program, --stage none reads it where it is", p)
	}
	return e, nil
}

func (t *Tree) tooLarge(more string) error {
	return job.BadInputf("the program's folder %s holds %s%s in %s%d files and folders, and at most %s are staged; --program-dir DIR names a smaller folder, --stage none reads it where it is",
		t.From, more, human.Bytes(t.Size), more, len(t.Entries), human.Bytes(ProgramLimit))
}

// Sum reads every file of the tree and notes its checksum, so that nodes can tell
// a file that was cut short, damaged or changed since. The key changes with it.
func (t *Tree) Sum(ctx context.Context) error {
	root, err := os.OpenRoot(t.From)
	if err != nil {
		return err
	}
	defer root.Close()
	err = t.each(ctx, func(_ int, e *image.Entry) error {
		sum, n, err := sumFile(root, e.Path)
		if err == nil && n != e.Size {
			err = fmt.Errorf("%w: it has been written to meanwhile", ErrChanged)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", filepath.Join(t.From, e.Path), err)
		}
		e.Hash = sum
		return nil
	})
	t.Key = t.digest()
	return err
}

// IsImage reports whether the tree is an image's.
func (t *Tree) IsImage() bool { return t.manifest != nil }

// summed reports whether every file's checksum is known.
func (t *Tree) summed() bool {
	for _, e := range t.Entries {
		if e.Mode.IsRegular() && e.Hash == "" {
			return false
		}
	}
	return true
}

// Write keeps a description in a file, for the nodes; Read gets it back.
func (t *Tree) Write(file string) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return writeWhole(file, text)
}

// Read reads a description that Write has kept.
func Read(file string) (Tree, error) {
	var t Tree
	text, err := os.ReadFile(file)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return t, fmt.Errorf("%s: %w", file, err)
	}
	if t.Key != t.digest() {
		return t, fmt.Errorf("%s is damaged", file)
	}
	return t, t.check()
}

// check refuses names that would lead out of a tree, before anything is done
// with them.
func (t *Tree) check() error {
	for _, e := range t.Entries {
		if !filepath.IsLocal(e.Path) || strings.HasPrefix(e.Path, "../") || e.Path == "." || e.Size < 0 {
			return fmt.Errorf("the description of %s names %q, which leads out of it", t.From, e.Path)
		}
	}
	return nil
}

// room is how much of a disk the tree takes, blocks that files only begin included.
func (t *Tree) room() int64 { return t.Size + 4096*int64(len(t.Entries)+2) }

func (t *Tree) digest() string {
	h := sha256.New()
	for _, e := range t.Entries {
		fmt.Fprintf(h, "%q %o %d %d %q %s\n", e.Path, e.Mode, e.Size, e.MTime, e.Link, e.Hash)
	}
	return hex.EncodeToString(h.Sum(nil))[:keyLength]
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:keyLength]
}

const keyLength = 32
