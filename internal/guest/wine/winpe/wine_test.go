package winpe_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/guest/wine/winetest"
	"muster/internal/guest/wine/winpe"
)

// check reads, resolves and decides as the submitting half does, against the
// installed Wine.
func check(t *testing.T, path string) (winpe.Info, winpe.Resolution) {
	t.Helper()
	_, dlls := winetest.NeedWine(t)
	builtin, err := winpe.Builtins(dlls, "")
	if err != nil {
		t.Fatal(err)
	}
	beside, err := winpe.Folders(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	i, err := winpe.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Runnable(); err != nil {
		t.Fatal(err)
	}
	return i, winpe.Resolve(i, winpe.Finder{Beside: beside, Builtin: builtin})
}

// TestPrograms: the boot of every test program is the expected one, and Wine has
// its DLLs.
func TestPrograms(t *testing.T) {
	paths := winetest.Build(t)
	for name, lean := range winetest.Programs() {
		i, r := check(t, paths[name])
		boot, why := winpe.Decide(i, r.Beside...)
		if (boot == winpe.Lean) != lean {
			t.Errorf("%s: boot %s: %s", name, boot, why)
		}
		absent := name == "needdll" || name == "needmiddle"
		if lacking := r.Lacking(); (len(lacking) > 0) != absent {
			t.Errorf("%s lacks %v", name, lacking)
		}
	}
	for _, lib := range []string{"absent", "absent-other"} {
		if i, err := winpe.Read(paths[lib]); err != nil || !i.DLL || i.Runnable() == nil {
			t.Errorf("%s: %+v, %v", lib, i, err)
		}
	}
}

// TestWineAgrees: what Resolve says is missing keeps the program from starting, and
// with it beside the program it starts.
func TestWineAgrees(t *testing.T) {
	built := winetest.Build(t, "needmiddle", "absent")
	prefix := winetest.Bare(t)
	dir := t.TempDir()
	place := func(from string) string {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.Base(from))
		if err := os.WriteFile(to, b, 0o700); err != nil {
			t.Fatal(err)
		}
		return to
	}
	program := place(built["needmiddle"])
	place(filepath.Join(filepath.Dir(built["needmiddle"]), "middle.dll"))

	_, r := check(t, program)
	if l := r.Lacking(); len(l) != 1 || l[0].String() != "absent.dll, needed by middle.dll: not found beside the program or in Wine" {
		t.Errorf("lacking: %v", l)
	}
	if r := prefix.Run(t, dir, "-all", program); r.Code == 0 {
		t.Errorf("runs without its DLL: %q", r.Stdout)
	}
	place(built["absent"])
	i, r := check(t, program)
	if l := r.Lacking(); len(l) != 0 {
		t.Errorf("lacking: %v", l)
	}
	if boot, why := winpe.Decide(i, r.Beside...); boot != winpe.Lean {
		t.Errorf("boot %s: %s", boot, why)
	}
	if r := prefix.Run(t, dir, "-all", program); r.Code != 0 || strings.TrimSpace(string(r.Stdout)) != "43" {
		t.Errorf("exit %d: %q", r.Code, r.Stdout)
	}
}

// TestAPISets: Wine's own table of API sets, and Wine's loader, agree.
func TestAPISets(t *testing.T) {
	_, dlls := winetest.NeedWine(t)
	builtin, err := winpe.Builtins(dlls, "")
	if err != nil {
		t.Fatal(err)
	}
	loadlib := winetest.Build(t, "loadlib")["loadlib"]
	prefix := winetest.Bare(t)
	for dll, want := range map[string]string{
		"api-ms-win-crt-runtime-l1-1-0.dll":     "ucrtbase.dll",
		"API-MS-Win-Core-Synch-L1-2-0.dll":      "kernelbase.dll",
		"api-ms-win-core-synch-l1-2-9.dll":      "kernelbase.dll", // the last number does not count
		"api-ms-win-core-nonesuch-l1-1-0.dll":   "",
		"kernel32.dll":                          "kernel32.dll",
		"KERNEL32":                              "kernel32.dll",
		"no-such-library.dll":                   "",
		"api-ms-win-service-winsvc-l1-1-0.dll":  "sechost.dll",
		"ext-ms-win-ntuser-keyboard-l1-3-0.dll": "user32.dll",
	} {
		host, ok := builtin(dll)
		if host != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", dll, host, ok, want)
		}
		loaded := bytes.HasPrefix(prefix.Run(t, "", "-all", loadlib, dll).Stdout, []byte("loaded"))
		if loaded != ok {
			t.Errorf("%s: found %v, loaded by Wine %v", dll, ok, loaded)
		}
	}
}

// TestGo: a program of today's Go says in no table that it cannot start without
// bcryptprimitives.dll. It is found all the same; whether the installed Wine has that DLL
// decides if the program runs.
func TestGo(t *testing.T) {
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "gohello.exe")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { println(\"hello\") }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", program, source)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	i, r := check(t, program)
	if !strings.HasPrefix(i.Go, "go1.") {
		t.Errorf("made by %q", i.Go)
	}
	if len(i.Loads) != 1 || i.Loads[0].DLL != "bcryptprimitives.dll" {
		t.Fatalf("loads %v", i.Loads)
	}
	lacking := r.Lacking()
	if result := winetest.Bare(t).Run(t, dir, "-all", program); (result.Code == 0) != (len(lacking) == 0) {
		t.Errorf("lacking %v, but exit %d\n%s", lacking, result.Code, result.Stderr)
	}
}
