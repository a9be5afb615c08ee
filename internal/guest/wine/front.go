package wine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"muster/internal/guest"
	"muster/internal/image"
	"muster/internal/proc"
)

// recipeVersion changes whenever this package builds images differently.
const recipeVersion = 9

// DefaultImage is the image that is used, and built on first use, when no other
// is named.
const DefaultImage = "default"

// Front is the driver's submitting half.
type Front struct {
	table  *proc.Table
	store  *image.Store
	getenv func(string) string
}

// NewFront makes the submitting half: table starts what building takes, images
// live in store, and getenv (os.Getenv) tells MUSTER_WINE and PATH.
func NewFront(table *proc.Table, store *image.Store, getenv func(string) string) *Front {
	return &Front{table, store, getenv}
}

// Name implements guest.Front.
func (f *Front) Name() string { return "wine" }

// Build says what an image is to hold (`muster image build wine`).
type Build struct {
	Name    string   // "": DefaultImage
	Wine    string   // --wine: folder or archive of a Wine to carry; "": this machine's
	Add     string   // --add: folder copied to C:\muster\NAME
	Run     string   // --run: setup program to run in it
	RunArgs []string // its arguments ("/S")
	Keep    []string // --keep: what of Wine is not to be trimmed (see TrimNames)
}

// Build builds an image, or finds it when the same one is there already. progress
// is told a line at a time what happens.
func (f *Front) Build(ctx context.Context, b Build, progress func(string)) (image.Built, error) {
	if progress == nil {
		progress = func(string) {}
	}
	if b.Name == "" {
		b.Name = DefaultImage
	}
	for _, p := range []*string{&b.Wine, &b.Add, &b.Run} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return image.Built{}, err
		}
		if _, err := os.Stat(abs); err != nil {
			return image.Built{}, fmt.Errorf("%w: %w", guest.ErrUnfit, err)
		}
		*p = abs
	}
	var err error
	if b.Keep, err = checkKeep(b.Keep); err != nil {
		return image.Built{}, err
	}
	maker := &builder{table: f.table, build: b, user: windowsUser(), progress: progress}
	if b.Wine == "" {
		if maker.wine, err = findSystem(ctx, f.table, f.getenv); err != nil {
			return image.Built{}, err
		}
	}
	key, err := b.key(maker.wine, maker.user)
	if err != nil {
		return image.Built{}, err
	}
	built, err := f.store.Build(ctx, image.Recipe{
		Guest: f.Name(), Key: key, Name: b.Name, Need: b.need(),
		Quick: func(path string) bool { return strings.HasSuffix(path, ".reg") || strings.HasSuffix(path, holderName) },
		Make: func(ctx context.Context, dir string) (map[string]string, error) {
			maker.tree = dir
			return maker.make(ctx)
		},
	}, progress)
	if errors.Is(err, image.ErrSpace) || errors.Is(err, image.ErrOwner) {
		err = fmt.Errorf("%w: %w", guest.ErrLacking, err)
	}
	return built, err
}

// key is the hash of everything that the image depends on.
func (b Build) key(w Install, user string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "wine image %d\n%q %q %v\n%q\n%q %q\n%q\n", recipeVersion, w.Version, w.Loader, w.Wine32, user, filepath.Base(b.Add), b.RunArgs, b.Keep)
	// A Wine is large, and every run asks: its names, sizes and times have to do.
	for _, part := range []struct {
		path    string
		content bool
	}{{b.Wine, false}, {b.Add, true}, {b.Run, true}} {
		fmt.Fprintf(h, "%v\n", part.path != "")
		if part.path == "" {
			continue
		}
		if err := hashTree(h, part.path, part.content); err != nil {
			return "", fmt.Errorf("%w: reading %s: %w", guest.ErrUnfit, part.path, err)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:16]), nil
}

// freshPrefix is what a prefix takes while it is built: nearly all of it copies
// of Wine's own DLLs.
const freshPrefix = 750 << 20

// need is how much disk building takes.
func (b Build) need() int64 {
	need := int64(freshPrefix)
	for _, p := range []string{b.Wine, b.Add, b.Run} {
		if p != "" {
			need += 2 * sizeOf(p) // expanded, or installed
		}
	}
	return need
}

func sizeOf(path string) int64 {
	var size int64
	filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if st, err := d.Info(); err == nil {
				size += st.Size()
			}
		}
		return nil
	})
	return size
}

// Image implements guest.Front. A named image has to be there, unless it is the
// default one or the request tells how to make it.
func (f *Front) Image(ctx context.Context, r guest.Request, progress func(string)) (guest.Image, error) {
	b := Build{Name: r.Image, Wine: r.Wine}
	if r.Image != "" && r.Image != DefaultImage && r.Wine == "" {
		return f.named(r.Image)
	}
	if b.Name == "" && r.Wine != "" {
		b.Name = "carried"
	}
	if r.Wine == "" && f.customised(DefaultImage) {
		return f.named(DefaultImage)
	}
	built, err := f.Build(ctx, b, progress)
	if err != nil {
		return guest.Image{}, err
	}
	img := guest.Image{Dir: built.Dir, Key: built.Manifest.Key, Built: built.Took}
	if built.Damage != nil {
		img.Damage = built.Damage.Error()
	}
	return img, nil
}

// customised reports whether the image of that name holds more than the plain
// recipe: it is the user's own then, and not replaced by a plain one.
func (f *Front) customised(name string) bool {
	info, err := f.store.Find(name)
	if err != nil || info.Err != nil || info.Guest != f.Name() {
		return false
	}
	meta := info.Manifest.Meta
	return meta[metaAdd]+meta[metaRun]+meta[metaCarried]+meta[metaKept] != ""
}

// named finds an image that the user has built before.
func (f *Front) named(name string) (guest.Image, error) {
	info, err := f.store.Find(name)
	if errors.Is(err, image.ErrNotFound) {
		return guest.Image{}, fmt.Errorf("%w: %w; make it with: muster image build wine --name %s", guest.ErrUnfit, err, name)
	}
	if err != nil {
		return guest.Image{}, err
	}
	if info.Guest != f.Name() {
		return guest.Image{}, fmt.Errorf("%w: %s is an image for %s, not for wine", guest.ErrUnfit, name, info.Guest)
	}
	if err := image.Verify(info.Dir, info.Key, false); err != nil {
		return guest.Image{}, fmt.Errorf("%w: %w; build it again: muster image build wine --name %s", guest.ErrLacking, err, name)
	}
	return guest.Image{Dir: info.Dir, Key: info.Key}, nil
}
