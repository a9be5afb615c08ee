package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"muster/internal/guest/vm/machine"
)

// ownDisk is a disk that each clone has for itself. A state has copies as the saved guest left them: it has mounted them.
type ownDisk struct {
	name  string
	fresh func(ctx context.Context, to string) error // makes it as a guest finds it that boots
}

// The names of disks, by which guests find them.
const (
	rootDisk    = "root"
	scratchDisk = "scratch"
	seedDisk    = "seed"
	payloadDisk = "payload"
)

// ownDisks are those of the image's guests.
func (n *node) ownDisks() (all []ownDisk) {
	if root := n.image.Root; !root.ReadOnly {
		all = append(all, ownDisk{rootDisk, func(_ context.Context, to string) error {
			return makeOverlay(to, n.file(root.File), root.Format, root.Size)
		}})
	}
	if n.image.Scratch != nil {
		all = append(all, ownDisk{scratchDisk, func(_ context.Context, to string) error { return n.image.NewScratch(to) }})
	}
	return all
}

// cloneDisks makes the disks of a guest in dir: as they are in the folder of a state, or fresh ones.
func (n *node) cloneDisks(ctx context.Context, dir, state string) error {
	for _, d := range n.ownDisks() {
		to := filepath.Join(dir, d.name)
		var err error
		if state == "" {
			err = d.fresh(ctx, to)
		} else {
			err = copySparse(ctx, filepath.Join(state, d.name), to)
		}
		if err != nil {
			return fmt.Errorf("making the guest's disk %s: %w", d.name, err)
		}
	}
	return nil
}

// removeDisks removes them.
func (n *node) removeDisks(dir string) error {
	var errs []error
	for _, d := range n.ownDisks() {
		if err := os.Remove(filepath.Join(dir, d.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("removing the guest's disk: %w", err))
		}
	}
	return errors.Join(errs...)
}

// disks are those of a guest whose own are in dir.
func (n *node) disks(dir, payload string) (all []machine.Disk) {
	root := machine.Disk{Name: rootDisk, Path: n.file(n.image.Root.File), Format: n.image.Root.Format, ReadOnly: true}
	if !n.image.Root.ReadOnly {
		root = machine.Disk{Name: rootDisk, Path: filepath.Join(dir, rootDisk), Format: "qcow2", Scratch: true}
	}
	all = append(all, root)
	if n.image.Scratch != nil {
		all = append(all, machine.Disk{Name: scratchDisk, Path: filepath.Join(dir, scratchDisk), Scratch: true})
	}
	if s := n.image.Seed; s != nil {
		all = append(all, machine.Disk{Name: seedDisk, Path: n.file(s.File), Format: s.Format, ReadOnly: true})
	}
	return append(all, machine.Disk{Name: payloadDisk, Path: payload, ReadOnly: true})
}
