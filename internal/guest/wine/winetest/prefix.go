package winetest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// loaders and dllDirs are where the Wine packages put the loader proper (not the
// shell wrapper) and the builtin DLLs.
var (
	loaders = []string{"/usr/lib/wine/wine64", "/usr/bin/wine64", "/opt/wine-stable/bin/wine64", "/usr/bin/wine"}
	dllDirs = []string{
		"/usr/lib/x86_64-linux-gnu/wine/x86_64-windows", "/usr/lib/wine/x86_64-windows",
		"/usr/lib64/wine/x86_64-windows", "/opt/wine-stable/lib64/wine/x86_64-windows",
	}
)

// NeedWine fails the test when Wine is not installed, and gives its loader and
// the folder of its builtin DLLs.
func NeedWine(tb testing.TB) (loader, dlls string) {
	tb.Helper()
	loader, dlls = first(loaders), first(dllDirs)
	if loader == "" || dlls == "" {
		tb.Fatal("Wine is missing: apt-get install wine wine64")
	}
	return loader, dlls
}

func first(paths []string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}

// Prefix is a bare Wine prefix: no wineboot has run in it, its registry is empty,
// its system32 is Wine's own folder of builtin DLLs, Z: is /. It is enough for
// console programs that need no service, and takes milliseconds.
type Prefix struct {
	Dir string

	loader string
	mu     sync.Mutex
}

// Bare makes a bare prefix that lives until the test has ended.
func Bare(tb testing.TB) *Prefix {
	tb.Helper()
	loader, dlls := NeedWine(tb)
	dir := tb.TempDir()
	p := &Prefix{Dir: dir, loader: loader}
	for _, d := range []string{"dosdevices", "drive_c/windows/temp", "drive_c/users", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"dosdevices/c:":            "../drive_c",
		"dosdevices/z:":            "/",
		"drive_c/windows/system32": dlls,
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".update-timestamp"), []byte("disable\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.stop(tb) })
	return p
}

// Drive gives a host folder a drive letter, from the next server on.
func (p *Prefix) Drive(tb testing.TB, letter, host string) {
	tb.Helper()
	if err := os.Symlink(host, filepath.Join(p.Dir, "dosdevices", letter+":")); err != nil {
		tb.Fatal(err)
	}
}

// Result is how a program ended.
type Result struct {
	Code, Signal   int
	Stdout, Stderr []byte
}

// Run runs a Windows program to its end in folder dir (or the test's own, when
// empty), one at a time, with no display, no standard input and WINEDEBUG set as
// given. It fails the test when the program has not ended after a minute.
func (p *Prefix) Run(tb testing.TB, dir, debug string, argv ...string) Result {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// Files, not pipes: the server inherits the streams and outlives the program.
	out, err := os.CreateTemp(p.Dir, "out")
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	errs, err := os.CreateTemp(p.Dir, "err")
	if err != nil {
		tb.Fatal(err)
	}
	defer errs.Close()
	cmd := exec.CommandContext(ctx, p.loader, argv...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, p.env(debug), out, errs
	err = cmd.Run()
	if cmd.ProcessState == nil {
		tb.Fatalf("start %s: %v", p.loader, err)
	}
	if ctx.Err() != nil {
		tb.Fatalf("%q has not ended after a minute", argv)
	}
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	r := Result{Stdout: slurp(tb, out.Name()), Stderr: slurp(tb, errs.Name())}
	if ws.Signaled() {
		r.Signal = int(ws.Signal())
	} else {
		r.Code = ws.ExitStatus()
	}
	return r
}

// Lines gives standard output as lines, without carriage returns.
func (r Result) Lines() []string {
	return strings.Split(strings.TrimRight(string(bytes.ReplaceAll(r.Stdout, []byte("\r"), nil)), "\n"), "\n")
}

func slurp(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// env is the environment of the prefix's programs.
func (p *Prefix) env(debug string) []string {
	return []string{
		"HOME=" + p.Dir, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "USER=tester",
		"WINEPREFIX=" + p.Dir, "WINEDEBUG=" + debug, "TMPDIR=" + filepath.Join(p.Dir, "tmp"),
		"WINEDLLOVERRIDES=wineboot.exe,winemenubuilder.exe,winedbg.exe,mscoree,mshtml=",
	}
}

// stop ends the prefix's server and waits until it has gone.
func (p *Prefix) stop(tb testing.TB) {
	for _, arg := range []string{"-k", "-w"} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		cmd := exec.CommandContext(ctx, "wineserver", arg)
		cmd.Env = p.env("-all")
		err := cmd.Run() // 2: there is no server, which is just as well
		cancel()
		if ctx.Err() == context.DeadlineExceeded {
			tb.Errorf("wineserver %s has not ended: %v", arg, err)
		}
	}
}
