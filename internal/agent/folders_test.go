package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A folder that comes back is empty when it is given again, whatever a program
// has done to it.
func TestFolders(t *testing.T) {
	f, err := newFolders(filepath.Join(t.TempDir(), "work"))
	if err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	write(t, filepath.Join(outside, "precious"), "x")
	for name, change := range map[string]func(dir string){
		"files":      func(dir string) { write(t, filepath.Join(dir, "sub", "x"), "x") },
		"no rights":  func(dir string) { write(t, filepath.Join(dir, "x"), "x"); check(t, os.Chmod(dir, 0)) },
		"more":       func(dir string) { check(t, os.Chmod(dir, 0o777)) },
		"gone":       func(dir string) { check(t, os.Remove(dir)) },
		"a link":     func(dir string) { check(t, os.Remove(dir)); check(t, os.Symlink(outside, dir)) },
		"a file":     func(dir string) { check(t, os.Remove(dir)); write(t, dir, "x") },
		"has a link": func(dir string) { check(t, os.Symlink(outside, filepath.Join(dir, "out"))) },
	} {
		dir, err := f.take("1.1")
		check(t, err)
		change(dir)
		if err := f.give(dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		next, err := f.take("2.1")
		check(t, err)
		st, err := os.Lstat(next)
		check(t, err)
		if names := list(t, next); len(names) > 0 || st.Mode() != os.ModeDir|0o700 {
			t.Errorf("after %s: %v %v", name, st.Mode(), names)
		}
		check(t, f.give(next))
	}
	if _, err := os.Stat(filepath.Join(outside, "precious")); err != nil {
		t.Error(err)
	}
}

func TestCollect(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), "x")
	tests := []struct {
		name     string
		patterns string
		leave    func(work, out string)
		n        int
		want     string // files, in order
		err      string // part of it
	}{
		{"a pattern", "*.dat", func(work, _ string) { files(t, work, "a.dat", "b.dat", "c.txt") }, 2, "a.dat b.dat", ""},
		{"twice the same", "*.dat a.*", func(work, _ string) { files(t, work, "a.dat") }, 1, "a.dat", ""},
		{"a folder", "sub", func(work, _ string) { files(t, work, "sub/a", "sub/deep/b") }, 1, "sub/a sub/deep/b", ""},
		{"a folder and what is in it", "sub sub/*", func(work, _ string) { files(t, work, "sub/a", "sub/b") }, 1, "sub/a sub/b", ""},
		{"below", "sub/*.dat", func(work, _ string) { files(t, work, "sub/a.dat", "sub/b") }, 1, "sub/a.dat", ""},
		{"nothing", "*.dat", func(work, _ string) { files(t, work, "a") }, 0, "", ""},
		{"left by the program itself", "*.dat", func(_, out string) { files(t, out, "a") }, 1, "a", ""},
		{"on both sides", "a", func(work, out string) { files(t, out, "a"); files(t, work, "a") }, 0, "a", "file exists"},
		{"nothing above", "../* ../../*", func(work, _ string) { files(t, filepath.Dir(work), "x") }, 0, "", ""},
		{"links", "*", func(work, _ string) {
			files(t, work, "a")
			check(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(work, "file")))
			check(t, os.Symlink(outside, filepath.Join(work, "folder")))
		}, 1, "a", ""},
		{"through a link", "folder/*", func(work, _ string) { check(t, os.Symlink(outside, filepath.Join(work, "folder"))) }, 0, "", ""},
		{"work is a link", "*", func(work, _ string) { check(t, os.Remove(work)); check(t, os.Symlink(outside, work)) }, 0, "", "is no folder any more"},
		{"work is gone", "*", func(work, _ string) { check(t, os.Remove(work)) }, 0, "", ""},
		{"work without rights", "*", func(work, _ string) { files(t, work, "a"); check(t, os.Chmod(work, 0)) }, 1, "a", ""},
		{"out is a link", "*", func(work, out string) {
			files(t, work, "a")
			check(t, os.Remove(out))
			check(t, os.Symlink(outside, out))
		}, 0, "secret", "is no folder any more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			work, out := filepath.Join(dir, "w", "work"), filepath.Join(dir, "o", "out")
			check(t, os.MkdirAll(work, 0o700))
			check(t, os.MkdirAll(out, 0o700))
			tt.leave(work, out)
			n, err := collect(work, filepath.Dir(out), filepath.Base(out), strings.Fields(tt.patterns))
			switch {
			case tt.err == "" && err != nil, tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v, want %q", err, tt.err)
			case err == nil && n != tt.n:
				t.Errorf("%d things, want %d", n, tt.n)
			}
			if got := strings.Join(list(t, out+"/"), " "); got != tt.want {
				t.Errorf("collected %q, want %q", got, tt.want)
			}
			if got := list(t, outside); !slices.Equal(got, []string{"secret"}) {
				t.Errorf("outside: %v", got)
			}
		})
	}
}

// Files keep the permissions that the program gave them.
func TestCollectPermissions(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, "work/run", "work/sub/key", "out/")
	check(t, os.Chmod(filepath.Join(dir, "work/run"), 0o777))
	check(t, os.Chmod(filepath.Join(dir, "work/sub/key"), 0o400))
	check(t, os.Chmod(filepath.Join(dir, "work/sub"), 0o750))
	if _, err := collect(filepath.Join(dir, "work"), dir, "out", []string{"*"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"run": 0o777, "sub": os.ModeDir | 0o750, "sub/key": 0o400} {
		if st, err := os.Stat(filepath.Join(dir, "out", name)); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, st.Mode(), err, want)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(name), 0o755))
	check(t, os.WriteFile(name, []byte(content), 0o644))
}

// files makes files below dir, and folders where the name ends in a slash.
func files(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		if strings.HasSuffix(n, "/") {
			check(t, os.MkdirAll(filepath.Join(dir, n), 0o755))
			continue
		}
		write(t, filepath.Join(dir, n), n)
	}
}

// list lists the files below dir, in order.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	check(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		names = append(names, strings.TrimPrefix(strings.TrimPrefix(p, strings.TrimSuffix(dir, "/")), "/"))
		return nil
	}))
	return names
}
