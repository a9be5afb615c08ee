package wine_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/guesttest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
	"muster/internal/job"
	"muster/internal/proc"
)

// suiteSource does what the conformance suite asks of a program.
const suiteSource = `
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

static int make(const wchar_t *name)
{
    HANDLE h = CreateFileW(name, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    if (h == INVALID_HANDLE_VALUE) return 9;
    CloseHandle(h);
    return 0;
}

static int is(const wchar_t *a, const wchar_t *b) { return !wcscmp(a, b); }

int wmain(int argc, wchar_t **argv)
{
    wchar_t buf[4096], temp[MAX_PATH];
    int c;

    _setmode(1, _O_U8TEXT);
    _setmode(2, _O_U8TEXT);
    if (argc < 2) return 2;
    if (is(argv[1], L"exit")) return _wtoi(argv[2]);
    if (is(argv[1], L"print")) {
        for (c = 2; c < argc; c++) wprintf(L"%ls\n", argv[c]);
        return 0;
    }
    if (is(argv[1], L"copy")) return CopyFileW(argv[2], argv[3], FALSE) ? 0 : 5;
    if (is(argv[1], L"upper")) {
        _setmode(0, _O_BINARY);
        _setmode(1, _O_BINARY);
        while ((c = getchar()) != EOF) putchar(c >= 'a' && c <= 'z' ? c - 32 : c);
        return 0;
    }
    if (is(argv[1], L"stderr")) { fwprintf(stderr, L"%ls\n", argv[2]); return 0; }
    if (is(argv[1], L"getenv")) {
        if (!GetEnvironmentVariableW(argv[2], buf, 4096)) return 1;
        wprintf(L"%ls\n", buf);
        return 0;
    }
    if (is(argv[1], L"make")) return make(argv[2]);
    if (is(argv[1], L"temp")) {
        GetTempPathW(MAX_PATH, temp);
        return GetTempFileNameW(temp, L"mus", 0, buf) ? 0 : 6;
    }
    if (is(argv[1], L"sleep")) {
        if ((c = make(argv[2]))) return c;
        Sleep(INFINITE);
    }
    if (is(argv[1], L"count")) {
        for (;; Sleep(20)) {
            HANDLE h = CreateFileW(argv[2], FILE_APPEND_DATA, FILE_SHARE_READ, NULL, OPEN_ALWAYS, 0, NULL);
            DWORD n;
            if (h == INVALID_HANDLE_VALUE || !WriteFile(h, "x", 1, &n, NULL)) return 9;
            CloseHandle(h);
        }
    }
    if (is(argv[1], L"detach")) {
        STARTUPINFOW si = { sizeof si };
        PROCESS_INFORMATION pi;
        swprintf(buf, 4096, L"\"%ls\" sleep \"%ls\"", argv[0], argv[2]);
        if (!CreateProcessW(NULL, buf, NULL, NULL, FALSE, DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP, NULL, NULL, &si, &pi)) return 7;
        return 0;
    }
    if (is(argv[1], L"crash")) *(volatile int *)0 = 1;
    return 3;
}
`

// compile builds a Windows program from source and returns its path, in a folder
// of its own.
func compile(t testing.TB, name, source string, flags ...string) string {
	t.Helper()
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	dir := t.TempDir()
	src, exe := filepath.Join(dir, name+".c"), filepath.Join(dir, name, name+".exe")
	if err := os.WriteFile(src, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(exe), 0o700); err != nil {
		t.Fatal(err)
	}
	const cc = "/usr/bin/x86_64-w64-mingw32-gcc"
	args := append([]string{cc, "-O1", "-s", "-static", "-municode", "-o", exe, src}, flags...)
	out, err := table.Run(context.Background(), proc.Cmd{Path: cc, Args: args, Env: os.Environ()})
	if err != nil || !out.Exit.OK() {
		t.Fatalf("compiling %s (apt-get install gcc-mingw-w64-x86-64): %v\n%s", name, err, out.Stderr)
	}
	return exe
}

func TestConformance(t *testing.T) {
	winetest.NeedWine(t)
	exe := compile(t, "suite", suiteSource)
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	img := testImage(t, table)
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) guesttest.Program { return guesttest.Program{Path: exe, Args: args} }
	for _, boot := range []string{wine.BootLean, wine.BootFull} {
		t.Run(boot, func(t *testing.T) {
			guesttest.Run(t, guesttest.Config{
				New: func(t *testing.T, table *proc.Table) guest.Guest {
					g := wine.New(table)
					t.Cleanup(func() {
						if err := g.Close(); err != nil {
							t.Error(err)
						}
					})
					return g
				},
				Node:    guest.Node{Image: img.Dir, ImageKey: img.Key, Boot: boot},
				Folder:  filepath.Dir(exe),
				Limit:   60 * time.Second,
				EOL:     "\r\n",
				Exit:    func(code int) guesttest.Program { return run("exit", strconv.Itoa(code)) },
				Print:   func(words ...string) guesttest.Program { return run(append([]string{"print"}, words...)...) },
				Copy:    func(in, out string) guesttest.Program { return run("copy", in, out) },
				Upper:   func() guesttest.Program { return run("upper") },
				Stderr:  func(text string) guesttest.Program { return run("stderr", text) },
				Getenv:  func(name string) guesttest.Program { return run("getenv", name) },
				Cwd:     func(name string) guesttest.Program { return run("make", name) },
				Temp:    func() guesttest.Program { return run("temp") },
				Sleep:   func(started string) guesttest.Program { return run("sleep", started) },
				Count:   func(file string) guesttest.Program { return run("count", file) },
				Detach:  func(started string) guesttest.Program { return run("detach", started) },
				Crash:   func() guesttest.Program { return run("crash") },
				Crashed: func(e job.Exit) bool { return e.Cause == job.CauseCrash && e.Code == 5 },
				Missing: filepath.Join(filepath.Dir(exe), "gone.exe"),
			})
		})
	}
}
