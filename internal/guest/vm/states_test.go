package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// However many want a state, one makes it; a bad one is replaced once, and not taken from those who use it.
func TestStates(t *testing.T) {
	s := states{dir: filepath.Join(t.TempDir(), "states"), limit: 1 << 20}
	var made atomic.Int32
	save := func(dir string) error {
		made.Add(1)
		return os.WriteFile(filepath.Join(dir, "memory"), []byte("m"), 0o600)
	}
	get := func(bad *state) *state {
		t.Helper()
		st, _, err := s.get(t.Context(), "key1", bad, save)
		if err != nil {
			t.Error(err)
			return nil
		}
		t.Cleanup(func() { st.close() })
		return st
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { get(nil) })
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Fatalf("it was made %d times", made.Load())
	}
	old := get(nil)
	if fresh := get(old); fresh.dir == old.dir || made.Load() != 2 {
		t.Errorf("a bad state was not replaced: %s, %s", old.dir, fresh.dir)
	}
	if _, err := os.Stat(filepath.Join(old.dir, "memory")); err != nil {
		t.Errorf("a state in use: %v", err)
	}
	// Not even when the good one was made before others began to use the bad one.
	for range 2 {
		if again := get(nil); again.dir == old.dir || made.Load() != 2 {
			t.Errorf("a bad state was given out again, %d made", made.Load())
		}
	}
}

func TestStateThatCannotBeMade(t *testing.T) {
	s := states{dir: t.TempDir()}
	broken := errors.New("broken")
	if _, _, err := s.get(t.Context(), "key1", nil, func(string) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	// What a dead maker left goes with the next.
	dead := filepath.Join(s.dir, "key1"+newPart+"DEAD")
	if err := os.Mkdir(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	st, made, err := s.get(t.Context(), "key1", nil, func(string) error { return nil })
	if err != nil || !made {
		t.Fatal(made, err)
	}
	defer st.close()
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a dead maker left: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lock, err := s.lock(t.Context(), filepath.Join(s.dir, "key2.building"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, _, err := s.get(ctx, "key2", nil, func(string) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for another maker: %v", err)
	}
}

// What nobody uses is bounded, and what was saved before the machine's last start is not used.
func TestStatesAreBounded(t *testing.T) {
	s := states{dir: t.TempDir(), limit: 3 << 20}
	make1 := func(key string) string {
		t.Helper()
		st, _, err := s.get(t.Context(), key, nil, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "memory"), make([]byte, 2<<20), 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
		st.close()
		return st.dir
	}
	a := make1("a")
	used, _, err := s.get(t.Context(), "a", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	make1("b")
	make1("c")
	if n := len(s.list()); n != 3 { // a is in use, c is the newest, b stays until the next is made
		t.Logf("%d states", n)
	}
	make1("d")
	if _, err := os.Stat(a); err != nil {
		t.Errorf("one in use: %v", err)
	}
	used.close()
	if got := len(s.list()); got > 3 {
		t.Errorf("%d states of 2 MiB are kept in 3 MiB", got)
	}
	if err := os.WriteFile(filepath.Join(a, readyName), []byte("another boot"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b := make1("a"); b == a {
		t.Error("a state of another boot was used")
	}
}
