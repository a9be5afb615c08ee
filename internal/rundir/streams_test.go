package rundir

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

func newTestStream(t testing.TB, r *Run, limit int64) *Stream {
	t.Helper()
	s, err := r.NewStream(AgentID{1, 1, 1}, limit)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func say(t testing.TB, s *Stream, task, attempt, fd int, text string) {
	t.Helper()
	if err := s.Write(task, attempt, fd, []byte(text)); err != nil {
		t.Error(err)
	}
}

// told is everything that a reader gives, as text.
func told(t testing.TB, s *StreamReader) string {
	t.Helper()
	var b strings.Builder
	err := s.Next(func(c Chunk) error {
		if c.Cut > 0 {
			fmt.Fprintf(&b, "[%d.%d/%d −%d]", c.Task, c.Attempt, c.FD, c.Cut)
		} else {
			fmt.Fprintf(&b, "[%d.%d/%d %s]", c.Task, c.Attempt, c.FD, c.Data)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return b.String()
}

func TestStream(t *testing.T) {
	r := newTestRun(t, 9)
	s := newTestStream(t, r, 10)
	all := r.Streams(nil)
	two := r.Streams(func(task, attempt int) bool { return task == 2 && attempt == 2 })
	say(t, s, 1, 1, 1, "one")
	say(t, s, 1, 1, 1, " line")
	say(t, s, 2, 1, 2, "oops")
	say(t, s, 1, 1, 2, "\x1b[31m bytes \xff\n") // two of them fit
	say(t, s, 1, 1, 1, "more")
	say(t, s, 3, 1, 1, "")
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if got, want := told(t, all), "[1.1/1 one line][2.1/2 oops][1.1/2 \x1b[]"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := told(t, all) + told(t, two); got != "" {
		t.Errorf("nothing is new: %q", got)
	}
	s.Finish(1, 1)
	if err := s.Cut(3, 1, 1, 7); err != nil {
		t.Fatal(err)
	}
	say(t, s, 3, 1, 1, "late")
	s.Finish(3, 1)
	say(t, s, 2, 2, 1, "again")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := told(t, all), "[1.1/1 −4][1.1/2 −12][3.1/1 −11][2.2/1 again]"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := told(t, two); got != "[2.2/1 again]" {
		t.Errorf("%q", got)
	}
	var b strings.Builder
	if err := r.ReadOutput(2, 1, func(c Chunk) error { b.Write(c.Data); return nil }); err != nil || b.String() != "oops" {
		t.Errorf("%q, %v", b.String(), err)
	}
	if err := s.Write(1, 1, 1, []byte("x")); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := s.Flush(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.NewStream(AgentID{1, 1, 1}, 0); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second writer: %v", err)
	}
}

func TestTasksWithoutOutputCostNothing(t *testing.T) {
	r := newTestRun(t, 9)
	s := newTestStream(t, r, 0)
	for task := 1; task <= 9; task++ {
		say(t, s, task, 1, 1, "")
		s.Finish(task, 1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", indexSuffix} {
		if fi, err := os.Stat(r.streamPath(AgentID{1, 1, 1}) + suffix); err != nil || fi.Size() != 0 {
			t.Error(fi.Size(), err)
		}
	}
}

func TestStreamOfManyAtOnce(t *testing.T) {
	r := newTestRun(t, 9)
	s := newTestStream(t, r, 0)
	var wg sync.WaitGroup
	for task := 1; task <= 8; task++ {
		wg.Go(func() {
			for i := range 300 {
				say(t, s, task, 1, 1+i%2, fmt.Sprintf("%d:%0500d\n", task, i))
			}
			s.Finish(task, 1)
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[int]*strings.Builder{}
	if err := r.Streams(nil).Next(func(c Chunk) error {
		if c.Cut > 0 {
			t.Errorf("%d bytes of task %d were cut", c.Cut, c.Task)
		}
		if got[c.Task] == nil {
			got[c.Task] = new(strings.Builder)
		}
		got[c.Task].Write(c.Data)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for task := 1; task <= 8; task++ {
		var want strings.Builder
		for i := range 300 {
			fmt.Fprintf(&want, "%d:%0500d\n", task, i)
		}
		if got[task] == nil || got[task].String() != want.String() {
			t.Errorf("task %d: not what it wrote", task)
		}
	}
}

func TestFloodIsBoundedInMemory(t *testing.T) {
	r := newTestRun(t, 1)
	s := newTestStream(t, r, 0)
	s.w.data.Close() // as good as a full disk: no write succeeds
	block := make([]byte, 1<<20)
	for range 40 {
		say(t, s, 1, 1, 1, string(block))
	}
	s.mu.Lock()
	held := len(s.data)
	s.mu.Unlock()
	if held > streamHeld {
		t.Errorf("%d bytes are held", held)
	}
	if err := s.Close(); err == nil {
		t.Error("Close says that everything is written")
	}
}

func TestTornStream(t *testing.T) {
	r := newTestRun(t, 3)
	s := newTestStream(t, r, 0)
	say(t, s, 1, 1, 1, "first")
	say(t, s, 2, 1, 1, "second")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := r.streamPath(AgentID{1, 1, 1})
	index, err := os.ReadFile(path + indexSuffix)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.IndexByte(string(index), '\n') + 1
	for cut := range len(index) + 1 {
		if err := os.WriteFile(path+indexSuffix, index[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := ""
		if cut >= first {
			want = "[1.1/1 first]"
		}
		if cut == len(index) {
			want += "[2.1/1 second]"
		}
		if got := told(t, r.Streams(nil)); got != want {
			t.Errorf("index cut at %d: %q", cut, got)
		}
	}
	if err := os.Truncate(path, 7); err != nil {
		t.Fatal(err)
	}
	if got := told(t, r.Streams(nil)); got != "[1.1/1 first][2.1/1 se][2.1/1 −4]" {
		t.Errorf("data cut: %q", got)
	}
	index[5] ^= 1
	if err := os.WriteFile(path+indexSuffix, index, 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var damage *DamageError
	if err := r.Streams(nil).Next(func(c Chunk) error { b.Write(c.Data); return nil }); !errors.As(err, &damage) || b.String() != "se" {
		t.Errorf("%q, %v", b.String(), err)
	}
}
