// Package vmimage makes the images of VM guests, and tells what is in them.
//
// An image is a folder of the image store, made once and never changed:
//
//	vm.json       what it is (Meta)
//	kernel        as the machine loads it; not in a disk that brings its own
//	initrd        for the kernel: muster-init and modules, or the system's own
//	root.erofs    read-only root of a stripped image; root.qcow2, disk.qcow2 or disk.raw of the others
//	scratch       an empty file system: each clone has one of its own (see NewScratch)
//	seed          of a user's disk: what cloud-init reads
//
// It knows nothing of the machine that boots an image, nor of what is said to the guest.
package vmimage

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"muster/internal/image"
)

// MetaVersion is the version of vm.json. It changes when an older muster would boot the image wrongly.
const MetaVersion = 1

// metaName is the file of an image's tree that holds its Meta.
const metaName = "vm.json"

// Kind is how an image came to be, and so how it boots.
type Kind string

// The kinds of images.
const (
	Stripped Kind = "stripped" // muster-init is the first and only process; the root is read-only
	Full     Kind = "full"     // the ordinary system of a suite, muster-init a service of it
	UserDisk Kind = "disk"     // a disk that the user brings, boots as it is; cloud-init installs muster-init
)

// Machines that images boot on.
const (
	MicroVM = "microvm" // virtio-mmio only, no firmware to speak of
	Q35     = "q35"     // a PC, for what expects one
)

// Meta is what has to be known to boot an image. Files are names in the image's tree.
type Meta struct {
	Version int    `json:"version"`
	Kind    Kind   `json:"kind"`
	Machine string `json:"machine"`

	// Kernel and Initrd are loaded by the machine. Without a kernel, the machine's firmware
	// starts what is on the disk.
	Kernel string `json:"kernel,omitempty"`
	Initrd string `json:"initrd,omitempty"`
	// Cmdline is what the kernel is told about this image. The machine adds what is its own
	// business: console, panic, quiet.
	Cmdline string `json:"cmdline,omitempty"`

	Root    Disk  `json:"root"`
	Scratch *Disk `json:"scratch,omitempty"` // empty file system, one for each clone: see NewScratch
	Seed    *Disk `json:"seed,omitempty"`    // read-only volume for cloud-init

	From From `json:"from"`
}

// Disk is a block device of the guest.
type Disk struct {
	File   string `json:"file"`
	Format string `json:"format"`       // raw or qcow2
	FS     string `json:"fs,omitempty"` // file system on it (erofs, ext4, vfat); "" when it has partitions, or nobody knows
	// ReadOnly: clones share the file itself. Otherwise the guest writes to it, and each clone
	// needs an overlay.
	ReadOnly bool  `json:"read_only,omitempty"`
	Size     int64 `json:"size"` // as the guest sees it, in bytes
	// Parts: the file holds only these parts of the disk, one after the other, and the rest of the disk is
	// empty. Of the scratch disk alone; NewScratch puts it together.
	Parts []Part `json:"parts,omitempty"`
}

// Part is a part of a disk.
type Part struct {
	At   int64 `json:"at"`
	Size int64 `json:"size"`
}

// From tells what an image was built from; for people and reports.
type From struct {
	Source   string   `json:"source"` // debian/bookworm, or the user's file
	Kernel   string   `json:"kernel,omitempty"`
	Packages []string `json:"packages,omitempty"` // asked for besides what every image has
	Modules  []string `json:"modules,omitempty"`  // in the initrd, in the order in which they are loaded
	Init     string   `json:"init,omitempty"`     // digest of muster-init
	Mode     string   `json:"mode,omitempty"`     // how mmdebstrap ran
}

// Image is an image in the store, and where its files are.
type Image struct {
	Meta
	tree string
}

// ErrMeta means that an image's vm.json is missing, of another version, or wrong.
var ErrMeta = errors.New("this is no usable VM image")

// Open reads the vm.json of the image in the folder dir (image.Use.Dir, guest.Image.Dir) and checks it,
// the presence of its files included. Whether those are whole is the store's business. Errors: ErrMeta.
func Open(dir string) (*Image, error) {
	i := &Image{tree: image.Tree(dir)}
	b, err := os.ReadFile(filepath.Join(i.tree, metaName))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMeta, err)
	}
	if i.Meta, err = parseMeta(b); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMeta, dir, err)
	}
	for _, name := range i.files() {
		if _, err := os.Stat(i.Path(name)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMeta, err)
		}
	}
	return i, nil
}

// Path is where a file that Meta names is on this host.
func (i *Image) Path(name string) string { return filepath.Join(i.tree, name) }

func parseMeta(b []byte) (Meta, error) {
	var m Meta
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%s: %w", metaName, err)
	}
	return m, m.check()
}

// check says what is wrong with m.
func (m *Meta) check() error {
	if m.Version != MetaVersion {
		return fmt.Errorf("it was made by another version of muster (%s %d, this one knows %d)", metaName, m.Version, MetaVersion)
	}
	if !slices.Contains([]Kind{Stripped, Full, UserDisk}, m.Kind) {
		return fmt.Errorf("%s: %q is no kind of image", metaName, m.Kind)
	}
	if m.Machine != MicroVM && m.Machine != Q35 {
		return fmt.Errorf("%s: %q is no machine", metaName, m.Machine)
	}
	if m.Kernel == "" && (m.Kind == Stripped || m.Machine == MicroVM || m.Initrd != "" || m.Cmdline != "") {
		return fmt.Errorf("%s: there is no kernel", metaName)
	}
	if m.Root.File == "" {
		return fmt.Errorf("%s: there is no root disk", metaName)
	}
	for _, d := range m.disks() {
		if d.Format != "raw" && d.Format != "qcow2" {
			return fmt.Errorf("%s: %q is no format of a disk", metaName, d.Format)
		}
		for _, p := range d.Parts {
			if p.At < 0 || p.Size < 0 || p.At > d.Size-p.Size {
				return fmt.Errorf("%s: a part of %s is outside the disk", metaName, d.File)
			}
		}
	}
	if len(m.Root.Parts) > 0 {
		return fmt.Errorf("%s: the root is kept whole, not in parts", metaName)
	}
	for _, name := range m.files() {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%s: %q is not below the image", metaName, name)
		}
	}
	return nil
}

func (m *Meta) disks() []Disk {
	out := []Disk{m.Root}
	for _, d := range []*Disk{m.Scratch, m.Seed} {
		if d != nil {
			out = append(out, *d)
		}
	}
	return out
}

// files are all files that m names.
func (m *Meta) files() []string {
	var out []string
	for _, name := range []string{m.Kernel, m.Initrd} {
		if name != "" {
			out = append(out, name)
		}
	}
	for _, d := range m.disks() {
		out = append(out, d.File)
	}
	return out
}
