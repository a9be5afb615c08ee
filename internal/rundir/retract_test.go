package rundir

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// What was published is taken back, by whatever way it came; what somebody else
// has put in its place is not.
func TestRetract(t *testing.T) {
	for _, how := range []string{"link", "rename", "copy", "folder"} {
		out := t.TempDir()
		p := newTestPublisher(t, out, func(step string) error {
			if step == "link" && how != "link" || step == "rename" && how == "copy" {
				return unix.EOPNOTSUPP
			}
			return nil
		})
		var tmp string
		if how == "folder" {
			tmp = leaveFolder(t, p, 5, 1, "a", "one", "two")
		} else {
			tmp = leave(t, p, 5, 1, "a", "hello")
		}
		if _, err := p.Publish(tmp, "a.out"); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		for range 2 { // the second time there is nothing
			if err := p.Retract(tmp, "a.out"); err != nil {
				t.Errorf("%s: %v", how, err)
			}
		}
		if names := namesIn(t, out); !slices.Equal(names, []string{p.temp}) {
			t.Errorf("%s: left %v", how, names)
		}
		if err := os.WriteFile(filepath.Join(out, "a.out"), []byte("another's"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.Retract(tmp, "a.out"); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if _, err := os.Lstat(filepath.Join(out, "a.out")); err != nil {
			t.Errorf("%s: another's file is gone: %v", how, err)
		}
	}
}

// A crash between what goes with an output and the output itself: nothing was
// published. After the output itself: everything was.
func TestRecoverDecidesByMain(t *testing.T) {
	for _, main := range []bool{false, true} {
		out := t.TempDir()
		p := newTestPublisher(t, out, nil)
		for _, name := range []string{"log", "a"} {
			tmp := leave(t, p, 5, 1, name, name)
			if name == "a" && !main {
				continue
			}
			if _, err := p.Publish(tmp, name); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Recover(t.Context(), out, 12, RecoverOptions{
			Final:     func(_ int, name string) string { return name },
			Main:      func(_ int, name string) bool { return name == "a" },
			Completed: func(int) bool { return false },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Clean(); err != nil {
			t.Fatal(err)
		}
		want := []string{}
		if main {
			want = []string{"a", "log"}
		}
		if got := namesIn(t, out); len(got) != len(want) || len(r.Published) != len(want) || !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("with the output %v: left %v, told %+v", main, got, r.Published)
		}
	}
}

// A program that takes its own rights to its folders away is in nobody's way.
func TestFoldersWithoutRights(t *testing.T) {
	humble(t)
	out, err := os.MkdirTemp("", "rights")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(out)
	p := newTestPublisher(t, out, nil)
	dir := func(task int) string {
		leave(t, p, task, 1, "a", "hello")
		d := filepath.Join(p.Dir(), attemptDirName(task, 1))
		below := filepath.Join(d, "sub")
		if err := os.Mkdir(below, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(below, "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{below, d} {
			if err := os.Chmod(f, 0); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	dir(1)
	if names, err := p.Left(1, 1); err != nil || len(names) != 2 {
		t.Errorf("left: %v, %v", names, err)
	}
	dir(2)
	if err := p.Discard(2, 1); err != nil {
		t.Errorf("discard: %v", err)
	}
	dir(3)
	r, err := Recover(t.Context(), out, 12, RecoverOptions{
		Final:     func(_ int, name string) string { return name },
		Completed: func(int) bool { return false },
	})
	if err != nil {
		t.Fatalf("recover: %v", err)
	}
	if err := r.Clean(); err != nil {
		t.Errorf("clean: %v", err)
	}
	if names := namesIn(t, out); len(names) > 0 {
		t.Errorf("left %v", names)
	}
}

// humble makes the rest of the test an ordinary user's as far as files go: root
// needs no rights.
func humble(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	runtime.LockOSThread()
	t.Cleanup(func() {
		if err := unix.Setfsuid(0); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
	if err := unix.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
}
