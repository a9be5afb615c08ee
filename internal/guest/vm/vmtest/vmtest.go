// Package vmtest builds, for tests, the image of a small guest: once on each machine and for each user, kept
// in the user's cache.
package vmtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/guest/vm/guestinit"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/image"
	"muster/internal/proc"
)

// packages are the guest's system: what tests' scripts call. They are unpacked, not installed, which takes seconds
// and nothing but mmdebstrap.
var packages = []string{"base-files", "bash", "coreutils", "dash", "findutils", "grep", "hostname", "perl-base", "procps", "sed", "tar", "util-linux"}

// patience is how long an image may take: downloads included, on a machine that does other things too.
const patience = 8 * time.Minute

// Image returns the folder of the image of a stripped guest (guest.Node.Image), and its key. table starts what
// building takes. Tests that find no mmdebstrap fail: scripts/deps.sh test installs it.
func Image(t testing.TB, table *proc.Table) (dir, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	store := Store(t)
	rootfs := filepath.Join(filepath.Dir(store.Dir()), fmt.Sprintf("system-%x.tar", sha256.Sum256([]byte(strings.Join(packages, " "))))) // a list that changes is another system
	if err := system(ctx, rootfs); err != nil {
		t.Fatalf("the system of a guest for tests: %v", err)
	}
	built, err := vmimage.NewBuilder(table, store, os.Getenv, Init).Build(ctx, vmimage.Build{Name: "test", Rootfs: rootfs},
		func(line string) { t.Log(line) })
	if err != nil {
		t.Fatalf("the image of a guest for tests: %v", err)
	}
	return built.Dir, built.Manifest.Key
}

// Store is the store that images for tests are kept in. What nobody names any more is collected.
func Store(t testing.TB) *image.Store {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	store, err := image.Open(filepath.Join(cache, "muster-test", "images"))
	if err == nil {
		_, _, err = store.Collect()
	}
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// system makes the archive with the guest's system, unless it is there. Several may make it at once: the
// first one's counts.
func system(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), "system-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "system.tar")
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--mode=chrootless", "--variant=extract", "--include="+strings.Join(packages, ","),
		vmimage.DefaultSuite, archive)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w\n%s", err, out)
	}
	if err := os.Link(archive, path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Init is muster-init: the one in this program, or one that is built now.
func Init() ([]byte, error) {
	b, err := guestinit.Bytes()
	if err == nil {
		return b, nil
	}
	dir, err := os.MkdirTemp("", "muster-init-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "muster-init")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "muster/cmd/muster-init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("building muster-init: %w\n%s", err, out.Bytes())
	}
	return os.ReadFile(path)
}
