package winpe_test

import (
	"debug/pe"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/guest/wine/winpe"
)

func TestParse(t *testing.T) {
	want := []winpe.Import{imp("KERNEL32.dll", "ExitProcess", "WriteFile"), imp("OLEAUT32.dll", "#2", "#65535"), imp("empty.dll")}
	delayed := []winpe.Import{imp("late.dll", "Later", "#7")}
	for _, bits32 := range []bool{false, true} {
		i, err := parse(file{imports: want, delayed: delayed, bits32: bits32}, "a.exe")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(i.Imports, want) || !reflect.DeepEqual(i.Delayed, delayed) {
			t.Errorf("imports %v, delayed %v", i.Imports, i.Delayed)
		}
		if bits := map[bool]int{false: 64, true: 32}[bits32]; i.Bits != bits || i.GUI() || i.DLL || i.Net || i.Packed || i.Runnable() != nil {
			t.Errorf("%+v: %v", i, i.Runnable())
		}
	}
}

// A property: what is written into the tables is what is read from them.
func TestParseTables(t *testing.T) {
	name := rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,30}`)
	function := rapid.OneOf(name, rapid.StringMatching(`#[1-9][0-9]{0,3}`))
	rapid.Check(t, func(t *rapid.T) {
		imports := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) winpe.Import {
			return imp(name.Draw(t, "dll")+".dll", rapid.SliceOfN(function, 1, 8).Draw(t, "functions")...)
		}), 1, 8)
		f := file{imports: imports.Draw(t, "imports"), delayed: imports.Draw(t, "delayed"), bits32: rapid.Bool().Draw(t, "bits32")}
		i, err := parse(f, "a.exe")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(i.Imports, f.imports) || !reflect.DeepEqual(i.Delayed, f.delayed) {
			t.Fatalf("got %v, %v", i.Imports, i.Delayed)
		}
	})
}

// Every refusal is one clear line.
func TestRefusals(t *testing.T) {
	plain := file{imports: []winpe.Import{imp("KERNEL32.dll", "ExitProcess")}}
	patched := func(at int, with string) []byte {
		b := plain.make()
		copy(b[at:], with)
		return b
	}
	tests := []struct {
		name string
		data []byte
		kind winpe.Kind
		want string
	}{
		{"empty", nil, winpe.KindNotPE, "x.exe: empty, not a Windows program"},
		{"one byte", []byte("M"), winpe.KindNotPE, "x.exe: not a Windows program (it does not begin with MZ)"},
		{"text", []byte("hello\n"), winpe.KindNotPE, "x.exe: not a Windows program (it does not begin with MZ)"},
		{"ELF", []byte("\x7fELF\x02\x01"), winpe.KindNotPE, "x.exe: a Linux program, not a Windows program"},
		{"script", []byte("#!/bin/sh\n"), winpe.KindNotPE, "x.exe: a script, not a Windows program"},
		{"archive", []byte("PK\x03\x04"), winpe.KindNotPE, "x.exe: a ZIP archive, not a Windows program"},
		{"MSI", []byte("\xD0\xCF\x11\xE0\xA1"), winpe.KindNotPE, "x.exe: an installer package or an Office file, not a Windows program"},
		{"cut in the first header", plain.make()[:40], winpe.KindDamaged, "x.exe: damaged or truncated: it ends within its first header"},
		{"cut before the second", plain.make()[:64], winpe.KindDamaged, "x.exe: damaged or truncated: it ends at byte 64, before its PE header"},
		{"cut in the second", plain.make()[:100], winpe.KindDamaged, "x.exe: damaged or truncated: it ends at byte 100: unexpected EOF"},
		{"cut in the last sector", plain.make()[:len(plain.make())-1], "", ""}, // within the sector: Wine reads zeros
		{"DOS", patched(64, "\x00\x00\x00\x00"), winpe.KindDOS, "x.exe: a DOS program, which Wine cannot run"},
		{"DOS without a second header", patched(60, "\xff\xff\xff\x7f"), winpe.KindDOS, "x.exe: a DOS program, which Wine cannot run"},
		{"16 bits", patched(64, "NE"), winpe.KindWin16, "x.exe: a 16-bit Windows program, which a 64-bit Wine cannot run"},
		{"OS/2", patched(64, "LX"), winpe.KindSubsystem, "x.exe: an OS/2 program or a driver of old Windows, not a Windows program"},
		{"an object", patched(64+4+18, "\x00\x00"), winpe.KindNotPE, "x.exe: an object file, not a Windows program"},
		{"optional header", patched(64+24, "\x07\x01"), winpe.KindDamaged, "x.exe: damaged: its optional header has the unknown kind 0x107"},
		{"ARM64", file{machine: pe.IMAGE_FILE_MACHINE_ARM64}.make(), winpe.KindCPU, "x.exe: made for ARM64; Wine here runs programs for x86-64"},
		{"ARM", file{machine: pe.IMAGE_FILE_MACHINE_ARMNT}.make(), winpe.KindCPU, "x.exe: made for ARM; Wine here runs programs for x86-64"},
		{"a DLL", file{fileFlags: pe.IMAGE_FILE_DLL}.make(), winpe.KindDLL, "x.exe: a DLL, not a program"},
		{"a driver by its imports", file{imports: []winpe.Import{imp("ntoskrnl.exe", "IoCreateDevice")}, subsystem: pe.IMAGE_SUBSYSTEM_NATIVE}.make(), winpe.KindDriver, "x.exe: a driver for the Windows kernel, not a program"},
		{"a driver by its mark", file{characteristics: 0x2000, subsystem: pe.IMAGE_SUBSYSTEM_NATIVE}.make(), winpe.KindDriver, "x.exe: a driver for the Windows kernel, not a program"},
		{"EFI", file{subsystem: pe.IMAGE_SUBSYSTEM_EFI_APPLICATION}.make(), winpe.KindSubsystem, "x.exe: EFI program, not a Windows program"},
		{"a DLL without a name", file{imports: []winpe.Import{imp("", "f")}}.make(), winpe.KindDamaged, `x.exe: damaged: it imports from a DLL without a proper name ("")`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i, err := parseBytes(tt.data, "/some/x.exe")
			if err == nil {
				err = i.Runnable()
			}
			if tt.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var u *winpe.Unfit
			if !errors.As(err, &u) || u.Kind != tt.kind || err.Error() != tt.want {
				t.Errorf("got %v, want %s (%s)", err, tt.want, tt.kind)
			}
		})
	}
}

// Damage that has to be found wherever it is: the file cut anywhere, and every
// byte of its tables set to extremes. Nothing panics; a file cut before its last
// sector is refused.
func TestDamage(t *testing.T) {
	whole := file{imports: []winpe.Import{imp("KERNEL32.dll", "ExitProcess", "#3"), imp("b.dll", "f")}, delayed: []winpe.Import{imp("c.dll", "g")}, net: true}.make()
	for n := range len(whole) - 512 {
		var u *winpe.Unfit
		if _, err := parseBytes(whole[:n], "x.exe"); !errors.As(err, &u) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for at := range whole {
		for _, with := range []byte{0x00, 0x01, 0x7F, 0x80, 0xFF} {
			b := append([]byte(nil), whole...)
			b[at] = with
			var u *winpe.Unfit
			if _, err := parseBytes(b, "x.exe"); err != nil && !errors.As(err, &u) {
				t.Fatalf("byte %d = %#x: %v", at, with, err)
			}
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	var u *winpe.Unfit
	if _, err := winpe.Read(dir); !errors.As(err, &u) || u.Kind != winpe.KindNoFile {
		t.Errorf("a folder: %v", err)
	}
	for _, name := range []string{"none.exe", "none.bat"} {
		if _, err := winpe.Read(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"job.bat", "JOB.CMD"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("echo hi\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		i, err := winpe.Read(path)
		if err != nil || !i.Script || i.Runnable() != nil || i.String() != "batch file" {
			t.Errorf("%s: %+v, %v", name, i, err)
		}
	}
	path := filepath.Join(dir, "a.exe")
	whole := file{}.make()
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if i, err := winpe.Read(path); err != nil || i.Path != path || i.Size != int64(len(whole)) {
		t.Errorf("%+v, %v", i, err)
	}
}

func TestString(t *testing.T) {
	for want, f := range map[string]file{
		"64-bit console program":           {},
		"32-bit console program":           {bits32: true},
		"64-bit program with windows":      {subsystem: pe.IMAGE_SUBSYSTEM_WINDOWS_GUI},
		"64-bit native program":            {subsystem: pe.IMAGE_SUBSYSTEM_NATIVE},
		"64-bit DLL":                       {fileFlags: pe.IMAGE_FILE_DLL},
		"64-bit console program (.NET)":    {net: true},
		"64-bit console program for ARM64": {machine: pe.IMAGE_FILE_MACHINE_ARM64},
	} {
		if i, err := parse(f, "a.exe"); err != nil || i.String() != want {
			t.Errorf("got %q, %v; want %q", i, err, want)
		}
	}
}

// FuzzParse: whatever the bytes, an answer or one line, soon, and the answer can be
// resolved and decided upon. The kept corpus is in testdata/fuzz.
func FuzzParse(f *testing.F) {
	f.Add(file{imports: []winpe.Import{imp("KERNEL32.dll", "ExitProcess", "#3")}, delayed: []winpe.Import{imp("ole32.dll", "CoInitialize")}}.make())
	f.Add(file{bits32: true, net: true, imports: []winpe.Import{imp("mscoree.dll", "_CorExeMain")}}.make())
	f.Add(file{data: append(wide("ole32.dll\x00"), "\xff Go buildinf:\x08\x02"...)}.make())
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := parseBytes(b, "x.exe")
		if err != nil {
			var u *winpe.Unfit
			if !errors.As(err, &u) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("not one line: %v", err)
			}
			return
		}
		if err := i.Runnable(); err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("not one line: %v", err)
		}
		none := func(string) (string, bool) { return "", false }
		r := winpe.Resolve(i, winpe.Finder{Beside: none, Builtin: none})
		for _, l := range r.Libraries {
			if strings.ContainsAny(l.String(), "\n\x1b") {
				t.Fatalf("not one line: %q", l)
			}
		}
		if boot, why := winpe.Decide(i); boot != winpe.Lean && boot != winpe.Full || why == "" || strings.ContainsAny(why, "\n\x1b") {
			t.Fatalf("%s %q", boot, why)
		}
	})
}
