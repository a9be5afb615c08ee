package tree

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stream writes entries as somebody hostile may: nothing is checked.
func stream(entries func(e *encoder)) *bytes.Buffer {
	var b bytes.Buffer
	e := &encoder{w: bufio.NewWriter(&b)}
	_ = e.raw([]byte(magic))
	entries(e)
	_ = e.w.Flush()
	return &b
}

func (e *encoder) sendFile(name, content string) {
	_ = e.begin(file).text(name).meta(meta{mode: 0o644}).write()
	n := len(content)
	_ = e.raw([]byte{extent, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	_ = e.raw([]byte(content))
	_ = e.begin(eof).write()
}

func (e *encoder) sendLink(name, to string) {
	_ = e.begin(symlink).text(name).meta(meta{mode: 0o777}).text(to).write()
}

func (e *encoder) sendFolder(name string) {
	_ = e.begin(enter).text(name).meta(meta{mode: 0o755}).write()
}

// TestHostile: whatever is sent, nothing outside the folder is touched.
func TestHostile(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "victim"), "untouched")
	before := describe(t, outside)
	for _, c := range []struct {
		name string
		want error
		send func(e *encoder)
	}{
		{"file above", ErrBroken, func(e *encoder) { e.sendFile("../victim", "x") }},
		{"parent as a name", ErrBroken, func(e *encoder) { e.sendFolder("..") }},
		{"itself as a name", ErrBroken, func(e *encoder) { e.sendFolder(".") }},
		{"absolute", ErrBroken, func(e *encoder) { e.sendFile(filepath.Join(outside, "victim"), "x") }},
		{"empty name", ErrBroken, func(e *encoder) { e.sendFile("", "x") }},
		{"NUL", ErrBroken, func(e *encoder) { e.sendFile("a\x00b", "x") }},
		{"long name", ErrBroken, func(e *encoder) { e.sendFile(strings.Repeat("n", 256), "x") }},
		{"left too often", ErrBroken, func(e *encoder) { _ = e.begin(leave).write() }},
		{"left too rarely", ErrBroken, func(e *encoder) {
			e.sendFolder("a")
			_ = e.begin(finish).number(1).number(0).write()
		}},
		{"wrong count", ErrBroken, func(e *encoder) { _ = e.begin(finish).number(7).number(0).write() }},
		{"unknown kind", ErrBroken, func(e *encoder) { _ = e.begin('?').write() }},
		{"large extent", ErrBroken, func(e *encoder) {
			_ = e.begin(file).text("x").meta(meta{}).write()
			_ = e.raw([]byte{extent, 0xff, 0xff, 0xff, 0xff})
		}},
		{"huge hole", syscall.EFBIG, func(e *encoder) {
			_ = e.begin(file).text("x").meta(meta{}).write()
			_ = e.begin(hole).number(1 << 61).write()
			_ = e.begin(hole).number(1 << 61).write()
			_ = e.begin(hole).number(1 << 61).write()
		}},
		{"negative hole", ErrBroken, func(e *encoder) {
			_ = e.begin(file).text("x").meta(meta{}).write()
			_ = e.begin(hole).number(-1).write()
		}},
		{"nanoseconds", ErrBroken, func(e *encoder) { _ = e.begin(file).text("x").meta(meta{nsec: 1e9}).write() }},
		{"file through its own link", nil, func(e *encoder) {
			e.sendLink("x", filepath.Join(outside, "victim"))
			e.sendFile("x", "over it")
			_ = e.begin(finish).number(2).number(0).write()
		}},
		{"folder through its own link", nil, func(e *encoder) {
			e.sendLink("x", outside)
			e.sendFolder("x")
			e.sendFile("victim", "over it")
			_ = e.begin(leave).write()
			_ = e.begin(finish).number(3).number(0).write()
		}},
		{"other name of what is outside", ErrBroken, func(e *encoder) {
			_ = e.begin(same).text("x").text("../" + filepath.Base(outside) + "/victim").write()
		}},
		{"other name of a link", ErrBroken, func(e *encoder) {
			e.sendLink("x", filepath.Join(outside, "victim"))
			_ = e.begin(same).text("y").text("x").write()
		}},
		{"other name through a link", syscall.ENOTDIR, func(e *encoder) {
			e.sendLink("x", outside)
			_ = e.begin(same).text("y").text("x/victim").write()
		}},
		{"other name of a folder", ErrBroken, func(e *encoder) {
			e.sendFolder("x")
			_ = e.begin(leave).write()
			_ = e.begin(same).text("y").text("x").write()
		}},
		{"other name of nothing", syscall.ENOENT, func(e *encoder) { _ = e.begin(same).text("y").text("x").write() }},
		{"another name of itself", nil, func(e *encoder) {
			e.sendFile("x", "content")
			_ = e.begin(same).text("x").text("x").write()
			_ = e.begin(finish).number(2).number(0).write()
		}},
		{"somebody else's rights", nil, func(e *encoder) {
			_ = e.begin(file).text("x").meta(meta{mode: 0o6777}).write()
			_ = e.begin(eof).write()
			_ = e.begin(finish).number(1).number(0).write()
		}},
		{"too deep", ErrBroken, func(e *encoder) {
			for range maxDepth + 2 {
				e.sendFolder("d")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := t.TempDir()
			if _, err := Receive(stream(c.send), to, Limits{}); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if now := describe(t, outside); now != before {
				t.Errorf("outside there is now\n%s", now)
			}
			if st, err := os.Stat(filepath.Join(to, "x")); err == nil && st.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
				t.Errorf("it has the permissions %v", st.Mode())
			}
		})
	}
}

// FuzzReceive: no stream makes the receiver panic, leave its folder, or take much memory.
func FuzzReceive(f *testing.F) {
	from := f.TempDir()
	write(f, filepath.Join(from, "folder", "file"), "content")
	write(f, filepath.Join(from, "sparse"), "")
	if err := os.Truncate(filepath.Join(from, "sparse"), 1<<20); err != nil {
		f.Fatal(err)
	}
	for _, step := range []error{
		os.Symlink("../..", filepath.Join(from, "folder", "up")),
		os.Link(filepath.Join(from, "folder", "file"), filepath.Join(from, "same")),
	} {
		if step != nil {
			f.Fatal(step)
		}
	}
	var b bytes.Buffer
	if _, err := Send(f.Context(), &b, from, Keep); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(stream(func(e *encoder) { e.sendLink("x", ".."); e.sendFolder("x"); e.sendFile("out", "x") }).Bytes())
	f.Add(stream(func(e *encoder) { e.sendFile("../out", "x") }).Bytes())
	f.Add(stream(func(e *encoder) { _ = e.begin(same).text("y").text("../above").write() }).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		above := t.TempDir()
		write(t, filepath.Join(above, "above"), "untouched")
		to := filepath.Join(above, "to")
		if err := os.Mkdir(to, 0o700); err != nil {
			t.Fatal(err)
		}
		_, _ = Receive(bytes.NewReader(b), to, Limits{Entries: 100, Bytes: 1 << 20, Size: 1 << 24})
		names, err := os.ReadDir(above)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(above, "above"))
		if len(names) != 2 || err != nil || string(content) != "untouched" {
			t.Errorf("above there are %v and %q, %v", names, content, err)
		}
		_ = filepath.WalkDir(to, func(name string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(name, 0o700) // so that it can be removed
			}
			return nil
		})
	})
}
