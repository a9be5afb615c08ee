package stage

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/image"
)

// These measure what docs/staging.md tells, as ratios:
//
//	go test -run - -bench . -benchtime 3x ./internal/stage

// sized makes a folder of n files of so many bytes each, of noise.
func sized(b *testing.B, n, size int) string {
	b.Helper()
	dir := b.TempDir()
	noise := make([]byte, size)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("d%d", i%40), fmt.Sprint("f", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if size > 8 {
			copy(noise, fmt.Sprintf("%08d", i))
		}
		if err := os.WriteFile(name, noise, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func described(b *testing.B, dir string) Tree {
	b.Helper()
	t, err := Program(dir)
	if err == nil {
		err = t.Sum(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	return t
}

type step struct {
	took *time.Duration
	do   func() error
}

// BenchmarkCopy is a first copy, checksums and all, beside `cp -a` of the same
// tree: like an image, and like a folder of small files.
func BenchmarkCopy(b *testing.B) {
	for _, c := range []struct {
		name    string
		n, size int
	}{{"800 files of 880 kB", 800, 880_000}, {"5000 files of 4 kB", 5000, 4 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			src := sized(b, c.n, c.size)
			tree := described(b, src)
			var cp, ours, again time.Duration
			for i := range b.N {
				dir := filepath.Join(b.TempDir(), fmt.Sprint(i))
				if err := os.Mkdir(dir, 0o700); err != nil {
					b.Fatal(err)
				}
				s, err := Open(filepath.Join(dir, "stage"), 0)
				if err != nil {
					b.Fatal(err)
				}
				acquire := func() error {
					u, err := s.Acquire(b.Context(), tree, Central{})
					if err == nil {
						err = u.Close()
					}
					return err
				}
				steps := []step{
					{&cp, func() error { return exec.Command("cp", "-a", src, filepath.Join(dir, "cp")).Run() }},
					{&ours, acquire},
				}
				if i%2 == 1 { // whoever is the second finds a disk that is busy with what the first has written
					slices.Reverse(steps)
				}
				for _, st := range append(steps, step{&again, acquire}) {
					unix.Sync()
					began := time.Now()
					if err := st.do(); err != nil {
						b.Fatal(err)
					}
					*st.took += time.Since(began)
				}
				if err := image.RemoveTree(dir); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cp)/float64(ours), "times-cp-a")
			b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ms/copy")
			b.ReportMetric(float64(again.Microseconds())/1000/float64(b.N), "ms/reuse")
		})
	}
}

// BenchmarkFanout has eight nodes stage 24 MB at once, from a central storage that
// gives all of them together 20 MB a second.
func BenchmarkFanout(b *testing.B) {
	src := sized(b, 96, 256<<10)
	tree := described(b, src)
	run := func(name string, get func(b *testing.B, dir string, n int, from Source) func() error) {
		b.Run(name, func(b *testing.B) {
			var took time.Duration
			for i := range b.N {
				dir := filepath.Join(b.TempDir(), fmt.Sprint(i))
				if err := os.Mkdir(dir, 0o700); err != nil {
					b.Fatal(err)
				}
				from := &slow{rate: 20 << 20}
				var gets []func() error
				for n := range 8 {
					gets = append(gets, get(b, dir, n, from))
				}
				var wg sync.WaitGroup
				began := time.Now()
				for _, get := range gets {
					wg.Go(func() {
						if err := get(); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
				took += time.Since(began)
				if err := image.RemoveTree(dir); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(took.Seconds()/float64(b.N), "s/8-nodes")
		})
	}
	run("direct", func(b *testing.B, dir string, n int, from Source) func() error {
		s, err := Open(filepath.Join(dir, fmt.Sprint("node", n)), 0)
		if err != nil {
			b.Fatal(err)
		}
		return func() error {
			u, err := s.Acquire(b.Context(), tree, from)
			if err == nil {
				u.Close()
			}
			return err
		}
	})
	run("tree", func(b *testing.B, dir string, n int, from Source) func() error {
		p := newPeer(b, dir, filepath.Join(dir, "meet"), n, from)
		b.Cleanup(p.close)
		return func() error { return p.get(b.Context(), tree) }
	})
}
