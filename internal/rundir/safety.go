package rundir

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// checkAncestors refuses dir when another user could swap what is below it:
// some folder on the way that others can write (unless only owners may rename
// there), or that belongs to another ordinary user. Both the path as it is
// written and where its links lead are examined. Folders that are missing yet
// are passed over: muster will make them.
func checkAncestors(dir string, trustGroup bool) error {
	real := deepest(dir)
	resolved, err := filepath.EvalSymlinks(real)
	if err != nil {
		return fmt.Errorf("folder for runs: %w", err)
	}
	for _, path := range []string{real, resolved} {
		for {
			if err := checkFolder(path, trustGroup); err != nil {
				return err
			}
			if path == filepath.Dir(path) {
				break
			}
			path = filepath.Dir(path)
		}
	}
	return nil
}

// deepest is dir or the nearest folder above it that exists.
func deepest(dir string) string {
	for {
		if _, err := os.Lstat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func checkFolder(path string, trustGroup bool) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fmt.Errorf("folder for runs: %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("folder for runs: %s is not a folder: %w", path, unix.ENOTDIR)
	}
	if owner := int(st.Uid); owner != 0 && owner != os.Geteuid() && owner != overflowUID() {
		return fmt.Errorf("%w: %s belongs to another user (%d), who could change what is below it; name a folder of your own in MUSTER_STATE",
			ErrUnsafe, path, owner)
	}
	if st.Mode&unix.S_ISVTX != 0 {
		return nil
	}
	if st.Mode&unix.S_IWOTH != 0 {
		return fmt.Errorf("%w: everyone can write %s; chmod o-w it, or name another folder in MUSTER_STATE", ErrUnsafe, path)
	}
	if st.Mode&unix.S_IWGRP != 0 && !trustGroup {
		return fmt.Errorf("%w: its group can write %s; chmod g-w it, or say --trust-group if you trust everyone in the group", ErrUnsafe, path)
	}
	return nil
}

// overflowUID is the owner that the kernel shows in a user namespace for users
// who are not mapped there, such as the host's root.
func overflowUID() int {
	data, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return -1
	}
	return n
}

// makePrivate makes dir if it is missing, refuses it when it is someone else's,
// and takes everybody else's rights to it away.
func makePrivate(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return fmt.Errorf("make the folder for runs: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("folder for runs: %w", err)
	}
	defer d.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return fmt.Errorf("folder for runs: %s: %w", dir, err)
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to another user (%d); name a folder of your own in MUSTER_STATE", ErrUnsafe, dir, st.Uid)
	}
	if st.Mode&0o077 == 0 {
		return nil
	}
	if err := d.Chmod(0o700); err != nil {
		return fmt.Errorf("make %s private: %w", dir, err)
	}
	return nil
}
