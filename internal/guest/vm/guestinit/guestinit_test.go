package guestinit

import (
	"bytes"
	"debug/elf"
	"errors"
	"testing"
)

// TestBytes: what is embedded is a static program; and without it, that is said.
func TestBytes(t *testing.T) {
	b, err := Bytes()
	if errors.Is(err, ErrNotBuilt) {
		t.Skip("built by go itself, not by scripts/go.sh")
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 || f.Section(".interp") != nil {
		t.Errorf("it needs %v, %v", libs, err)
	}
}
