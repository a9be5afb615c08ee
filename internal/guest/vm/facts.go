package vm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"muster/internal/guest/vm/machine"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/image"
	"muster/internal/proc"
)

// Facts are what `muster check --guest vm` says: a line each.
type Facts struct {
	QEMU        string   `json:"qemu"`
	Accelerator string   `json:"accelerator"`
	Images      []string `json:"images"`
}

// Emulator says which QEMU is here. Errors: guest.ErrLacking.
func Emulator(ctx context.Context, table *proc.Table) (string, error) {
	q, err := machine.Find(ctx, table, searchPath())
	if err != nil {
		return "", err
	}
	text := "QEMU " + q.Version
	if q.Package != "" {
		text += " (" + q.Package + ")"
	}
	return text, nil
}

// Look finds out whether VMs can run here, and how. keep is where the answer about KVM is remembered; name is that of an
// image, or "" for all. Errors: guest.ErrLacking, and guest.ErrUnfit for an image that is not there.
func Look(ctx context.Context, table *proc.Table, store *image.Store, keep, name string) (f Facts, err error) {
	if f.QEMU, err = Emulator(ctx, table); err != nil {
		return f, err
	}
	h, a, err := machines(ctx, table, someKernel(store, name), keep)
	if err != nil {
		return f, err
	}
	f.QEMU += ", " + h.QEMU.Path
	f.Accelerator = string(a.Accel) + ": " + a.Reason
	f.Images, err = images(store, name)
	return f, err
}

// images says what is in the images of that name, or in all.
func images(store *image.Store, name string) ([]string, error) {
	front := NewFront(store)
	if name != "" {
		info, err := front.find(name)
		if err != nil {
			return nil, err
		}
		line, err := about(name, info)
		return []string{line}, err
	}
	all, err := store.List()
	if err != nil {
		return nil, err
	}
	lines := []string{}
	for _, info := range all {
		if info.Guest != front.Name() || len(info.Names) == 0 {
			continue
		}
		line, err := about(strings.Join(info.Names, ", "), info)
		if err != nil {
			line = err.Error()
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func about(name string, info image.Info) (string, error) {
	img, err := vmimage.Open(info.Dir)
	if err == nil {
		err = image.Verify(info.Dir, info.Key, false)
	}
	if err != nil {
		return "", unusable(name, err)
	}
	text := fmt.Sprintf("%s: %s, %s", name, img.Kind, img.From.Source)
	if img.From.Kernel != "" {
		text += ", kernel " + img.From.Kernel
	}
	return text, nil
}

// machines finds QEMU, and what it runs guests with: kernel is one to try KVM with, keep the folder in which the answer is remembered.
func machines(ctx context.Context, table *proc.Table, kernel, keep string) (h machine.Host, a machine.Answer, err error) {
	h.Table = table
	if h.QEMU, err = machine.Find(ctx, table, searchPath()); err != nil {
		return h, a, err
	}
	a, err = h.Probe(ctx, kernel, keep)
	if err != nil && a.Accel != "" { // the answer is good, and will be asked for again
		err = nil
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("finding out whether guests can run under KVM: %w", err)
	}
	return h, a, err
}

// someKernel is the kernel of an image: of the named one, or of the first that has one.
func someKernel(store *image.Store, name string) string {
	all, err := store.List()
	if err != nil {
		return ""
	}
	for _, info := range all {
		if info.Guest != vmimage.Guest || name != "" && !slices.Contains(info.Names, name) {
			continue
		}
		if img, err := vmimage.Open(info.Dir); err == nil && img.Kernel != "" {
			return img.Path(img.Kernel)
		}
	}
	return ""
}
