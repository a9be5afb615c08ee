package vmimage

import (
	"archive/tar"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	fullSize    = 4 << 30 // of the root disk, as the guest sees it
	rootLabel   = "muster-root"
	fullCmdline = "root=LABEL=" + rootLabel + " rw"
)

// fullPackages make a system that is installed the ordinary way: with its kernel, and with what logins need.
var fullPackages = []string{kernelPackage, "dbus"}

// full makes the ordinary system of the suite: its own init, services and initrd, everything as its packages leave
// it, with muster-init as one more service.
func (m *maker) full(ctx context.Context) error {
	m.meta.Kind, m.meta.Machine, m.meta.Cmdline = Full, Q35, fullCmdline
	m.meta.From.Source = FromDebian + "/" + m.build.Suite
	mode, err := m.mode(ctx)
	if err != nil {
		return err
	}
	m.meta.From.Mode = mode
	m.progress("downloading and installing Debian " + m.build.Suite + " whole (mmdebstrap, mode " + mode + "); some minutes")
	archive, err := m.bootstrap(ctx, bootstrap{
		mode: mode, variant: "important", include: append(fullPackages, m.build.Packages...), suite: m.build.Suite, sources: m.sources,
		target: filepath.Join(m.work, "system.tar"),
	})
	if err != nil {
		return err
	}
	defer archive.Close()
	m.progress("writing the disk")
	boot, err := readTar(archive, func(p string) bool { return p != "." && !below(p, "boot") })
	if err != nil {
		return fmt.Errorf("reading the new system: %w", err)
	}
	for name, pattern := range map[string]string{"kernel": "boot/vmlinuz-*", "initrd": "boot/initrd.img-*"} {
		found := boot.glob(pattern)
		if len(found) != 1 {
			return fmt.Errorf("%w: the new system has %d of %s", errModule, len(found), pattern)
		}
		b, err := boot.read(found[0])
		if err != nil {
			return err
		}
		if err := m.write(name, content(b)); err != nil {
			return err
		}
		if name == "kernel" {
			m.meta.From.Kernel = strings.TrimPrefix(found[0], "boot/vmlinuz-")
		}
	}
	m.meta.Kernel, m.meta.Initrd = "kernel", "initrd"
	return m.rootDisk(ctx, archive.Name())
}

// diskScript unpacks the archives after $3 into the folder $1 and makes the file system $2 of it.
const diskScript = `set -e
folder=$1 disk=$2 label=$3 size=$4
shift 4
mkdir "$folder"
for archive; do tar -x --numeric-owner -p -f "$archive" -C "$folder"; done
mke2fs -q -F -t ext4 -L "$label" -d "$folder" "$disk" "$size"`

// rootDisk makes the root disk of the archive and of what muster adds.
func (m *maker) rootDisk(ctx context.Context, archive string) error {
	if _, err := m.tool("mke2fs", "e2fsprogs"); err != nil {
		return err
	}
	extra := filepath.Join(m.work, "extra.tar")
	f, err := os.Create(extra)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := m.extra(f); err != nil {
		return err
	}
	sh, err := m.tool("sh", "dash")
	if err != nil {
		return err
	}
	convert, err := m.tool("qemu-img", "qemu-utils")
	if err != nil {
		return err
	}
	raw := filepath.Join(m.work, "root")
	command := []string{sh, "-c", diskScript, "sh", filepath.Join(m.work, "system"), raw, rootLabel,
		strconv.Itoa(fullSize>>10) + "k", archive, extra}
	if os.Geteuid() != 0 {
		// Owners and devices are the archive's, for which an ordinary user needs a library that pretends.
		fakeroot, err := m.tool("fakeroot", "fakeroot")
		if err != nil {
			return err
		}
		command = append([]string{fakeroot}, command...)
	}
	if _, err := m.run(ctx, m.work, command[0], command[1:]...); err != nil {
		return fmt.Errorf("writing the disk: %w", err)
	}
	// Sparse files are read and copied whole by whoever verifies or stages an image; a qcow2 has no holes.
	m.meta.Root = Disk{File: "root.qcow2", Format: "qcow2", FS: "ext4", Size: fullSize}
	if _, err := m.run(ctx, m.work, convert, "convert", "-f", "raw", "-O", "qcow2", raw, filepath.Join(m.dir, m.meta.Root.File)); err != nil {
		return fmt.Errorf("writing the disk: %w", err)
	}
	return nil
}

// extra writes an archive of what muster adds to an ordinary system.
func (m *maker) extra(f *os.File) error {
	w := tar.NewWriter(f)
	for _, e := range []struct {
		path, content string
		mode          fs.FileMode
	}{
		{"etc/fstab", "LABEL=" + rootLabel + " / ext4 errors=remount-ro 0 1\n", 0o644},
		{"etc/hostname", "muster\n", 0o644},
		{"etc/machine-id", "", 0o444}, // drawn at each boot: clones are no twins
		{servicePath, service, 0o644},
		{initPath, string(m.init), 0o755},
	} {
		if err := w.WriteHeader(&tar.Header{Name: e.path, Mode: int64(e.mode), Size: int64(len(e.content))}); err != nil {
			return err
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			return err
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: wantedPath, Linkname: "/" + servicePath, Mode: 0o777}); err != nil {
		return err
	}
	return w.Close()
}
