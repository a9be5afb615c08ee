package run

import (
	"context"
	"slices"
	"time"

	"muster/internal/job"
	"muster/internal/rundir"
)

// TaskStory is what is known of one task.
type TaskStory struct {
	Task     job.Task
	State    job.State
	Outputs  []rundir.Output // published ones
	Attempts []AttemptStory  // in order; none: it was never started
}

// AttemptStory is one attempt at a task, by the wall clock of its node.
type AttemptStory struct {
	Number    int
	State     job.State
	Exit      job.Exit
	Host      string
	Lane      int
	Instance  string
	Began     time.Time
	Ended     time.Time // zero: not yet, or nobody knows
	Published time.Time // when its end was recorded; zero with Ended
}

// Tasks tells everything about some tasks of a run, beside how the run stands.
// A number that the run does not have is ErrBadInput.
func (c *Conductor) Tasks(ctx context.Context, r *rundir.Run, which job.IndexSet) (*Standing, []TaskStory, error) {
	all, err := r.Tasks()
	if err != nil {
		return nil, nil, err
	}
	exits := map[[2]int]job.Exit{} // by task and attempt
	stand, err := c.Stand(ctx, r, rundir.LoadOptions{
		Outputs: true, Attempts: true,
		Each: func(_ int, rec *rundir.Record) {
			if rec.Kind == rundir.KindEnd && which.Contains(rec.End.Task) {
				exits[[2]int{rec.End.Task, rec.End.Attempt}] = rec.End.Exit
			}
		},
	})
	if err != nil {
		return nil, nil, err
	}
	snap := stand.Snapshot
	attempts := map[int][]AttemptStory{}
	for _, a := range snap.Attempts {
		if !which.Contains(a.Task) {
			continue
		}
		s := AttemptStory{
			Number: a.Attempt, State: a.State, Exit: exits[[2]int{a.Task, a.Attempt}],
			Host: snap.Agents[a.Agent].Host, Lane: a.Lane, Instance: a.Instance, Began: snap.Clock(a.Agent, a.Began),
		}
		switch {
		case a.State.Ended():
			s.Ended, s.Published = snap.Clock(a.Agent, a.Ended), snap.Clock(a.Agent, a.Published)
		case !snap.Agents[a.Agent].Alive:
			s.State, s.Exit.Cause = job.Lost, job.CauseAgentLost
		}
		attempts[a.Task] = append(attempts[a.Task], s)
	}
	var stories []TaskStory
	for i := range which.All() {
		if i < 1 || i > len(all) {
			return nil, nil, job.BadInputf("run %d has no task %d: its tasks are 1 to %d", r.Number, i, len(all))
		}
		slices.SortFunc(attempts[i], func(x, y AttemptStory) int { return x.Number - y.Number })
		stories = append(stories, TaskStory{Task: all[i-1], State: snap.State(i), Outputs: snap.Outputs(i), Attempts: attempts[i]})
	}
	return stand, stories, nil
}

// Pace is how fast a run goes: the tasks that ended per second lately, and how long
// the rest takes at that rate (0: not known).
func (s *Standing) Pace(now time.Time, window time.Duration) (perSecond float64, left time.Duration) {
	snap := s.Snapshot
	begin := now.Add(-window)
	ended, lately := 0, 0
	for i := 1; i <= snap.Len(); i++ {
		t := snap.Task(i)
		if !t.State.Ended() {
			continue
		}
		ended++
		if t.Agent < 0 || t.Ended == 0 {
			continue
		}
		at := snap.Clock(t.Agent, t.Ended)
		if at.After(begin) {
			lately++
		}
	}
	for i := range snap.Agents {
		if came := snap.Clock(i, 0); snap.Agents[i].Alive && came.After(begin) {
			begin = came // it has not run for so long
		}
	}
	span := now.Sub(begin).Seconds()
	if lately == 0 || span <= 0 {
		return 0, 0
	}
	perSecond = float64(lately) / span
	return perSecond, time.Duration(float64(snap.Len()-ended) / perSecond * float64(time.Second))
}
