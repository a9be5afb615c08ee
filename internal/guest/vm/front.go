package vm

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"muster/internal/guest"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/image"
)

// Words for Node.Boot.
const (
	BootWarm = "warm" // booted once for each node, and every instance resumes from there
	BootCold = "cold" // each instance boots
)

// Front is the driver's submitting half.
type Front struct{ store *image.Store }

// NewFront makes the submitting half; images live in store.
func NewFront(store *image.Store) *Front { return &Front{store} }

// Name implements guest.Front.
func (f *Front) Name() string { return "vm" }

// Recognise implements guest.Front: no program asks for a VM by itself.
func (f *Front) Recognise(string) (bool, string, error) { return false, "", nil }

// Aliases implements guest.Front: names are as on the host.
func (f *Front) Aliases(string) func(names []string) []string {
	return func(names []string) []string { return make([]string, len(names)) }
}

// Check implements guest.Front.
func (f *Front) Check(_ context.Context, r guest.Request) (guest.Verdict, error) {
	info, err := f.find(r.Image)
	if err != nil {
		return guest.Verdict{}, err
	}
	img, err := vmimage.Open(info.Dir)
	if err != nil {
		return guest.Verdict{}, unusable(r.Image, err)
	}
	if _, err := settle(r); err != nil {
		return guest.Verdict{}, err
	}
	v := guest.Verdict{OK: true}
	name := filepath.Base(r.Program)
	what, err := fits(r.Program)
	if err != nil && !r.Force {
		return v, err
	}
	if len(r.Dirs) > 0 && r.Dirs[0] != "" && !guestsOwn(r.Dirs[0]) {
		if err := carriable(r.Dirs[0]); err != nil {
			return v, fmt.Errorf("%w; --program-dir names a smaller one", err)
		}
	}
	v.Line = fmt.Sprintf("%s: %s, runs in a VM of image %s (%s)", name, what, r.Image, img.From.Source)
	v.Boot, v.Why, err = bootOf(r.Boot, img.Kind)
	return v, err
}

// bootOf settles --boot.
func bootOf(word string, kind vmimage.Kind) (boot, why string, err error) {
	switch word {
	case "", "auto":
		if kind == vmimage.UserDisk {
			return BootCold, "a disk of your own is booted as it is", nil
		}
		return BootWarm, "the guest boots once on each node, and every instance goes on from there", nil
	case BootWarm:
		if kind == vmimage.UserDisk {
			return "", "", fmt.Errorf("%w: --boot warm: what a disk of your own has running cannot be cloned; --boot cold", guest.ErrUnfit)
		}
		return BootWarm, "as you say", nil
	case BootCold:
		return BootCold, "as you say", nil
	}
	return "", "", fmt.Errorf("%w: --boot %s is for Wine; a VM boots cold or warm", guest.ErrUnfit, word)
}

// fits says what a program is, or why it cannot run in a guest.
func fits(program string) (what string, err error) {
	if guestsOwn(program) {
		return "the guest's own program", nil
	}
	st, err := os.Stat(program)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %s is not there", guest.ErrUnfit, program)
	case !st.Mode().IsRegular():
		return "", fmt.Errorf("%w: %s is not a program", guest.ErrUnfit, program)
	case syscall.Access(program, 1) != nil:
		return "", fmt.Errorf("%w: %s is not executable; chmod +x it, or name its interpreter after --", guest.ErrUnfit, program)
	}
	f, err := os.Open(program)
	if err != nil {
		return "program", nil // executable, and not readable: the node will tell
	}
	defer f.Close()
	var start [4]byte
	n, _ := f.Read(start[:])
	switch begins := string(start[:n]); {
	case strings.HasPrefix(begins, "#!"):
		return "script", nil
	case strings.HasPrefix(begins, "MZ"):
		return "", fmt.Errorf("%w: %s is a Windows program, and the guest is a Linux; --guest wine runs it", guest.ErrUnfit, program)
	case begins != elf.ELFMAG:
		return "program", nil
	}
	e, err := elf.NewFile(f)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", guest.ErrUnfit, program, err)
	}
	if e.Machine != elf.EM_X86_64 && e.Machine != elf.EM_386 {
		return "", fmt.Errorf("%w: %s is for another processor (%v)", guest.ErrUnfit, program, e.Machine)
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			return "program with shared libraries", nil
		}
	}
	return "static program", nil
}

// find finds the image that the user has named.
func (f *Front) find(name string) (image.Info, error) {
	const build = "muster image build vm --name %s --from debian"
	if name == "" {
		return image.Info{}, fmt.Errorf("%w: a VM needs an image: --image NAME; make one with: "+build, guest.ErrUnfit, "deb")
	}
	info, err := f.store.Find(name)
	if errors.Is(err, image.ErrNotFound) {
		return info, fmt.Errorf("%w: %w; make it with: "+build, guest.ErrUnfit, err, name)
	}
	if err == nil && info.Guest != f.Name() {
		return info, fmt.Errorf("%w: %s is an image for %s, not for vm", guest.ErrUnfit, name, info.Guest)
	}
	return info, err
}

func unusable(name string, err error) error {
	return fmt.Errorf("%w: image %s: %w; build it again: muster image build vm --name %s", guest.ErrLacking, name, err, name)
}

// Image implements guest.Front. Nothing is built on first use: what the image is to hold only the user knows.
func (f *Front) Image(_ context.Context, r guest.Request, _ func(string)) (guest.Image, error) {
	info, err := f.find(r.Image)
	if err != nil {
		return guest.Image{}, err
	}
	if err := image.Verify(info.Dir, info.Key, false); err != nil {
		return guest.Image{}, unusable(r.Image, err)
	}
	o, err := settle(r)
	return guest.Image{Dir: info.Dir, Key: info.Key, Options: o}, err
}
