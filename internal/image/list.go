package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Info is what `muster image ls` shows of an image.
type Info struct {
	Guest    string
	Key      string
	Names    []string // what it is called; none: gc removes it
	Dir      string
	Manifest Manifest  // without Entries
	LastUsed time.Time //
	InUse    bool
	Err      error // why it cannot be read; nil for a good one
}

// List lists the images, the newest first. It reads manifests and verifies nothing.
func (s *Store) List() ([]Info, error) {
	guests, err := os.ReadDir(s.root)
	if err != nil {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	var out []Info
	for _, g := range guests {
		if !g.IsDir() {
			continue
		}
		names, err := s.names(g.Name())
		if err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(s.guestDir(g.Name()))
		if err != nil {
			return nil, fmt.Errorf("listing images: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() && keyForm.MatchString(e.Name()) {
				out = append(out, s.info(g.Name(), e.Name(), names[e.Name()]))
			}
		}
	}
	slices.SortFunc(out, func(a, b Info) int { return b.Manifest.Created.Compare(a.Manifest.Created) })
	return out, nil
}

// names returns the names of each key.
func (s *Store) names(guest string) (map[string][]string, error) {
	out := map[string][]string{}
	entries, err := os.ReadDir(s.namesDir(guest))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing the names of images: %w", err)
	}
	for _, e := range entries {
		if key, err := s.Key(guest, e.Name()); err == nil {
			out[key] = append(out[key], e.Name())
		}
	}
	return out, nil
}

func (s *Store) info(guest, key string, names []string) Info {
	i := Info{Guest: guest, Key: key, Names: names, Dir: s.imageDir(guest, key)}
	i.Manifest, i.Err = readManifest(i.Dir)
	i.Manifest.Entries = nil
	lock := filepath.Join(i.Dir, lockName)
	if st, err := os.Stat(lock); err == nil {
		i.LastUsed = st.ModTime()
		f, err := tryLock(lock, os.O_RDONLY, unix.LOCK_EX)
		i.InUse = err == nil && f == nil
		if f != nil {
			f.Close()
		}
	}
	return i
}

// Find returns the image called name, or whose key begins with it (at least
// eight characters). Errors: ErrNotFound.
func (s *Store) Find(name string) (Info, error) {
	all, err := s.List()
	if err != nil {
		return Info{}, err
	}
	for _, i := range all {
		if slices.Contains(i.Names, name) {
			return i, nil
		}
	}
	for _, i := range all {
		if len(name) >= 8 && strings.HasPrefix(i.Key, name) {
			return i, nil
		}
	}
	return Info{}, fmt.Errorf("%w: %s; `muster image ls` shows what there is", ErrNotFound, name)
}
