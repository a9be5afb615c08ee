package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFileSystem: what is on a disk is told by what its makers write at fixed places.
func TestFileSystem(t *testing.T) {
	at := func(offset int, magic string) []byte {
		b := make([]byte, 4096)
		copy(b[offset:], magic)
		return b
	}
	for _, c := range []struct {
		want    string // "": none that is known
		content []byte
	}{
		{"erofs", at(1024, "\xe2\xe1\xf5\xe0")},
		{"squashfs", at(0, "hsqs")},
		{"ext4", at(1024+56, "\x53\xef")},
		{"xfs", at(0, "XFSB")},
		{"", at(0, "\xebMSDOS")},
		{"", nil},
	} {
		name := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(name, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := fileSystem(name); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("got %q, %v, want %q", got, err, c.want)
		}
	}
}

func TestMask(t *testing.T) {
	for bits, want := range map[int]string{0: "0.0.0.0", 1: "128.0.0.0", 8: "255.0.0.0", 20: "255.255.240.0", 32: "255.255.255.255"} {
		if got := mask(bits).String(); got != want {
			t.Errorf("of %d bits: %s, want %s", bits, got, want)
		}
	}
}
