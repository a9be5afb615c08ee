package rundir

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func newTestPublisher(t testing.TB, output string, fault func(string) error) *Publisher {
	t.Helper()
	p, err := NewPublisher(output, 12, "tok", PublisherOptions{Fault: fault})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.root.Close() })
	return p
}

// leave does what a program does: it writes NAME in its attempt's folder.
func leave(t testing.TB, p *Publisher, task, attempt int, name, content string) (tmp string) {
	t.Helper()
	dir, err := p.Attempt(task, attempt)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return attemptDirName(task, attempt) + "/" + name
}

func leaveFolder(t testing.TB, p *Publisher, task, attempt int, name string, files ...string) (tmp string) {
	t.Helper()
	dir, err := p.Attempt(task, attempt)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		path := filepath.Join(dir, name, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(file), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return attemptDirName(task, attempt) + "/" + name
}

func hashOf(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

func content(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func namesIn(t testing.TB, dir string) []string {
	t.Helper()
	names, err := readNames(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// noLinks are file systems with less and less.
var noLinks = map[string]func(step string) error{
	"links": nil,
	"no links": func(step string) error {
		if step == "link" {
			return unix.EPERM
		}
		return nil
	},
	"copies only": func(step string) error {
		if step == "link" || step == "rename" {
			return unix.ENOSYS
		}
		return nil
	},
}

func TestPublish(t *testing.T) {
	for name, fault := range noLinks {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			p := newTestPublisher(t, out, fault)
			if fi, err := os.Stat(p.Dir()); err != nil || fi.Mode().Perm() != 0o700 {
				t.Error(fi.Mode(), err)
			}
			for i, final := range []string{"a.out", "sub/deep/b.out", "new\nline \xff.out", strings.Repeat("x", 255)} {
				tmp := leave(t, p, i+1, 1, "name", final)
				want := Output{Name: final, Size: int64(len(final)), Hash: hashOf(final)}
				for range 2 { // again is the same
					if got, err := p.Publish(tmp, final); err != nil || got != want {
						t.Errorf("%+v, %v", got, err)
					}
					if name == "copies only" {
						break
					}
				}
				if got := content(t, filepath.Join(out, final)); got != final {
					t.Errorf("%q holds %q", final, got)
				}
				if err := p.Release(attemptDirName(i+1, 1)); err != nil {
					t.Error(err)
				}
			}
			for _, name := range namesIn(t, p.Dir()) {
				if !strings.HasPrefix(name, sparePrefix) || len(namesIn(t, filepath.Join(p.Dir(), name))) > 0 {
					t.Error("left:", name)
				}
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if names := namesIn(t, out); slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, ".muster-") }) {
				t.Error("left after Close:", names)
			}
			if names := namesIn(t, out); len(names) != 4 || slices.Contains(names, filepath.Base(p.Dir())) {
				t.Errorf("%q", names)
			}
		})
	}
}

func TestPublishReplacesNothing(t *testing.T) {
	for name, fault := range noLinks {
		out := t.TempDir()
		p := newTestPublisher(t, out, fault)
		old := filepath.Join(out, "a.out")
		if err := os.WriteFile(old, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		tmp := leave(t, p, 1, 1, "a.out", "new")
		if _, err := p.Publish(tmp, "a.out"); !errors.Is(err, ErrExists) {
			t.Errorf("%s: %v", name, err)
		}
		folder := leaveFolder(t, p, 2, 1, "d", "x")
		if err := os.Mkdir(filepath.Join(out, "d"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Publish(folder, "d"); !errors.Is(err, ErrExists) && name != "copies only" {
			t.Errorf("%s: %v", name, err)
		}
		if got := content(t, old); got != "old" || len(namesIn(t, filepath.Join(out, "d"))) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestPublishFolder(t *testing.T) {
	out := t.TempDir()
	p := newTestPublisher(t, out, nil)
	tmp := leaveFolder(t, p, 1, 1, "case1", "one", "sub/three")
	if err := os.Symlink("/etc/passwd", filepath.Join(p.Dir(), tmp, "link")); err != nil {
		t.Fatal(err)
	}
	want := Output{Name: "results/case1", Size: int64(len("one") + len("sub/three"))}
	for range 2 {
		if got, err := p.Publish(tmp, "results/case1"); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if got := content(t, filepath.Join(out, "results/case1/sub/three")); got != "sub/three" {
		t.Error(got)
	}
}

func TestOneOfManyAttemptsPublishes(t *testing.T) {
	out := t.TempDir()
	p := newTestPublisher(t, out, nil)
	var mu sync.Mutex
	var won []string
	var wg sync.WaitGroup
	for attempt := 1; attempt <= 20; attempt++ {
		text := fmt.Sprint("attempt ", attempt)
		tmp := leave(t, p, 1, attempt, "a", text)
		wg.Go(func() {
			_, err := p.Publish(tmp, "a.out")
			if err == nil {
				mu.Lock()
				won = append(won, text)
				mu.Unlock()
			} else if !errors.Is(err, ErrExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 || content(t, filepath.Join(out, "a.out")) != won[0] {
		t.Error(won)
	}
}

func TestWhatIsNoOutput(t *testing.T) {
	out := t.TempDir()
	p := newTestPublisher(t, out, nil)
	dir, err := p.Attempt(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(secret, []byte("s"), 0o600), os.Symlink(secret, filepath.Join(dir, "link")), unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for tmp, want := range map[string]error{"1.1/none": ErrNoOutput, "2.1/none": ErrNoOutput, "1.1/link": ErrKind, "1.1/pipe": ErrKind} {
		if _, err := p.Publish(tmp, "x"); !errors.Is(err, want) {
			t.Errorf("%s: %v", tmp, err)
		}
	}
	leave(t, p, 1, 1, "a", "a")
	for _, final := range []string{"../x", "/tmp/x", "", ".", "a/../../x"} {
		if _, err := p.Publish("1.1/a", final); err == nil {
			t.Errorf("published under %q", final)
		}
	}
	if _, err := p.Publish("../a", "x"); err == nil {
		t.Error("published from outside")
	}
	if names := namesIn(t, out); len(names) != 1 {
		t.Error(names)
	}
}

// A job swaps links in for folders: nothing outside changes.
func TestLinksLeadNowhere(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "keep"), []byte("k"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	p := newTestPublisher(t, out, nil)
	tmp := leave(t, p, 1, 1, "a", "a")
	if err := os.Symlink(outside, filepath.Join(out, "sub")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(tmp, "sub/a.out"); err == nil {
		t.Error("published through a link")
	}
	if err := os.Symlink(outside, filepath.Join(p.Dir(), "2.1")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish("2.1/keep", "stolen"); err == nil {
		t.Error("published from outside")
	}
	if err := p.Discard(2, 1); err != nil {
		t.Error(err)
	}
	// In place of an attempt's folder's content.
	if err := os.Symlink(outside, filepath.Join(p.Dir(), "1.1", "way out")); err != nil {
		t.Fatal(err)
	}
	if err := p.Discard(1, 1); err != nil {
		t.Error(err)
	}
	if names := namesIn(t, outside); !slices.Equal(names, []string{"keep"}) {
		t.Error(names)
	}
}

// A link that a network file system reports as failed, though it was made.
func TestLostAnswers(t *testing.T) {
	for _, lost := range []string{"linked", "renamed"} {
		out := t.TempDir()
		p := newTestPublisher(t, out, func(step string) error {
			if step == lost {
				return unix.EIO
			}
			if step == "link" && lost == "renamed" {
				return unix.ENOTSUP
			}
			return nil
		})
		tmp := leave(t, p, 1, 1, "a", "a")
		if got, err := p.Publish(tmp, "a.out"); err != nil || got.Hash != hashOf("a") {
			t.Errorf("%s: %+v, %v", lost, got, err)
		}
	}
}

func TestPublishErrorsAreTold(t *testing.T) {
	for _, step := range []string{"sync", "link", "mkdir", "sync-folder", "remove"} {
		for _, errno := range []syscall.Errno{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS} {
			out := t.TempDir()
			p := newTestPublisher(t, out, func(s string) error {
				if s == step {
					return errno
				}
				return nil
			})
			tmp := leave(t, p, 1, 1, "a", "a")
			_, err := p.Publish(tmp, "sub/a.out")
			if step == "sync-folder" || step == "remove" {
				if err != nil {
					t.Errorf("%s: %v", step, err)
				}
				err = p.Release("1.1")
				if got := content(t, filepath.Join(p.Dir(), "1.1/a")); got != "a" {
					t.Errorf("%s: the temporary is gone: %s", step, got)
				}
			}
			if !errors.Is(err, errno) {
				t.Errorf("%s: %v, want %v", step, err, errno)
			}
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	out := b.TempDir()
	p := newTestPublisher(b, out, nil)
	var done []string
	n := 0
	for b.Loop() {
		n++
		if _, err := p.Publish(leave(b, p, n, 1, "a", "some output\n"), fmt.Sprintf("%d.out", n)); err != nil {
			b.Fatal(err)
		}
		if done = append(done, attemptDirName(n, 1)); len(done) == 50 {
			if err := p.Release(done...); err != nil {
				b.Fatal(err)
			}
			done = done[:0]
		}
	}
}
