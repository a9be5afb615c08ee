package image_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/image"
	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

const key = "0123456789abcdef"

// recipe makes a small image and counts how often it is made, in the file count.
func recipe(count string) image.Recipe {
	return image.Recipe{
		Guest: "test", Key: key, Name: "default",
		Quick: func(path string) bool { return strings.HasSuffix(path, ".reg") },
		Make: func(_ context.Context, dir string) (map[string]string, error) {
			f, err := os.OpenFile(count, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return nil, err
			}
			fmt.Fprintln(f, "made")
			f.Close()
			if os.Getenv(childSlow) != "" {
				time.Sleep(300 * time.Millisecond)
			}
			if err := os.MkdirAll(dir+"/a/b", 0o700); err != nil {
				return nil, err
			}
			for name, content := range map[string]string{"a/small.reg": "registry", "a/b/big": strings.Repeat("x", 100000)} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
					return nil, err
				}
			}
			return map[string]string{"user": "me"}, os.Symlink("b/big", dir+"/a/link")
		},
	}
}

const (
	childStore = "IMAGE_TEST_STORE"
	childCount = "IMAGE_TEST_COUNT"
	childSlow  = "IMAGE_TEST_SLOW"
	childDies  = "IMAGE_TEST_DIES"
)

// TestMain is also the child that builds, for tests with several processes.
func TestMain(m *testing.M) {
	root := os.Getenv(childStore)
	if root == "" {
		os.Exit(m.Run())
	}
	s, err := image.Open(root)
	if err == nil {
		r := recipe(os.Getenv(childCount))
		if os.Getenv(childDies) != "" {
			r.Make = func(_ context.Context, dir string) (map[string]string, error) {
				os.WriteFile(dir+"/half", nil, 0o600)
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				return nil, nil
			}
		}
		var b image.Built
		b, err = s.Build(context.Background(), r, func(line string) { fmt.Println(line) })
		if err == nil {
			err = image.Verify(b.Dir, key, true)
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// children runs this test's own program n times at once.
func children(t *testing.T, n int, env ...string) []proc.Output {
	t.Helper()
	table := proctest.Table(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	outs, done := make([]proc.Output, n), make(chan error)
	for i := range n {
		go func() {
			var err error
			outs[i], err = table.Run(context.Background(), proc.Cmd{Path: self, Args: []string{self}, Env: env})
			done <- err
		}()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return outs
}

func open(t *testing.T) *image.Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "images")
	s, err := image.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unlock(t, dir) })
	return s
}

// unlock lets an ordinary user remove images.
func unlock(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(p, 0o700)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func build(t *testing.T, s *image.Store, r image.Recipe) image.Built {
	t.Helper()
	b, err := s.Build(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func made(t *testing.T, count string) int {
	t.Helper()
	b, err := os.ReadFile(count)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "made")
}

// only checks that the store holds nothing but these entries of the guest "test".
func only(t *testing.T, s *image.Store, want ...string) {
	t.Helper()
	names, err := os.ReadDir(s.Dir() + "/test")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range names {
		got = append(got, n.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the store holds %v, want %v", got, want)
	}
}

func TestBuildOnce(t *testing.T) {
	s, count := open(t), t.TempDir()+"/count"
	b := build(t, s, recipe(count))
	if b.Took == 0 || b.Manifest.Meta["user"] != "me" || b.Manifest.Size != 100008 {
		t.Errorf("%+v", b.Manifest)
	}
	if again := build(t, s, recipe(count)); again.Took != 0 || again.Dir != b.Dir {
		t.Errorf("built again: %+v", again)
	}
	if made(t, count) != 1 {
		t.Error("made more than once")
	}
	for _, p := range []string{"a", "a/b", "a/small.reg", "a/b/big"} {
		st, err := os.Stat(image.Tree(b.Dir) + "/" + p)
		if err != nil || st.Mode().Perm()&0o222 != 0 {
			t.Errorf("%s can be written: %v %v", p, st.Mode(), err)
		}
	}
	only(t, s, key, "names")
}

func TestTenProcessesBuildOnce(t *testing.T) {
	s, count := open(t), t.TempDir()+"/count"
	waited := 0
	for _, o := range children(t, 10, childStore+"="+s.Dir(), childCount+"="+count, childSlow+"=1") {
		if !o.Exit.OK() {
			t.Errorf("%v %s", o.Exit, o.Stdout)
		}
		if strings.Contains(string(o.Stdout), "another muster is building") {
			waited++
		}
	}
	if made(t, count) != 1 {
		t.Errorf("made %d times", made(t, count))
	}
	if waited == 0 {
		t.Error("nobody was told that he waits")
	}
	only(t, s, key, "names")
}

func TestDeadBuilder(t *testing.T) {
	s, count := open(t), t.TempDir()+"/count"
	for _, o := range children(t, 1, childStore+"="+s.Dir(), childCount+"="+count, childDies+"=1") {
		if o.Exit.Signal != 9 {
			t.Fatalf("%v %s", o.Exit, o.Stdout)
		}
	}
	build(t, s, recipe(count))
	only(t, s, key, "names")
}

func TestCollectSweepsWhatTheDeadLeft(t *testing.T) {
	s := open(t)
	children(t, 1, childStore+"="+s.Dir(), childCount+"=/dev/null", childDies+"=1")
	if _, _, err := s.Collect(); err != nil {
		t.Fatal(err)
	}
	only(t, s)
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	s := open(t)
	sorry := errors.New("sorry")
	for name, r := range map[string]image.Recipe{
		"make fails": {Guest: "test", Key: key, Name: "x", Make: func(_ context.Context, dir string) (map[string]string, error) {
			os.MkdirAll(dir+"/locked/in", 0o700)
			os.Chmod(dir+"/locked", 0o500)
			return nil, sorry
		}},
		"no space": {Guest: "test", Key: key, Name: "x", Need: 1 << 60, Make: func(context.Context, string) (map[string]string, error) {
			t.Error("it was made all the same")
			return nil, nil
		}},
		"something odd in it": {Guest: "test", Key: key, Name: "x", Make: func(_ context.Context, dir string) (map[string]string, error) {
			return nil, syscall.Mkfifo(dir+"/pipe", 0o600)
		}},
	} {
		_, err := s.Build(context.Background(), r, nil)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if name == "make fails" && !errors.Is(err, sorry) || name == "no space" && !errors.Is(err, image.ErrSpace) {
			t.Errorf("%s: %v", name, err)
		}
		only(t, s)
	}
}

func TestDamageIsFoundAndMended(t *testing.T) {
	for name, damage := range map[string]func(tree string) error{
		"a file is gone": func(tree string) error { return os.Remove(tree + "/a/b/big") },
		"a file is cut short": func(tree string) error {
			p := tree + "/a/b/big"
			return errors.Join(os.Chmod(p, 0o644), os.Truncate(p, 5), os.Chmod(p, 0o555))
		},
		"content of the same size and time": func(tree string) error {
			p := tree + "/a/small.reg"
			st, err := os.Stat(p)
			if err != nil {
				return err
			}
			return errors.Join(os.Chmod(p, 0o644), os.WriteFile(p, []byte("REGISTRY"), 0o600), os.Chmod(p, st.Mode().Perm()), os.Chtimes(p, st.ModTime(), st.ModTime()))
		},
		"something new": func(tree string) error { return os.WriteFile(tree+"/a/new", nil, 0o600) },
		"a link leads elsewhere": func(tree string) error {
			return errors.Join(os.Remove(tree+"/a/link"), os.Symlink("/etc/passwd", tree+"/a/link"))
		},
		"permissions":  func(tree string) error { return os.Chmod(tree+"/a/b/big", 0o644) },
		"the manifest": func(tree string) error { return os.WriteFile(tree+"/../manifest", []byte("{"), 0o600) },
		"everything":   func(tree string) error { return os.RemoveAll(tree) },
	} {
		t.Run(name, func(t *testing.T) {
			s, count := open(t), t.TempDir()+"/count"
			b := build(t, s, recipe(count))
			unlock(t, b.Dir)
			for _, dir := range []string{"a/b", "a"} { // as sealed, apart from the damage
				if err := os.Chmod(image.Tree(b.Dir)+"/"+dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := damage(image.Tree(b.Dir)); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{"a/b", "a"} {
				os.Chmod(image.Tree(b.Dir)+"/"+dir, 0o555)
			}
			if u, err := image.Acquire(b.Dir, key); !errors.Is(err, image.ErrDamaged) {
				t.Errorf("Acquire: %v %v", u, err)
			}
			var said []string
			again, err := s.Build(context.Background(), recipe(count), func(line string) { said = append(said, line) })
			if err != nil || again.Took == 0 || len(said) != 1 || !strings.Contains(said[0], "damaged") {
				t.Errorf("%+v %v %q", again.Took, err, said)
			}
			if err := image.Verify(b.Dir, key, true); err != nil {
				t.Error(err)
			}
			only(t, s, key, "names")
		})
	}
}

func TestFullVerify(t *testing.T) {
	s := open(t)
	b := build(t, s, recipe(t.TempDir()+"/count"))
	p := image.Tree(b.Dir) + "/a/b/big"
	st, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.Chmod(p, 0o644), os.WriteFile(p, []byte(strings.Repeat("y", 100000)), 0o600), os.Chmod(p, st.Mode().Perm()), os.Chtimes(p, st.ModTime(), st.ModTime()))
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Verify(b.Dir, key, false); err != nil {
		t.Errorf("a quick check reads every file: %v", err)
	}
	if err := image.Verify(b.Dir, key, true); !errors.Is(err, image.ErrDamaged) {
		t.Errorf("a full check found nothing: %v", err)
	}
}

func TestInUse(t *testing.T) {
	s := open(t)
	b := build(t, s, recipe(t.TempDir()+"/count"))
	u, err := image.Acquire(b.Dir, key)
	if err != nil {
		t.Fatal(err)
	}
	i, err := s.Find("default")
	if err != nil || !i.InUse {
		t.Fatalf("%+v %v", i, err)
	}
	if err := s.Remove(i); !errors.Is(err, image.ErrInUse) {
		t.Errorf("Remove: %v", err)
	}
	// A new recipe takes the name over, and the old image goes with gc, once it
	// is not used any more.
	r := recipe(t.TempDir() + "/count")
	r.Key = "fedcba9876543210"
	build(t, s, r)
	if gone, _, err := s.Collect(); err != nil || len(gone) != 0 {
		t.Errorf("Collect: %v %v", gone, err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	gone, size, err := s.Collect()
	if err != nil || len(gone) != 1 || gone[0].Key != key || size != 100008 {
		t.Errorf("Collect: %v %d %v", gone, size, err)
	}
	only(t, s, r.Key, "names")
	if i, err = s.Find("fedcba98"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(i); err != nil {
		t.Error(err)
	}
	if _, err := s.Find("default"); !errors.Is(err, image.ErrNotFound) {
		t.Error(err)
	}
	if _, err := image.Acquire(b.Dir, key); !errors.Is(err, image.ErrNotFound) {
		t.Error(err)
	}
}

func TestForeignStore(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := image.Open(dir); !errors.Is(err, image.ErrOwner) {
		t.Error(err)
	}
	foreign := "/"
	if os.Geteuid() == 0 { // whose is everything, but for this
		foreign = t.TempDir()
		if err := os.Chown(foreign, 4711, 4711); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := image.Open(foreign); !errors.Is(err, image.ErrOwner) {
		t.Error(err)
	}
}

func TestRoot(t *testing.T) {
	for _, tc := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"MUSTER_IMAGES": "/i", "HOME": "/h"}, "/i"},
		{map[string]string{"XDG_DATA_HOME": "/x", "HOME": "/h"}, "/x/muster/images"},
		{map[string]string{"XDG_DATA_HOME": "rel", "HOME": "/h"}, "/h/.local/share/muster/images"},
		{nil, ""},
	} {
		got, err := image.Root(func(n string) string { return tc.env[n] })
		if got != tc.want || (err != nil) != (tc.want == "") {
			t.Errorf("%v: %q %v", tc.env, got, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, bad := range []string{"", ".", "..", "a/b", "-x", "a b", strings.Repeat("x", 65), "x.building"} {
		if image.CheckName(bad) == nil {
			t.Errorf("%q is a name", bad)
		}
	}
	if err := image.CheckName("my-image_2.0"); err != nil {
		t.Error(err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	s := open(t)
	r := recipe(t.TempDir() + "/count")
	inside, leave, done := make(chan bool), make(chan bool), make(chan error)
	make1 := r.Make
	r.Make = func(ctx context.Context, dir string) (map[string]string, error) {
		close(inside)
		<-leave
		return make1(ctx, dir)
	}
	go func() {
		_, err := s.Build(context.Background(), r, nil)
		done <- err
	}()
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	_, err := s.Build(ctx, r, func(string) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
