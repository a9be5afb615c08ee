package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/image"
)

// program makes a program's folder of n files, and links.
func program(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("d%d/e", i%7), fmt.Sprintf("f%d.dat", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(strings.Repeat(fmt.Sprintf("content %d;", i), i%900)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "run.sh"), []byte("#!/bin/sh\necho here\n"), 0o700))
	must(t, os.Symlink("run.sh", filepath.Join(dir, "inside")))
	must(t, os.Symlink("../outside", filepath.Join(dir, "out")))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, limit int64) *Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "stage")
	s, err := Open(dir, limit)
	must(t, err)
	t.Cleanup(func() { image.RemoveTree(dir) }) // TempDir cannot remove what is write-protected
	return s
}

func describe(t *testing.T, dir string, sum bool) Tree {
	t.Helper()
	tree, err := Program(dir)
	must(t, err)
	if sum {
		must(t, tree.Sum(t.Context()))
	}
	return tree
}

func acquire(t *testing.T, s *Store, tree Tree, from Source) *Use {
	t.Helper()
	u, err := s.Acquire(t.Context(), tree, from)
	must(t, err)
	t.Cleanup(func() { u.Close() })
	return u
}

// sameFiles compares the content of two trees.
func sameFiles(t *testing.T, a, b string) {
	t.Helper()
	count := func(dir string) (n int) {
		must(t, filepath.WalkDir(dir, func(string, fs.DirEntry, error) error { n++; return nil }))
		return n
	}
	if count(a) != count(b) {
		t.Fatalf("%s has %d entries and %s %d", a, count(a), b, count(b))
	}
	must(t, filepath.WalkDir(a, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(a, p)
		x, errX := os.ReadFile(p)
		y, errY := os.ReadFile(filepath.Join(b, rel))
		if errX != nil || errY != nil || string(x) != string(y) {
			t.Errorf("%s differs (%v, %v)", rel, errX, errY)
		}
		return nil
	}))
}

// counting counts what is fetched of the central storage.
type counting struct {
	fetches, files atomic.Int64
	before         func(i int)
}

func (c *counting) Fetch(ctx context.Context, t *Tree, want []int, put Put) (string, error) {
	c.fetches.Add(1)
	return Central{}.Fetch(ctx, t, want, func(i int, content Content) error {
		c.files.Add(1)
		if c.before != nil {
			c.before(i)
		}
		return put(i, content)
	})
}

func TestAcquireOnce(t *testing.T) {
	dir := program(t, 200)
	tree := describe(t, dir, true)
	s := open(t, 0)
	var from counting
	var wg sync.WaitGroup
	var copied atomic.Int64
	for range 20 {
		wg.Go(func() {
			u, err := s.Acquire(t.Context(), tree, &from)
			if err != nil {
				t.Error(err)
				return
			}
			defer u.Close()
			if u.How == Copied {
				copied.Add(1)
				if u.Bytes != tree.Size {
					t.Errorf("%d bytes copied, of %d", u.Bytes, tree.Size)
				}
			}
		})
	}
	wg.Wait()
	if from.fetches.Load() != 1 || copied.Load() != 1 {
		t.Errorf("%d fetches, %d say they copied; want one each", from.fetches.Load(), copied.Load())
	}
	u := acquire(t, s, tree, nil)
	if u.How != Reused || u.Bytes != 0 {
		t.Errorf("the next run: %s, %d bytes", u.How, u.Bytes)
	}
	sameFiles(t, dir, u.Files())
	if st, err := os.Stat(filepath.Join(u.Files(), "run.sh")); err != nil || st.Mode().Perm() != 0o555 {
		t.Errorf("run.sh: %v, %v; want it executable and write-protected", st.Mode(), err)
	}
	if link, _ := os.Readlink(filepath.Join(u.Files(), "out")); link != filepath.Join(filepath.Dir(dir), "outside") {
		t.Errorf("the link out of the folder leads to %s", link)
	}
	if link, _ := os.Readlink(filepath.Join(u.Files(), "inside")); link != "run.sh" {
		t.Errorf("the link within the folder leads to %s", link)
	}
}

// A file that is not what it was said to be, in the source.
func TestAcquireChangedSource(t *testing.T) {
	for _, c := range []struct {
		name  string
		sum   bool
		spoil func(file string) error
	}{
		{"cut short", false, func(f string) error { return os.Truncate(f, 10) }},
		{"grown", false, func(f string) error { return os.WriteFile(f, make([]byte, 5000), 0o644) }},
		{"flipped", true, func(f string) error {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(f, b, 0o644)
		}},
		{"gone", false, os.Remove},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := program(t, 50)
			tree := describe(t, dir, c.sum)
			file := filepath.Join(dir, "d0/e/f49.dat")
			must(t, c.spoil(file))
			s := open(t, 0)
			_, err := s.Acquire(t.Context(), tree, Central{})
			if !errors.Is(err, ErrChanged) && !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "f49.dat") {
				t.Fatalf("error %v; want one that names the file", err)
			}
			if _, err := s.Has(t.Context(), tree); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a part is taken for the whole: %v", err)
			}
		})
	}
}

// A copy that is damaged later is found and renewed, also while somebody uses it.
func TestAcquireDamagedCopy(t *testing.T) {
	dir := program(t, 60)
	tree := describe(t, dir, false)
	damage := map[string]func(files string) error{
		"file gone": func(d string) error { return os.Remove(filepath.Join(d, "d0/e/f7.dat")) },
		"cut short": func(d string) error { return os.Truncate(filepath.Join(d, "d0/e/f7.dat"), 3) },
		"written to": func(d string) error {
			return os.WriteFile(filepath.Join(d, "d0/e/f7.dat"), make([]byte, len("content 7;")*7), 0o644)
		},
		"file added":  func(d string) error { return os.WriteFile(filepath.Join(d, "new"), nil, 0o644) },
		"record gone": func(d string) error { return os.Remove(filepath.Join(d, "../stage.json")) },
		"flipped before a power cut": func(d string) error {
			name := filepath.Join(d, "d0/e/f7.dat")
			st, err := os.Stat(name)
			must(t, err)
			must(t, os.WriteFile(name, make([]byte, st.Size()), 0o644))
			must(t, os.Chmod(name, 0o444))
			must(t, os.Chtimes(name, st.ModTime(), st.ModTime()))
			r, err := readRecord(filepath.Dir(d))
			must(t, err)
			r.Boot = "an earlier one"
			return r.write(filepath.Dir(d))
		},
	}
	for name, spoil := range damage {
		for _, used := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", in use ", used), func(t *testing.T) {
				s := open(t, 0)
				first := acquire(t, s, tree, Central{})
				if !used {
					first.Close()
				}
				writable(t, first.Files())
				must(t, spoil(first.Files()))
				u := acquire(t, s, tree, Central{})
				if u.How != Copied {
					t.Fatalf("the damaged copy was %s", u.How)
				}
				sameFiles(t, dir, u.Files())
				if used == (u.Dir == first.Dir) {
					t.Errorf("in use %t: renewed in %s, the damaged one in %s", used, u.Dir, first.Dir)
				}
			})
		}
	}
}

func writable(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type() != fs.ModeSymlink {
			// Their times stay.
			err = os.Chmod(p, map[bool]fs.FileMode{true: 0o755, false: 0o644}[d.IsDir()])
		}
		return err
	}))
	t.Cleanup(func() {})
}

// After the machine was started anew, a good copy is read once and serves on.
func TestAcquireAfterBoot(t *testing.T) {
	dir := program(t, 60)
	tree := describe(t, dir, false)
	s := open(t, 0)
	first := acquire(t, s, tree, Central{})
	r, err := readRecord(first.Dir)
	must(t, err)
	r.Boot = "an earlier one"
	must(t, r.write(first.Dir))
	if u := acquire(t, s, tree, nil); u.How != Reused {
		t.Errorf("a good copy was %s", u.How)
	}
	if r, err = readRecord(first.Dir); err != nil || r.Boot != bootID() {
		t.Errorf("the record says boot %s (%v)", r.Boot, err)
	}
}

// A copier that ends in the middle leaves nothing that is believed, and its successor fetches only the rest.
func TestAcquireResumes(t *testing.T) {
	dir := program(t, 300)
	tree := describe(t, dir, true)
	s := open(t, 0)
	ctx, stop := context.WithCancel(t.Context())
	from := &counting{}
	from.before = func(int) {
		if from.files.Load() == 150 {
			stop()
		}
	}
	if _, err := s.Acquire(ctx, tree, from); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// One of the files that are there was damaged meanwhile, one cut short.
	part := filepath.Join(s.Dir(), tree.Key+".1"+partExt, "tree")
	var there []string
	must(t, filepath.WalkDir(part, func(p string, d fs.DirEntry, err error) error {
		if st, e := d.Info(); e == nil && d.Type().IsRegular() && st.Size() > 20 {
			there = append(there, p)
		}
		return err
	}))
	if len(there) < 50 {
		t.Fatalf("only %d files are left of the first copier", len(there))
	}
	rand.Shuffle(len(there), func(i, j int) { there[i], there[j] = there[j], there[i] })
	for _, f := range there[:2] {
		must(t, os.Chmod(f, 0o644))
	}
	b, err := os.ReadFile(there[0])
	must(t, err)
	b[5] ^= 1
	must(t, os.WriteFile(there[0], b, 0o644))
	must(t, os.Truncate(there[1], 5))
	next := &counting{}
	u := acquire(t, s, tree, next)
	sameFiles(t, dir, u.Files())
	if n := next.files.Load(); n < 2 || n > 302-145 {
		t.Errorf("the second copier fetched %d of 301 files, though 150 were there", n)
	}
	if u.Bytes >= tree.Size {
		t.Errorf("%d bytes fetched, of %d", u.Bytes, tree.Size)
	}
}

func TestLeastRecentlyUsedGoes(t *testing.T) {
	var trees []Tree
	for range 4 {
		dir := t.TempDir()
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		must(t, os.WriteFile(filepath.Join(dir, "big"), b, 0o644))
		trees = append(trees, describe(t, dir, false))
	}
	s := open(t, 3<<20+200<<10) // three of them
	held := acquire(t, s, trees[0], Central{})
	acquire(t, s, trees[1], Central{}).Close()
	acquire(t, s, trees[2], Central{}).Close()
	hour := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(filepath.Join(s.Dir(), trees[0].Key+".1"+useExt), hour.Add(-time.Hour), hour.Add(-time.Hour)))
	must(t, os.Chtimes(filepath.Join(s.Dir(), trees[2].Key+".1"+useExt), hour, hour))
	four := acquire(t, s, trees[3], Central{})
	here := func(want ...bool) {
		t.Helper()
		for i, tree := range trees {
			_, err := os.Stat(filepath.Join(s.Dir(), tree.Key+".1"))
			if (err == nil) != want[i] {
				t.Errorf("tree %d is here: %t", i, err == nil)
			}
		}
	}
	// The oldest is in use; the next oldest went.
	here(true, true, false, true)
	second := acquire(t, s, trees[1], nil)
	if _, err := s.Acquire(t.Context(), trees[2], Central{}); !errors.Is(err, ErrSpace) || !strings.Contains(err.Error(), "--stage-limit") {
		t.Errorf("all are in use: %v", err)
	}
	infos, err := s.List()
	must(t, err)
	if len(infos) != 3 || !infos[0].InUse || !infos[0].Whole || infos[0].From == "" {
		t.Errorf("the list: %+v", infos)
	}
	four.Close()
	second.Close()
	gone, err := s.Clear()
	must(t, err)
	if len(gone) != 2 {
		t.Errorf("cleared %d, and two are free", len(gone))
	}
	here(true, false, false, false)
	held.Close()
	if gone, err = s.Clear(); err != nil || len(gone) != 1 {
		t.Errorf("cleared %d: %v", len(gone), err)
	}
	if left, err := os.ReadDir(s.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v are left (%v)", left, err)
	}
	acquire(t, s, trees[0], Central{}) // it works on
}

func TestProgramTooLarge(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o644))
	must(t, os.Truncate(filepath.Join(dir, "f"), ProgramLimit+1)) // sparse
	_, err := Program(dir)
	if err == nil || !strings.Contains(err.Error(), "1.1 GB") || !strings.Contains(err.Error(), "--program-dir") {
		t.Errorf("error %v", err)
	}
}

func TestWriteRead(t *testing.T) {
	tree := describe(t, program(t, 20), true)
	file := filepath.Join(t.TempDir(), "program.json")
	must(t, tree.Write(file))
	got, err := Read(file)
	must(t, err)
	if got.Key != tree.Key || len(got.Entries) != len(tree.Entries) || !got.summed() {
		t.Errorf("read %+v", got)
	}
	b, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, []byte(strings.Replace(string(b), "d0/e", "../e", 1)), 0o600))
	if _, err := Read(file); err == nil {
		t.Error("a description was taken that has been changed")
	}
	bad := Tree{Entries: []image.Entry{{Path: "../x"}}}
	bad.Key = bad.digest()
	must(t, bad.Write(file))
	if _, err := Read(file); err == nil || !strings.Contains(err.Error(), "leads out") {
		t.Errorf("a name that leads out: %v", err)
	}
}
