package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDescribeFolder(t *testing.T) {
	s := unix.Statfs_t{Type: unix.NFS_SUPER_MAGIC, Frsize: 4096, Bsize: 1 << 20, Blocks: 1000, Bavail: 10, Bfree: 50, Files: 100, Ffree: 7, Flags: unix.ST_NOEXEC | unix.ST_NODEV}
	if got, want := describe(s), (Folder{FS: "nfs", Free: 40960, Total: 4096000, Inodes: 7, NoExec: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s = unix.Statfs_t{Type: unix.BTRFS_SUPER_MAGIC, Frsize: 4096, Flags: unix.ST_RDONLY}
	if got, want := describe(s), (Folder{FS: "btrfs", Inodes: -1, ReadOnly: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := kindOf(0x1234); got != "0x1234" {
		t.Errorf("an unknown kind is called %q", got)
	}
}

func TestNetworkKinds(t *testing.T) {
	for kind, want := range map[string]bool{"ext4": false, "tmpfs": false, "overlay": false, "fuseblk": false, "fuse.squashfuse": false,
		"nfs4": true, "lustre": true, "gpfs": true, "fuse.sshfs": true, "fuse.glusterfs": true, "9p": true} {
		if network(kind) != want {
			t.Errorf("network(%s) = %v", kind, !want)
		}
	}
}

func TestMounts(t *testing.T) {
	mounts := parseMounts("27 1 254:0 / / rw - ext4 /dev/vda rw\n" +
		"40 27 0:40 / /home rw shared:1 - nfs4 server:/home rw,vers=4.2\n" +
		"41 40 0:41 / /home/ann/my\\040disk rw - fuse.sshfs x rw\n" +
		"42 27 0:42 / /over rw - ext4 a rw\n43 42 0:43 / /over rw - tmpfs b rw\n" +
		"a line that is none\n")
	for path, want := range map[string]string{
		"/etc/x": "ext4", "/": "ext4", "/home": "nfs4", "/home/ann": "nfs4", "/homework": "ext4",
		"/home/ann/my disk/x": "fuse.sshfs", "/over/y": "tmpfs",
	} {
		if m, ok := on(mounts, path); !ok || m.kind != want {
			t.Errorf("%s is on %q, want %q", path, m.kind, want)
		}
	}
	if _, ok := on(nil, "/"); ok {
		t.Error("a mount was found where there is none")
	}
}

// on a machine whose folders are all of the kind, by its table of mounts.
func onKind(t *testing.T, kind string) Host {
	return host(t, map[string]string{"proc/self/mountinfo": "27 1 254:0 / / rw - " + kind + " x rw\n"})
}

func TestScratchRoot(t *testing.T) {
	good, other, file := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(open, "below")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	local, nfs := onKind(t, "ext4"), onKind(t, "nfs4")
	for _, c := range []struct {
		name     string
		host     Host
		env      map[string]string
		dir, why string // why: a part of it; of the error when dir is ""
	}{
		{"named", local, map[string]string{"MUSTER_SCRATCH": good, "TMPDIR": other}, good, "MUSTER_SCRATCH"},
		{"named, on the network", nfs, map[string]string{"MUSTER_SCRATCH": good}, good, "MUSTER_SCRATCH, on nfs4: slower"},
		{"named, not there", local, map[string]string{"MUSTER_SCRATCH": good + "/none", "TMPDIR": other}, "", "MUSTER_SCRATCH: " + good + "/none does not exist"},
		{"named, relative", local, map[string]string{"MUSTER_SCRATCH": "tmp"}, "", `"tmp" is not an absolute path`},
		{"named, a file", local, map[string]string{"MUSTER_SCRATCH": file}, "", "is not a folder"},
		{"named, open to all", local, map[string]string{"MUSTER_SCRATCH": open}, "", "everyone can write " + open},
		{"named, below a folder that is open to all", local, map[string]string{"MUSTER_SCRATCH": below}, "", "everyone can write " + open},
		{"the scheduler's", local, map[string]string{"SLURM_TMPDIR": good, "TMPDIR": other}, good, "SLURM_TMPDIR"},
		{"the next one", local, map[string]string{"SLURM_TMPDIR": good + "/none", "TMPDIR": other}, other, "TMPDIR; SLURM_TMPDIR: " + good + "/none does not exist"},
		{"nothing fits", nfs, map[string]string{"TMPDIR": good}, "", "TMPDIR: " + good + " is on nfs4, not on this node; /tmp is on nfs4"},
		{"the usual place", local, nil, "/tmp", "the usual place"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, why, err := c.host.ScratchRoot(func(name string) string { return c.env[name] })
			if dir != c.dir {
				t.Fatalf("got %q (%s, %v), want %q", dir, why, err, c.dir)
			}
			if c.dir != "" {
				if err != nil || !strings.Contains(why, c.why) {
					t.Errorf("why: %q, %v; want %q", why, err, c.why)
				}
				return
			}
			if !errors.Is(err, ErrScratch) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("error %v, want %q", err, c.why)
			}
			var h interface{ Hint() string }
			if !errors.As(err, &h) || !strings.Contains(h.Hint(), "--scratch") {
				t.Errorf("%v does not say what to do", err)
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	good := Folder{Path: "/s", Free: LeastScratch, Inodes: -1}
	if err := refuse(good); err != nil {
		t.Errorf("a good folder is refused: %v", err)
	}
	for want, change := range map[string]func(*Folder){
		"mounted noexec":             func(f *Folder) { f.NoExec = true },
		"only be read":               func(f *Folder) { f.ReadOnly = true },
		"has 63 MiB free, and needs": func(f *Folder) { f.Free-- },
		"no inodes":                  func(f *Folder) { f.Inodes = 0 },
	} {
		f := good
		change(&f)
		if err := refuse(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("refuse(%+v) = %v, want %q", f, err, want)
		}
	}
}
