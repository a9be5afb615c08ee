package winetest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"muster/internal/guest/wine/winetest"
)

// Several that want the same programs at once get the same complete files, and
// nothing else is left in their folders.
func TestBuildTogether(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var wg sync.WaitGroup
	got := make([]map[string]string, 4)
	for n := range got {
		wg.Go(func() { got[n] = winetest.Build(t, "upper", "absent") })
	}
	wg.Wait()
	for _, paths := range got {
		for name, path := range paths {
			if path != got[0][name] {
				t.Errorf("%s is at %s and at %s", name, path, got[0][name])
			}
			b, err := os.ReadFile(path)
			if err != nil || !bytes.HasPrefix(b, []byte("MZ")) {
				t.Errorf("%s: %v", path, err)
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(entries) != 1 {
				t.Errorf("beside %s: %v, %v", path, entries, err)
			}
		}
	}
}

// A bare prefix runs programs, with its own drives, and leaves no process behind.
func TestBare(t *testing.T) {
	copier := winetest.Build(t, "copy")["copy"]
	var dir string
	t.Run("inside", func(t *testing.T) {
		prefix := winetest.Bare(t)
		dir = prefix.Dir
		files := t.TempDir()
		if err := os.WriteFile(filepath.Join(files, "a"), []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		prefix.Drive(t, "x", files)
		r := prefix.Run(t, files, "-all", copier, `x:\a`, `x:\b`)
		if b, err := os.ReadFile(filepath.Join(files, "b")); r.Code != 0 || err != nil || string(b) != "text" {
			t.Errorf("exit %d, %q, %v\n%s", r.Code, b, err, r.Stderr)
		}
		if len(servers(t, dir)) == 0 {
			t.Error("no process of the prefix is seen: the check below would prove nothing")
		}
	})
	if left := servers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// servers lists the processes whose environment names the prefix.
func servers(t *testing.T, dir string) []string {
	t.Helper()
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range environs {
		if b, err := os.ReadFile(e); err == nil && strings.Contains("\x00"+string(b), "\x00WINEPREFIX="+dir+"\x00") {
			found = append(found, e)
		}
	}
	return found
}
