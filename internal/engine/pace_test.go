package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"muster/internal/job"
)

// site counts what it is asked, and is asked seldom.
type site struct {
	Engine
	asked int
	err   error
}

func (s *site) Info(context.Context, job.Resource) (Info, error) {
	return Info{Poll: 10 * time.Second}, nil
}

func (s *site) Status(_ context.Context, ids ...ID) ([]Report, error) {
	s.asked++
	out := make([]Report, len(ids))
	for i, id := range ids {
		out[i] = Report{ID: id, State: job.Running}
	}
	return out, s.err
}

func (s *site) Control(context.Context, ID, job.Op) error { return nil }

func TestPacerAsksSeldom(t *testing.T) {
	s := &site{}
	p := Pace(s)
	now := time.Now()
	p.now = func() time.Time { return now }
	ask := func(want int, ids ...ID) {
		t.Helper()
		reports, err := p.Status(t.Context(), ids...)
		if err != nil || len(reports) != len(ids) || reports[len(ids)-1].ID != ids[len(ids)-1] {
			t.Errorf("%v, %v", reports, err)
		}
		if s.asked != want {
			t.Errorf("asked %d times, want %d", s.asked, want)
		}
	}
	ask(1, "a")
	now = now.Add(unsaidPoll)
	ask(2, "a") // nobody has said how often it may be asked
	if _, err := p.Info(t.Context(), job.Resource{}); err != nil {
		t.Error(err)
	}
	now = now.Add(unsaidPoll)
	ask(2, "a")
	ask(3, "a", "b") // not known yet
	ask(3, "b", "a")
	now = now.Add(10 * time.Second)
	ask(4, "b")
	ask(5, "a")
	p.Forget()
	ask(6, "a")
	if err := p.Control(t.Context(), "a", job.OpCancel); err != nil {
		t.Error(err)
	}
	ask(7, "a") // it may be another one now
}

// What was not answered is not remembered.
func TestPacerKeepsNoFailure(t *testing.T) {
	s := &site{err: ErrUnavailable}
	p := Pace(s)
	if _, err := p.Status(t.Context(), "a"); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	s.err = nil
	if _, err := p.Status(t.Context(), "a"); err != nil || s.asked != 2 {
		t.Errorf("%v, asked %d times", err, s.asked)
	}
}
