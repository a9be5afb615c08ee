package wine_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
	"muster/internal/image"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

// testStore is a store that all test processes share, so that the image, ten
// seconds of work, is built once. Its key holds the recipe, so a changed recipe
// gets an image of its own.
func testStore(t testing.TB) *image.Store {
	t.Helper()
	winetest.NeedWine(t)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	s, err := image.Open(filepath.Join(cache, "muster", "test-images"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testImage is the plain image.
func testImage(t testing.TB, table *proc.Table) guest.Image {
	t.Helper()
	img, err := wine.NewFront(table, testStore(t), os.Getenv).Image(context.Background(), guest.Request{}, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	if img.Built > 0 { // an earlier recipe's image goes
		if _, _, err := testStore(t).Collect(); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// world is an instance with its folders, and what a test does with them.
type world struct {
	t       testing.TB
	table   *proc.Table
	guest   *wine.Guest
	node    guest.Node
	folders guest.Folders
	place   guest.Place
	inst    guest.Instance
	scratch string
}

// newWorld opens an instance for the program folder dir; change may alter the
// place before. Whatever is left at the end of the test makes it fail.
func newWorld(t testing.TB, boot, dir string, change func(*guest.Place)) *world {
	t.Helper()
	table := proctest.Table(t)
	return openWorld(t, table, testImage(t, table), boot, dir, change)
}

func openWorld(t testing.TB, table *proc.Table, img guest.Image, boot, dir string, change func(*guest.Place)) *world {
	t.Helper()
	scratch, err := os.MkdirTemp("", "mw")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, table: table, guest: wine.New(table), scratch: scratch}
	w.node = guest.Node{Scratch: scratch, Image: img.Dir, ImageKey: img.Key, Boot: boot}
	w.folders = guest.Folders{In: scratch + "/in", Out: scratch + "/out", Work: scratch + "/work", Program: dir}
	w.place = guest.Place{ID: "lane0", Dir: scratch + "/lane0", Node: w.node, Folders: w.folders,
		Env: []string{guest.EnvInstance + "=lane0@" + filepath.Base(scratch)}}
	if change != nil {
		change(&w.place)
	}
	for _, d := range []string{w.folders.In, w.folders.Out, w.folders.Work + "/1", w.place.Dir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if w.inst != nil {
			if err := w.inst.Close(context.Background()); err != nil {
				t.Error(err)
			}
			w.nothingLeft()
		}
		if err := w.guest.Close(); err != nil {
			t.Error(err)
		}
		if err := guest.RemoveAll(scratch); err != nil {
			t.Error(err)
		}
	})
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	if w.inst, err = w.guest.Open(ctx, w.place); err != nil {
		t.Fatal(err)
	}
	return w
}

// result is how a program ended and what it wrote.
type result struct {
	job.Exit
	out, err string
}

// start starts a program; done waits for its end.
func (w *world) start(program string, args ...string) (p guest.Process, done func() result) {
	w.t.Helper()
	return w.startWith(guest.Command{Program: program, Args: args, Env: os.Environ()})
}

func (w *world) startWith(c guest.Command) (guest.Process, func() result) {
	w.t.Helper()
	stdout, err := os.CreateTemp(w.scratch, "out")
	if err != nil {
		w.t.Fatal(err)
	}
	stderr, err := os.CreateTemp(w.scratch, "err")
	if err != nil {
		w.t.Fatal(err)
	}
	c.Stdout, c.Stderr = stdout, stderr
	if c.Dir == "" {
		c.Dir = w.folders.Work + "/1"
	}
	p, err := w.inst.Start(context.Background(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return p, func() result {
		w.t.Helper()
		ctx, done := context.WithTimeout(context.Background(), time.Minute)
		defer done()
		e, err := p.Wait(ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		return result{e, w.read(stdout), w.read(stderr)}
	}
}

func (w *world) run(program string, args ...string) result {
	w.t.Helper()
	_, done := w.start(program, args...)
	return done()
}

func (w *world) read(f *os.File) string {
	w.t.Helper()
	defer f.Close()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// eventually waits until ok.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never happened: %s", what)
		}
	}
}

// processes lists the living processes of the instance by name.
func (w *world) processes() []string {
	w.t.Helper()
	all, err := w.table.Descendants()
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, p := range all {
		names = append(names, p.Comm)
	}
	return names
}

// nothingLeft checks that a closed instance has left neither process nor file,
// in its place or where Wine likes to put things.
func (w *world) nothingLeft() {
	w.t.Helper()
	if left := w.processes(); len(left) > 0 {
		w.t.Errorf("processes are left: %v", left)
	}
	marked, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range marked {
		if b, err := os.ReadFile(p); err == nil && strings.Contains(string(b), w.place.Dir+"/") {
			w.t.Errorf("%s belongs to the instance", p)
		}
	}
	names, err := os.ReadDir(w.place.Dir)
	if err != nil || len(names) > 0 {
		w.t.Errorf("the place is not empty: %v %v", names, err)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
