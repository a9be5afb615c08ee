package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest/vm/wire"
)

// Disks by their serial numbers, which the machine gives them, or by their order.
var (
	rootDisk    = disk{"root", "vda"}
	scratchDisk = disk{"scratch", "vdb"}
)

// patience is how long devices are waited for that the kernel is still looking for.
const patience = 30 * time.Second

// boot makes an ordinary system of an initramfs: the root with a layer for changes over it, and what
// programs expect around it.
func boot() error {
	// The kernel gives its first process few; programs are to have what they have elsewhere.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1024, Max: 1 << 20}); err != nil {
		return fmt.Errorf("raising the limit on open files: %w", err)
	}
	for _, m := range []mount{
		{"proc", "/proc", "proc", 0, ""},
		{"sysfs", "/sys", "sysfs", 0, ""},
		{"devtmpfs", "/dev", "devtmpfs", 0, ""},
	} {
		if err := m.do(); err != nil {
			return err
		}
	}
	if err := loadModules("/modules"); err != nil {
		return err
	}
	if err := mountRoot(); err != nil {
		return err
	}
	for _, m := range []mount{
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
		{"tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0620,ptmxmode=0666"},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", 0, ""},
	} {
		if err := m.do(); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(to, "/dev/"+name); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return linkUp("lo")
}

// mount is one call of mount(2).
type mount struct {
	from, at, kind string
	flags          uintptr
	options        string
}

func (m mount) do() error {
	if err := os.MkdirAll(m.at, 0o755); err != nil {
		return fmt.Errorf("a place to mount %s: %w", m.from, err)
	}
	if err := unix.Mount(m.from, m.at, m.kind, m.flags, m.options); err != nil {
		return fmt.Errorf("mounting %s (%s) at %s: %w", m.from, m.kind, m.at, err)
	}
	return nil
}

// mountRoot mounts the root with the layer over it, and makes it this process's root.
func mountRoot() error {
	const lower, scratch, root = "/.lower", "/.scratch", "/.root"
	dev, err := rootDisk.wait(patience)
	if err != nil {
		return err
	}
	kind, err := fileSystem(dev)
	if err != nil {
		return err
	}
	if err := (mount{dev, lower, kind, unix.MS_RDONLY, ""}).do(); err != nil {
		return err
	}
	if err := mountScratch(scratch); err != nil {
		return err
	}
	for _, dir := range []string{scratch + "/upper", scratch + "/work", scratch + "/tmp", scratch + "/muster"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	layers := "lowerdir=" + lower + ",upperdir=" + scratch + "/upper,workdir=" + scratch + "/work"
	// Volatile: nothing has to survive the guest, so syncing costs nothing. Old kernels do not know it.
	err = (mount{"overlay", root, "overlay", 0, layers + ",volatile"}).do()
	if errors.Is(err, unix.EINVAL) {
		err = (mount{"overlay", root, "overlay", 0, layers}).do()
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(scratch+"/tmp", 0o777|os.ModeSticky); err != nil {
		return err
	}
	for _, m := range []mount{
		{"/proc", root + "/proc", "", unix.MS_MOVE, ""},
		{"/sys", root + "/sys", "", unix.MS_MOVE, ""},
		{"/dev", root + "/dev", "", unix.MS_MOVE, ""},
		// What programs write goes to the scratch disk itself: not to memory, of which a guest has little, and not
		// through the layers, which make each file dearer.
		{scratch + "/tmp", root + "/tmp", "", unix.MS_BIND, ""},
		{scratch + "/muster", root + wire.Scratch, "", unix.MS_BIND, ""},
	} {
		if err := m.do(); err != nil {
			return err
		}
	}
	_ = os.Remove("/init") // its memory comes back where the kernel can do that
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("making the root the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	return os.Chdir("/")
}

// mountScratch mounts the disk that is thrown away with the guest; where there is none, memory has to do.
func mountScratch(at string) error {
	dev, err := scratchDisk.wait(0)
	if err != nil {
		return (mount{"tmpfs", at, "tmpfs", 0, "mode=0755"}).do()
	}
	kind, err := fileSystem(dev)
	if err != nil {
		return err
	}
	options := ""
	if kind == "ext4" { // nothing of it has to survive, and what is deleted is to leave the host's disk, too
		options = "nobarrier,noauto_da_alloc,noinit_itable,no_prefetch_block_bitmaps,discard"
	}
	err = (mount{dev, at, kind, unix.MS_NOATIME, options}).do()
	if err != nil && options != "" {
		err = (mount{dev, at, kind, unix.MS_NOATIME, ""}).do()
	}
	return err
}

// loadModules loads the modules that a list names, a path a line, and removes them: an initramfs is memory.
func loadModules(list string) error {
	b, err := os.ReadFile(list)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the kernel has all that is needed
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if name := strings.TrimSpace(line); name != "" {
			if err := loadModule(name); err != nil {
				return fmt.Errorf("loading the kernel's module %s: %w", name, err)
			}
		}
	}
	return nil
}

func loadModule(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return os.Remove(name)
}
