package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

// ManifestVersion is the version of the manifest's form. An image with a newer
// one counts as missing to this muster.
const ManifestVersion = 1

// Manifest says what an image is and what must be in it.
type Manifest struct {
	Version int               `json:"version"`
	Guest   string            `json:"guest"`
	Key     string            `json:"key"`
	Created time.Time         `json:"created"`
	Took    time.Duration     `json:"took"` // building, in nanoseconds
	Size    int64             `json:"size"` // bytes of its files
	Meta    map[string]string `json:"meta"` // the driver's own
	Entries []Entry           `json:"entries"`
}

// Entry is a file, folder or link of an image.
type Entry struct {
	Path  string      `json:"p"` // below the tree, with slashes
	Mode  fs.FileMode `json:"m"` // type and permissions
	Size  int64       `json:"s,omitempty"`
	MTime int64       `json:"t,omitempty"` // nanoseconds since 1970; a folder's changes when something appears in it
	Link  string      `json:"l,omitempty"` // where a link leads
	Hash  string      `json:"h,omitempty"` // SHA-256 of a file
	Quick bool        `json:"q,omitempty"` // small and important: the hash is compared by every check
}

// describe makes the manifest of the tree in dir. quick names the files whose
// content every check compares.
func describe(dir string, quick func(path string) bool) (entries []Entry, size int64, err error) {
	tree := Tree(dir)
	if entries, err = Stock(tree); err != nil {
		return nil, 0, err
	}
	for i, e := range entries {
		if e.Mode.IsRegular() {
			size += e.Size
			entries[i].Quick = quick != nil && quick(e.Path)
		}
	}
	err = eachFile(entries, func(e *Entry) (err error) {
		e.Hash, err = hashFile(filepath.Join(tree, filepath.FromSlash(e.Path)))
		return err
	})
	return entries, size, err
}

// Stock lists what is in a tree, folders before what is in them, without hashes.
// Anything but files, folders and links is an error.
func Stock(tree string) ([]Entry, error) {
	var entries []Entry
	err := filepath.WalkDir(tree, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == tree {
			return err
		}
		rel, err := filepath.Rel(tree, p)
		if err != nil {
			return err
		}
		e, err := lookAt(p)
		if err != nil {
			return err
		}
		switch e.Mode.Type() {
		case 0, fs.ModeDir, fs.ModeSymlink:
		default:
			return fmt.Errorf("%s is neither file, folder nor link", rel)
		}
		e.Path = filepath.ToSlash(rel)
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("taking stock of the image: %w", err)
	}
	return entries, nil
}

// lookAt describes one file, folder or link without following it.
func lookAt(path string) (Entry, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Mode: st.Mode().Type() | st.Mode().Perm()}
	switch st.Mode().Type() {
	case fs.ModeSymlink:
		e.Link, err = os.Readlink(path)
	case fs.ModeDir:
		e.MTime = st.ModTime().UnixNano()
	default:
		e.MTime, e.Size = st.ModTime().UnixNano(), st.Size()
	}
	return e, err
}

// eachFile calls f for every regular file, several at once.
func eachFile(entries []Entry, f func(*Entry) error) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range entries {
		if entries[i].Mode.IsRegular() {
			g.Go(func() error { return f(&entries[i]) })
		}
	}
	return g.Wait()
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func readManifest(dir string) (Manifest, error) {
	m, _, err := Read(dir)
	return m, err
}

func parseManifest(dir string, b []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%w: its manifest: %w", ErrDamaged, err)
	}
	if m.Version != ManifestVersion {
		return m, fmt.Errorf("%w: %s was made by another version of muster (manifest %d, this one knows %d)", ErrNotFound, dir, m.Version, ManifestVersion)
	}
	return m, nil
}

// Read reads the manifest of the image in the folder dir, and returns its text
// too. Errors: ErrNotFound, ErrDamaged.
func Read(dir string) (Manifest, []byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, nil, fmt.Errorf("%w: %s", ErrNotFound, dir)
	}
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("reading the image's manifest: %w", err)
	}
	m, err := parseManifest(dir, text)
	return m, text, err
}

// WriteRest makes an image of a folder whose tree is an exact copy of another's,
// times included: it adds that one's manifest, as Read returned it, and a lock.
func WriteRest(dir string, manifest []byte) error {
	if err := os.WriteFile(filepath.Join(dir, lockName), nil, 0o600); err != nil {
		return fmt.Errorf("writing the image's lock: %w", err)
	}
	if err := writeWhole(filepath.Join(dir, manifestName), manifest); err != nil {
		return fmt.Errorf("writing the image's manifest: %w", err)
	}
	return nil
}

// check compares an image with its manifest: every file's kind, size, time and
// permissions, and the content of the important ones; with full, of all.
func (m *Manifest) check(dir, key string, full bool) error {
	if key != "" && m.Key != key {
		return fmt.Errorf("%w: %s holds image %s, not %s", ErrDamaged, dir, m.Key, key)
	}
	tree := Tree(dir)
	for _, want := range m.Entries {
		have, err := lookAt(filepath.Join(tree, filepath.FromSlash(want.Path)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w: %s is missing", ErrDamaged, want.Path)
		case err != nil:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		have.Path, have.Hash, have.Quick = want.Path, want.Hash, want.Quick
		if have != want {
			return fmt.Errorf("%w: %s has changed", ErrDamaged, want.Path)
		}
	}
	return eachFile(m.Entries, func(e *Entry) error {
		if !full && !e.Quick {
			return nil
		}
		hash, err := hashFile(filepath.Join(tree, filepath.FromSlash(e.Path)))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if hash != e.Hash {
			return fmt.Errorf("%w: the content of %s has changed", ErrDamaged, e.Path)
		}
		return nil
	})
}

// Verify compares the image in the folder dir with its manifest; with full,
// it reads every file. Errors: ErrNotFound, ErrDamaged.
func Verify(dir, key string, full bool) error {
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	return m.check(dir, key, full)
}
