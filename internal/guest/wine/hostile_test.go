package wine_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/guest/wine"
	"muster/internal/image"
)

// vandalSource tries to change what other instances see, in every way, and
// prints each success.
const vandalSource = `
#include <stdio.h>
#include <windows.h>

static void overwrite(const wchar_t *name, DWORD how)
{
    DWORD n;
    HANDLE h = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 7, NULL, how, 0, NULL);
    if (h == INVALID_HANDLE_VALUE) return;
    WriteFile(h, "VANDAL", 6, &n, NULL);
    CloseHandle(h);
    printf("wrote %ls\n", name);
}

int wmain(int argc, wchar_t **argv)
{
    static const wchar_t *files[] = {
        L"C:\\windows\\system32\\kernel32.dll", L"C:\\windows\\system32\\cmd.exe", L"C:\\windows\\system32\\musterhold.exe",
        L"C:\\windows\\explorer.exe", L"C:\\windows\\notepad.exe", L"C:\\windows\\win.ini", L"C:\\windows\\inf\\input.inf",
        L"C:\\windows\\winsxs\\manifests", L"C:\\windows\\globalization\\sorting\\sortdefault.nls",
        L"C:\\windows\\resources\\themes\\light\\light.msstyles", L"C:\\Program Files\\Internet Explorer\\iexplore.exe",
    };
    static const wchar_t *fresh[] = {
        L"C:\\windows\\system32\\foo.txt", L"C:\\windows\\foo.txt", L"C:\\windows\\temp\\foo.txt", L"C:\\ProgramData\\x\\foo.txt",
        L"C:\\Program Files\\x\\foo.txt", L"C:\\foo.txt", L"C:\\windows\\winsxs\\foo.txt", L"C:\\windows\\Fonts\\foo.txt", L"C:\\users\\Public\\foo.txt",
    };
    int i;
    CreateDirectoryW(L"C:\\ProgramData\\x", NULL);
    CreateDirectoryW(L"C:\\Program Files\\x", NULL);
    for (i = 0; i < (int)(sizeof fresh / sizeof *fresh); i++) overwrite(fresh[i], CREATE_NEW);
    for (i = 0; i < (int)(sizeof files / sizeof *files); i++) {
        overwrite(files[i], OPEN_EXISTING);
        overwrite(files[i], TRUNCATE_EXISTING);
        if (argc > 1) SetFileAttributesW(files[i], FILE_ATTRIBUTE_NORMAL);
        overwrite(files[i], OPEN_EXISTING);
        overwrite(files[i], CREATE_ALWAYS);
    }
    if (argc > 1) {
        SetFileAttributesW(L"C:\\windows\\system32", FILE_ATTRIBUTE_READONLY);
        SetFileAttributesW(L"C:\\windows\\system32", FILE_ATTRIBUTE_NORMAL);
        SetFileAttributesW(L"C:\\windows\\winsxs", FILE_ATTRIBUTE_NORMAL);
    }
    overwrite(L"C:\\windows\\system32\\foo2.txt", CREATE_NEW);
    overwrite(L"C:\\windows\\winsxs\\foo2.txt", CREATE_NEW);
    for (i = 0; i < (int)(sizeof files / sizeof *files); i++) {
        if (MoveFileW(files[i], L"C:\\windows\\system32\\moved")) printf("moved %ls\n", files[i]);
        if (DeleteFileW(files[i])) printf("deleted %ls\n", files[i]);
    }
    return 0;
}
`

// fingerprint describes everything below a folder, the content of links' targets
// included.
func fingerprint(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := os.Lstat(p)
		if err != nil {
			return err
		}
		text := fmt.Sprint(st.Mode(), st.ModTime(), st.Size())
		if b, err := os.ReadFile(p); err == nil {
			text += fmt.Sprintf(" %x", sha256.Sum256(b))
		}
		out[p] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whatever a program does to C:, the image stays as it is, and so does Wine.
func TestHostileProgramCannotChangeTheImage(t *testing.T) {
	exe := compile(t, "vandal", vandalSource)
	w := newWorld(t, wine.BootLean, filepath.Dir(exe), nil)
	before := fingerprint(t, image.Tree(w.node.Image))
	var args []string
	if os.Geteuid() == 0 {
		// Who owns the image can take the attribute "read-only" away from what is
		// linked from it, with SetFileAttributes; root's programs do not own it.
		args = append(args, "attributes")
	}
	r := w.run(exe, args...)
	if !r.OK() {
		t.Errorf("%+v %q", r.Exit, r.err)
	}
	t.Log(r.out)
	for _, must := range []string{`C:\windows\foo.txt`, `C:\windows\temp\foo.txt`, `C:\ProgramData\x\foo.txt`, `C:\Program Files\x\foo.txt`, `C:\foo.txt`, `C:\users\Public\foo.txt`} {
		if !strings.Contains(r.out, "wrote "+must) {
			t.Errorf("it cannot write %s", must)
		}
	}
	after := fingerprint(t, image.Tree(w.node.Image))
	for p, was := range before {
		if after[p] != was {
			t.Errorf("%s has changed: %s → %s", p, was, after[p])
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d entries, now %d", len(before), len(after))
	}
	// What it wrote is gone with its instance.
	if err := w.inst.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := image.Verify(w.node.Image, w.node.ImageKey, true); err != nil {
		t.Error(err)
	}
}
