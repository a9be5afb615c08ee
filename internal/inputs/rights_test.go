package inputs

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/job"
)

// ordinary runs f with the rights of an ordinary user, for whom files of root
// are another's. Without root, the user running the test is one already.
func ordinary(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	// The file system's user id belongs to the thread, which is given up after
	// the goroutine has ended.
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Setfsuid(65534); err != nil {
			done <- err
			return
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestReadWithoutRights(t *testing.T) {
	tests := []struct {
		name  string
		tree  []string
		chmod string
		opts  func(*Options)
		want  string
	}{
		{"input folder", []string{"in/a"}, "in", nil, "input folder ROOT/in cannot be read: permission denied"},
		{"folder below", []string{"in/s/a"}, "in/s", func(o *Options) { o.Subdir = true }, "input folder ROOT/in/s cannot be read: permission denied"},
		{"list", []string{"list=a"}, "list", func(o *Options) { o.Input = "list" }, "list ROOT/list cannot be read: permission denied"},
		{"file of a list", []string{"list=x/a", "x/a"}, "x", func(o *Options) { o.Input = "list" }, "ROOT/list:1: input x/a cannot be read: permission denied"},
		{"output folder", []string{"in/a", "out/"}, "out", nil, "output folder ROOT/out cannot be written to: permission denied"},
		{"above the output", []string{"in/a", "o/"}, "o", func(o *Options) { o.Output = "o/out/x" }, "output folder ROOT/o/out/x cannot be read: permission denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := tree(t, tt.tree...)
			for p := root; len(p) > len(os.TempDir()); p = p[:strings.LastIndexByte(p, '/')] {
				must(t, os.Chmod(p, 0o755))
			}
			o := options(root)
			if tt.opts != nil {
				tt.opts(&o)
			}
			must(t, os.Chmod(root+"/"+tt.chmod, 0))
			defer os.Chmod(root+"/"+tt.chmod, 0o755)
			var err error
			ordinary(t, func() { _, err = Read(t.Context(), o) })
			if !errors.Is(err, job.ErrBadInput) || strings.ReplaceAll(err.Error(), root, "ROOT") != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestReadOnlyAbove(t *testing.T) {
	root := tree(t, "in/a", "o/")
	for p := root; len(p) > len(os.TempDir()); p = p[:strings.LastIndexByte(p, '/')] {
		must(t, os.Chmod(p, 0o755))
	}
	must(t, os.Chmod(root+"/o", 0o555))
	o := options(root)
	o.Output = "o/out"
	var err error
	ordinary(t, func() { _, err = Read(t.Context(), o) })
	want := "output folder ROOT/o/out cannot be made: folder ROOT/o cannot be written to: permission denied"
	if err == nil || strings.ReplaceAll(err.Error(), root, "ROOT") != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestFull(t *testing.T) {
	tests := []struct {
		name string
		st   unix.Statfs_t
		root bool
		want bool
	}{
		{"room", unix.Statfs_t{Blocks: 9, Bfree: 2, Bavail: 1, Files: 9, Ffree: 1}, false, false},
		{"only root's reserve", unix.Statfs_t{Blocks: 9, Bfree: 2, Files: 9, Ffree: 1}, false, true},
		{"root's reserve", unix.Statfs_t{Blocks: 9, Bfree: 2, Files: 9, Ffree: 1}, true, false},
		{"no inode", unix.Statfs_t{Blocks: 9, Bfree: 2, Bavail: 1, Files: 9}, true, true},
		{"inodes not counted", unix.Statfs_t{Blocks: 9, Bfree: 2, Bavail: 1}, false, false},
		{"nothing counted", unix.Statfs_t{}, false, false},
	}
	for _, tt := range tests {
		if got := full(tt.st, tt.root); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// find(1) writes NUL lists; what it writes is read as it is.
func TestFindPrint0(t *testing.T) {
	root := tree(t, "in/a b", "in/new\nline", "in/'q'", "in/-x", "in/$(id)")
	list, err := exec.Command("find", root+"/in", "-type", "f", "-print0").Output()
	must(t, err)
	must(t, os.WriteFile(root+"/list", list, 0o644))
	o := options(root)
	o.Input, o.Input0 = "", "list"
	r, err := Read(t.Context(), o)
	must(t, err)
	if len(r.Tasks) != 5 {
		t.Fatalf("%d tasks", len(r.Tasks))
	}
	for _, task := range r.Tasks {
		if !task.In[0].File {
			t.Errorf("%q is not taken for a file", task.In[0].Word)
		}
	}
}
