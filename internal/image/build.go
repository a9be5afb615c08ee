package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Recipe says how an image is made.
type Recipe struct {
	Guest string // driver that makes it
	Key   string // what it is made of, as a hash: equal keys, equal images
	Name  string // what it is called from now on
	Need  int64  // bytes of disk that building takes

	// Make fills dir, an empty folder of the caller's, and returns what the
	// driver wants to know later (Manifest.Meta). It must leave no process behind.
	Make func(ctx context.Context, dir string) (meta map[string]string, err error)

	// Quick names files whose content even a quick check compares; nil: none.
	Quick func(path string) bool
}

// Built is the outcome of Build.
type Built struct {
	Dir      string
	Manifest Manifest
	Took     time.Duration // 0: the image was there already
	Damage   error         // ErrDamaged: what stood there before, and was replaced
}

// Build returns the image of the recipe, verified, and makes it first when it
// is missing or damaged. However many processes ask at once, one of them builds
// and the others wait. progress is told a line at a time what happens. Errors: ErrSpace, ErrOwner, ctx.Err(), Make's.
// After an error nothing is left.
func (s *Store) Build(ctx context.Context, r Recipe, progress func(string)) (Built, error) {
	if progress == nil {
		progress = func(string) {}
	}
	if err := r.check(); err != nil {
		return Built{}, err
	}
	b, damage := s.find(r)
	if damage != nil {
		if err := os.MkdirAll(s.guestDir(r.Guest), 0o700); err != nil {
			return Built{}, fmt.Errorf("making the image folder: %w", err)
		}
		building := s.imageDir(r.Guest, r.Key) + buildingExt
		lock, err := lockBuild(ctx, building, progress)
		if err != nil {
			return Built{}, err
		}
		defer lock.Close()
		defer os.Remove(building) // while the lock is held
		// Another may have built it while this one waited.
		if b, damage = s.find(r); damage != nil {
			if errors.Is(damage, ErrDamaged) {
				progress(fmt.Sprintf("image %s: %v; building it again", r.Name, damage))
			}
			if b, err = s.build(ctx, r); err != nil {
				return Built{}, err
			}
			if errors.Is(damage, ErrDamaged) {
				b.Damage = damage
			}
		}
	}
	return b, s.setName(r.Guest, r.Name, r.Key)
}

func (r Recipe) check() error {
	if !keyForm.MatchString(r.Key) {
		return fmt.Errorf("%q is no key of an image", r.Key)
	}
	if err := CheckName(r.Guest); err != nil {
		return err
	}
	return CheckName(r.Name)
}

// find returns the image when it is there and whole, or the reason why it has
// to be built.
func (s *Store) find(r Recipe) (Built, error) {
	dir := s.imageDir(r.Guest, r.Key)
	m, err := readManifest(dir)
	if err == nil {
		err = m.check(dir, r.Key, false)
	}
	if err != nil {
		return Built{}, err
	}
	return Built{Dir: dir, Manifest: m}, nil
}

// build makes the image in a staging folder and renames it into place. The
// caller holds the build lock.
func (s *Store) build(ctx context.Context, r Recipe) (_ Built, err error) {
	began := time.Now()
	if err := s.sweepStaging(r.Guest, r.Key); err != nil {
		return Built{}, err
	}
	if err := room(s.guestDir(r.Guest), r.Need); err != nil {
		return Built{}, err
	}
	staging, err := os.MkdirTemp(s.guestDir(r.Guest), stagingStart+r.Key+"-")
	if err != nil {
		return Built{}, fmt.Errorf("making a folder to build in: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTree(staging))
		}
	}()
	if err := os.Mkdir(Tree(staging), 0o700); err != nil {
		return Built{}, err
	}
	meta, err := r.Make(ctx, Tree(staging))
	if err != nil {
		return Built{}, err
	}
	if err := ctx.Err(); err != nil {
		return Built{}, err
	}
	m := Manifest{Version: ManifestVersion, Guest: r.Guest, Key: r.Key, Created: began.UTC().Truncate(time.Second), Meta: meta}
	if err := seal(Tree(staging)); err != nil {
		return Built{}, err
	}
	if m.Entries, m.Size, err = describe(staging, r.Quick); err != nil {
		return Built{}, err
	}
	m.Took = time.Since(began)
	if err := writeManifest(staging, m); err != nil {
		return Built{}, err
	}
	dir := s.imageDir(r.Guest, r.Key)
	if err := s.place(staging, dir); err != nil {
		return Built{}, err
	}
	return Built{Dir: dir, Manifest: m, Took: time.Since(began)}, nil
}

// place moves what was built to its final place; what was there goes.
func (s *Store) place(staging, dir string) error {
	trash := filepath.Join(filepath.Dir(dir), trashStart+filepath.Base(staging))
	if err := os.Rename(dir, trash); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("putting the damaged image aside: %w", err)
	}
	if err := os.Rename(staging, dir); err != nil {
		return fmt.Errorf("putting the image into its place: %w", err)
	}
	return removeTree(trash)
}

// seal takes the write permission from everything below tree: instances are
// made of links into it, and no program may write through them. What root builds
// is given to nobody, so that a program of root's that gives up CAP_FOWNER
// cannot take the permission back.
func seal(tree string) error {
	return filepath.WalkDir(tree, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() == fs.ModeSymlink || p == tree {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		mode := st.Mode().Perm()&0o111 | 0o444
		if d.IsDir() {
			mode = 0o555
		}
		if err := os.Chmod(p, mode); err != nil {
			return err
		}
		if os.Geteuid() == 0 {
			// Refused where root is one of a user namespace only: the mode has to do.
			if err := os.Lchown(p, nobody, nobody); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
				return err
			}
		}
		return nil
	})
}

const nobody = 65534

func writeManifest(dir string, m Manifest) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return WriteRest(dir, b)
}

// sweepStaging removes what dead builders of this key have left.
func (s *Store) sweepStaging(guest, key string) error {
	names, err := os.ReadDir(s.guestDir(guest))
	if err != nil {
		return fmt.Errorf("listing images: %w", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), stagingStart+key+"-") {
			if err := removeTree(filepath.Join(s.guestDir(guest), n.Name())); err != nil {
				return fmt.Errorf("removing what a dead builder left: %w", err)
			}
		}
	}
	return nil
}

// room makes sure that need bytes are free in dir.
func room(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	free := int64(st.Bavail) * st.Bsize
	if free < need {
		return fmt.Errorf("%w: building it takes %d MB and %s has %d MB free; make room, or set MUSTER_IMAGES to a folder on another disk",
			ErrSpace, need>>20, dir, free>>20)
	}
	return nil
}
