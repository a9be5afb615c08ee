package vmimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"muster/internal/guest"
	"muster/internal/image"
	"muster/internal/job"
	"muster/internal/proc"
)

// Guest is the name under which the store keeps images of VMs.
const Guest = "vm"

// recipeVersion changes whenever this package builds images differently.
const recipeVersion = 1

// What --from and --strip take.
const (
	FromDebian   = "debian"
	DefaultSuite = "bookworm"
	StripFull    = "full"
	StripNone    = "none"
)

// Build says what an image is to be (`muster image build vm`).
type Build struct {
	Name string

	// A system of Debian's; the default.
	From     string   // --from: debian
	Suite    string   // --suite
	Packages []string // --packages: further ones
	Strip    string   // --strip: full, none
	Mirror   string   // --mirror; "": what this host's apt uses

	// Or what the user brings.
	Rootfs string // --rootfs: folder or archive that becomes the root
	Disk   string // --disk: qcow2 or raw, boots as it is
	Kernel string // --kernel, for --disk
	Initrd string // --initrd, for --disk
	Words  string // --cmdline: what that kernel is told
}

// Builder builds images.
type Builder struct {
	table  *proc.Table
	store  *image.Store
	getenv func(string) string
	init   func() ([]byte, error)
}

// NewBuilder makes a builder: table starts what building takes, images live in store, getenv (os.Getenv)
// tells PATH and proxies, and init (guestinit.Bytes) is muster-init.
func NewBuilder(table *proc.Table, store *image.Store, getenv func(string) string, init func() ([]byte, error)) *Builder {
	return &Builder{table, store, getenv, init}
}

// settled fills in what b leaves open, and says what is wrong with it. Errors: job.ErrBadInput.
func (b Build) settled() (Build, error) {
	wrong := func(format string, args ...any) (Build, error) { return b, job.BadInputf(format, args...) }
	own := ""
	switch {
	case b.Rootfs != "" && b.Disk != "":
		return wrong("--rootfs and --disk exclude each other")
	case b.Rootfs != "":
		own = "--rootfs"
	case b.Disk != "":
		own = "--disk"
	}
	if own == "--disk" && b.Strip == StripFull || own == "--rootfs" && b.Strip == StripNone {
		return wrong("--strip %s does not go with %s", b.Strip, own)
	}
	if own == "--disk" && (b.Suite != "" || b.Mirror != "") {
		return wrong("--suite and --mirror are for a system of Debian's, not for --disk")
	}
	if own != "" && (b.From != "" || len(b.Packages) > 0) {
		return wrong("--from and --packages are for a system of Debian's, not for %s", own)
	}
	if b.Kernel != "" && own != "--disk" || b.Kernel == "" && b.Initrd+b.Words != "" {
		return wrong("--kernel is for --disk, --initrd and --cmdline for --kernel")
	}
	if own == "" && b.From != "" && b.From != FromDebian {
		return wrong("--from %s: debian is the only one; --rootfs takes any other system", b.From)
	}
	if b.Kernel != "" && b.Words == "" {
		b.Words = "root=/dev/vda1 rw"
	}
	if b.Strip == "" && own != "--disk" {
		b.Strip = StripFull
	}
	if !slices.Contains([]string{"", StripFull, StripNone}, b.Strip) {
		return wrong("--strip %s: choose full or none", b.Strip)
	}
	if own != "--disk" && b.Suite == "" {
		b.Suite = DefaultSuite
	}
	if b.Suite != "" && !suiteForm.MatchString(b.Suite) {
		return wrong("--suite %q is no name of a suite", b.Suite)
	}
	if b.Mirror != "" && !mirrorForm.MatchString(b.Mirror) {
		return wrong("--mirror %q is no address of a mirror, such as http://deb.debian.org/debian", b.Mirror)
	}
	for _, p := range b.Packages {
		if !packageForm.MatchString(p) {
			return wrong("--packages: %q is no name of a package", p)
		}
	}
	b.Packages = slices.Sorted(slices.Values(b.Packages))
	for _, p := range []*string{&b.Rootfs, &b.Disk, &b.Kernel, &b.Initrd} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err == nil {
			_, err = os.Stat(abs)
		}
		if err != nil {
			return wrong("%w", err)
		}
		*p = abs
	}
	return b, nil
}

var (
	suiteForm   = regexp.MustCompile(`^[a-z][a-z0-9.-]*$`)
	packageForm = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	mirrorForm  = regexp.MustCompile(`^(https?|file|copy|cdrom|ftp)://?[^\s]+$`)
)

// Build builds an image, or finds it when the same one is there already. However many ask at once, one builds.
// progress is told a line at a time what happens. Errors: job.ErrBadInput, guest.ErrLacking, ctx.Err().
func (b *Builder) Build(ctx context.Context, what Build, progress func(string)) (image.Built, error) {
	if progress == nil {
		progress = func(string) {}
	}
	what, err := what.settled()
	if err != nil {
		return image.Built{}, err
	}
	m := &maker{Builder: b, build: what, progress: progress}
	if m.init, err = b.init(); err != nil {
		return image.Built{}, fmt.Errorf("%w: %w", guest.ErrLacking, err)
	}
	if what.Disk == "" {
		if m.sources, err = b.sources(ctx, what); err != nil {
			return image.Built{}, err
		}
	}
	key, err := m.key()
	if err != nil {
		return image.Built{}, job.BadInputf("%w", err)
	}
	built, err := b.store.Build(ctx, image.Recipe{
		Guest: Guest, Key: key, Name: what.Name, Need: m.need(), Make: m.make,
		Quick: func(path string) bool { return path == metaName },
	}, progress)
	if errors.Is(err, image.ErrSpace) || errors.Is(err, image.ErrOwner) {
		err = fmt.Errorf("%w: %w", guest.ErrLacking, err)
	}
	return built, err
}

// sources are the lines that apt is given, or the user's mirror.
func (b *Builder) sources(ctx context.Context, what Build) ([]string, error) {
	if what.Mirror != "" {
		return []string{what.Mirror}, nil
	}
	return b.hostSources(ctx, what.Suite)
}

// maker makes one image.
type maker struct {
	*Builder
	build    Build
	init     []byte
	sources  []string
	progress func(string)

	dir  string // where the image comes into being
	work string // a folder below it for what does not stay
	meta Meta
}

// key is the hash of everything that the image depends on. What a mirror holds today is not part of
// it: an image is built once, and stays.
func (m *maker) key() (string, error) {
	h := sha256.New()
	b := m.build
	fmt.Fprintf(h, "vm image %d\n%x\n%q %q %q %q %q\n", recipeVersion, sha256.Sum256(m.init), b.Suite, b.Packages, b.Strip, m.sources, b.Words)
	for _, path := range []string{b.Rootfs, b.Disk, b.Kernel, b.Initrd} {
		fmt.Fprintf(h, "%v\n", path != "")
		if path == "" {
			continue
		}
		// Disks are large: names, sizes and times have to do.
		err := filepath.Walk(path, func(p string, st os.FileInfo, err error) error {
			if err == nil {
				rel, _ := filepath.Rel(path, p)
				fmt.Fprintf(h, "%q %v %d %d\n", rel, st.Mode(), st.Size(), st.ModTime().UnixNano())
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// need is how much disk building takes.
func (m *maker) need() int64 {
	need := int64(64 << 20)
	switch {
	case m.build.Disk != "":
	case m.build.Strip == StripNone:
		need = 3 << 30 // archive, folder and disk at the same time
	case m.build.Rootfs == "":
		need = 1 << 30
	}
	for _, path := range []string{m.build.Rootfs, m.build.Disk} {
		if path != "" {
			filepath.Walk(path, func(_ string, st os.FileInfo, err error) error {
				if err == nil && st.Mode().IsRegular() {
					need += 2 * st.Size()
				}
				return nil
			})
		}
	}
	return need
}

// make fills dir and returns what `muster image show` tells.
func (m *maker) make(ctx context.Context, dir string) (map[string]string, error) {
	m.dir, m.work = dir, filepath.Join(dir, "build")
	if err := os.Mkdir(m.work, 0o700); err != nil {
		return nil, err
	}
	m.meta = Meta{Version: MetaVersion, From: From{Packages: m.build.Packages, Init: fmt.Sprintf("%x", sha256.Sum256(m.init))[:16]}}
	var err error
	switch {
	case m.build.Disk != "":
		err = m.userDisk()
	case m.build.Strip == StripNone:
		err = m.full(ctx)
	default:
		err = m.stripped(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("building the VM image: %w", err)
	}
	if err := image.RemoveTree(m.work); err != nil {
		return nil, fmt.Errorf("building the VM image: %w", err)
	}
	if err := m.meta.check(); err != nil {
		return nil, fmt.Errorf("building the VM image: %w", err)
	}
	text, err := json.MarshalIndent(m.meta, "", "\t")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, metaName), append(text, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("building the VM image: %w", err)
	}
	return m.meta.told(), nil
}

// told is what people are told about an image.
func (m *Meta) told() map[string]string {
	return map[string]string{
		"kind": string(m.Kind), "machine": m.Machine, "source": m.From.Source, "kernel": m.From.Kernel,
		"packages": strings.Join(m.From.Packages, " "), "modules": strings.Join(m.From.Modules, " "), "init": m.From.Init, "mode": m.From.Mode,
		"root": m.Root.File + " (" + strings.Trim(m.Root.FS+" "+m.Root.Format, " ") + ")",
	}
}

// write makes a file of the image.
func (m *maker) write(name string, fill func(*os.File) error) error {
	f, err := os.OpenFile(filepath.Join(m.dir, name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// content is what write takes for a content that is there already.
func content(b []byte) func(*os.File) error {
	return func(f *os.File) error {
		_, err := f.Write(b)
		return err
	}
}

// copyOf is what write takes for a copy of a file, by reference where the file system can.
func copyOf(path string) func(*os.File) error {
	return func(to *os.File) error {
		from, err := os.Open(path)
		if err != nil {
			return err
		}
		defer from.Close()
		if clone(to, from) == nil {
			return nil
		}
		_, err = io.Copy(to, from)
		return err
	}
}
