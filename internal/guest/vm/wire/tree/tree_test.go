package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// describe lists all that is in a folder, a line each: what a tree keeps, and nothing else.
func describe(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	inodes := map[uint64]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%q %v %d", rel, st.Mode(), st.ModTime().UnixNano())
		switch st.Mode().Type() {
		case 0:
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			sys := st.Sys().(*syscall.Stat_t)
			if first, ok := inodes[sys.Ino]; ok {
				fmt.Fprintf(&b, " = %q", first)
			} else {
				inodes[sys.Ino] = rel
			}
			fmt.Fprintf(&b, " %d %.200q", len(content), content)
		case fs.ModeSymlink:
			to, err := os.Readlink(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " -> %q", to)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// carry sends from and receives it in to.
func carry(t testing.TB, from, to string, links Links) (sent Count) {
	t.Helper()
	var b bytes.Buffer
	sent, err := Send(t.Context(), &b, from, links)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Receive(&b, to, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got != sent {
		t.Errorf("%+v was sent, %+v received", sent, got)
	}
	return sent
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestKept: everything that a tree keeps.
func TestKept(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, filepath.Join(from, "plain"), "content")
	write(t, filepath.Join(from, "a", "b", "c", "deep"), "deep")
	write(t, filepath.Join(from, " \n\x1b[31m\xff*$(x)"), "odd")
	write(t, filepath.Join(from, strings.Repeat("n", 255)), "long")
	write(t, filepath.Join(from, "-rf"), "")
	write(t, filepath.Join(from, "large"), strings.Repeat("0123456789", 200_000))
	for _, step := range []error{
		os.Mkdir(filepath.Join(from, "empty"), 0o700),
		os.Symlink("plain", filepath.Join(from, "link")),
		os.Symlink("/etc/passwd", filepath.Join(from, "a", "absolute")),
		os.Symlink("../../../nowhere", filepath.Join(from, "a", "dangling")),
		os.Symlink("a", filepath.Join(from, "folder link")),
		os.Link(filepath.Join(from, "plain"), filepath.Join(from, "a", "b", "same")),
		os.Link(filepath.Join(from, "plain"), filepath.Join(from, "same")),
		os.Chmod(filepath.Join(from, "plain"), 0o751),
		os.Chtimes(filepath.Join(from, "plain"), time.Time{}, time.Unix(1, 23)),
		os.Chtimes(filepath.Join(from, "a", "b"), time.Time{}, time.Unix(1<<33, 999_999_999)),
		os.Chmod(filepath.Join(from, "a", "b", "c"), 0o555),
		syscall.Mkfifo(filepath.Join(from, "pipe"), 0o600),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	defer os.Chmod(filepath.Join(from, "a", "b", "c"), 0o755)
	defer os.Chmod(filepath.Join(to, "a", "b", "c"), 0o755)
	count := carry(t, from, to, Keep)
	if want := (Count{Files: 6, Folders: 4, Links: 6, Bytes: 7 + 4 + 3 + 4 + 2_000_000, Skipped: 1}); count != want {
		t.Errorf("got %+v, want %+v", count, want)
	}
	if err := os.Remove(filepath.Join(from, "pipe")); err != nil {
		t.Fatal(err)
	}
	if got, want := describe(t, to), describe(t, from); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestFollowed: with Follow, links are replaced by what they lead to, also outside; circles are errors.
func TestFollowed(t *testing.T) {
	from, to, outside := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "file"), "outside")
	write(t, filepath.Join(outside, "folder", "inner"), "inner")
	for name, target := range map[string]string{"file": "file", "all": ""} {
		if err := os.Symlink(filepath.Join(outside, target), filepath.Join(from, name)); err != nil {
			t.Fatal(err)
		}
	}
	carry(t, from, to, Follow)
	for name, want := range map[string]string{"file": "outside", "all/file": "outside", "all/folder/inner": "inner"} {
		st, err := os.Lstat(filepath.Join(to, name))
		if err != nil || !st.Mode().IsRegular() {
			t.Fatalf("%s: %v, %v", name, st, err)
		}
		if b, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if err := os.Symlink(from, filepath.Join(from, "circle")); err != nil {
		t.Fatal(err)
	}
	if _, err := Send(t.Context(), &bytes.Buffer{}, from, Follow); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a circle: %v", err)
	}
}

// TestHoles: where a file has no data, none are sent, and none are written.
func TestHoles(t *testing.T) {
	const page = 64 << 10
	for _, c := range []struct {
		name string
		size int64
		data []int64 // pages with data
	}{
		{"all hole", 40 * page, nil},
		{"hole first", 40 * page, []int64{39}},
		{"hole last", 40 * page, []int64{0}},
		{"in between", 40*page + 17, []int64{3, 4, 20}},
		{"empty", 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := t.TempDir(), t.TempDir()
			f, err := os.Create(filepath.Join(from, "sparse"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Truncate(c.size); err != nil {
				t.Fatal(err)
			}
			for _, p := range c.data {
				if _, err := f.WriteAt(bytes.Repeat([]byte{byte(p) + 1}, page), p*page); err != nil {
					t.Fatal(err)
				}
			}
			if count := carry(t, from, to, Keep); count.Bytes > int64(len(c.data))*page {
				t.Errorf("%d bytes were sent", count.Bytes)
			}
			if got, want := describe(t, to), describe(t, from); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			a, _ := os.ReadFile(filepath.Join(from, "sparse"))
			b, _ := os.ReadFile(filepath.Join(to, "sparse"))
			if !bytes.Equal(a, b) {
				t.Error("the content differs")
			}
		})
	}
}

// TestReplaced: what is there already makes way, and is never written through.
func TestReplaced(t *testing.T) {
	from, to, outside := t.TempDir(), t.TempDir(), t.TempDir()
	victim := filepath.Join(outside, "victim")
	write(t, victim, "untouched")
	write(t, filepath.Join(from, "file"), "new")
	write(t, filepath.Join(from, "linked"), "new")
	write(t, filepath.Join(from, "hard"), "new")
	write(t, filepath.Join(from, "folder", "inner"), "new")
	write(t, filepath.Join(from, "was file", "inner"), "new")
	write(t, filepath.Join(from, "both", "new"), "new")
	write(t, filepath.Join(to, "file"), "old and longer")
	write(t, filepath.Join(to, "was file"), "old")
	write(t, filepath.Join(to, "both", "old"), "old")
	write(t, filepath.Join(to, "other"), "stays")
	for _, step := range []error{
		os.Symlink(victim, filepath.Join(to, "linked")),
		os.Link(victim, filepath.Join(to, "hard")),
		os.Symlink(outside, filepath.Join(to, "folder")),
		os.Symlink("new target", filepath.Join(from, "link")),
		os.Symlink("old target", filepath.Join(to, "link")),
		os.Chmod(filepath.Join(to, "both"), 0o500),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	carry(t, from, to, Keep)
	carry(t, from, to, Keep) // once more, over itself
	for name, want := range map[string]string{
		"file": "new", "linked": "new", "hard": "new", "folder/inner": "new", "was file/inner": "new",
		"both/new": "new", "both/old": "old", "other": "stays",
	} {
		if b, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if target, err := os.Readlink(filepath.Join(to, "link")); err != nil || target != "new target" {
		t.Errorf("link: %q, %v", target, err)
	}
	if got := describe(t, outside); !strings.HasPrefix(got, `"victim" -rw-r--r-- `) || !strings.HasSuffix(got, " 9 \"untouched\"\n") {
		t.Errorf("outside there is now\n%s", got)
	}
}

// TestFolderStays: a folder does not make way for a file.
func TestFolderStays(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, filepath.Join(from, "x"), "file")
	write(t, filepath.Join(to, "x", "precious"), "stays")
	var b bytes.Buffer
	if _, err := Send(t.Context(), &b, from, Keep); err != nil {
		t.Fatal(err)
	}
	if _, err := Receive(&b, to, Limits{}); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("got %v", err)
	}
}

// TestTooDeep: what cannot be sent makes the tree fail on both sides, with the reason.
func TestTooDeep(t *testing.T) {
	from := t.TempDir()
	if err := os.MkdirAll(filepath.Join(from, strings.Repeat("d/", maxDepth+1)), 0o755); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	_, err := Send(t.Context(), &b, from, Keep)
	if err == nil || !strings.Contains(err.Error(), "in each other") {
		t.Fatalf("got %v", err)
	}
	to := t.TempDir()
	_, err = Receive(&b, to, Limits{})
	if theirs := new(SenderError); !errors.As(err, &theirs) {
		t.Errorf("received: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	from := t.TempDir()
	write(t, filepath.Join(from, "file"), "content")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no time")
	cancel(why)
	if _, err := Send(ctx, &bytes.Buffer{}, from, Keep); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

func TestLimits(t *testing.T) {
	from := t.TempDir()
	for i := range 10 {
		write(t, filepath.Join(from, fmt.Sprint(i)), "0123456789")
	}
	for _, c := range []struct {
		most Limits
		ok   bool
	}{
		{Limits{Entries: 10, Bytes: 100, Size: 10}, true},
		{Limits{Entries: 9}, false},
		{Limits{Bytes: 99}, false},
		{Limits{Size: 9}, false},
	} {
		var b bytes.Buffer
		if _, err := Send(t.Context(), &b, from, Keep); err != nil {
			t.Fatal(err)
		}
		if _, err := Receive(&b, t.TempDir(), c.most); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.most, err)
		}
	}
}

// TestCutShort: a stream that ends anywhere is no tree.
func TestCutShort(t *testing.T) {
	from := t.TempDir()
	write(t, filepath.Join(from, "folder", "file"), "content")
	if err := os.Symlink("x", filepath.Join(from, "link")); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := Send(t.Context(), &b, from, Keep); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	for n := range b.Len() {
		if _, err := Receive(bytes.NewReader(b.Bytes()[:n]), to, Limits{}); !errors.Is(err, ErrBroken) {
			t.Fatalf("after %d of %d bytes: %v", n, b.Len(), err)
		}
	}
}

// TestAnyTree: trees of any shape arrive as they are.
func TestAnyTree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		from, err := os.MkdirTemp(t.TempDir(), "from")
		if err != nil {
			rt.Fatal(err)
		}
		to, err := os.MkdirTemp(t.TempDir(), "to")
		if err != nil {
			rt.Fatal(err)
		}
		name := rapid.StringMatching(`[a-c]|[\x01-\x2d]{1,3}|[é\x{4e00}]{1,80}`)
		folders, files := []string{from}, []string(nil)
		for range rapid.IntRange(0, 30).Draw(rt, "entries") {
			at := filepath.Join(rapid.SampledFrom(folders).Draw(rt, "folder"), name.Draw(rt, "name"))
			if _, err := os.Lstat(at); err == nil || filepath.Dir(at) == filepath.Dir(from) {
				continue
			}
			var err error
			switch kind := rapid.IntRange(0, 3).Draw(rt, "kind"); {
			case kind == 0:
				err = os.Mkdir(at, 0o755)
				folders = append(folders, at)
			case kind == 1:
				err = os.Symlink(name.Draw(rt, "target"), at)
			case kind == 2 && len(files) > 0:
				err = os.Link(rapid.SampledFrom(files).Draw(rt, "first"), at)
			default:
				mode := fs.FileMode(rapid.SampledFrom([]int{0o600, 0o644, 0o755, 0o444}).Draw(rt, "mode"))
				err = os.WriteFile(at, rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(rt, "content"), mode)
				files = append(files, at)
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		carry(t, from, to, Keep)
		if got, want := describe(t, to), describe(t, from); got != want {
			rt.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}
