package scratch

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"muster/internal/guest"
	"muster/internal/proc"
)

func TestLife(t *testing.T) {
	root := t.TempDir()
	a := newFolder(t, root)
	b := newFolder(t, root)
	if a.Token == b.Token {
		t.Fatal("two agents have one token")
	}
	if err := os.WriteFile(filepath.Join(a.Dir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	Sweep(root) // both live
	for _, f := range []*Folder{a, b} {
		if _, err := os.Stat(f.Dir); err != nil {
			t.Error(err)
		}
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
	}
	if names, err := os.ReadDir(filepath.Dir(a.Dir)); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

// The folder of a dead agent goes with the next, and what it had left running;
// others' processes stay.
func TestSweepEndsTheDead(t *testing.T) {
	root := t.TempDir()
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	dead := newFolder(t, root)
	start := func(mark string) *proc.Child {
		c, err := table.Start(proc.Cmd{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Env: []string{mark}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	left := start(guest.EnvTask + "=1_1.1@" + dead.Token)
	server := start(guest.EnvInstance + "=lane0.1@" + dead.Token)
	other := start(guest.EnvTask + "=1_1.1@" + dead.Token + "0")
	dead.Lock.Close() // as the kernel does
	next := newFolder(t, root)
	defer next.Remove()
	<-left.Done()
	<-server.Done()
	select {
	case <-other.Done():
		t.Error("another agent's process was ended")
	default:
	}
	if _, err := os.Lstat(dead.Dir); !os.IsNotExist(err) {
		t.Errorf("the dead agent's folder: %v", err)
	}
	if err := other.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	<-other.Done()
}

func TestUnsafeHome(t *testing.T) {
	root := t.TempDir()
	home := filepath.Join(root, "muster-"+strconv.Itoa(os.Geteuid()))
	for name, make := range map[string]func() error{
		"open":   func() error { return os.Mkdir(home, 0o700) },
		"a link": func() error { return os.Symlink(root, home) },
		"a file": func() error { return os.WriteFile(home, nil, 0o600) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if name == "open" {
			if err := os.Chmod(home, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if f, err := New(root); err == nil || !strings.Contains(err.Error(), "is not a folder of yours alone") {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
		if err := os.Remove(home); err != nil {
			t.Fatal(err)
		}
	}
}

func newFolder(t *testing.T, root string) *Folder {
	t.Helper()
	f, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
