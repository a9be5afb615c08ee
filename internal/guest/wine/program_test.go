package wine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
	"muster/internal/job"
)

func TestArguments(t *testing.T) {
	exe := winetest.Build(t, "args")["args"]
	w := newWorld(t, wine.BootLean, filepath.Dir(exe), nil)
	words := []string{
		"plain", "", " ", "two words", `"`, `\`, `\\`, `a\`, `a b\`, `a b\\`, `a"b`, `a\"b`, `a\\"b c`, `"quoted"`, `\"`, `end\\"`,
		"tab\there", "new\nline", "", "%PATH%", "$HOME", "`id`", "*", "?", "a&b|c<d>e^f", "'single'", "-x", "/y", "--opt=v w",
		"Grüße", "日本語", "😀", "é" /* decomposed */, strings.Repeat("x", 5000),
	}
	r := w.run(exe, words...)
	var want strings.Builder
	for n, s := range words {
		fmt.Fprintf(&want, "%d:%d:%s\n", n+1, len(s), s)
	}
	if got := strings.ReplaceAll(r.out, "\r\n", "\n"); !r.OK() || got != want.String() {
		t.Errorf("%+v\n%s\nwant\n%s\n%s", r.Exit, got, want.String(), r.err)
	}
	// In a locale that is not UTF-8 as well.
	_, done := w.startWith(guest.Command{Program: exe, Args: words, Env: []string{"LC_ALL=C", "PATH=/usr/bin"}})
	if got := strings.ReplaceAll(done().out, "\r\n", "\n"); got != want.String() {
		t.Errorf("with LC_ALL=C:\n%s", got)
	}
}

func TestProgramSeesItsDrives(t *testing.T) {
	exe := compile(t, "where", `
#include <stdio.h>
#include <windows.h>
int wmain(int argc, wchar_t **argv)
{
    wchar_t me[4096], cwd[4096], root[] = L"?:\\";
    GetModuleFileNameW(NULL, me, 4096);
    GetCurrentDirectoryW(4096, cwd);
    printf("%ls|%ls|%ls|", argv[0], me, cwd);
    for (*root = 'A'; *root <= 'Z'; ++*root)
        if (GetFileAttributesW(root) != INVALID_FILE_ATTRIBUTES) putchar(*root);
    return argc - 1;
}`)
	extra := t.TempDir()
	w := newWorld(t, wine.BootLean, filepath.Dir(exe), func(p *guest.Place) { p.Drives = map[string]string{"x": extra} })
	if got, want := strings.TrimSpace(w.run(exe).out), `P:\where.exe|P:\where.exe|W:\1|CIOPWX`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A batch file that hands its arguments on hands them on as they are.
func TestBatchHandsOn(t *testing.T) {
	exe := winetest.Build(t, "args")["args"]
	dir := t.TempDir()
	bat := filepath.Join(dir, "go on.bat")
	w := newWorld(t, wine.BootLean, dir, func(p *guest.Place) { p.Drives = map[string]string{"x": filepath.Dir(exe)} })
	if err := os.WriteFile(bat, []byte("@X:\\args.exe %*\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	words := []string{"a", "b c", "", "d&e", `f\g`, "Grüße", "日本語", "(h)", "i=j"}
	var want strings.Builder
	for n, s := range words {
		fmt.Fprintf(&want, "%d:%d:%s\n", n+1, len(s), s)
	}
	if r := w.run(bat, words...); strings.ReplaceAll(r.out, "\r\n", "\n") != want.String() {
		t.Errorf("%+v\n%s\n%s\nwant\n%s", r.Exit, r.out, r.err, want.String())
	}
}

func TestBatch(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"plain.bat", []string{"a", "b"}, "[a] [b] [] []"},
		{"two words.cmd", []string{"a b", "c"}, `["a b"] [c] [] []`},
		{"plain.bat", []string{"a b", "c d", "", "e"}, `["a b"] ["c d"] [""] [e]`},
		{"amp&and.bat", []string{"x"}, "[x] [] [] []"},
		{"plain.bat", []string{"a&b", "c|d", "e^f", "g<h>i"}, `["a&b"] ["c|d"] ["e^f"] ["g<h>i"]`},
	} {
		t.Run(tc.name+" "+strings.Join(tc.args, ","), func(t *testing.T) {
			dir := t.TempDir()
			bat := filepath.Join(dir, tc.name)
			if err := os.WriteFile(bat, []byte("@echo off\r\necho [%1] [%2] [%3] [%4]\r\nexit /b 7\r\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, wine.BootLean, dir, nil)
			r := w.run(bat, tc.args...)
			if got := strings.TrimSpace(r.out); got != tc.want || r.Code != 7 || r.Cause != job.CauseExit {
				t.Errorf("%+v %q %q\nwant %q", r.Exit, got, r.err, tc.want)
			}
		})
	}
}
