package crashtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// elsewhere has the test done by another process of this program, started with
// attr: as another user, in another namespace. It reports true in that process, and false
// in this one, when the other has ended. The error is that of starting it.
func elsewhere(t *testing.T, attr *syscall.SysProcAttr) (there bool, err error) {
	t.Helper()
	const name = "CRASHTEST_ELSEWHERE"
	if os.Getenv(name) == t.Name() {
		return true, nil
	}
	exe, err := filepath.EvalSymlinks(program(t))
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "ct-home")
	if err != nil {
		t.Fatal(err)
	}
	if c := attr.Credential; c != nil {
		if err := os.Chown(home, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.SysProcAttr = attr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "MUSTER_TEST_PROGRAM=" + exe, name + "=" + t.Name()}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		os.RemoveAll(home)
		return false, err
	}
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("in the other process: %v; everything is kept in %s", err, home)
		return false, nil
	}
	if err := os.RemoveAll(home); err != nil {
		t.Error(err)
	}
	return false, nil
}

// asOrdinary does the test as an ordinary user, which nobody is.
func asOrdinary(t *testing.T) (there bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	const nobody = 65534
	there, err := elsewhere(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}})
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// withMounts does the test where it can mount what nobody else sees.
func withMounts(t *testing.T) (there bool) {
	t.Helper()
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	there, err := elsewhere(t, attr)
	if err != nil && os.Geteuid() != 0 {
		t.Skipf("an ordinary user can mount nothing here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if there {
		if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
	}
	return there
}

// mount puts an empty file system in memory on dir.
func (l *lab) mount(dir, size string) {
	l.Helper()
	if err := unix.Mount("ct", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700,size="+size); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			l.Error(err)
		}
	})
}

// fill leaves no room on the file system of dir but so many bytes, and returns what makes
// room again.
func (l *lab) fill(dir string, leave int64) (free func()) {
	l.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		l.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	var n int64
	for err == nil {
		var k int
		k, err = f.Write(page)
		n += int64(k)
	}
	if leave > 0 {
		if err := f.Truncate(max(0, n-leave)); err != nil {
			l.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			l.Fatal(err)
		}
	}
}
