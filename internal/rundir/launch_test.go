package rundir

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"muster/internal/job"
)

func upOf(task, attempt int, at time.Duration) Record {
	return Record{Kind: KindUp, At: at, Up: &TaskUp{task, attempt}}
}

// TestWhoIsAlive: programs of a launch are alive from the record that says so until their end.
func TestWhoIsAlive(t *testing.T) {
	r := newTestRun(t, 4)
	j := newTestJournal(t, r, JournalOptions{})
	for _, rec := range []Record{
		startOf(1, 1), upOf(1, 1, 2*time.Second), startOf(2, 1), startOf(3, 1), upOf(3, 1, 2*time.Second),
		endOf(3, 1, job.Failed, true), upOf(2, 1, 3*time.Second),
		upOf(2, 7, time.Second), // of an attempt that nobody has begun
		{Kind: KindLaunch, At: 4 * time.Second, Launch: &LaunchStep{Step: StepUp, Alive: 2, Bytes: 1 << 20}},
	} {
		if err := j.Append(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	s := load(t, r, LoadOptions{Attempts: true})
	a := s.Agents[0]
	if s.Alive() != 2 || a.Up != 2 || a.MostUp != 2 || a.Running != 2 {
		t.Errorf("alive: %d; %d of %d, at most %d; want 2", s.Alive(), a.Up, a.Running, a.MostUp)
	}
	var got []string
	for _, at := range s.Attempts {
		got = append(got, fmt.Sprintf("%d:%v", at.Task, at.Up))
	}
	slices.Sort(got)
	if want := "[1:2s 2:3s 3:2s]"; fmt.Sprint(got) != want {
		t.Errorf("attempts were up at %v, want %s", got, want)
	}
	if up := s.Task(3).Up; up != 2*time.Second {
		t.Errorf("task 3 was up at %v: its end must not forget that", up)
	}
	if at, ok := a.Step(StepUp); !ok || at != 4*time.Second || a.Steps[0].Bytes != 1<<20 {
		t.Errorf("steps: %+v", a.Steps)
	}
	if s = load(t, r, LoadOptions{Alive: nobody}); s.Alive() != 0 {
		t.Errorf("%d are alive without their agent", s.Alive())
	}
}

func TestElementsMeet(t *testing.T) {
	r := newTestRun(t, 4)
	look := func(want ...int) {
		t.Helper()
		up, err := r.UpElements(3)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(up)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("elements %v are up, want %v", got, want)
		}
	}
	look()
	for _, id := range []AgentID{{3, 2, 1}, {3, 12, 1}, {3, 12, 1}, {4, 5, 1}} {
		if err := r.TellUp(id); err != nil {
			t.Fatal(err)
		}
	}
	look(2, 12)
	for range 2 {
		if err := r.RetractUp(AgentID{3, 12, 2}); err != nil {
			t.Fatal(err)
		}
	}
	look(2)
}
