package vm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What QEMU's own tool thinks of an overlay.
func TestOverlay(t *testing.T) {
	img, err := exec.LookPath("qemu-img")
	if err != nil {
		t.Skip("qemu-img is not here (package qemu-utils)")
	}
	dir := t.TempDir()
	backing := filepath.Join(dir, "a disk, \"quoted\"")
	for _, size := range []int64{1 << 20, 5<<30 + 512, 6 << 40} {
		if err := os.WriteFile(backing, []byte("begins"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(backing, size); err != nil {
			t.Fatal(err)
		}
		over := filepath.Join(dir, "overlay")
		if err := makeOverlay(over, backing, "raw", size); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"check", over}, {"compare", over, backing}} {
			if size > 1<<40 && args[0] == "compare" {
				continue // it would read for hours
			}
			if out, err := exec.CommandContext(context.Background(), img, args...).CombinedOutput(); err != nil {
				t.Errorf("%d bytes: qemu-img %s: %v\n%s", size, strings.Join(args, " "), err, out)
			}
		}
		if err := os.Remove(over); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCopySparse(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	f, err := os.Create(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int64{0, 5 << 20, 1<<40 - 7} {
		if _, err := f.WriteAt([]byte("content"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := copySparse(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	g, err := os.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for _, at := range []int64{0, 5 << 20, 1<<40 - 7} {
		b := make([]byte, 7)
		if _, err := g.ReadAt(b, at); err != nil || string(b) != "content" {
			t.Errorf("at %d: %q, %v", at, b, err)
		}
	}
	if n := taken(dir); n > 1<<20 {
		t.Errorf("21 bytes and their copy take %d", n)
	}
	if err := copySparse(t.Context(), from, to); err == nil {
		t.Error("it wrote to a file that was there")
	}
}
