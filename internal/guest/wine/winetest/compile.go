package winetest

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
)

// Compile builds programs from the C sources in folder src and returns the folder that holds
// them all, NAME.exe each. args are what the compiler is given for a program: its source and the
// libraries. Like Build's, the results are kept under a key, and nothing there may be changed.
func Compile(tb testing.TB, src string, programs map[string][]string) string {
	tb.Helper()
	cc := compiler(tb)
	key := folderKey(tb, src, cc, programs)
	dir := filepath.Join(cacheDir(tb), key)
	unlock := lock(tb, dir+".lock")
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	tmp := dir + ".making"
	if err := os.RemoveAll(tmp); err != nil {
		tb.Fatal(err)
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		tb.Fatal(err)
	}
	var all errgroup.Group
	all.SetLimit(2)
	for name, args := range programs {
		all.Go(func() error {
			cmd := exec.Command(cc, append([]string{"-O2", "-s", "-static", "-Wall", "-Wextra", "-Werror", "-o", filepath.Join(tmp, name+".exe")}, args...)...)
			cmd.Dir = src
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("building %s: %w\n%s", name, err, out)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// folderKey is the key of what a folder of sources and the compiler give.
func folderKey(tb testing.TB, src, cc string, programs map[string][]string) string {
	tb.Helper()
	version, err := exec.Command(cc, "-dumpfullversion").Output()
	if err != nil {
		tb.Fatalf("%s -dumpfullversion: %v", cc, err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", cc, version)
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		fmt.Fprintf(h, "%s: %q\n", name, programs[name])
	}
	files, err := filepath.Glob(filepath.Join(src, "*.[ch]"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no sources of Windows test programs in %s (%v)", src, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(f), len(b), b)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}
