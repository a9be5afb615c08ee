package wine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
	"muster/internal/image"
	"muster/internal/proc/proctest"
)

// front is a Front on a store of its own, in which nothing is built.
func front(t *testing.T) *wine.Front {
	t.Helper()
	store, err := image.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return wine.NewFront(proctest.Table(t), store, os.Getenv)
}

func TestCheck(t *testing.T) {
	progs := winetest.Build(t, "hello", "window", "needdll", "absent", "absent-other", "scmuser")
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hello, err := os.ReadFile(progs["hello"])
	if err != nil {
		t.Fatal(err)
	}
	machine := func(m uint16) string {
		b := bytes.Clone(hello)
		at := binary.LittleEndian.Uint32(b[0x3C:])
		binary.LittleEndian.PutUint16(b[at+4:], m)
		return string(b)
	}
	f := front(t)
	for _, tc := range []struct {
		name string
		r    guest.Request
		err  error
		line string // a part of the line, or of the error
		boot string
	}{
		{"console", guest.Request{Program: progs["hello"]}, nil, "hello.exe: 64-bit console program, all", "lean"},
		{"lean is asked for", guest.Request{Program: progs["window"], Boot: "lean"}, nil, "boot lean", "lean"},
		{"windows", guest.Request{Program: progs["window"]}, nil, "64-bit program with windows", "full"},
		{"services", guest.Request{Program: progs["scmuser"]}, nil, "console program", "full"},
		{"missing DLL", guest.Request{Program: progs["needdll"]}, guest.ErrUnfit, "absent.dll, needed by needdll.exe: not found", ""},
		{"missing DLL, forced", guest.Request{Program: progs["needdll"], Force: true}, nil, "--force", "full"},
		{"DLL in another folder", guest.Request{Program: progs["needdll"], Dirs: []string{filepath.Dir(progs["absent"])}}, nil, "all", "lean"},
		{"batch", guest.Request{Program: write("go.bat", "@exit /b 0\r\n")}, nil, "batch file", "full"},
		{"no PE", guest.Request{Program: write("text.exe", "hello\n")}, guest.ErrUnfit, "text.exe", ""},
		{"empty", guest.Request{Program: write("empty.exe", "")}, guest.ErrUnfit, "empty.exe", ""},
		{"a DLL", guest.Request{Program: progs["absent"]}, guest.ErrUnfit, "a DLL, not a program", ""},
		{"ARM64", guest.Request{Program: write("arm.exe", machine(0xAA64))}, guest.ErrUnfit, "ARM64", ""},
		{"cut short", guest.Request{Program: write("cut.exe", string(hello[:400]))}, guest.ErrUnfit, "cut.exe", ""},
		{"not there", guest.Request{Program: dir + "/gone.exe"}, guest.ErrUnfit, "gone.exe", ""},
		{"a folder", guest.Request{Program: dir}, guest.ErrUnfit, "not a file", ""},
		{"wrong boot", guest.Request{Program: progs["hello"], Boot: "fat"}, guest.ErrUnfit, "auto, lean or full", ""},
		{"no such image", guest.Request{Program: progs["hello"], Image: "nobody"}, guest.ErrUnfit, "muster image build wine --name nobody", ""},
		{"no such Wine", guest.Request{Program: progs["hello"], Wine: dir + "/no"}, guest.ErrUnfit, "--wine", ""},
		{"a folder without a Wine", guest.Request{Program: progs["hello"], Wine: dir}, guest.ErrLacking, "no Wine", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := f.Check(context.Background(), tc.r)
			if !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			line := v.Line
			if err != nil {
				line = err.Error()
			}
			if !strings.Contains(line, tc.line) || strings.Contains(line, "\n") || v.Boot != tc.boot {
				t.Errorf("boot %q, line %q, want %q in it", v.Boot, line, tc.line)
			}
		})
	}
}

func TestRecognise(t *testing.T) {
	progs := winetest.Build(t, "hello")
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := front(t)
	for path, want := range map[string]bool{
		progs["hello"]:                        true,
		write("noext", "MZ\x00\x00"):          true,
		write("a.cmd", "dir"):                 true,
		write("no.exe", "what is this"):       true,
		write("linux.exe", "\x7FELF\x02\x01"): false,
		write("script.exe", "#!/bin/sh\n"):    false,
		"/bin/sh":                             false,
		dir:                                   false,
	} {
		if yes, why, err := f.Recognise(path); yes != want || err != nil || yes && why == "" {
			t.Errorf("%s: %v %q %v", path, yes, why, err)
		}
	}
	if _, _, err := f.Recognise(dir + "/gone"); !errors.Is(err, guest.ErrUnfit) {
		t.Error(err)
	}
}

func TestNoWine(t *testing.T) {
	store, err := image.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	f := wine.NewFront(proctest.Table(t), store, func(name string) string {
		return map[string]string{"MUSTER_WINE": empty}[name]
	})
	if _, err := f.Build(context.Background(), wine.Build{}, nil); !errors.Is(err, guest.ErrLacking) {
		t.Error(err)
	}
	if names, err := os.ReadDir(store.Dir()); err != nil || len(names) > 0 {
		t.Errorf("left: %v %v", names, err)
	}
}
