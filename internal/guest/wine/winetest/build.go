// Package winetest helps tests that run real Windows programs under the real Wine.
// It builds the small C programs in internal/guest/wine/testdata/src and runs them
// in a bare Wine prefix that is made in milliseconds. It never skips a test: where the
// cross compiler or Wine is missing, the test fails and says which package to install.
//
// Only tests import it; it may start processes itself for that reason.
package winetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// programs names every test program, and whether boot "lean" is expected for it.
// What each does stands at the top of its source.
var programs = map[string]bool{
	"args": true, "bootevent": true, "copy": true, "crash": true, "dropfile": true, "environ": true,
	"eventuser": true, "flood": true, "hello": true, "loadlib": true, "memeater": true,
	"nonce": true, "registry": true, "sleeper": true,
	"tempfile": true, "upper": true,

	// Windows and COM; children, which may be anything; a DLL of which nothing is known.
	"comuser": false, "guiforever": false, "loadole": false, "messagebox": false, "scmuser": false, "window": false,
	"runchild": false, "starter": false, "needdll": false, "needmiddle": false,
}

// libraries are the DLLs that can be built by themselves, and their file names.
var libraries = map[string]string{"absent": "absent.dll", "absent-other": "absent.dll"}

// Programs tells, for each test program by name, whether boot "lean" is expected
// for it; the others need a full boot.
func Programs() map[string]bool {
	all := make(map[string]bool, len(programs))
	for name, lean := range programs {
		all[name] = lean
	}
	return all
}

// Build builds the named test programs, or every program and library when none is
// named, and gives the path of each: name → …/name/name.exe (for the libraries
// absent and absent-other …/absent.dll). Each has a folder of its own with nothing
// else in it but the DLLs that go with it. The results are kept in the user's cache
// folder under a key made of the sources and the compiler, so that all test processes share
// them; nothing there may be changed. It fails the test when it cannot build.
func Build(tb testing.TB, names ...string) map[string]string {
	tb.Helper()
	NeedWine(tb)
	cc := compiler(tb)
	src := sources(tb)
	if len(names) == 0 {
		for name := range programs {
			names = append(names, name)
		}
		for name := range libraries {
			names = append(names, name)
		}
	}
	dir := filepath.Join(cacheDir(tb), sourceKey(tb, src, cc))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatalf("the folder for Windows test programs: %v", err)
	}
	unlock := lock(tb, filepath.Join(dir, ".lock"))
	defer unlock()

	paths := map[string]string{}
	var missing []string
	for _, name := range names {
		path := filepath.Join(dir, name, name+".exe")
		if lib, ok := libraries[name]; ok {
			path = filepath.Join(dir, name, lib)
		} else if _, ok := programs[name]; !ok {
			tb.Fatalf("there is no Windows test program %q", name)
		}
		paths[name] = path
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return paths
	}
	cmd := exec.Command(filepath.Join(src, "build.sh"), append([]string{dir}, missing...)...)
	cmd.Env = append(os.Environ(), "MINGW_CC="+cc)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("building the Windows test programs %s: %v\n%s", strings.Join(missing, ", "), err, out)
	}
	return paths
}

// compiler finds the cross compiler.
func compiler(tb testing.TB) string {
	tb.Helper()
	cc, err := exec.LookPath("x86_64-w64-mingw32-gcc")
	if err != nil {
		tb.Fatalf("the cross compiler for Windows test programs is missing: apt-get install gcc-mingw-w64-x86-64 (%v)", err)
	}
	return cc
}

// sources finds internal/guest/wine/testdata, from the folder that the test runs in
// upwards.
func sources(tb testing.TB) string {
	tb.Helper()
	wd, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "internal", "guest", "wine", "testdata")
		}
		if dir == filepath.Dir(dir) {
			tb.Fatalf("no go.mod above %s: the sources of the Windows test programs cannot be found", wd)
		}
	}
}

// sourceKey is the key of what the sources and the compiler give.
func sourceKey(tb testing.TB, dir, cc string) string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "src", "*.c"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no sources of Windows test programs in %s/src (%v)", dir, err)
	}
	version, err := exec.Command(cc, "-dumpfullversion").Output()
	if err != nil {
		tb.Fatalf("%s -dumpfullversion: %v", cc, err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s", cc, bytes.TrimSpace(version))
	for _, f := range append(files, filepath.Join(dir, "build.sh")) {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintf(h, "\n%s %d\n%s", filepath.Base(f), len(b), b)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// cacheDir is where built programs are kept.
func cacheDir(tb testing.TB) string {
	tb.Helper()
	if dir, err := os.UserCacheDir(); err == nil {
		dir = filepath.Join(dir, "muster", "wintest")
		if os.MkdirAll(dir, 0o700) == nil {
			return dir
		}
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("muster-wintest-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatalf("no folder to keep Windows test programs in: %v", err)
	}
	return dir
}

// lock waits for an exclusive lock, so that test processes that start together
// build once.
func lock(tb testing.TB, path string) (unlock func()) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		tb.Fatalf("lock %s: %v", path, err)
	}
	return func() { f.Close() }
}
