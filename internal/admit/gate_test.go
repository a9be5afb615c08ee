package admit

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muster/internal/node"
)

// fake is a machine on which each program takes a fixed amount of memory.
type fake struct {
	mu       sync.Mutex
	room     node.Room
	each     int64
	alive    int64
	others   int64 // memory that others have taken since
	pressure float64
	pulses   int
	broken   error
}

func (f *fake) memory() []node.Bound {
	var out []node.Bound
	for _, b := range f.room.Memory {
		b.Used += f.alive*f.each + f.others
		out = append(out, b)
	}
	return out
}

func (f *fake) Room() node.Room {
	f.mu.Lock()
	defer f.mu.Unlock()
	room := f.room
	room.Memory = f.memory()
	return room
}

func (f *fake) Pulse() (node.Pulse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pulses++
	return node.Pulse{Memory: f.memory(), Pressure: f.pressure}, f.broken
}

// Own: the fake's programs show all that they take.
func (f *fake) Own() (node.Tree, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return node.Tree{Memory: f.alive * f.each, Tasks: f.alive, Processes: f.alive}, nil
}

func (f *fake) Footprint(int) (int64, error) { return 0, errors.New("not shown") }

func (f *fake) start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alive++
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// launch starts programs through the gate until it says no, with as many starters;
// slow: a program is up 5 s after its start.
func launch(t *testing.T, g *Gate, f *fake, programs, starters int, slow bool) (started int, err error) {
	t.Helper()
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range starters {
		wait.Go(func() {
			for {
				mu.Lock()
				if started == programs {
					mu.Unlock()
					return
				}
				started++ // taken
				mu.Unlock()
				if e := g.Wait(t.Context()); e != nil {
					mu.Lock()
					started--
					err = e
					mu.Unlock()
					return
				}
				f.start()
				time.Sleep(3 * time.Millisecond)
				if slow {
					time.Sleep(5 * time.Second)
				}
				g.Up(1)
			}
		})
	}
	wait.Wait()
	return started, err
}

func open(t *testing.T, f *fake, o Options) *Gate {
	t.Helper()
	g, err := Open(f, o)
	if err != nil {
		t.Fatal(err)
	}
	g.Begin()
	return g
}

func small(limit int64) node.Room {
	return node.Room{Memory: []node.Bound{{By: "memory cgroup /small", Limit: limit}},
		Tasks: []node.Bound{{By: "kernel.pid_max", Limit: 32768, Used: 300}}}
}

func TestGateAllFit(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{room: small(4 * gib), each: mib}
			g := open(t, f, Options{Programs: 3000, Least: Need{Memory: mib / 4, Tasks: 1}})
			defer g.Close()
			starters := 8
			if slow { // whoever waits for programs to be up needs many
				starters = 3000
			}
			if n, err := launch(t, g, f, 3000, starters, slow); n != 3000 || err != nil {
				t.Fatalf("%d were started, %v", n, err)
			}
			d := g.Decision()
			if check, _ := d.Tightest(); !d.OK() || check.Each < mib+mib/10 || check.Each > mib+mib/8 {
				t.Errorf("it was measured to be %s", d.Line())
			}
			if g.Size() != 0 {
				t.Errorf("waves of %d, and all fit", g.Size())
			}
		})
	}
}

// TestGateRefusesAtOnce: what does not fit even if programs took next to nothing is
// refused before the first start.
func TestGateRefusesAtOnce(t *testing.T) {
	f := &fake{room: small(4 * gib)}
	f.room.Tasks[0].Limit = 4096
	_, err := Open(f, Options{Programs: 16384, Least: Need{Memory: mib / 8, Tasks: 1}})
	var r *Refusal
	if !errors.As(err, &r) || r.Decision.AtOnce != 3540 || !strings.Contains(err.Error(), "kernel.pid_max") {
		t.Fatalf("got %v", err)
	}
}

// TestGateRefusesAfterMeasuring: few are started, then the arithmetic is known.
func TestGateRefusesAfterMeasuring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{room: small(4 * gib), each: mib}
		g := open(t, f, Options{Programs: 16384, Least: Need{Memory: mib / 8, Tasks: 1}})
		defer g.Close()
		n, err := launch(t, g, f, 16384, 8, false)
		var r *Refusal
		if !errors.As(err, &r) || n > barrierEnd {
			t.Fatalf("%d were started, then: %v", n, err)
		}
		if at := r.Decision.AtOnce; at < 3400 || at > 3490 { // (4096-256)/1.1, starts in flight counted
			t.Errorf("%d are said to fit at once: %v", at, err)
		}
		if err := g.Wait(t.Context()); !errors.As(err, &r) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestGateBigPrograms: each takes so much that the second look would be too many.
func TestGateBigPrograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{room: small(4 * gib), each: gib / 2}
		g := open(t, f, Options{Programs: 100, Least: Need{Memory: mib / 8}})
		defer g.Close()
		n, err := launch(t, g, f, 100, 16, false)
		var r *Refusal
		if !errors.As(err, &r) || n > firstLook || r.Decision.AtOnce != 6 {
			t.Fatalf("%d were started, then: %v", n, err)
		}
	})
}

// TestGateDisturbance: others took memory while it was measured; the next look puts it right.
func TestGateDisturbance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{room: small(4 * gib), each: mib}
		g := open(t, f, Options{Programs: 1000, Least: Need{Memory: mib / 8}})
		defer g.Close()
		f.set(func() { f.others = 100 * mib })
		if n, err := launch(t, g, f, 1000, 8, false); n != 1000 || err != nil {
			t.Fatalf("%d were started, then: %v", n, err)
		}
	})
}

func TestGateWaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{room: small(4 * gib), each: mib}
		var said []string
		g := open(t, f, Options{Programs: 16384, Waves: true, Least: Need{Memory: mib / 8}, Say: func(s string) { said = append(said, s) }})
		defer g.Close()
		var all sync.WaitGroup
		over := make(chan struct{})
		all.Go(func() {
			if n, err := launch(t, g, f, 16384, 8, false); n != 16384 || err != nil {
				t.Errorf("%d were started, then: %v", n, err)
			}
			close(over)
		})
		var waves []int64
		for ended := false; !ended; {
			select {
			case <-over:
				ended = true
			case <-time.After(beat):
				if !g.WaveUp() {
					continue
				}
			}
			f.set(func() {
				waves = append(waves, f.alive)
				f.alive = 0
			})
			g.Next()
		}
		all.Wait()
		if len(waves) != 5 || waves[0] > 3490 || waves[0] < 3277 || waves[3] != waves[0] {
			t.Errorf("waves of %v", waves)
		}
		if len(said) == 0 || !strings.Contains(said[len(said)-1], "they go in 5 waves of up to 3,277") {
			t.Errorf("said: %q", said)
		}
	})
}

// TestGateFloor: memory that others take holds the starts, and when they give it back
// they go on.
func TestGateFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{room: small(4 * gib), each: mib}
		g := open(t, f, Options{Programs: 2000, Least: Need{Memory: mib / 8}})
		defer g.Close()
		if n, err := launch(t, g, f, 500, 8, false); n != 500 || err != nil {
			t.Fatalf("%d were started, then: %v", n, err)
		}
		f.set(func() { f.others = 4*gib - 500*mib - 256*mib })
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := g.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("at the floor: %v", err)
		}
		f.set(func() { f.others = 0 })
		if n, err := launch(t, g, f, 1500, 8, false); n != 1500 || err != nil {
			t.Fatalf("%d were started, then: %v", n, err)
		}
	})
}

// TestGateStaysShort: it is refused, or the wave is what is up.
func TestGateStaysShort(t *testing.T) {
	for _, c := range []struct {
		name  string
		waves bool
		short func(f *fake)
		why   string
	}{
		{"memory", false, func(f *fake) { f.others = 4 * gib }, "500 of 2,000 programs are up, and memory stays at its floor"},
		{"pressure", false, func(f *fake) { f.pressure = 60 }, "everything waits for it 60 % of the time"},
		{"waves", true, func(f *fake) { f.others = 4 * gib }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{room: small(4 * gib), each: mib}
				g := open(t, f, Options{Programs: 2000, Waves: c.waves, Least: Need{Memory: mib / 8}})
				defer g.Close()
				if n, err := launch(t, g, f, 500, 8, false); n != 500 || err != nil {
					t.Fatalf("%d were started, then: %v", n, err)
				}
				f.set(func() { c.short(f) })
				time.Sleep(2 * beat)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := g.Wait(ctx)
				var r *Refusal
				switch {
				case c.waves && (!errors.Is(err, context.DeadlineExceeded) || g.Size() != 500 || !g.WaveUp()):
					t.Errorf("waves of %d (up: %v), %v", g.Size(), g.WaveUp(), err)
				case !c.waves && (!errors.As(err, &r) || !strings.Contains(r.Why, c.why) || g.WaveUp()):
					t.Errorf("got %v, want %q", err, c.why)
				}
			})
		})
	}
}

// TestGateGone: a program that is started anew does not count twice.
func TestGateGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{room: small(4 * gib), each: mib}
		g := open(t, f, Options{Programs: 2, Least: Need{Memory: mib / 8}})
		defer g.Close()
		if n, err := launch(t, g, f, 2, 1, false); n != 2 || err != nil {
			t.Fatalf("%d were started, then: %v", n, err)
		}
		g.Gone(true)
		if err := g.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestGateAllocation: what a scheduler gave is held to, whatever the machine has.
func TestGateAllocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{room: small(64 * gib), each: 10 * mib}
		g := open(t, f, Options{Programs: 1000, Least: Need{Memory: mib}, Allocation: node.Bound{By: "the scheduler's allocation", Limit: 2 * gib}})
		defer g.Close()
		n, err := launch(t, g, f, 1000, 8, false)
		if err == nil || !strings.Contains(err.Error(), "the scheduler's allocation") || n > barrierEnd {
			t.Errorf("%d were started, then: %v", n, err)
		}
	})
}

func TestGateUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{room: small(gib), broken: errors.New("no such file")}
		g := open(t, f, Options{Programs: 100, Least: Need{Memory: mib / 8}})
		defer g.Close()
		time.Sleep(2 * beat)
		if err := g.Wait(t.Context()); !errors.Is(err, f.broken) {
			t.Errorf("got %v", err)
		}
	})
}

// TestGateReadsSeldom: the machine is read by one goroutine, not at each start.
func TestGateReadsSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{room: small(64 * gib), each: mib}
		g := open(t, f, Options{Programs: 4000, Least: Need{Memory: mib / 8}})
		defer g.Close()
		began := time.Now()
		if n, err := launch(t, g, f, 4000, 8, false); n != 4000 || err != nil {
			t.Fatalf("%d were started, then: %v", n, err)
		}
		if most := int(time.Since(began)/beat) + 40; f.pulses > most {
			t.Errorf("%d readings for 4000 starts, more than %d", f.pulses, most)
		}
	})
}
