package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Folder is what is known of a folder and the file system that it is on.
type Folder struct {
	Path     string `json:"path"`
	FS       string `json:"file_system"`         // "ext4", "nfs4", "fuse.sshfs"
	Mount    string `json:"mount,omitempty"`     // where it is mounted
	Free     int64  `json:"free"`                // bytes that this user can have
	Total    int64  `json:"total"`               //
	Inodes   int64  `json:"inodes_free"`         // files that can still be made; −1: no limit
	NoExec   bool   `json:"noexec,omitempty"`    // programs there cannot be started
	ReadOnly bool   `json:"read_only,omitempty"` //
	Network  bool   `json:"network,omitempty"`   // on other machines, or served by a program: slow, and maybe shared
	InMemory bool   `json:"in_memory,omitempty"` // takes memory for what it holds
}

// Stat looks at a folder, or at the nearest one above it that exists. A hung
// network mount blocks it.
func Stat(dir string) (Folder, error) { return This().Stat(dir) }

// FreeSpace is how many bytes this user can still write below dir, which need
// not exist yet.
func FreeSpace(dir string) (int64, error) {
	f, err := Stat(dir)
	return f.Free, err
}

// FreeInodes is how many files can still be made below dir; −1: no limit.
func FreeInodes(dir string) (int64, error) {
	f, err := Stat(dir)
	return f.Inodes, err
}

// NoExec reports whether programs below dir cannot be started for the way its
// file system is mounted.
func NoExec(dir string) (bool, error) {
	f, err := Stat(dir)
	return f.NoExec, err
}

// Network reports whether dir is on a file system of other machines.
func Network(dir string) (bool, error) {
	f, err := Stat(dir)
	return f.Network, err
}

// Stat looks at a folder, or at the nearest one above it that exists.
func (h Host) Stat(dir string) (Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Folder{}, err
	}
	var fsInfo unix.Statfs_t
	at := dir
	for {
		err = unix.Statfs(at, &fsInfo)
		if !errors.Is(err, fs.ErrNotExist) || at == "/" {
			break
		}
		at = filepath.Dir(at)
	}
	if err != nil {
		return Folder{}, &fs.PathError{Op: "statfs", Path: at, Err: err}
	}
	f := describe(fsInfo)
	f.Path = dir
	// The kernel's number tells the kind roughly (all that a program serves is
	// "fuse"); the table of mounts tells it exactly. It may be missing, in a chroot.
	if mounts, err := h.mounts(); err == nil {
		if m, ok := on(mounts, at); ok {
			f.FS, f.Mount = m.kind, m.point
		}
	}
	f.Network = network(f.FS)
	f.InMemory = f.FS == "tmpfs" || f.FS == "ramfs"
	return f, nil
}

// describe reads what statfs(2) says.
func describe(s unix.Statfs_t) Folder {
	f := Folder{
		FS:       kindOf(s.Type),
		Free:     int64(s.Bavail) * s.Frsize,
		Total:    int64(s.Blocks) * s.Frsize,
		Inodes:   int64(s.Ffree),
		NoExec:   s.Flags&unix.ST_NOEXEC != 0,
		ReadOnly: s.Flags&unix.ST_RDONLY != 0,
	}
	if s.Files == 0 { // a file system without a table of files
		f.Inodes = -1
	}
	return f
}

// kindOf names a file system by the number that statfs gives.
func kindOf(magic int64) string {
	for _, k := range []struct {
		magic int64
		name  string
	}{
		{unix.EXT4_SUPER_MAGIC, "ext4"}, {unix.XFS_SUPER_MAGIC, "xfs"}, {unix.BTRFS_SUPER_MAGIC, "btrfs"},
		{unix.TMPFS_MAGIC, "tmpfs"}, {unix.RAMFS_MAGIC, "ramfs"}, {unix.OVERLAYFS_SUPER_MAGIC, "overlay"},
		{unix.NFS_SUPER_MAGIC, "nfs"}, {0x0bd00bd0, "lustre"}, {0x47504653, "gpfs"}, {unix.FUSE_SUPER_MAGIC, "fuse"},
		{unix.CIFS_SUPER_MAGIC, "cifs"}, {unix.SMB2_SUPER_MAGIC, "smb3"}, {unix.CEPH_SUPER_MAGIC, "ceph"},
		{unix.AFS_SUPER_MAGIC, "afs"}, {0x19830326, "beegfs"}, {unix.V9FS_MAGIC, "9p"}, {0x20030528, "pvfs2"},
	} {
		if uint32(k.magic) == uint32(magic) {
			return k.name
		}
	}
	return fmt.Sprintf("0x%x", uint32(magic))
}

// network reports whether a kind of file system is other machines'. What a program
// serves (fuse) mostly is; the few that are not are named.
func network(kind string) bool {
	switch kind {
	case "nfs", "nfs4", "lustre", "gpfs", "cifs", "smb3", "smbfs", "ceph", "afs", "beegfs", "beegfs_nodev", "9p", "virtiofs",
		"pvfs2", "glusterfs", "panfs", "wekafs", "ncpfs", "fuse":
		return true
	case "fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.ntfs", "fuse.squashfuse", "fuse.squashfuse_ll", "fuse.bindfs", "fuse.lxcfs":
		return false
	}
	return strings.HasPrefix(kind, "fuse.")
}

// mount is a line of mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	root    string // the part of the file system that is mounted
	point   string
	kind    string
	options []string // of the file system
}

func (h Host) mounts() ([]mount, error) {
	b, err := os.ReadFile(h.Proc + "/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(b)), nil
}

func parseMounts(text string) []mount {
	var out []mount
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 1 {
			continue
		}
		m := mount{root: unescape(f[3]), point: unescape(f[4]), kind: g[0]}
		if len(g) > 2 {
			m.options = strings.Split(g[2], ",")
		}
		out = append(out, m)
	}
	return out
}

// on finds the mount that a path is on: the last one, of those with the longest
// mount point above it.
func on(mounts []mount, path string) (mount, bool) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	var best mount
	found := false
	for _, m := range mounts {
		if m.point != "/" && path != m.point && !strings.HasPrefix(path, m.point+"/") {
			continue
		}
		if !found || len(m.point) >= len(best.point) {
			best, found = m, true
		}
	}
	return best, found
}

// unescape undoes the octal escapes of mountinfo ("\040" is a space).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
