package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"muster/internal/guest/vm/wire"
	"muster/internal/guest/vm/wire/tree"
)

// TestManyFiles: 10,000 small files arrive whole, both ways.
func TestManyFiles(t *testing.T) {
	g := newGuest(t)
	from, back := t.TempDir(), t.TempDir()
	for d := range 100 {
		dir := filepath.Join(from, fmt.Sprint("folder ", d))
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		for f := range 100 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(f)), fmt.Append(nil, "content ", d, f), 0o640); err != nil {
				t.Fatal(err)
			}
		}
	}
	there := filepath.Join(g.dir, "a", "b")
	for _, c := range []struct {
		name string
		do   func() (tree.Count, error)
	}{
		{"put", func() (tree.Count, error) { return g.Put(t.Context(), there, from, tree.Keep) }},
		{"get", func() (tree.Count, error) { return g.Get(t.Context(), there, back, tree.Limits{}) }},
	} {
		count, err := c.do()
		if err != nil {
			t.Fatal(c.name, err)
		}
		if count.Files != 10_000 || count.Folders != 100 {
			t.Errorf("%s: %+v", c.name, count)
		}
	}
	for d := range 100 {
		for f := range 100 {
			if got := read(t, filepath.Join(back, fmt.Sprint("folder ", d), fmt.Sprint(f))); got != fmt.Sprint("content ", d, f) {
				t.Fatalf("file %d/%d: %q", d, f, got)
			}
		}
	}
}

// TestLargeFile: 1 GiB arrives, and takes no more room than it has data.
func TestLargeFile(t *testing.T) {
	g := newGuest(t)
	name := filepath.Join(g.dir, "tree", "large")
	if err := os.Mkdir(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	const size = 1 << 30
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 1 << 20, 700<<20 + 17, size - 5} {
		if _, err := f.WriteAt([]byte("piece"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	count, err := g.Get(t.Context(), filepath.Dir(name), to, tree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if count.Bytes > 1<<20 {
		t.Errorf("%d bytes of data were sent", count.Bytes)
	}
	got, err := os.Open(filepath.Join(to, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	st, err := got.Stat()
	if err != nil || st.Size() != size {
		t.Fatalf("%v, %v", st.Size(), err)
	}
	if blocks := st.Sys().(*syscall.Stat_t).Blocks; blocks > 1<<12 {
		t.Errorf("it takes %d blocks", blocks)
	}
	for _, at := range []int64{0, 1 << 20, 700<<20 + 17, size - 5} {
		var b [5]byte
		if _, err := got.ReadAt(b[:], at); err != nil || string(b[:]) != "piece" {
			t.Errorf("at %d: %q, %v", at, b, err)
		}
	}
}

// TestBothWays: trees go both ways at once, beside programs that write.
func TestBothWays(t *testing.T) {
	g := newGuest(t)
	from := t.TempDir()
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(from, fmt.Sprint(i)), make([]byte, 6<<20+i), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(g.dir, fmt.Sprint("tree", i)), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		t.Run("put", func(t *testing.T) {
			t.Parallel()
			there := filepath.Join(g.dir, fmt.Sprint("put", i))
			if _, err := g.Put(t.Context(), there, from, tree.Keep); err != nil {
				t.Error(err)
			}
		})
		t.Run("get", func(t *testing.T) {
			t.Parallel()
			if _, err := g.Get(t.Context(), filepath.Join(g.dir, fmt.Sprint("tree", i)), t.TempDir(), tree.Limits{}); err != nil {
				t.Error(err)
			}
		})
		t.Run("program", func(t *testing.T) {
			t.Parallel()
			if got := g.run(t, sh("yes | head -c 5000000; exit 2"), "words"); len(got.out) != 5_000_000 || got.Code != 2 {
				t.Errorf("%d bytes, code %d", len(got.out), got.Code)
			}
		})
	}
}

// TestTreeErrors: a tree comes whole, or with an error that says why not; and the guest goes on.
func TestTreeErrors(t *testing.T) {
	g := newGuest(t)
	empty := t.TempDir()
	file := filepath.Join(empty, "file")
	if err := os.WriteFile(file, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(g.dir, "taken", "file") // a folder where a file is to be
	if err := os.MkdirAll(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		do   func() (tree.Count, error)
		want error
	}{
		{"get what is not there", func() (tree.Count, error) { return g.Get(t.Context(), "/no/such/folder", empty, tree.Limits{}) }, fs.ErrNotExist},
		{"get to where nothing is", func() (tree.Count, error) {
			return g.Get(t.Context(), empty, filepath.Join(empty, "no"), tree.Limits{})
		}, fs.ErrNotExist},
		{"put what is not there", func() (tree.Count, error) {
			return g.Put(t.Context(), g.dir, filepath.Join(empty, "no"), tree.Keep)
		}, fs.ErrNotExist},
		{"put where a file is", func() (tree.Count, error) { return g.Put(t.Context(), file, empty, tree.Keep) }, syscall.ENOTDIR},
		{"put over a folder", func() (tree.Count, error) { return g.Put(t.Context(), filepath.Dir(taken), empty, tree.Keep) }, syscall.EISDIR},
		{"too large", func() (tree.Count, error) {
			return g.Get(t.Context(), empty, t.TempDir(), tree.Limits{Size: 1 << 20})
		}, syscall.EFBIG},
		{"get cancelled", func() (tree.Count, error) { return g.Get(cancelled, empty, t.TempDir(), tree.Limits{}) }, context.Canceled},
		{"put cancelled", func() (tree.Count, error) { return g.Put(cancelled, g.dir, empty, tree.Keep) }, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := c.do(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if got := g.run(t, sh("echo lives"), ""); got.out != "lives\n" {
				t.Errorf("then %+v", got)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	g := newGuest(t)
	dir := filepath.Join(g.dir, "a")
	if err := os.MkdirAll(filepath.Join(dir, "b", "c"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := g.Remove(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it is there: %v", err)
		}
	}
}

// TestSettleAndPowerOff: the system is asked for what it can do, in the right order.
func TestSettleAndPowerOff(t *testing.T) {
	g := newGuest(t)
	if h := g.Hello(); h.Boot != "a boot?[31m" || h.Kernel != "a kernel" || h.CPUs < 1 {
		t.Errorf("it says %+v", h)
	}
	now := time.Date(2026, 11, 21, 19, 0, 0, 123456789, time.UTC)
	if err := g.Settle(t.Context(), wire.Settings{Hostname: "n1", Now: now}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(g.dir, "settled")); got != "n1 2026-11-21T19:00:00.123456789Z" {
		t.Errorf("it was told %q", got)
	}
	s, _ := streams(t, "")
	p, err := g.Start(t.Context(), sh("trap '' TERM; while :; do sleep 1; done"), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(g.dir, "quit")); err != nil {
		t.Error("its file systems were not brought to rest:", err)
	}
	if e, err := p.Wait(t.Context()); err != nil || e.Signal != int(syscall.SIGKILL) {
		t.Errorf("its program: %+v, %v", e, err)
	}
	<-g.Done()
	if !errors.Is(g.Err(), io.EOF) {
		t.Errorf("the stream ended with %v", g.Err())
	}
}

// TestDialTimeout: a guest that says nothing is not waited for longer than asked.
func TestDialTimeout(t *testing.T) {
	ours, theirs := pair(t)
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := wire.Dial(ctx, ours); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
