package winpe_test

import (
	"debug/pe"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/guest/wine/winpe"
)

// finder is a Finder over names: DLLs beside the program, and those in Wine.
func finder(t *testing.T, beside map[string]file, builtin map[string]string) winpe.Finder {
	return winpe.Finder{
		Beside: func(dll string) (string, bool) {
			_, ok := beside[full(dll)]
			return "/p/" + full(dll), ok
		},
		Builtin: func(dll string) (string, bool) {
			host, ok := builtin[full(dll)]
			return host, ok
		},
		Read: func(path string) (winpe.Info, error) {
			return parse(beside[filepath.Base(path)], path)
		},
	}
}

func full(dll string) string {
	return strings.TrimSuffix(strings.ToLower(dll), ".dll") + ".dll"
}

func TestResolve(t *testing.T) {
	beside := map[string]file{
		"a.dll":        {imports: []winpe.Import{imp("B.DLL", "f"), imp("kernel32.dll", "Sleep")}},
		"b.dll":        {imports: []winpe.Import{imp("a.dll", "back"), imp("deep.dll", "f")}, delayed: []winpe.Import{imp("late2.dll", "f")}},
		"small.dll":    {bits32: true, fileFlags: pe.IMAGE_FILE_DLL},
		"msvcrt.dll":   {},
		"kernel32.dll": {},
		"version.dll":  {bits32: true, fileFlags: pe.IMAGE_FILE_DLL},
		"bcrypt.dll":   {machine: pe.IMAGE_FILE_MACHINE_ARM64, fileFlags: pe.IMAGE_FILE_DLL},
	}
	builtin := map[string]string{
		"kernel32.dll": "kernel32.dll", "msvcrt.dll": "msvcrt.dll", "version.dll": "version.dll", "bcrypt.dll": "bcrypt.dll", "api-ms-win-core-file-l1-1-0.dll": "kernelbase.dll",
	}
	program, err := parse(file{
		imports: []winpe.Import{
			imp("KERNEL32.dll", "ExitProcess"), imp("a.dll", "f"), imp("msvcrt.dll", "exit"), imp("small.dll", "f"), imp("none.dll", "f"),
			imp("version", "f"), imp("bcrypt.dll", "f"), imp("api-ms-win-core-file-l1-1-0.dll", "f"),
		},
		delayed: []winpe.Import{imp("late.dll", "f"), imp("none.dll", "g")},
		data:    []byte("\xff Go buildinf:\x08\x02" + strings.Repeat("\x00", 16) + "\x08go1.22.3\x00bcryptprimitives.dll\x00"),
	}, "/p/sim.exe")
	if err != nil {
		t.Fatal(err)
	}
	r := winpe.Resolve(program, finder(t, beside, builtin))

	var got strings.Builder
	for _, l := range r.Libraries {
		fmt.Fprintln(&got, l)
	}
	fmt.Fprintln(&got, "lacking:")
	for _, l := range r.Lacking() {
		fmt.Fprintln(&got, l.Name)
	}
	needed, found := r.Count()
	fmt.Fprintf(&got, "%d of %d; beside:", found, needed)
	for _, i := range r.Beside {
		fmt.Fprintf(&got, " %s", i.Path)
	}
	const want = `KERNEL32.dll, needed by sim.exe, a.dll: in Wine
a.dll, needed by sim.exe, b.dll: beside the program
msvcrt.dll, needed by sim.exe: beside the program
small.dll, needed by sim.exe: cannot be loaded: small.dll: 32-bit DLL, which a 64-bit program cannot load
none.dll, needed by sim.exe: not found beside the program or in Wine
version, needed by sim.exe: in Wine
bcrypt.dll, needed by sim.exe: cannot be loaded: bcrypt.dll: 64-bit DLL for ARM64, which a 64-bit program cannot load
api-ms-win-core-file-l1-1-0.dll, needed by sim.exe: in Wine (kernelbase.dll)
bcryptprimitives.dll, loaded by the runtime of go1.22.3: not found beside the program or in Wine
late.dll, needed by sim.exe when first used: not found beside the program or in Wine
B.DLL, needed by a.dll: beside the program
deep.dll, needed by b.dll: not found beside the program or in Wine
late2.dll, needed by b.dll when first used: not found beside the program or in Wine
lacking:
small.dll
none.dll
bcrypt.dll
bcryptprimitives.dll
deep.dll
6 of 13; beside: /p/a.dll /p/msvcrt.dll /p/b.dll`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

// A library that is both needed at once and delayed is needed at once.
func TestResolveDelayedAndNot(t *testing.T) {
	program, err := parse(file{delayed: []winpe.Import{imp("x.dll", "f")}, imports: []winpe.Import{imp("lib.dll", "f")}}, "p.exe")
	if err != nil {
		t.Fatal(err)
	}
	r := winpe.Resolve(program, finder(t, map[string]file{"lib.dll": {imports: []winpe.Import{imp("X.dll", "f")}}}, nil))
	if l := r.Lacking(); len(l) != 1 || l[0].Name != "x.dll" || l[0].Delayed || len(l[0].By) != 2 {
		t.Errorf("lacking: %+v", l)
	}
}

func TestFolders(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, path := range []string{filepath.Join(one, "Lib.DLL"), filepath.Join(two, "lib.dll"), filepath.Join(two, "other.dll")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(one, "folder.dll"), 0o700); err != nil {
		t.Fatal(err)
	}
	beside, err := winpe.Folders(one, two)
	if err != nil {
		t.Fatal(err)
	}
	for dll, want := range map[string]string{"LIB.dll": filepath.Join(one, "Lib.DLL"), "lib": filepath.Join(one, "Lib.DLL"), "OTHER.DLL": filepath.Join(two, "other.dll"), "folder.dll": "", "x.dll": ""} {
		if path, ok := beside(dll); path != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", dll, path, ok)
		}
	}
	if _, err := winpe.Folders(filepath.Join(one, "none")); err == nil {
		t.Error("a folder that is not there is no error")
	}
}

// Damaged API sets are an error, not a panic.
func TestAPISetsDamaged(t *testing.T) {
	for name, b := range map[string][]byte{
		"text":       []byte("hello"),
		"no section": file{}.make(),
		"empty":      file{section: ".apiset"}.make(),
		"short":      file{section: ".apiset", data: []byte("\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xf0\xff\xff\xff")}.make(),
	} {
		if sets, err := winpe.APISets(b); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %d sets, %v", name, len(sets), err)
		}
	}
}
