package vmimage_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/guest/vm/vmimage"
	"muster/internal/guest/vm/vmtest"
	"muster/internal/image"
)

func newStore(t *testing.T) *image.Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "images")
	t.Cleanup(func() {
		if err := image.RemoveTree(dir); err != nil { // read-only, also for TempDir's own removal
			t.Error(err)
		}
	})
	store, err := image.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestBuiltOnce(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	store, table := newStore(t), newTable(t)
	init := func() ([]byte, error) { return []byte("init"), nil }
	var mu sync.Mutex
	made, keys := 0, map[string]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			b, err := vmimage.NewBuilder(table, store, os.Getenv, init).Build(t.Context(), vmimage.Build{Name: "mine", Disk: disk}, nil)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			if keys[b.Manifest.Key] = true; b.Took > 0 {
				made++
			}
		})
	}
	all.Wait()
	if made != 1 || len(keys) != 1 {
		t.Errorf("built %d times, under %d keys", made, len(keys))
	}
	found, err := store.Find("mine")
	if err != nil {
		t.Fatal(err)
	}
	img, err := vmimage.Open(found.Dir)
	if err != nil || img.Kind != vmimage.UserDisk || img.Root.Size != 1<<20 || img.Seed == nil {
		t.Errorf("%+v, %v", img, err)
	}
	if err := image.Verify(found.Dir, found.Key, true); err != nil {
		t.Error(err)
	}
}

// TestCancelled ends a build while mmdebstrap works: nothing of it may be left, mounts least of all.
func TestCancelled(t *testing.T) {
	if testing.Short() {
		t.Skip("mmdebstrap downloads")
	}
	store, table := newStore(t), newTable(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Its folder for the new system is the sign that it is at work.
	go func() {
		for ctx.Err() == nil {
			if found, _ := filepath.Glob(store.Dir() + "/vm/staging-*/tree/build/mmdebstrap.*/proc"); len(found) > 0 {
				cancel()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	_, err := vmimage.NewBuilder(table, store, os.Getenv, vmtest.Init).Build(ctx, vmimage.Build{Name: "deb"}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that it was cancelled", err)
	}
	if left, _ := filepath.Glob(store.Dir() + "/vm/staging-*"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), store.Dir()) {
		t.Error("mounts are left")
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		left, err := table.Descendants()
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("processes are left: %+v", left)
		}
	}
}
