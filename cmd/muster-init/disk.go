package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// disk is a block device that the machine gave a serial number; name is what the kernel calls it where there are no serial numbers.
type disk struct{ serial, name string }

// find returns the device's path.
func (d disk) find() (string, bool) {
	disks, err := filepath.Glob("/sys/block/*/serial")
	if err != nil {
		return "", false
	}
	for _, file := range disks {
		if b, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(b)) == d.serial {
			return device(filepath.Base(filepath.Dir(file)))
		}
	}
	return device(d.name)
}

func device(name string) (string, bool) {
	path := "/dev/" + name
	_, err := os.Stat(path)
	return path, err == nil
}

// wait waits until the device is there.
func (d disk) wait(limit time.Duration) (string, error) {
	for until := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		if path, ok := d.find(); ok {
			return path, nil
		}
		if !time.Now().Before(until) {
			return "", fmt.Errorf("the machine has no disk %s (%s)", d.serial, d.name)
		}
	}
}

// fileSystem tells what is on a device.
func fileSystem(dev string) (string, error) {
	f, err := os.Open(dev)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, 2048)
	if _, err := f.ReadAt(b, 0); err != nil {
		return "", fmt.Errorf("reading %s: %w", dev, err)
	}
	switch {
	case binary.LittleEndian.Uint32(b[1024:]) == 0xe0f5e1e2:
		return "erofs", nil
	case bytes.HasPrefix(b, []byte("hsqs")):
		return "squashfs", nil
	case binary.LittleEndian.Uint16(b[1024+56:]) == 0xef53:
		return "ext4", nil
	case bytes.HasPrefix(b, []byte("XFSB")):
		return "xfs", nil
	}
	return "", fmt.Errorf("%s has no file system that is known here (erofs, squashfs, ext4, xfs)", dev)
}

// forget drops what the kernel remembers of a device's content: when a saved guest is resumed, a disk
// may hold something else than it did.
func forget(dev string) error {
	f, err := os.Open(dev)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKFLSBUF, 0); err != nil && !errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("dropping what is remembered of %s: %w", dev, err)
	}
	return nil
}
