package vmimage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"muster/internal/job"
)

// userDisk makes an image of a disk that the user brings. The disk is copied and stays as it is: clones
// write to overlays, and cloud-init in it finds its orders on a second disk.
func (m *maker) userDisk() error {
	m.meta.Kind, m.meta.Machine, m.meta.From.Source = UserDisk, Q35, m.build.Disk
	m.progress("copying " + m.build.Disk)
	name, format, size, err := describeDisk(m.build.Disk)
	if err != nil {
		return job.BadInputf("%s: %w", m.build.Disk, err)
	}
	m.meta.Root = Disk{File: name, Format: format, Size: size}
	if err := m.write(name, copyOf(m.build.Disk)); err != nil {
		return err
	}
	if m.build.Kernel != "" {
		m.meta.Kernel, m.meta.Cmdline = "kernel", m.build.Words
		if err := m.write("kernel", copyOf(m.build.Kernel)); err != nil {
			return err
		}
	}
	if m.build.Initrd != "" {
		m.meta.Initrd = "initrd"
		if err := m.write("initrd", copyOf(m.build.Initrd)); err != nil {
			return err
		}
	}
	return m.seed()
}

// describeDisk tells the name that a disk has in an image, its format, and its size as the guest sees it. Formats
// are told by the content; of the others that exist, QEMU's own tool makes one of these.
func describeDisk(path string) (name, format string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", "", 0, err
	}
	head := make([]byte, 104)
	if _, err := io.ReadFull(f, head); err != nil {
		return "", "", 0, errors.New("it is no disk: too short")
	}
	for magic, what := range map[string]string{"KDMV": "VMDK", "# Di": "VMDK", "<<< ": "VDI", "vhdx": "VHDX", "cone": "VHD"} {
		if strings.HasPrefix(string(head), magic) {
			return "", "", 0, fmt.Errorf("it is a %s disk; make it qcow2 first: qemu-img convert -O qcow2 %s disk.qcow2", what, path)
		}
	}
	if string(head[:4]) != "QFI\xfb" {
		if st.Size()%512 != 0 {
			return "", "", 0, fmt.Errorf("it is no disk: %d bytes are no whole number of sectors", st.Size())
		}
		return "disk.raw", "raw", st.Size(), nil
	}
	if v := binary.BigEndian.Uint32(head[4:]); v != 2 && v != 3 {
		return "", "", 0, fmt.Errorf("it is a qcow2 disk of version %d, and QEMU knows 2 and 3", v)
	}
	if binary.BigEndian.Uint64(head[8:]) != 0 {
		return "", "", 0, fmt.Errorf("it needs another file that it was made from; make it whole first: qemu-img convert -O qcow2 %s disk.qcow2", path)
	}
	// Its data in another file, which it names: that would be a file of the host's for whoever made the disk.
	const dataFile = 1 << 2
	if binary.BigEndian.Uint32(head[4:]) == 3 && binary.BigEndian.Uint64(head[72:])&dataFile != 0 {
		return "", "", 0, fmt.Errorf("its data are in another file; make it whole first: qemu-img convert -O qcow2 %s disk.qcow2", path)
	}
	size = int64(binary.BigEndian.Uint64(head[24:]))
	if size <= 0 {
		return "", "", 0, errors.New("it is a damaged qcow2 disk: it has no size")
	}
	return "disk.qcow2", "qcow2", size, nil
}

// seed makes the volume that cloud-init reads (NoCloud): it brings muster-init, and makes it a service.
func (m *maker) seed() error {
	d := &Disk{File: "seed", Format: "raw", FS: "iso9660", ReadOnly: true}
	err := m.write(d.File, func(f *os.File) error {
		err := writeISO(f, "cidata", []isoFile{
			{"meta-data", []byte("instance-id: muster\n")},
			{"user-data", []byte(userData)},
			{serviceName, []byte(service)},
			{"muster-init", m.init},
		})
		if err != nil {
			return err
		}
		d.Size, err = f.Seek(0, io.SeekEnd)
		return err
	})
	m.meta.Seed = d
	return err
}

// userData is what cloud-init is to do, at each boot and as early as it does anything: what it is to run at the end
// waits for everything else that it does, which is as long again.
const userData = `#cloud-config
bootcmd:
- mkdir -p /run/muster-seed /usr/local/lib/muster
- mount -o ro LABEL=cidata /run/muster-seed
- install -m 0755 /run/muster-seed/muster-init /` + initPath + `
- install -m 0644 /run/muster-seed/` + serviceName + ` /` + servicePath + `
- umount /run/muster-seed
- systemctl daemon-reload
- systemctl start --no-block ` + serviceName + `
`
