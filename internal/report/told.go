package report

import (
	"cmp"
	"slices"
	"time"

	"muster/internal/clock"
	"muster/internal/rundir"
)

// Told is something that an agent told the command that followed the run (--timing
// socket). Both times count from the run's submission, by the submitting host's clock.
type Told struct {
	Event string
	Task  int           // that it is of; 0: none
	Agent string        // its number: generation, element, incarnation
	At    time.Duration // when the command heard of it
	Since time.Duration // when it happened, by the agent's clock brought to the host's
}

// AddTold adds what agents told to a run.
func AddTold(r *Run, s *rundir.Snapshot, from *rundir.Run) error {
	if s.Spec.Timing != string(clock.Socket) || r.Submitted.IsZero() {
		return nil
	}
	events, err := from.ClockEvents()
	if err != nil {
		return err
	}
	ahead := map[string]time.Duration{}
	for i := range s.Agents {
		ahead[s.Agents[i].ID.String()] = s.Agents[i].Clock.Ahead
	}
	for _, e := range events {
		t := Told{Event: e.Name, Task: clock.SaidBy(e.Name), Agent: e.Agent, At: e.Stamped.Sub(r.Submitted), Since: e.Told.Add(-ahead[e.Agent]).Sub(r.Submitted)}
		if t.Task > 0 {
			t.Event = "said"
		}
		r.Told = append(r.Told, t)
	}
	slices.SortStableFunc(r.Told, func(a, b Told) int { return cmp.Compare(a.At, b.At) })
	return nil
}

// toldJSON is what an agent told; see Told.
type toldJSON struct {
	Event string  `json:"event"`          // up; first, lanes: a program, one in every lane was started; said: a task's program has written something; end
	Task  int     `json:"task,omitempty"` // of said
	Agent string  `json:"agent"`
	AtS   float64 `json:"at_s"`    // it was heard
	Since float64 `json:"since_s"` // it happened, by the agent's corrected clock
}

func (r *Report) toldDocs() []toldJSON {
	var out []toldJSON
	for _, t := range r.run.Told {
		out = append(out, toldJSON{t.Event, t.Task, t.Agent, seconds(t.At), seconds(t.Since)})
	}
	return out
}
