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
// clone, so it has no journal; and everything in it that a guest would otherwise have to write first
// is left out: 0.7 MB of 64 GB are real.
func (m *maker) scratch(ctx context.Context) error {
	mkfs, err := m.tool("mke2fs", "e2fsprogs")
	if err != nil {
		return err
	}
	d := &Disk{File: "scratch", Format: "raw", FS: "ext4", Size: scratchSize}
	if _, err := m.run(ctx, m.work, mkfs, "-q", "-F", "-t", "ext4", "-O", "^has_journal,^resize_inode", "-m", "0", "-i", "65536",
		"-E", "assume_storage_prezeroed=1,nodiscard,root_owner=0:0", filepath.Join(m.dir, d.File), strconv.Itoa(scratchSize>>10)+"k"); err != nil {
		return fmt.Errorf("making the file system that guests write to: %w", err)
	}
	m.meta.Scratch = d
	return nil
}

// CopySparse copies a file to a new one, and what is empty in it takes no room in the copy. Where the file
// system can, the two share their content. After an error there is no copy.
func CopySparse(ctx context.Context, from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copying a disk: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("copying a disk: %w", err)
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			os.Remove(to)
			err = fmt.Errorf("copying a disk: %w", err)
		}
	}()
	if clone(out, in) == nil {
		return nil
	}
	st, err := in.Stat()
	if err != nil {
		return err
	}
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		begin, err := unix.Seek(int(in.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return out.Truncate(st.Size())
		}
		if err != nil {
			return err
		}
		if at, err = unix.Seek(int(in.Fd()), begin, unix.SEEK_HOLE); err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, begin), io.NewSectionReader(in, begin, at-begin)); err != nil {
			return err
		}
	}
}

// clone makes to share from's content, where the file system can.
func clone(to, from *os.File) error { return unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) }
