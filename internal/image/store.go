// Package image keeps prepared environments: each is built once, whoever asks
// and however many ask at the same time, verified when it is used, and never
// changed afterwards. The store knows folders and files; what is in them is the
// business of the driver that builds them.
//
// A store's folder (0700, owned by its user):
//
//	GUEST/KEY/            an image
//	GUEST/KEY/manifest    what must be in it (Manifest, as JSON)
//	GUEST/KEY/lock        held shared (flock) by all who use it; its time is when it was last used
//	GUEST/KEY/tree/       the content
//	GUEST/names/NAME      holds the key that NAME stands for
//	GUEST/KEY.building    held exclusively while KEY is built
//	GUEST/staging-KEY-…   a build under way, or one whose builder died
//	GUEST/trash-…         an image on its way out
package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

var (
	// ErrNotFound means that there is no such image.
	ErrNotFound = errors.New("there is no such image")
	// ErrDamaged means that an image is not what was built.
	ErrDamaged = errors.New("the image is damaged")
	// ErrInUse means that an image is in use, and so stays.
	ErrInUse = errors.New("the image is in use")
	// ErrSpace means that the disk has no room for what is to be built.
	ErrSpace = errors.New("not enough space for the image")
	// ErrOwner means that the store's folder belongs to somebody else, or is open to others.
	ErrOwner = errors.New("the image folder is not the caller's own")
)

// Store is a folder of images. Its methods may be called by several goroutines
// and several processes at once.
type Store struct{ root string }

// Root is where images are kept: MUSTER_IMAGES, else XDG_DATA_HOME/muster/images,
// else ~/.local/share/muster/images. getenv is os.Getenv.
func Root(getenv func(string) string) (string, error) {
	if dir := getenv("MUSTER_IMAGES"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "muster", "images"), nil
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", errors.New("no place for images: HOME is not set; set MUSTER_IMAGES to a folder")
	}
	return filepath.Join(home, ".local", "share", "muster", "images"), nil
}

// Open opens the store at root, and makes its folder where it is missing.
// Errors: ErrOwner.
func Open(root string) (*Store, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("making the image folder: %w", err)
	}
	if err := own(root); err != nil {
		return nil, err
	}
	return &Store{root}, nil
}

// own makes sure that dir is a folder of this user that nobody else can write.
func own(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at the image folder: %w", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("%w: %s is not a folder", ErrOwner, dir)
	}
	sys := st.Sys().(*syscall.Stat_t)
	if int(sys.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, and you are user %d; set MUSTER_IMAGES to a folder of your own", ErrOwner, dir, sys.Uid, os.Geteuid())
	}
	if st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%w: others can write to %s; chmod 700 %s", ErrOwner, dir, dir)
	}
	return nil
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.root }

func (s *Store) guestDir(guest string) string    { return filepath.Join(s.root, guest) }
func (s *Store) imageDir(guest, k string) string { return filepath.Join(s.root, guest, k) }
func (s *Store) namesDir(guest string) string    { return filepath.Join(s.root, guest, "names") }

// Tree is the folder below an image's folder that holds its content.
func Tree(dir string) string { return filepath.Join(dir, treeName) }

const (
	treeName     = "tree"
	manifestName = "manifest"
	lockName     = "lock"
	buildingExt  = ".building"
	stagingStart = "staging-"
	trashStart   = "trash-"
)

var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	keyForm  = regexp.MustCompile(`^[a-z0-9]{8,64}$`)
)

// CheckName says what is wrong with a name for an image, or nil.
func CheckName(name string) error {
	if !nameForm.MatchString(name) || strings.HasSuffix(name, buildingExt) {
		return fmt.Errorf("%q is no name for an image: letters, digits, '.', '_' and '-', at most 64", name)
	}
	return nil
}

// Key returns the key that a name stands for. Errors: ErrNotFound.
func (s *Store) Key(guest, name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(s.namesDir(guest), name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if err != nil {
		return "", fmt.Errorf("looking up image %s: %w", name, err)
	}
	key := strings.TrimSpace(string(b))
	if !keyForm.MatchString(key) {
		return "", fmt.Errorf("%w: the name %s stands for nothing", ErrNotFound, name)
	}
	return key, nil
}

// setName makes name stand for key.
func (s *Store) setName(guest, name, key string) error {
	if old, err := s.Key(guest, name); err == nil && old == key {
		return nil
	}
	dir := s.namesDir(guest)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("naming the image: %w", err)
	}
	if err := writeWhole(filepath.Join(dir, name), []byte(key+"\n")); err != nil {
		return fmt.Errorf("naming the image: %w", err)
	}
	return nil
}

// writeWhole writes a file so that readers see the old content or the new one,
// never a part.
func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
