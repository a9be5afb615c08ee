package wine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	debugpe "debug/pe"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
)

func TestDrivePaths(t *testing.T) {
	d, err := newDrives(guest.Folders{In: "/run/in", Out: "/run/out", Work: "/run/in/deeper/work"}, map[string]string{"z": "/", "X:": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"/run/in/1/a.txt":           `I:\1\a.txt`,
		"/run/in":                   `I:\`,
		"/run/in/":                  `I:\`,
		"/run/in/deeper/work/1":     `W:\1`,
		"/run/in/deeper/workshop/1": `I:\deeper\workshop\1`,
		"/run/out/x y/ü":            `O:\x y\ü`,
		"/run/inner":                `Z:\run\inner`,
		"/":                         `Z:\`,
		"/run/out/../in/1":          `I:\1`,
	} {
		if got, err := d.path(host); got != want || err != nil {
			t.Errorf("%s: %s %v, want %s", host, got, err, want)
		}
	}
	d, err = newDrives(guest.Folders{In: "/run/in"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"/etc/passwd", "relative", "/run/inner", "/run/out"} {
		if got, err := d.path(host); !errors.Is(err, guest.ErrPath) {
			t.Errorf("%s: %s %v", host, got, err)
		}
	}
}

func TestDrivesRefused(t *testing.T) {
	for _, letter := range []string{"c", "I:", "o", "w", "p", "1", "", "zz"} {
		if _, err := newDrives(guest.Folders{}, map[string]string{letter: "/"}); !errors.Is(err, guest.ErrUnfit) {
			t.Errorf("%q: %v", letter, err)
		}
	}
	for _, host := range []string{"/no/such/folder", "/etc/passwd"} {
		if _, err := newDrives(guest.Folders{}, map[string]string{"z": host}); !errors.Is(err, guest.ErrLacking) {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestEnviron(t *testing.T) {
	program := []string{
		"KEEP=1", "PATH=/opt/bin", "HOME=/home/me", "USER=me", "DISPLAY=:0", "WAYLAND_DISPLAY=wayland-0", "XAUTHORITY=/x",
		"WINEPREFIX=/mine", "WINESERVER=/bad", "WINEDLLOVERRIDES=foo=n;wineboot.exe=b", "WINEDEBUG=+seh", "TMPDIR=/tmp", "LC_ALL=de_DE.UTF-8", "LD_PRELOAD=/evil.so",
	}
	got := environ(Install{Loader: "/w/wine64", Server: "/w/wineserver64"}, "/p/0", "alice", profile{}, true, "-all", program, []string{"MUSTER_INSTANCE=a@b", "HOME=/no"})
	for _, want := range []string{
		"KEEP=1", "PATH=/opt/bin", "HOME=/p/0", "USER=alice", "TMPDIR=/p/0/tmp", "WINEPREFIX=/p/0/.wine", "WINESERVER=/w/wineserver64", "WINELOADER=/w/wine64",
		"WINEDLLOVERRIDES=foo=n;wineboot.exe=b;" + always + ";" + suppressed, "WINEDEBUG=-all,+seh", "LC_ALL=de_DE.UTF-8", "MUSTER_INSTANCE=a@b",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %q", want, got)
		}
	}
	seen := map[string]bool{}
	for _, kv := range got {
		name, value, _ := strings.Cut(kv, "=")
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
		for _, bad := range []string{":0", "/mine", "/bad", "/evil.so", "wayland-0", "/no"} {
			if value == bad {
				t.Errorf("%s has come through", kv)
			}
		}
	}
	for _, tc := range []struct {
		locale []string
		want   string
	}{
		{nil, "LC_CTYPE=C.UTF-8"},
		{[]string{"LANG=C"}, "LC_CTYPE=C.UTF-8"},
		{[]string{"LANG=de_DE.UTF-8", "LC_ALL=POSIX"}, "LC_CTYPE=C.UTF-8"},
		{[]string{"LANG=de_DE.ISO-8859-1"}, "LC_CTYPE=C.UTF-8"},
		{[]string{"LANG=C", "LC_MESSAGES=de_DE.UTF-8"}, "LC_ALL=C.UTF-8"},
		{[]string{"LANG=C.utf8"}, "LANG=C.utf8"},
	} {
		env := environ(Install{}, "/h", "u", profile{}, false, "-all", tc.locale, nil)
		got := slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
			return !strings.HasPrefix(kv, "LANG=") && !strings.HasPrefix(kv, "LC_ALL=") && !strings.HasPrefix(kv, "LC_CTYPE=")
		})
		if !slices.Equal(got, []string{tc.want}) {
			t.Errorf("%q gives %q, not %s", tc.locale, got, tc.want)
		}
	}
	for _, preloader := range []bool{false, true} {
		env := environ(Install{Preloader: preloader}, "/h", "u", profile{}, false, "-all", []string{"WINELOADERNOEXEC=0"}, nil)
		if slices.Contains(env, "WINELOADERNOEXEC=1") == preloader || slices.Contains(env, "WINELOADERNOEXEC=0") {
			t.Errorf("with a preloader %v: %q", preloader, env)
		}
	}
	if full := environ(Install{}, "/h", "u", profile{}, false, "-all", nil, nil); slices.ContainsFunc(full, func(s string) bool { return strings.Contains(s, suppressed) }) {
		t.Errorf("a full boot is suppressed: %q", full)
	}
}

func TestEditRegistry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "system.reg")
	before := "WINE REGISTRY Version 2\n\n[Software\\\\A] 123\n#time=1\n\"Keep\"=\"1\"\n\"Debugger\"=hex:01,\\\n  02,\\\n  03\n\"Auto\"=\"1\"\n\n[Software\\\\B] 4\n\"Debugger\"=\"stays\"\n"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	err := editRegistry(path, []value{{`Software\\A`, "Auto", "0"}}, []value{{key: `Software\\A`, name: "Debugger"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := editDword(path, `Software\\C`, "N", 17); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	want := "WINE REGISTRY Version 2\n\n[Software\\\\A] 123\n#time=1\n\"Keep\"=\"1\"\n\n[Software\\\\B] 4\n\"Debugger\"=\"stays\"\n\n[Software\\\\A]\n\"Auto\"=\"0\"\n\n[Software\\\\C]\n\"N\"=dword:00000011\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestLeanRegistry(t *testing.T) {
	before := `WINE REGISTRY Version 2

[Software\\Classes\\.txt] 1
@="txtfile"

[Software\\Classes\\CLSID] 1
#time=1

[Software\\Classes\\CLSID\\{0000}] 1
@="gone"

[Software\\classes\\Wow6432Node\\Interface\\{0000}] 1
"x"=hex:01,\
  02

[Software\\Classes\\CLSIDs\\x] 1
@="stays"

[Software\\Classes\\DirectShow\\MediaObjects\\0000] 1
@="gone"

[Software\\Microsoft\\Windows\\CurrentVersion\\Telephony\\Country List] 1
"x"="stays"

[Software\\Microsoft\\Windows\\CurrentVersion\\Telephony\\Country List\\49] 1
"x"="gone"

[Software\\Wow6432Node\\Microsoft\\Windows\\CurrentVersion\\Telephony\\Country List\\49] 1
"x"="gone"

[Z\\Time Zones\\A\\Dynamic DST] 1
"2024"=hex:01,\
  02,\
  03
"2025"=hex:01
"2026"=hex:01,\
  02
"2027"=hex:01
"FirstEntry"=dword:000007d0

[Z\\Time Zones\\B] 1
"2024"="stays"
`
	want := `WINE REGISTRY Version 2

[Software\\Classes\\.txt] 1
@="txtfile"

[Software\\Classes\\CLSID] 1
#time=1

[Software\\Classes\\CLSIDs\\x] 1
@="stays"

[Software\\Microsoft\\Windows\\CurrentVersion\\Telephony\\Country List] 1
"x"="stays"

[Z\\Time Zones\\A\\Dynamic DST] 1
"2026"=hex:01,\
  02
"2027"=hex:01
"FirstEntry"=dword:000007d0

[Z\\Time Zones\\B] 1
"2024"="stays"
`
	if got := leanRegistry(before, 2026); got != want {
		t.Errorf("%s", got)
	}
}

func TestFit(t *testing.T) {
	if err := fitFileSystem("/scratch", unix.ST_NOEXEC); !errors.Is(err, guest.ErrLacking) || !strings.Contains(err.Error(), "noexec") {
		t.Errorf("noexec: %v", err)
	}
	if err := fit("/no/such/folder"); !errors.Is(err, guest.ErrLacking) {
		t.Errorf("missing: %v", err)
	}
	if err := fit(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := fitAddressSpace(1 << 30); !errors.Is(err, guest.ErrLacking) || !strings.Contains(err.Error(), "1024 MB") {
		t.Errorf("1 GB: %v", err)
	}
	if err := fitAddressSpace(^uint64(0)); err != nil {
		t.Error(err)
	}
}

func TestHolderIsAProgram(t *testing.T) {
	f, err := debugpe.NewFile(bytes.NewReader(holderCode()))
	if err != nil {
		t.Fatal(err)
	}
	imports, err := f.ImportedSymbols()
	if err != nil || len(imports) != 9 || !slices.Contains(imports, "NtSetEvent:ntdll.dll") {
		t.Errorf("%v %v", imports, err)
	}
	if n := len(holderCode()); n > 4096 {
		t.Errorf("it has grown to %d bytes", n)
	}
}

func TestBatchLine(t *testing.T) {
	line, env, err := commandLine(`P:\my tool.CMD`, []string{"a", "b c", "", "d&e"})
	if err != nil || line[3] != "%"+envBatch+"%" || env[0] != envBatch+`="P:\my tool.CMD" a "b c" "" "d&e"` {
		t.Errorf("%q %q %v", line, env, err)
	}
	for _, bad := range []string{`a"b`, "50%", "a\nb"} {
		if _, _, err := commandLine(`P:\x.bat`, []string{bad}); !errors.Is(err, guest.ErrUnfit) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if line, env, err := commandLine(`P:\x.exe`, []string{`a"b`}); err != nil || env != nil || !slices.Equal(line, []string{`P:\x.exe`, `a"b`}) {
		t.Errorf("%q %q %v", line, env, err)
	}
}

func TestHostileArchives(t *testing.T) {
	for name, entries := range map[string][]tar.Header{
		"parent":            {{Name: "../out", Typeflag: tar.TypeReg}},
		"parent, hidden":    {{Name: "a/../../out", Typeflag: tar.TypeReg}},
		"absolute":          {{Name: "/tmp/out", Typeflag: tar.TypeReg}},
		"device":            {{Name: "dev", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
		"fifo":              {{Name: "pipe", Typeflag: tar.TypeFifo}},
		"absolute link":     {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}},
		"link out":          {{Name: "a/l", Typeflag: tar.TypeSymlink, Linkname: "../../x"}},
		"hard link out":     {{Name: "l", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"}},
		"write over a link": {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "x"}, {Name: "l", Typeflag: tar.TypeReg}},
		// Each link looks local, together they lead out.
		"links in a row": {{Name: "d/", Typeflag: tar.TypeDir}, {Name: "d/up", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "e", Typeflag: tar.TypeSymlink, Linkname: "d/up/.."}},
		"same name":      {{Name: "f", Typeflag: tar.TypeReg}, {Name: "f", Typeflag: tar.TypeReg}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			archive := filepath.Join(dir, "wine.tar")
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, h := range entries {
				h.Mode = 0o644
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(archive, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(dir, "deep", "to")
			if err := os.Mkdir(filepath.Dir(to), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := carry(context.Background(), archive, to); !errors.Is(err, guest.ErrLacking) {
				t.Errorf("taken: %v", err)
			}
			for _, d := range []string{dir, filepath.Dir(to)} {
				names, err := os.ReadDir(d)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range names {
					if !slices.Contains([]string{"wine.tar", "deep", "to"}, n.Name()) {
						t.Errorf("%s is outside", n.Name())
					}
				}
			}
		})
	}
}

func TestArchives(t *testing.T) {
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, h := range []tar.Header{
		{Name: "./", Typeflag: tar.TypeDir},
		{Name: "./bin/", Typeflag: tar.TypeDir},
		{Name: "./bin/wine64", Typeflag: tar.TypeReg, Size: 5, Mode: 0o755},
		{Name: "bin/wine", Typeflag: tar.TypeSymlink, Linkname: "wine64"},
		{Name: "lib/deep/x", Typeflag: tar.TypeLink, Linkname: "bin/wine64"},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			w.Write([]byte("hello"))
		}
	}
	w.Close()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(plain.Bytes())
	z.Close()
	for name, content := range map[string][]byte{"a.tar": plain.Bytes(), "a.tar.gz": zipped.Bytes()} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/"+name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := carry(context.Background(), dir+"/"+name, dir+"/to"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, f := range []string{"bin/wine64", "bin/wine", "lib/deep/x"} {
			if b, err := os.ReadFile(dir + "/to/" + f); err != nil || string(b) != "hello" {
				t.Errorf("%s: %s: %q %v", name, f, b, err)
			}
		}
	}
	for name, content := range map[string]string{"junk": "this is no archive at all", "short": "x", "xz": "\xFD7zXZ\x00....", "gz": "\x1F\x8B\x08\x00broken"} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := carry(context.Background(), dir+"/"+name, dir+"/to"); !errors.Is(err, guest.ErrLacking) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWritten(t *testing.T) {
	prefix := t.TempDir()
	for _, name := range []string{"system.reg", "userdef.reg", "user.reg"} {
		if err := written(prefix); !errors.Is(err, errUnwritten) {
			t.Errorf("before %s is there: %v", name, err)
		}
		if err := os.WriteFile(filepath.Join(prefix, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := written(prefix); err != nil {
		t.Error(err)
	}
}
