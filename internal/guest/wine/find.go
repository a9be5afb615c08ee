package wine

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"muster/internal/guest"
	"muster/internal/proc"
)

// Install is a Wine that is there.
type Install struct {
	Loader  string // the binary that starts a 64-bit Windows program
	Server  string // wineserver's binary
	DLLs    string // folder of the 64-bit builtin DLLs
	Version string // as it tells it: "wine-8.0 (Debian 8.0~repack-4)"
	Wine32  bool   // runs 32-bit programs too

	// Plain is the loader as it was installed, where Loader is in an image's own
	// root of Wine (see tree.go); "" where it is not.
	Plain string

	Preloader bool // there is a preloader beside the loader, which wants to be started through it
}

// plain is the Wine as it was installed.
func (w Install) plain() Install {
	if w.Plain != "" {
		w.Loader, w.Plain = w.Plain, ""
	}
	return w
}

// pairs are where loader and server lie below a Wine's root, the true binaries
// before wrapper scripts: Debian's first.
var pairs = [][2]string{
	{"usr/lib/wine/wine64", "usr/lib/wine/wineserver64"},
	{"lib/wine/wine64", "lib/wine/wineserver64"},
	{"usr/lib/wine/wine64", "usr/lib/wine/wineserver"},
	{"lib/wine/wine64", "lib/wine/wineserver"},
	{"bin/wine64", "bin/wineserver"},
	{"bin/wine", "bin/wineserver"},
	{"usr/bin/wine64", "usr/bin/wineserver"},
	{"usr/bin/wine", "usr/bin/wineserver"},
}

// dllDirs are where the builtin DLLs lie, seen from the loader's folder.
var dllDirs = []string{
	"../x86_64-linux-gnu/wine/x86_64-windows",
	"../lib64/wine/x86_64-windows",
	"../lib/wine/x86_64-windows",
	"../lib/x86_64-linux-gnu/wine/x86_64-windows",
	"x86_64-windows",
}

// findSystem finds the Wine of this machine: MUSTER_WINE (its root or its
// loader), Debian's, WineHQ's below /opt, and what PATH leads to.
func findSystem(ctx context.Context, t *proc.Table, getenv func(string) string) (Install, error) {
	if root := getenv("MUSTER_WINE"); root != "" {
		w, err := findIn(ctx, t, root)
		if err != nil {
			return Install{}, fmt.Errorf("MUSTER_WINE: %w", err)
		}
		return w, nil
	}
	roots := []string{"/", "/usr"}
	if opt, err := filepath.Glob("/opt/wine*"); err == nil {
		roots = append(roots, opt...)
	}
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		if link, err := filepath.EvalSymlinks(filepath.Join(dir, "wineserver")); err == nil {
			roots = append(roots, filepath.Dir(filepath.Dir(link)))
		}
	}
	for _, root := range roots {
		if w, err := findIn(ctx, t, root); err == nil {
			return w, nil
		}
	}
	return Install{}, fmt.Errorf("%w: Wine is not installed; as root: apt-get install wine wine64; without root: --wine DIR|TAR brings your own", guest.ErrLacking)
}

// findIn finds the Wine in a folder, or beside a loader.
func findIn(ctx context.Context, t *proc.Table, root string) (Install, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return Install{}, err
	}
	candidates := []string{root}
	// A tar of /opt/wine-stable, or a folder with the folder of a Wine in it.
	for _, below := range []string{"*", "opt/*", "*/*"} {
		more, err := filepath.Glob(filepath.Join(root, below))
		if err == nil && root != "/" && root != "/usr" {
			candidates = append(candidates, more...)
		}
	}
	if st, err := os.Stat(root); err == nil && !st.IsDir() {
		candidates = []string{filepath.Dir(filepath.Dir(root)), filepath.Dir(filepath.Dir(filepath.Dir(root)))}
	}
	for _, dir := range candidates {
		for _, p := range pairs {
			w := Install{Loader: filepath.Join(dir, p[0]), Server: filepath.Join(dir, p[1])}
			if isBinary(w.Loader) && isBinary(w.Server) {
				return w.ask(ctx, t)
			}
		}
	}
	return Install{}, fmt.Errorf("%w: no Wine (bin/wine64 and bin/wineserver, or lib/wine/wine64 and lib/wine/wineserver64) in %s", guest.ErrLacking, root)
}

// isBinary reports whether path is a program for this machine and no script:
// wrapper scripts cost more time than what they start.
func isBinary(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Machine == elf.EM_X86_64
}

// ask completes what is known of an installation by running it.
func (w Install) ask(ctx context.Context, t *proc.Table) (Install, error) {
	out, err := t.Run(ctx, proc.Cmd{Path: w.Loader, Args: []string{w.Loader, "--version"}, Env: []string{"WINELOADER=" + w.Loader}})
	if err != nil {
		return w, fmt.Errorf("asking %s for its version: %w", w.Loader, err)
	}
	w.Version = strings.TrimSpace(string(out.Stdout))
	if !out.Exit.OK() || !strings.HasPrefix(w.Version, "wine-") {
		return w, fmt.Errorf("%w: %s does not run here: %s", guest.ErrLacking, w.Loader, oneLine(out.Stderr))
	}
	w.Preloader = hasPreloader(w.Loader)
	for _, d := range dllDirs {
		dir := filepath.Join(filepath.Dir(w.Loader), d)
		if _, err := os.Stat(filepath.Join(dir, "kernel32.dll")); err == nil {
			w.DLLs = dir
			w.Wine32 = runs32(dir, w.Version)
			return w, nil
		}
	}
	return w, fmt.Errorf("%w: %s is there, its DLLs are not (no x86_64-windows/kernel32.dll near it)", guest.ErrLacking, w.Loader)
}

// preloaders are what a loader may be started through, beside it.
var preloaders = []string{"wine64-preloader", "wine-preloader"}

func hasPreloader(loader string) bool {
	return slices.ContainsFunc(preloaders, func(name string) bool { return exists(filepath.Join(filepath.Dir(loader), name)) })
}

// runs32 reports whether 32-bit programs run: with the 32-bit half of Wine
// installed, or, since Wine 9, by 32-bit DLLs in a 64-bit process.
func runs32(dlls, version string) bool {
	for _, unix := range []string{
		filepath.Join(dlls, "../i386-unix/ntdll.so"),
		filepath.Join(dlls, "../../../i386-linux-gnu/wine/i386-unix/ntdll.so"),
		filepath.Join(dlls, "../../../lib/wine/i386-unix/ntdll.so"),
		filepath.Join(dlls, "../../../lib32/wine/i386-unix/ntdll.so"),
	} {
		if exists(unix) {
			return true
		}
	}
	return major(version) >= 9 && exists(filepath.Join(dlls, "wow64.dll")) && exists(filepath.Join(dlls, "../i386-windows/kernel32.dll"))
}

// major is the first number of "wine-8.0 (…)".
func major(version string) int {
	digits, _, _ := strings.Cut(strings.TrimPrefix(version, "wine-"), ".")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// oneLine is the first line of what a program wrote, for a message.
func oneLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if line == "" {
		return "it says nothing"
	}
	return line
}
