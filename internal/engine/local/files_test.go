package local

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/engine"
	"muster/internal/job"
)

// elsewhere is the head of an array that another host looks after.
func elsewhere(elements int) head {
	return head{Version: headVersion, Tag: "t", Elements: elements, Supervisor: identity{Host: "faraway", Boot: "another", process: process{PID: 1, Started: 1}}}
}

// writeArray makes an array's folder by hand.
func writeArray(t testing.TB, base string, n int, h head, events ...event) string {
	t.Helper()
	dir := dirOf(base, n)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, eventsFile))
	j, err := newJournal(filepath.Join(dir, eventsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	if err := j.add(h); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := j.add(e); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func genEvent(elements int) *rapid.Generator[event] {
	return rapid.Custom(func(t *rapid.T) event {
		return event{
			Element: rapid.IntRange(0, elements).Draw(t, "element"),
			State:   rapid.SampledFrom([]job.State{job.Running, job.Completed, job.Failed, job.Cancelled}).Draw(t, "state"),
			Exit:    job.Exit{Code: rapid.IntRange(0, 255).Draw(t, "code"), Detail: rapid.StringMatching(`[ -~äß\n]{0,9}`).Draw(t, "detail")},
			Reason:  rapid.StringMatching(`[ -~]{0,9}`).Draw(t, "reason"),
			At:      time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "at"), 0).UTC(),
		}
	})
}

// Whatever part of the events has reached the disk, what is read is a beginning
// of what was written, and the whole of it when nothing is missing.
func TestEventsCutAtEveryByte(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		events := rapid.SliceOfN(genEvent(3), 0, 5).Draw(rt, "events")
		dir := writeArray(t, base, 1, elsewhere(3), events...)
		file := filepath.Join(dir, eventsFile)
		whole, err := os.ReadFile(file)
		if err != nil {
			rt.Fatal(err)
		}
		cut := rapid.IntRange(0, len(whole)).Draw(rt, "cut")
		if err := os.WriteFile(file, whole[:cut], 0o600); err != nil {
			rt.Fatal(err)
		}
		h, got, err := load(dir)
		lines := bytes.Count(whole[:cut], []byte("\n"))
		switch {
		case err != nil:
			rt.Fatalf("cut at %d of %d: %v", cut, len(whole), err)
		case (h == nil) != (lines == 0):
			rt.Fatalf("cut at %d of %d: head %v after %d lines", cut, len(whole), h, lines)
		case h != nil && !slices.Equal(got, events[:lines-1]):
			rt.Fatalf("cut at %d of %d: read %+v of %+v", cut, len(whole), got, events)
		}
	})
}

// A flipped bit is never taken for something that happened.
func TestEventsWithAFlippedBit(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		events := rapid.SliceOfN(genEvent(3), 1, 4).Draw(rt, "events")
		dir := writeArray(t, base, 1, elsewhere(3), events...)
		file := filepath.Join(dir, eventsFile)
		b, err := os.ReadFile(file)
		if err != nil {
			rt.Fatal(err)
		}
		at := rapid.IntRange(0, len(b)-1).Draw(rt, "byte")
		last := 1 // lines that may count as the torn end
		if b[at] == '\n' {
			last = 2 // two become one
		}
		b[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			rt.Fatal(err)
		}
		h, got, err := load(dir)
		if err != nil {
			if !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "byte") {
				rt.Fatalf("the error does not say where: %v", err)
			}
			return
		}
		// No error only for the end of the file, which is taken for torn, and for the
		// checksum's letters, where upper case means the same.
		if h == nil || len(got) > len(events) || !slices.Equal(got, events[:len(got)]) || len(got) < len(events)-last {
			rt.Fatalf("read %+v of %+v", got, events)
		}
	})
}

func TestEventsRefused(t *testing.T) {
	base := t.TempDir()
	newer, many := elsewhere(1), elsewhere(1)
	newer.Version = headVersion + 1
	many.Elements = 1 << 60
	for name, tc := range map[string]struct {
		head   head
		events []event
		words  string
	}{
		"newer format":      {newer, nil, "newer muster"},
		"too many elements": {many, nil, "damaged"},
		"element unknown":   {elsewhere(2), []event{{Element: 3, State: job.Running}}, "element 3 of 2"},
	} {
		dir := writeArray(t, base, 1, tc.head, tc.events...)
		before, err := os.ReadFile(filepath.Join(dir, eventsFile))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := report(base, idOf(1)); err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: %v, want %q", name, err, tc.words)
		}
		if after, err := os.ReadFile(filepath.Join(dir, eventsFile)); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the events were changed: %v", name, err)
		}
	}
}

// With a full disk nothing is lost: what could not be written follows later.
func TestJournalWaitsForSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), eventsFile)
	j, err := newJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.add(elsewhere(2)); err != nil {
		t.Fatal(err)
	}
	disk := j.file
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	j.file = full
	first, second := event{Element: 1, State: job.Running}, event{Element: 2, State: job.Running}
	if err := j.add(first); err == nil {
		t.Fatal("a full disk takes records")
	}
	// A part of the record has got to the disk nevertheless.
	if _, err := disk.WriteAt([]byte("0123"), j.end); err != nil {
		t.Fatal(err)
	}
	j.file = disk
	if err := j.add(second); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	h, got, err := load(filepath.Dir(path))
	if err != nil || h == nil || !slices.Equal(got, []event{first, second}) {
		t.Errorf("read %+v, %v, %v", h, got, err)
	}
}

func TestArrayOfAnotherHost(t *testing.T) {
	table := newTable(t)
	e := newEngine(t, t.TempDir(), table)
	dir := writeArray(t, e.base(), 7, elsewhere(2), event{Element: 1, State: job.Running, At: time.Now()})
	id := idOf(7)
	if r := status(t, e, id); r.State != job.NodeFail {
		t.Errorf("without a heartbeat it is %+v", r)
	}
	beat := filepath.Join(dir, heartbeatFile)
	if err := touch(beat); err != nil {
		t.Fatal(err)
	}
	r := status(t, e, id)
	if r.State != job.Running || r.Reason != "it runs on host faraway" || r.Elements[0].Node != "faraway" {
		t.Errorf("with a heartbeat it is %+v", r)
	}
	// A request waits in the folder; no process here is taken for the supervisor,
	// which has the number of this machine's first.
	if err := e.Control(t.Context(), id, job.OpCancel); err != nil {
		t.Error(err)
	}
	if !exist(dir, cancelFile) {
		t.Error("the request is not in the folder")
	}
	old := time.Now().Add(-stale - time.Second)
	if err := os.Chtimes(beat, old, old); err != nil {
		t.Fatal(err)
	}
	r = status(t, e, id)
	if r.State != job.NodeFail || r.Elements[0].State != job.NodeFail || r.Elements[1].State != job.NodeFail {
		t.Errorf("with an old heartbeat it is %+v", r)
	}
	wait(t, e, id)
	if names, err := readNames(e.base()); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// A recorded process number that belongs to another process by now is nobody.
func TestProcessNumberReused(t *testing.T) {
	me, ok := look(os.Getpid())
	if !ok || !me.alive() {
		t.Fatalf("this process is %+v", me)
	}
	other := process{PID: me.PID, Started: me.Started - 1}
	if other.alive() {
		t.Error("a process that started at another time is taken for the one")
	}
	if err := other.wait(t.Context()); err != nil {
		t.Errorf("waiting for it: %v", err)
	}
	if err := other.signal(9); err != nil {
		t.Errorf("signalling it: %v", err)
	}
}

func TestNumbers(t *testing.T) {
	base := t.TempDir()
	for _, want := range []int{1, 2, 7, 8} {
		fresh, err := os.MkdirTemp(base, newPrefix)
		if err != nil {
			t.Fatal(err)
		}
		elements := map[int]int{1: 1, 2: 5, 7: 1, 8: 3}[want]
		if err := os.Rename(writeArray(t, t.TempDir(), 1, elsewhere(elements)), filepath.Join(fresh, "x")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(fresh, "x", eventsFile), filepath.Join(fresh, eventsFile)); err != nil {
			t.Fatal(err)
		}
		if n, err := adopt(base, fresh); err != nil || n != want {
			t.Fatalf("array %d gets %d, %v", want, n, err)
		}
	}
	for _, id := range []string{"", "local-", "local-0", "local-01", "local-+1", "local--1", "local-1/..", "memory-1", "17"} {
		if n := numberOf(engine.ID(id)); n != 0 {
			t.Errorf("%q is taken for array %d", id, n)
		}
	}
}

func TestSweep(t *testing.T) {
	base := t.TempDir()
	now := time.Now()
	completed := event{Element: 1, State: job.Completed, At: now}
	age := func(path string, d time.Duration) {
		t.Helper()
		if err := os.Chtimes(path, now.Add(-d), now.Add(-d)); err != nil {
			t.Fatal(err)
		}
	}
	for n, tc := range map[int]struct {
		age    time.Duration
		events []event
	}{
		1: {keepEnded + time.Minute, []event{completed}},
		2: {keepEnded - time.Minute, []event{completed}},
		3: {keepEnded + time.Minute, nil}, // its supervisor is alive, see below
		4: {keepEnded + time.Minute, nil}, // its supervisor is dead
		5: {keepEnded + time.Minute, []event{completed}},
	} {
		h := elsewhere(1)
		if n == 3 {
			me, err := self()
			if err != nil {
				t.Fatal(err)
			}
			h.Supervisor = me
		}
		age(filepath.Join(writeArray(t, base, n, h, tc.events...), eventsFile), tc.age)
	}
	for name, d := range map[string]time.Duration{".new-old": keepAborted + time.Minute, ".new-young": 0, ".old-9": keepAborted + time.Minute, "note": 9 * keepEnded} {
		if err := os.Mkdir(filepath.Join(base, name), 0o700); err != nil {
			t.Fatal(err)
		}
		age(filepath.Join(base, name), d)
	}
	if err := sweep(base, now, func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	if names, err := readNames(base); err != nil || len(names) != 9 {
		t.Errorf("a sweep that was stopped left %v, %v", names, err)
	}
	if err := sweep(base, now, func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	names, err := readNames(base)
	slices.Sort(names)
	if want := "[.new-young 2 3 5 note]"; err != nil || fmt.Sprint(names) != want {
		t.Errorf("a sweep left %v, %v; want %s", names, err, want)
	}
}
