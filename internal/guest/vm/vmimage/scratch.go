package vmimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// scratchSize is how much a clone can write. It is sparse: on the host it takes what was written.
const scratchSize = 64 << 30

// scratch makes the empty file system that clones of a stripped image have copies of. It is thrown away with its
// clone, so it has no journal; and what a guest would otherwise have to write first is left out. Of its 64 GiB,
// 80 KB are not empty, and those are what the image keeps.
func (m *maker) scratch(ctx context.Context) error {
	mkfs, err := m.tool("mke2fs", "e2fsprogs")
	if err != nil {
		return err
	}
	whole := filepath.Join(m.work, "scratch")
	if _, err := m.run(ctx, m.work, mkfs, "-q", "-F", "-t", "ext4", "-O", "^has_journal,^resize_inode,sparse_super2", "-G", "512", "-m", "0", "-i", "65536",
		"-E", "num_backup_sb=0,assume_storage_prezeroed=1,nodiscard,root_owner=0:0", whole, strconv.Itoa(scratchSize>>10)+"k"); err != nil {
		return fmt.Errorf("making the file system that guests write to: %w", err)
	}
	from, err := os.Open(whole)
	if err != nil {
		return err
	}
	defer from.Close()
	d := &Disk{File: "scratch", Format: "raw", FS: "ext4", Size: scratchSize}
	if d.Parts, err = dataOf(from); err != nil {
		return fmt.Errorf("reading the file system that guests write to: %w", err)
	}
	m.meta.Scratch = d
	return m.write(d.File, func(to *os.File) error {
		for _, p := range d.Parts {
			if _, err := io.Copy(to, io.NewSectionReader(from, p.At, p.Size)); err != nil {
				return err
			}
		}
		return nil
	})
}

// dataOf lists where in a file there are data.
func dataOf(f *os.File) ([]Part, error) {
	var parts []Part
	for at := int64(0); ; {
		begin, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		if at, err = unix.Seek(int(f.Fd()), begin, unix.SEEK_HOLE); err != nil {
			return nil, err
		}
		parts = append(parts, Part{begin, at - begin})
	}
}

// NewScratch makes the file at path, which must not be there, an empty file system for a clone of the image: what
// Meta.Scratch describes, sparse. After an error there is no file.
func (i *Image) NewScratch(path string) (err error) {
	if i.Scratch == nil {
		return fmt.Errorf("%w: it has no file system for guests to write to", ErrMeta)
	}
	from, err := os.Open(i.Path(i.Scratch.File))
	if err != nil {
		return fmt.Errorf("making a disk for the guest: %w", err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("making a disk for the guest: %w", err)
	}
	defer func() {
		if err = errors.Join(err, to.Close()); err != nil {
			os.Remove(path)
			err = fmt.Errorf("making a disk for the guest: %w", err)
		}
	}()
	at := int64(0)
	for _, p := range i.Scratch.Parts {
		if n, err := io.Copy(io.NewOffsetWriter(to, p.At), io.NewSectionReader(from, at, p.Size)); err != nil || n != p.Size {
			return errors.Join(err, fmt.Errorf("%d of %d bytes were there", n, p.Size))
		}
		at += p.Size
	}
	return to.Truncate(i.Scratch.Size)
}

// clone makes to share from's content, where the file system can.
func clone(to, from *os.File) error { return unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) }
