package wincompat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
	"muster/internal/image"
	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

// TestLean runs what needs no more than a lean boot, each in an instance of its own.
func TestLean(t *testing.T) {
	w := newWorld(t)
	w.each(only(lean), func(s sample, n int) error {
		i, err := w.open(lean, fmt.Sprintf("own%d", n))
		if err != nil {
			return err
		}
		return errors.Join(w.check("lean", i, s, n), i.inst.Close(context.Background()))
	}, 2)
}

// TestFull runs everything in one instance with a full boot, one after the other.
func TestFull(t *testing.T) {
	w := newWorld(t)
	i := w.must(full, "full")
	w.each(samples, func(s sample, n int) error { return w.check("full", i, s, n) }, 1)
}

// TestSharedLean and TestSharedFull run several copies of everything at once in one instance, as isolation
// node does.
func TestSharedLean(t *testing.T) { shared(t, lean, only(lean)) }

func TestSharedFull(t *testing.T) { shared(t, full, samples) }

func shared(t *testing.T, boot string, those []sample) {
	w := newWorld(t)
	i := w.must(boot, "node0")
	all := slices.Repeat(those, 3)
	w.each(all, func(s sample, n int) error { return w.check("shared, "+boot, i, s, n) }, 8)
}

// TestKept runs what is lean with everything kept that lean instances do without (--keep all), and with each of these things
// alone.
func TestKept(t *testing.T) {
	for _, keep := range []string{"all", "stack", "timezone", "topology", "locale", "registry"} {
		t.Run(keep, func(t *testing.T) {
			w := newWorld(t)
			built, err := w.front.Build(context.Background(), wine.Build{Name: "wincompat-keep-" + keep, Keep: []string{keep}}, func(s string) { t.Log(s) })
			if err != nil {
				t.Fatal(err)
			}
			w.image = guest.Image{Dir: built.Dir, Key: built.Manifest.Key}
			i := w.must(lean, "kept")
			w.each(only(lean), func(s sample, n int) error { return w.check("lean, "+keep+" kept", i, s, n) }, 4)
		})
	}
}

// TestZones compares what programs take for the time zone in a lean and in a full boot, for zones of which nothing can be
// stored.
func TestZones(t *testing.T) {
	var those []sample
	for _, z := range zones {
		those = append(those, sample{name: z, program: "zone", env: []string{"TZ=" + z}})
	}
	asFull(t, those)
}

// TestPage compares the page that all programs share, and what comes of it, in a lean and in a full boot: what is right for
// this machine.
func TestPage(t *testing.T) { asFull(t, []sample{{name: "page"}}) }

// asFull compares the outcomes of samples in a lean instance with those in a full one.
func asFull(t *testing.T, those []sample) {
	w := newWorld(t)
	a, b := w.must(lean, "lean"), w.must(full, "full")
	w.each(those, func(s sample, n int) error {
		have, err := w.run(a, s, n)
		if err != nil {
			return err
		}
		want, err := w.run(b, s, n)
		if err != nil {
			return err
		}
		if d := differences(want, have); d != "" {
			return fmt.Errorf("lean is not as full\n%s", d)
		}
		return nil
	}, 2)
}

// TestAuto: what --boot auto chooses for each program is the boot that it was tested in.
func TestAuto(t *testing.T) {
	w := newWorld(t)
	for _, s := range samples {
		v, err := w.front.Check(context.Background(), guest.Request{Program: filepath.Join(w.programs, s.file()), Boot: "auto", Dirs: []string{w.programs}})
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
		} else if v.Boot != s.boot {
			t.Errorf("%s: auto chooses %s (%s), and it is tested in %s", s.name, v.Boot, v.Why, s.boot)
		}
	}
}

func only(boot string) []sample {
	return slices.DeleteFunc(slices.Clone(samples), func(s sample) bool { return s.boot != boot })
}

// world is the image and the folders of one test.
type world struct {
	t        *testing.T
	table    *proc.Table
	front    *wine.Front
	guest    *wine.Guest
	image    guest.Image
	programs string
	scratch  string
}

// opened is an open instance with its folders.
type opened struct {
	inst    guest.Instance
	folders guest.Folders
}

// newWorld prepares everything but instances; what the test leaves makes it fail.
func newWorld(t *testing.T) *world {
	t.Helper()
	winetest.NeedWine(t)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	// The store that the driver's own tests share, so that the image is built once.
	store, err := image.Open(filepath.Join(cache, "muster", "test-images"))
	if err != nil {
		t.Fatal(err)
	}
	table := proctest.Table(t)
	w := &world{t: t, table: table, front: wine.NewFront(table, store, os.Getenv), guest: wine.New(table)}
	t.Cleanup(func() {
		if err := w.guest.Close(); err != nil {
			t.Error(err)
		}
	})
	if w.image, err = w.front.Image(context.Background(), guest.Request{}, func(s string) { t.Log(s) }); err != nil {
		t.Fatal(err)
	}
	w.programs = winetest.Compile(t, "testdata/src", programs())
	if w.scratch, err = os.MkdirTemp("", "mc"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := guest.RemoveAll(w.scratch); err != nil {
			t.Error(err)
		}
	})
	return w
}

// open opens an instance with folders of its own.
func (w *world) open(boot, id string) (*opened, error) {
	dir := filepath.Join(w.scratch, id)
	p := guest.Place{
		ID: id, Dir: dir + "/place",
		Node:    guest.Node{Scratch: w.scratch, Image: w.image.Dir, ImageKey: w.image.Key, Boot: boot},
		Folders: guest.Folders{In: dir + "/in", Out: dir + "/out", Work: dir + "/work", Program: w.programs},
		Env:     []string{guest.EnvInstance + "=" + id + "@" + filepath.Base(w.scratch)},
	}
	for _, d := range []string{p.Dir, p.Folders.In, p.Folders.Out, p.Folders.Work} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	ctx, done := context.WithTimeout(context.Background(), 2*time.Minute)
	defer done()
	inst, err := w.guest.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	return &opened{inst, p.Folders}, nil
}

// must opens an instance that is closed with the test.
func (w *world) must(boot, id string) *opened {
	w.t.Helper()
	i, err := w.open(boot, id)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := i.inst.Close(context.Background()); err != nil {
			w.t.Error(err)
		}
	})
	return i
}

// each does something for each sample, so many at once, and reports every error.
func (w *world) each(those []sample, do func(s sample, n int) error, atOnce int) {
	w.t.Helper()
	var all errgroup.Group
	all.SetLimit(atOnce)
	for n, s := range those {
		all.Go(func() error {
			if err := do(s, n); err != nil {
				w.t.Errorf("%s: %v", s.name, err)
			}
			return nil
		})
	}
	all.Wait()
}

// check runs a sample in an instance and compares its outcome with what is expected.
func (w *world) check(mode string, i *opened, s sample, n int) error {
	have, err := w.run(i, s, n)
	if err != nil {
		return fmt.Errorf("%s: %w", mode, err)
	}
	want, err := os.ReadFile(golden(s))
	if err != nil {
		return err
	}
	if d := differences(string(want), have); d != "" {
		from, _ := os.ReadFile(origin)
		return fmt.Errorf("%s: not as in plain %s\n%s", mode, strings.TrimSpace(string(from)), d)
	}
	return nil
}

// run runs a sample in an instance, in a work folder that is n-th of it, and returns its outcome.
func (w *world) run(i *opened, s sample, n int) (string, error) {
	dir := filepath.Join(i.folders.Work, strconv.Itoa(n))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	in, out := dir+".in", dir+".out"
	if err := os.WriteFile(in, []byte(input), 0o600); err != nil {
		return "", err
	}
	stdin, err := os.Open(in)
	if err != nil {
		return "", err
	}
	defer stdin.Close()
	stdout, err := os.OpenFile(out, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return "", err
	}
	defer stdout.Close()
	ctx, done := context.WithTimeout(context.Background(), 2*time.Minute)
	defer done()
	p, err := i.inst.Start(ctx, guest.Command{
		Program: filepath.Join(w.programs, s.file()), Args: s.args, Dir: dir, Env: s.environment(),
		Stdin: stdin, Stdout: stdout, Stderr: stdout,
	})
	if err != nil {
		return "", err
	}
	exit, err := p.Wait(ctx)
	b, readErr := os.ReadFile(out)
	if err = errors.Join(err, readErr); err != nil {
		return "", fmt.Errorf("%w after\n%s", err, b)
	}
	return outcome(b, exit.Code), nil
}

// differences are the lines in which two outcomes differ, "" when they do not.
func differences(want, have string) string {
	var out strings.Builder
	a, b := strings.Split(want, "\n"), strings.Split(have, "\n")
	for n := range max(len(a), len(b)) {
		x, y := "(nothing)", "(nothing)"
		if n < len(a) {
			x = a[n]
		}
		if n < len(b) {
			y = b[n]
		}
		if x != y {
			fmt.Fprintf(&out, "line %d\n  want  %s\n  have  %s\n", n+1, x, y)
		}
	}
	return out.String()
}
