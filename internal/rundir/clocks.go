package rundir

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"muster/internal/clock"
)

// StampFolder is where machines have something stamped, to compare their clocks
// (clock.ThroughFiles).
func (r *Run) StampFolder() string { return r.path(clocksDir, "") }

// StampName is what who may make there. Readers pass over such names.
func StampName(who string) string { return tempPrefix + "stamp-" + who }

// ClockLog is what a listener to agents' clocks writes: that it listens, and what
// it is told.
type ClockLog struct {
	run   *Run
	offer string // path
	mu    sync.Mutex
	file  *os.File
	err   error
}

// NewClockLog begins the file of what a listener is told.
func (r *Run) NewClockLog() (*ClockLog, error) {
	// Runs of an older muster have no such folder.
	if err := os.Mkdir(r.StampFolder(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("begin the file of a listener: %w", err)
	}
	names, err := readNames(r.StampFolder())
	if err != nil {
		return nil, fmt.Errorf("begin the file of a listener: %w", err)
	}
	k := 1
	for _, name := range names {
		if n, ok := clockNumber(name, eventsSuffix); ok {
			k = max(k, n+1)
		}
	}
	for ; ; k++ {
		base := r.path(clocksDir, strconv.Itoa(k))
		f, err := os.OpenFile(base+eventsSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("begin the file of a listener: %w", err)
		}
		return &ClockLog{run: r, offer: base + offerSuffix, file: f}, nil
	}
}

// Offer tells agents where the listener is found.
func (l *ClockLog) Offer(o clock.Offer) error { return l.run.createJSON(l.offer, o) }

func clockNumber(name, suffix string) (int, bool) {
	base, ok := strings.CutSuffix(name, suffix)
	ns, is := parseNumbers(base, 1, 1)
	if !ok || !is {
		return 0, false
	}
	return ns[0], true
}

// Write records an event. It is not synced: the agents' own journals tell nearly
// as much. An error is kept for Close.
func (l *ClockLog) Write(e clock.Event) {
	line, err := json.Marshal(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if l.err == nil {
		l.err = err // one is enough, however many follow
	}
}

// Close takes the offer back. The file of events stays.
func (l *ClockLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := os.Remove(l.offer)
	if errors.Is(gone, fs.ErrNotExist) {
		gone = nil // none was made
	}
	if err := errors.Join(l.err, gone, l.file.Close()); err != nil {
		return fmt.Errorf("end the file of a listener: %w", err)
	}
	return nil
}

// ClockOffers are the listeners that have not taken their offers back, the newest
// first. Some may be gone nevertheless.
func (r *Run) ClockOffers() ([]clock.Offer, error) {
	ks, err := r.clockFiles(offerSuffix)
	if err != nil {
		return nil, err
	}
	var all []clock.Offer
	for _, k := range slices.Backward(ks) {
		data, err := readFile(r.path(clocksDir, strconv.Itoa(k)+offerSuffix))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for a listener: %w", err)
		}
		var o clock.Offer
		if err := unmarshal(data, &o); err != nil {
			return nil, &DamageError{File: r.path(clocksDir, strconv.Itoa(k)+offerSuffix), What: err.Error()}
		}
		all = append(all, o)
	}
	return all, nil
}

// ClockEvents is what all listeners were told, in no order. Lines that are not whole are
// left out: nothing depends on them.
func (r *Run) ClockEvents() ([]clock.Event, error) {
	ks, err := r.clockFiles(eventsSuffix)
	if err != nil {
		return nil, err
	}
	var all []clock.Event
	for _, k := range ks {
		f, err := os.Open(r.path(clocksDir, strconv.Itoa(k)+eventsSuffix))
		if err != nil {
			return nil, fmt.Errorf("read what a listener was told: %w", err)
		}
		lines := bufio.NewScanner(io.LimitReader(f, 64<<20))
		for lines.Scan() {
			var e clock.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				all = append(all, e)
			}
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			return nil, fmt.Errorf("read what a listener was told: %w", err)
		}
	}
	return all, nil
}

// clockFiles are the numbers of the files with that suffix, in order.
func (r *Run) clockFiles(suffix string) ([]int, error) {
	names, err := readNames(r.StampFolder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list clocks: %w", err)
	}
	var ks []int
	for _, name := range names {
		if k, ok := clockNumber(name, suffix); ok {
			ks = append(ks, k)
		}
	}
	slices.Sort(ks)
	return ks, nil
}

// clocks works out by how much each agent's clock is ahead of the submitting host's.
func (t *Tail) clocks(subs []Submission) {
	now := time.Now()
	host, _ := os.Hostname()
	var events []clock.Event
	if t.once && t.snap.Spec.Timing == string(clock.Socket) {
		events, _ = t.run.ClockEvents() // they narrow what is known anyway
	}
	for i := range t.fold.agents {
		a := &t.fold.agents[i]
		if a.Began.IsZero() {
			continue
		}
		for _, s := range subs {
			if s.Generation != a.ID.Generation {
				continue
			}
			var read time.Time
			if s.Host == host {
				read = now
			}
			a.Clock = evidence(a, s, subs, events, read).Correct()
		}
	}
}

// evidence gathers what is known of an agent's clock. read is when its records
// were read, by the submitting host's clock; zero: not known.
func evidence(a *AgentState, sub Submission, subs []Submission, events []clock.Event, read time.Time) clock.Evidence {
	e := clock.Evidence{Same: a.Boot != "" && a.Boot == sub.Clock.Boot, Bounds: clock.NoBounds(), Over: a.Last}
	local := false // the submitting host has the run directory on its own disk
	for _, s := range subs {
		switch f := s.Clock.Files; {
		case s.Host != sub.Host || f.Method != clock.Files:
		case f.Why != "":
			e.Why = f.Why
		default:
			e.Host = append(e.Host, f.Ahead)
			local = local || f.Local
		}
	}
	for _, r := range a.Readings {
		switch {
		case r.Why != "" && r.Method == clock.Files:
			e.Why = r.Why
		case r.Why != "":
		case r.Method == clock.Socket:
			e.Socket = append(e.Socket, r.Ahead)
		case r.Method == clock.Files && r.Local && local:
			e.Why = "node and submitting host each take the run directory for a disk of their own"
		case r.Method == clock.Files:
			e.Node = append(e.Node, r.Ahead)
		}
	}
	if !sub.At.IsZero() {
		e.Bounds.Most = a.Began.Sub(sub.At)
	}
	if !read.IsZero() {
		e.Bounds.Least = a.Began.Add(a.Last).Sub(read)
	}
	for _, ev := range events {
		if ev.Agent == a.ID.String() {
			e.Bounds.Least = max(e.Bounds.Least, ev.Told.Sub(ev.Stamped))
		}
	}
	return e
}
