package clock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/clock"
)

// world is some machines with clocks of their own, and true time, which passes
// only when it is told to.
type world struct {
	t    *rapid.T
	true time.Duration
}

// skewed is a machine's clock.
type skewed struct {
	w     *world
	off   time.Duration
	drift float64
	step  time.Duration // it moves in steps; 0: it does not
}

var epoch = time.Date(2026, 3, 4, 10, 20, 30, 0, time.UTC)

func (c skewed) at(true time.Duration) time.Time {
	at := epoch.Add(true + c.off + time.Duration(c.drift*float64(true)))
	if c.step > 0 {
		at = at.Truncate(c.step)
	}
	return at
}

func (c skewed) now() time.Time { return c.at(c.w.true) }

func (w *world) pass(most time.Duration, what string) {
	w.true += time.Duration(rapid.Int64Range(0, int64(most)).Draw(w.t, what))
}

// clockOf draws a machine's clock: hours off, and drifting as quartz does.
func (w *world) clockOf(name string) skewed {
	return skewed{w: w, off: time.Duration(rapid.Int64Range(-int64(3*time.Hour), int64(3*time.Hour)).Draw(w.t, name+" off")),
		drift: float64(rapid.IntRange(-200, 200).Draw(w.t, name+" ppm")) * 1e-6}
}

// throughFiles is a comparison of c with the server; requests take their time.
func (w *world) throughFiles(c, server skewed) clock.Range {
	r := clock.CompareStamps(context.Background(), c.now, func() (time.Time, error) {
		w.pass(20*ms, "request")
		at := server.now()
		w.pass(20*ms, "answer")
		return at, nil
	}, 0)
	if r.Why != "" {
		w.t.Fatal(r.Why)
	}
	return r.Ahead
}

const ms = time.Millisecond

// The truth lies within the error, nothing begins before its submission and
// nothing ends after it was read, however wrong and unsteady clocks are.
func TestCorrectedTimesKeepTheirPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t}
		host, server, node := w.clockOf("host"), w.clockOf("server"), w.clockOf("node")
		server.step = []time.Duration{0, 4 * ms, 10 * ms, time.Second}[rapid.IntRange(0, 3).Draw(t, "step")]
		e := clock.Evidence{Host: []clock.Range{w.throughFiles(host, server)}}
		submitted := w.true
		w.pass(time.Hour, "queued")
		began := w.true
		e.Node = []clock.Range{w.throughFiles(node, server)}
		w.pass(2*time.Hour, "work")
		ended := w.true
		e.Node = append(e.Node, w.throughFiles(node, server))
		e.Host = append(e.Host, w.throughFiles(host, server))
		read := w.true
		e.Bounds = clock.Range{Least: node.at(ended).Sub(host.at(read)), Most: node.at(began).Sub(host.at(submitted))}
		e.Over = node.at(ended).Sub(node.at(began))

		c := e.Correct()
		if c.Method != clock.Files || !c.Known {
			t.Fatalf("%+v", c)
		}
		for _, at := range []time.Duration{began, (began + ended) / 2, ended} {
			if wrong := c.Apply(node.at(at)).Sub(host.at(at)).Abs(); wrong > c.Error {
				t.Errorf("%v after the beginning the corrected time is wrong by %v, said: %v", at, wrong, c.Error)
			}
		}
		if at := c.Apply(node.at(began)); at.Before(host.at(submitted)) && !c.Odd {
			t.Errorf("began %v, submitted %v", at, host.at(submitted))
		}
		if at := c.Apply(node.at(ended)); at.After(host.at(read).Add(c.Error)) && !c.Odd {
			t.Errorf("ended %v, read %v", at, host.at(read))
		}
	})
}

func TestCorrect(t *testing.T) {
	const hour = time.Hour
	r := func(least, most time.Duration) clock.Range { return clock.Range{Least: least, Most: most} }
	all := clock.NoBounds()
	for _, c := range []struct {
		name string
		e    clock.Evidence
		want clock.Correction
	}{
		{"nothing known", clock.Evidence{Bounds: all, Why: "no NFS"}, clock.Correction{Method: clock.None, Why: "no NFS"}},
		{"began before it was submitted", clock.Evidence{Bounds: r(all.Least, -hour)}, clock.Correction{Method: clock.None, Ahead: -hour}},
		{"read before it was written", clock.Evidence{Bounds: r(hour, all.Most)}, clock.Correction{Method: clock.None, Ahead: hour}},
		{"between submission and reading", clock.Evidence{Bounds: r(-2*time.Second, time.Second)}, clock.Correction{Method: clock.None, Known: true, Error: 2 * time.Second}},
		{"one machine", clock.Evidence{Same: true, Bounds: r(-hour, hour)}, clock.Correction{Method: clock.Machine, Known: true}},
		{"files", clock.Evidence{Node: []clock.Range{r(hour-5*ms, hour+5*ms)}, Host: []clock.Range{r(-1*ms, 1*ms)}, Bounds: r(-hour, 2*hour)},
			clock.Correction{Method: clock.Files, Known: true, Ahead: hour, Error: 6 * ms}},
		{"files, and what came first narrows it", clock.Evidence{Node: []clock.Range{r(0, 10*ms)}, Host: []clock.Range{r(0, 0)}, Bounds: r(-hour, 4*ms)},
			clock.Correction{Method: clock.Files, Known: true, Ahead: 2 * ms, Error: 2 * ms}},
		{"a drifting clock", clock.Evidence{Node: []clock.Range{r(0, 2*ms), r(98*ms, 100*ms)}, Host: []clock.Range{r(0, 0)}, Bounds: all},
			clock.Correction{Method: clock.Files, Known: true, Ahead: 50 * ms, Error: 50 * ms}},
		{"files contradict what came first", clock.Evidence{Node: []clock.Range{r(hour, hour)}, Host: []clock.Range{r(0, 0)}, Bounds: r(all.Least, 0)},
			clock.Correction{Method: clock.Files, Known: true, Odd: true, Error: hour}},
		{"a socket before all else", clock.Evidence{Same: true, Socket: []clock.Range{r(-1*ms, 1*ms)}, Bounds: all}, clock.Correction{Method: clock.Socket, Known: true, Error: 1 * ms}},
		{"files of the node alone", clock.Evidence{Node: []clock.Range{r(hour, hour)}, Bounds: all}, clock.Correction{Method: clock.None}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.e.Correct(); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestStampsThatCannotBeHad(t *testing.T) {
	r := clock.CompareStamps(t.Context(), time.Now, func() (time.Time, error) { return time.Time{}, errors.New("disk full") }, 0)
	if r.Why != "disk full" {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := clock.CompareStamps(ctx, time.Now, func() (time.Time, error) { return time.Now(), nil }, 0); !strings.Contains(r.Why, "took too long") {
		t.Errorf("%+v", r)
	}
	dir := t.TempDir()
	// Where tests have their folders, this machine stamps, or nobody knows who does.
	if r := clock.ThroughFiles(t.Context(), dir, "stamp", time.Now); r.Why == "" && (!r.Local || r.Ahead.Least > 0 || r.Ahead.Most < 0) {
		t.Errorf("a local file system is taken for a server's: %+v", r)
	}
	if r := clock.ThroughFiles(t.Context(), "/proc/self", "stamp", time.Now); !strings.Contains(r.Why, "does not promise") {
		t.Errorf("%+v", r)
	}
	if r := clock.ThroughFiles(t.Context(), filepath.Join(dir, "absent"), "stamp", time.Now); r.Why == "" {
		t.Errorf("%+v", r)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// The kernel stamps folders by the clock that this process reads: the difference
// found between the two must allow for none.
func TestRealStampsOfThisMachine(t *testing.T) {
	dir := t.TempDir()
	n := 0
	r := clock.CompareStamps(t.Context(), time.Now, func() (time.Time, error) {
		n++
		path := filepath.Join(dir, strings.Repeat("x", n))
		if err := os.Mkdir(path, 0o700); err != nil {
			return time.Time{}, err
		}
		fi, err := os.Lstat(path)
		if err != nil {
			return time.Time{}, err
		}
		return fi.ModTime(), nil
	}, 3*ms)
	if r.Why != "" || r.Ahead.Least > 0 || r.Ahead.Most < 0 {
		t.Errorf("no difference is outside %+v", r)
	}
	if _, wrong := r.Ahead.Middle(); wrong <= 0 {
		t.Errorf("known within %v: nothing is known that well", wrong)
	}
}
