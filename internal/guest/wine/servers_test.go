package wine_test

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
	"muster/internal/job"
	"muster/internal/proc"
)

// A planned instance has its servers from the beginning. The death of one takes its programs, named as what
// they are, and no others; a new server is opened for those that find no room any more.
func TestServersAreIndependent(t *testing.T) {
	const servers, each = 3, 3
	progs := winetest.Build(t, "sleeper")
	w := newWorld(t, wine.BootLean, filepath.Dir(filepath.Dir(progs["sleeper"])), nil)
	w.guest.SetFiles(wine.FilesFor(each))
	first := w.inst
	place := w.place
	place.ID, place.Dir, place.Programs = "node0", filepath.Join(w.scratch, "node0"), servers*each
	place.Env = []string{guest.EnvInstance + "=node0@" + filepath.Base(w.scratch)}
	if err := os.Mkdir(place.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	inst, err := w.guest.Open(ctx, place)
	if err != nil {
		t.Fatal(err)
	}
	w.inst = inst
	t.Cleanup(func() { w.inst = first })
	defer inst.Close(context.Background())
	parts := func() int {
		up, n := inst.(guest.Crowded).Parts()
		if n != each {
			t.Fatalf("%d programs a server", n)
		}
		return up
	}
	if got := parts(); got != servers {
		t.Fatalf("%d servers are up", got)
	}
	running := func() (n int) {
		names, err := os.ReadDir(w.folders.Out)
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	var programs []guest.Process
	start := func(n int) {
		for range n {
			p, _ := w.start(progs["sleeper"], "-1", `O:\`+itoa(len(programs)))
			programs = append(programs, p)
		}
		w.eventually("they run", func() bool { return running() == len(programs) })
	}
	start(servers * each)

	all := w.find("wineserver64")
	victim := slices.MaxFunc(all, func(a, b proc.Info) int { return cmp.Compare(a.Started, b.Started) })
	if err := proc.SignalProcess(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ended := func() (n int) {
		for _, p := range programs {
			look, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			if e, err := p.Wait(look); err == nil {
				n++
				if e.Cause != job.CauseInstance {
					t.Errorf("a program of the dead server ended with %+v", e)
				}
			}
			cancel()
		}
		return n
	}
	w.eventually("the dead server's programs have ended", func() bool { return ended() == each })
	if !inst.Alive() || parts() != servers-1 {
		t.Fatalf("alive: %v, with %d servers", inst.Alive(), parts())
	}
	start(each)
	if got := ended(); got != each || parts() != servers {
		t.Errorf("%d programs have ended and %d servers are up, after new programs", got, parts())
	}
	if err := inst.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := ended(); got != len(programs) {
		t.Errorf("%d of %d programs have ended with the instance", got, len(programs))
	}
	if names, err := os.ReadDir(place.Dir); err != nil || len(names) > 0 {
		t.Errorf("left: %v %v", names, err)
	}
	if got := w.processes(); len(got) != 2 {
		t.Errorf("beside the first instance there are %v", got)
	}
}
