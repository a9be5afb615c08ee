// Package machinetest gives tests of machines something to boot: Debian's kernel for virtual machines, and an
// initramfs with a small program that answers on the machine's stream.
package machinetest

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// folder is where scripts/deps.sh unpacks the kernel's package for everybody's tests.
const folder = "/var/cache/muster-test/linux"

//go:embed guest/init.c
var initSource []byte

// NeedKernel skips a test where there is no kernel, or nothing that boots it, and returns the kernel's file.
func NeedKernel(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("QEMU is not installed (package qemu-system-x86)")
	}
	kernels, err := filepath.Glob(folder + "/boot/vmlinuz-*")
	if err != nil || len(kernels) == 0 {
		t.Skip("there is no kernel to boot; scripts/deps.sh test fetches one into " + folder)
	}
	return kernels[len(kernels)-1]
}

// modules are what the kernel needs to find its disks and the port, in the order in which they load.
var modules = []string{
	"drivers/virtio/virtio", "drivers/virtio/virtio_ring", "drivers/virtio/virtio_mmio", "drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci",
	"drivers/char/virtio_console", "drivers/block/virtio_blk", "drivers/char/hw_random/virtio-rng",
}

// Initrd makes the initramfs, a new one in a folder of the test's, and returns its file. Building the program in
// it takes gcc; without it the test is skipped.
func Initrd(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	archive, err := build(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "initrd")
	if err := os.WriteFile(name, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func build(dir string) ([]byte, error) {
	source, program := filepath.Join(dir, "init.c"), filepath.Join(dir, "init")
	if err := os.WriteFile(source, initSource, 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command("gcc", "-static", "-Os", "-s", "-Wall", "-o", program, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the guest's init: %w: %s", err, out)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	return pack(text, modules)
}

// InitrdOf makes an initramfs of that program, with the modules of Initrd and more of them (below the kernel's folder of modules,
// without .ko), and returns its file.
func InitrdOf(t testing.TB, init []byte, more ...string) string {
	t.Helper()
	archive, err := pack(init, slices.Concat(modules, more))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(name, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func pack(init []byte, modules []string) ([]byte, error) {
	a := &archive{}
	a.add("init", 0o100755, init)
	var list bytes.Buffer
	for _, m := range modules {
		found, err := filepath.Glob(folder + "/lib/modules/*/kernel/" + m + ".ko")
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("the kernel has no module %s below %s (%v)", m, folder, err)
		}
		text, err := os.ReadFile(found[len(found)-1])
		if err != nil {
			return nil, err
		}
		name := filepath.Base(m) + ".ko"
		a.add(name, 0o100644, text)
		fmt.Fprintf(&list, "/%s\n", name)
	}
	a.add("modules", 0o100644, list.Bytes())
	a.add("dev", 0o040755, nil)
	// What the kernel gives its first process to write to.
	a.add("dev/console", 0o020600, nil)
	a.add("TRAILER!!!", 0, nil)
	return a.Bytes(), nil
}

// archive is a cpio archive in the form that kernels read.
type archive struct {
	bytes.Buffer
	files int
}

func (a *archive) add(name string, mode uint32, content []byte) {
	a.files++
	major, minor := 0, 0
	if name == "dev/console" {
		major, minor = 5, 1
	}
	fmt.Fprintf(a, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.files, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0, name)
	a.pad()
	a.Write(content)
	a.pad()
}

func (a *archive) pad() { a.Write(make([]byte, -a.Len()&3)) }
