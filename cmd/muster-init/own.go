package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The files that say who a machine is.
const (
	hostnameFile  = "/etc/hostname"
	hostsFile     = "/etc/hosts"
	machineIDFile = "/etc/machine-id"
	busFile       = "/var/lib/dbus/machine-id" // D-Bus's: its own in some systems, and usually a link to the other
)

// own are such files, made at boot and open: a link below /etc leads to memory. Each clone writes its own words into them,
// which costs it a tenth of making a file on a disk and through the layers.
type own map[string]*os.File

// makeOwn makes them of what the image has. One that cannot be made is left as it is, and made anew when it is written.
func makeOwn() own {
	const dir = "/run/muster.own"
	files := own{}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return files
	}
	for name, mode := range map[string]os.FileMode{hostnameFile: 0o644, hostsFile: 0o644, machineIDFile: 0o444} {
		f, err := moved(name, filepath.Join(dir, filepath.Base(name)), mode)
		if err != nil {
			say(fmt.Errorf("%s stays on the disk: %w", name, err))
			continue
		}
		files[name] = f
	}
	if st, err := os.Lstat(busFile); err == nil && st.Mode().IsRegular() && files[machineIDFile] != nil {
		if err := link(machineIDFile, busFile); err != nil {
			say(err)
		}
	}
	return files
}

// moved makes a copy of a file, and a link to it in its place.
func moved(name, to string, mode os.FileMode) (*os.File, error) {
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(text); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := link(to, name); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// link puts a link in the place of a file.
func link(to, at string) error {
	fresh := at + ".muster"
	if err := os.Symlink(to, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, at)
}

// write writes a file anew.
func (o own) write(name, text string, mode os.FileMode) error {
	f := o[name]
	if f == nil {
		return replace(name, text, mode)
	}
	fd := int(f.Fd())
	if _, err := unix.Pwrite(fd, []byte(text), 0); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := unix.Ftruncate(fd, int64(len(text))); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
