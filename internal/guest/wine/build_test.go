package wine_test

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
	"muster/internal/image"
	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

// ownStore is a store for one test.
func ownStore(t *testing.T) *image.Store {
	t.Helper()
	dir := t.TempDir()
	store, err := image.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // so that an ordinary user can remove it
		filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(p, 0o700)
			}
			return nil
		})
	})
	return store
}

func build(t *testing.T, table *proc.Table, b wine.Build) guest.Image {
	t.Helper()
	front := wine.NewFront(table, ownStore(t), os.Getenv)
	built, err := front.Build(context.Background(), b, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	if img, err := front.Image(context.Background(), guest.Request{Image: b.Name}, nil); err != nil || img.Dir != built.Dir || img.Built != 0 {
		t.Errorf("it is not the one that runs find: %+v %v", img, err)
	}
	if left, err := table.Descendants(); err != nil || len(left) > 0 {
		t.Errorf("building left %v %v", left, err)
	}
	t.Logf("built in %s: %d MB", built.Took, built.Manifest.Size>>20)
	return guest.Image{Dir: built.Dir, Key: built.Manifest.Key}
}

// An image with a Wine of its own, a folder of the user's, and a setup program
// that was run in it.
func TestImageWithEverything(t *testing.T) {
	loader, dlls := winetest.NeedWine(t)
	progs := winetest.Build(t, "hello", "copy", "registry")
	setup := compile(t, "setup", `
#include <stdio.h>
#include <windows.h>
int wmain(int argc, wchar_t **argv)
{
    HKEY k;
    FILE *f;
    CreateDirectoryW(L"C:\\Program Files\\Simulator", NULL);
    if (!(f = fopen("C:\\Program Files\\Simulator\\sim.cfg", "w"))) return 4;
    fprintf(f, "%ls", argc > 1 ? argv[1] : L"-");
    fclose(f);
    if (RegCreateKeyW(HKEY_CURRENT_USER, L"Software\\Muster", &k)) return 5;
    return RegSetValueExW(k, L"Installed", 0, REG_SZ, (BYTE *)L"yes", 8) != 0;
}`)
	add := filepath.Join(t.TempDir(), "my sim")
	if err := os.MkdirAll(add+"/data", 0o700); err != nil {
		t.Fatal(err)
	}
	hello, err := os.ReadFile(progs["hello"])
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"hello.exe": hello, "data/small.txt": []byte("small"), "data/big.bin": make([]byte, 1<<20)} {
		if err := os.WriteFile(filepath.Join(add, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	table := proctest.Table(t)
	img := build(t, table, wine.Build{Wine: carriedWine(t, loader, dlls), Add: add, Run: setup, RunArgs: []string{"/S"}})

	// It works where it is moved to.
	moved := t.TempDir() + "/elsewhere"
	if err := os.Rename(img.Dir, moved); err != nil {
		t.Fatal(err)
	}
	img.Dir = moved
	t.Cleanup(func() { guest.RemoveAll(moved) })
	w := openWorld(t, table, img, wine.BootLean, filepath.Dir(filepath.Dir(progs["copy"])), nil)
	for from, want := range map[string]string{`C:\Program Files\Simulator\sim.cfg`: "/S", `C:\muster\my sim\data\small.txt`: "small"} {
		if r := w.run(progs["copy"], from, `O:\got`); !r.OK() {
			t.Errorf("%s: %+v %q", from, r.Exit, r.err)
		} else if b, err := os.ReadFile(w.folders.Out + "/got"); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", from, b, err)
		}
		os.Remove(w.folders.Out + "/got")
	}
	if r := w.run(progs["registry"], "read", "Installed"); !r.OK() || !strings.Contains(r.out, "yes") {
		t.Errorf("%+v %q %q", r.Exit, r.out, r.err)
	}
	// A program in the image runs by its path there, and Wine is the one in the image.
	exe := filepath.Join(image.Tree(moved), "prefix/drive_c/muster/my sim/hello.exe")
	if name, err := w.inst.Path(exe); name != `C:\muster\my sim\hello.exe` || err != nil {
		t.Errorf("%s %v", name, err)
	}
	if r := w.run(exe); !r.OK() {
		t.Errorf("%+v %q", r.Exit, r.err)
	}
	for _, p := range w.find("wineserver64") {
		if bin, err := os.Readlink("/proc/" + itoa(p.PID) + "/exe"); err != nil || !strings.HasPrefix(bin, moved) {
			t.Errorf("the server is %s %v", bin, err)
		}
	}
	// What is linked from the image cannot be changed, what is copied is private.
	if r := w.run(progs["copy"], `P:\hello\hello.exe`, `C:\muster\my sim\data\small.txt`); !r.OK() {
		t.Errorf("a small file of one's own: %+v", r.Exit)
	}
	if r := w.run(progs["copy"], `P:\hello\hello.exe`, `C:\muster\my sim\data\new.txt`); !r.OK() {
		t.Errorf("a new file: %+v", r.Exit)
	}
	if r := w.run(progs["copy"], `P:\hello\hello.exe`, `C:\muster\my sim\data\big.bin`); r.OK() {
		t.Error("a big file of the image can be written")
	}
	if err := image.Verify(moved, img.Key, true); err != nil {
		t.Error(err)
	}
}

// carriedWine is a folder with a copy of this machine's Wine, as somebody
// without root would bring one.
func carriedWine(t *testing.T, loader, dlls string) string {
	t.Helper()
	if loader != "/usr/lib/wine/wine64" {
		t.Fatalf("this test knows Debian's layout only, not %s", loader)
	}
	root := t.TempDir()
	for _, dir := range []string{"/usr/lib/wine", filepath.Dir(dlls), "/usr/share/wine"} {
		to := filepath.Join(root, dir)
		if err := os.MkdirAll(to, 0o700); err != nil {
			t.Fatal(err)
		}
		// Hard links where they are allowed: half a gigabyte.
		err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			target := filepath.Join(root, p)
			switch {
			case err != nil || p == dir:
				return err
			case d.IsDir():
				return os.Mkdir(target, 0o700)
			case d.Type() != 0:
				return nil
			}
			if os.Link(p, target) == nil {
				return nil
			}
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			return os.WriteFile(target, b, 0o755)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestBuildFails(t *testing.T) {
	fails := compile(t, "fails", `int wmain(void) { return 3; }`)
	table := proctest.Table(t)
	store := ownStore(t)
	f := wine.NewFront(table, store, os.Getenv)
	for name, tc := range map[string]struct {
		b    wine.Build
		want string
	}{
		"setup fails":  {wine.Build{Run: fails}, "fails.exe"},
		"no such file": {wine.Build{Run: "/no/setup.exe"}, "/no/setup.exe"},
		"bad name":     {wine.Build{Name: "a/b"}, "a/b"},
	} {
		if _, err := f.Build(context.Background(), tc.b, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// In the middle of it.
	ctx, cancel := context.WithCancel(context.Background())
	_, err := f.Build(ctx, wine.Build{}, func(line string) {
		if strings.Contains(line, "wineboot") {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left, err := table.Descendants(); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
	names, err := filepath.Glob(store.Dir() + "/*/*")
	if err != nil || len(names) > 0 {
		t.Errorf("left: %v %v", names, err)
	}
}

// One server takes so many programs and no more; the next ones get another.
func TestSeveralServers(t *testing.T) {
	progs := winetest.Build(t, "sleeper", "hello")
	w := newWorld(t, wine.BootLean, filepath.Dir(filepath.Dir(progs["hello"])), nil)
	wine.SetClients(w.inst, 2)
	for n := range 5 {
		_, _ = w.start(progs["sleeper"], "-1", `O:\`+itoa(n))
	}
	w.eventually("all five run", func() bool {
		names, err := os.ReadDir(w.folders.Out)
		return err == nil && len(names) == 5
	})
	servers := w.find("wineserver64")
	if len(servers) != 3 {
		t.Fatalf("%d servers for 5 programs of 2 each", len(servers))
	}
	// The death of one, the first and so a full one, takes its own programs only.
	slices.SortFunc(servers, func(a, b proc.Info) int { return cmp.Compare(a.Started, b.Started) })
	if err := proc.SignalProcess(servers[0], 9); err != nil {
		t.Fatal(err)
	}
	w.eventually("its programs have ended", func() bool { return len(w.find("sleeper.exe")) <= 3 })
	if got := len(w.find("sleeper.exe")); got != 3 {
		t.Errorf("%d programs live on", got)
	}
	if !w.inst.Alive() {
		t.Error("the instance is dead with one of its servers")
	}
	if r := w.run(progs["hello"]); !r.OK() {
		t.Errorf("%+v", r.Exit)
	}
}
