// Package guestinit holds muster-init, the first process of a guest in a virtual machine, as
// those who build images need it: its bytes.
package guestinit

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// bin is filled by scripts/go.sh.
//
//go:embed bin
var bin embed.FS

// ErrNotBuilt means that this program was built without muster-init.
var ErrNotBuilt = errors.New("this muster was built without muster-init, which guests in VMs need: build it with make")

// Bytes is the program: static, for the same processor as this one. Errors: ErrNotBuilt.
func Bytes() ([]byte, error) {
	b, err := bin.ReadFile("bin/muster-init")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotBuilt
	}
	if err != nil {
		return nil, fmt.Errorf("reading muster-init: %w", err)
	}
	return b, nil
}
