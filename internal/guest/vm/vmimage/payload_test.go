package vmimage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/erofs/go-erofs"
)

// mounted reads the image at path as the library reads it.
func mounted(t *testing.T, path string) fs.FS {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	sys, err := erofs.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return sys
}

// listing tells what is in a file system: a line each.
func listing(t *testing.T, sys fs.FS) string {
	t.Helper()
	var out strings.Builder
	err := fs.WalkDir(sys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		line := st.Mode().String() + " " + p
		switch st.Mode().Type() {
		case 0:
			b, err := fs.ReadFile(sys, p)
			if err != nil {
				return err
			}
			if len(b) > 40 {
				b = append(b[:10], "…"...)
			}
			line += " " + string(b)
		case fs.ModeSymlink:
			to, err := fs.ReadLink(sys, p)
			if err != nil {
				return err
			}
			line += " -> " + to
		}
		if s := st.Sys().(*erofs.Stat); s.UID != 0 || s.GID != 0 {
			line += " not root's"
		}
		out.WriteString(line + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// put makes files, folders ("a/") and links ("a -> b") below dir.
func put(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		name, link, isLink := strings.Cut(name, " -> ")
		name = filepath.Join(dir, name) + strings.Repeat("/", strings.Count(name[len(name)-1:], "/"))
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		switch {
		case err != nil || strings.HasSuffix(name, "/"):
		case isLink:
			err = os.Symlink(link, name)
		default:
			err = os.WriteFile(name, []byte(filepath.Base(name)), 0o640)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWritePayload(t *testing.T) {
	syscall.Umask(0o022)
	dir := t.TempDir()
	put(t, dir, "prog/bin/sim", "prog/lib/libx.so -> libx.so.1", "prog/lib/libx.so.1", "prog/empty/", "prog/odd\nname\xff", "far/one", "in/7/one -> ../../far/one", "in/7/two -> ../../far", "lib.cfg")
	if err := os.WriteFile(dir+"/prog/large", []byte(strings.Repeat("0123456789", 2000)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/prog/nothing", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(dir+"/prog/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "payload")
	err := WritePayload(t.Context(), path, []Source{
		{At: "program", Host: dir + "/prog"}, {At: "in", Host: dir + "/in", Follow: true}, {At: "mnt/cfg", Host: dir + "/lib.cfg"},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `drwxr-xr-x .
drwxr-xr-x in
drwxr-xr-x in/7
-rw-r----- in/7/one one
drwxr-xr-x in/7/two
-rw-r----- in/7/two/one one
drwxr-xr-x mnt
-rw-r----- mnt/cfg lib.cfg
drwxr-xr-x program
drwxr-xr-x program/bin
-rw-r----- program/bin/sim sim
drwxr-xr-x program/empty
-rwxr-xr-x program/large 0123456789…
drwxr-xr-x program/lib
Lrwxrwxrwx program/lib/libx.so -> libx.so.1
-rw-r----- program/lib/libx.so.1 libx.so.1
-rw------- program/nothing 
` + "-rw-r----- program/odd\nname\xff odd\nname\xff\n"
	if got := listing(t, mounted(t, path)); got != want {
		t.Errorf("the payload holds\n%s\nwant\n%s", got, want)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() != PayloadSize {
		t.Errorf("it seems to have %d bytes", st.Size())
	}
	if blocks := st.Sys().(*syscall.Stat_t).Blocks; blocks > 1000 {
		t.Errorf("it takes %d blocks: it is not sparse", blocks)
	}
}

func TestPayloadRefused(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "broken/link -> nowhere", "circle/a/b -> ..", "good/file")
	ended, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		name    string
		ctx     context.Context
		sources []Source
		want    error
	}{
		{"missing", t.Context(), []Source{{At: "in", Host: dir + "/none"}}, ErrPayload},
		{"broken link", t.Context(), []Source{{At: "in", Host: dir + "/broken", Follow: true}}, ErrPayload},
		{"circle", t.Context(), []Source{{At: "in", Host: dir + "/circle", Follow: true}}, ErrPayload},
		{"outside", t.Context(), []Source{{At: "../in", Host: dir + "/good"}}, ErrPayload},
		{"file for a folder", t.Context(), []Source{{At: "in", Host: dir + "/good"}, {At: "in", Host: dir + "/good/file"}}, ErrPayload},
		{"cancelled", ended, []Source{{At: "in", Host: dir + "/good"}}, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "payload")
			if err := WritePayload(c.ctx, path, c.sources); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file is left: %v", err)
			}
		})
	}
}
