package machine

import (
	"context"
	"crypto/sha256"
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

// Answer is which accelerator to use on this host, and why.
type Answer struct {
	Accel      Accel
	Reason     string // half a sentence: "a kernel boots under KVM here"
	Remembered bool   // found out before; a person has been told
}

// remembered is an answer in a cache folder.
type remembered struct {
	Version int       `json:"version"`
	Accel   Accel     `json:"accel"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

const (
	kvmDevice    = "/dev/kvm"
	probeVersion = 1
	// probeLimit is how long a kernel may take under KVM until it looks for its root. It takes a third of a second.
	probeLimit = 3 * time.Second
	// stale is for how long KVM is thought not to work: the host may have been too busy when it was tried.
	stale = 24 * time.Hour
)

// Probe finds out whether KVM works here. That /dev/kvm is there and answers proves nothing, and a guest of a few
// instructions proves little: so the kernel is booted that guests are to run, without a root, and must come so far as to miss
// it. The answer is remembered in the folder cache, which is made if need be, for this host, its kernel and this QEMU.
//
// An error is the caller's ctx, or a cache that cannot be written, which leaves the answer good.
func (h Host) Probe(ctx context.Context, kernel, cache string) (Answer, error) {
	if why := closed(kvmDevice); why != "" {
		return Answer{Accel: TCG, Reason: why}, nil
	}
	name, err := h.probeFile(cache)
	if err != nil {
		return Answer{}, err
	}
	if a, ok := recall(name, time.Now()); ok {
		return a, nil
	}
	if kernel == "" {
		return Answer{Accel: TCG, Reason: "there is no kernel with which to try KVM"}, nil
	}
	a, err := h.tryKVM(ctx, kernel)
	if err != nil {
		return Answer{}, err
	}
	return a, remember(name, a, time.Now())
}

// closed says why the device cannot be used, "" when it can.
func closed(device string) string {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err == nil {
		f.Close()
		return ""
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "this host has no " + device
	}
	if errors.Is(err, fs.ErrPermission) {
		return "you may not open " + device + " (as a rule, members of the group kvm may)"
	}
	return err.Error()
}

// probeFile is where the answer for this host is kept.
func (h Host) probeFile(cache string) (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("asking for the kernel's version: %w", err)
	}
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		id = nil // the name has to do
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%s\n%s\n", strings.TrimSpace(string(id)),
		unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]), h.QEMU.Version, h.QEMU.Package))
	return filepath.Join(cache, fmt.Sprintf("accel-%x.json", sum[:8])), nil
}

// tryKVM boots a kernel that has no root, and sees whether it says so.
func (h Host) tryKVM(ctx context.Context, kernel string) (Answer, error) {
	no := func(why string) Answer { return Answer{Accel: TCG, Reason: why} }
	m, err := h.Boot(ctx, Config{Board: Micro, Accel: KVM, Memory: 256 << 20, Kernel: kernel})
	if err != nil {
		return no(fmt.Sprintf("QEMU does not start with KVM: %v", err)), ctx.Err()
	}
	late, stop := context.WithTimeout(ctx, probeLimit)
	defer stop()
	end, waited := m.Wait(late)
	if err := m.Close(); err != nil {
		return Answer{}, err
	}
	switch {
	case ctx.Err() != nil:
		return Answer{}, ctx.Err()
	case waited != nil:
		return no(fmt.Sprintf("%s is there, but a kernel has not booted under KVM within %v", kvmDevice, probeLimit)), nil
	case end.How == Panicked && strings.Contains(end.Detail, "Unable to mount root"):
		return Answer{Accel: KVM, Reason: "a kernel boots under KVM here"}, nil
	default:
		return no(fmt.Sprintf("%s is there, but a kernel does not boot under KVM (%v)", kvmDevice, end)), nil
	}
}

// recall returns the answer in a file, if there is one that still counts.
func recall(name string, now time.Time) (Answer, bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		return Answer{}, false
	}
	var r remembered
	if json.Unmarshal(text, &r) != nil || r.Version != probeVersion || (r.Accel != KVM && r.Accel != TCG) {
		return Answer{}, false
	}
	if age := now.Sub(r.At); r.Accel == TCG && (age < 0 || age > stale) {
		return Answer{}, false
	}
	return Answer{Accel: r.Accel, Reason: r.Reason, Remembered: true}, true
}

func remember(name string, a Answer, now time.Time) error {
	text, err := json.Marshal(remembered{probeVersion, a.Accel, a.Reason, now})
	if err != nil {
		return err
	}
	if err := writeWhole(name, append(text, '\n')); err != nil {
		return fmt.Errorf("remembering which accelerator works: %w", err)
	}
	return nil
}

// writeWhole makes a file that others see whole or not at all.
func writeWhole(name string, text []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".accel-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
