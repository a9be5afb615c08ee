// Package salvage settles what killed agents have left in an output folder.
package salvage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"muster/internal/job"
	"muster/internal/rundir"
)

// Run settles what agents that were killed have left in the output folder:
// outputs that were published when no record said so yet are recorded, in a
// journal of its own, and everything unpublished is removed. A reducer's result without
// a record is removed: the reduce step is done again. It is called by the keeper of a dead agent, with
// that one's token, and by resume, with "", which stands for every agent that the
// run's journals name: another run directory may have a run of this number, too.
func Run(ctx context.Context, run *rundir.Run, generation, element int, token string) error {
	snap, err := run.Load(ctx, rundir.LoadOptions{})
	if err != nil {
		return err
	}
	if snap.Spec.Output == "" {
		return nil
	}
	tasks, err := run.Tasks()
	if err != nil {
		return err
	}
	s := &salvager{run: run, snap: snap, tasks: tasks, token: token}
	outputs, err := s.look(ctx, snap.Spec.Output)
	if err != nil {
		return err
	}
	if len(outputs.Published) > 0 {
		if err := s.record(generation, element, outputs.Published); err != nil {
			return err
		}
	}
	if err := outputs.Clean(); err != nil {
		return err
	}
	if dir := filepath.Dir(snap.Spec.ReducerOut); snap.Spec.ReducerOut != "" && dir != snap.Spec.Output {
		result, err := s.look(ctx, dir)
		if err != nil {
			return err
		}
		return result.Clean()
	}
	return nil
}

type salvager struct {
	run   *rundir.Run
	snap  *rundir.Snapshot
	tasks []job.Task
	token string
}

// look finds out what is published in dir, and takes back what is only in part.
func (s *salvager) look(ctx context.Context, dir string) (*rundir.Recovery, error) {
	return rundir.Recover(ctx, dir, s.run.Number, rundir.RecoverOptions{
		Final: func(task int, name string) string {
			switch {
			case s.isResult(task):
				if s.snap.Spec.ReducerOut == filepath.Join(dir, name) {
					return name
				}
			case task >= 1 && task <= len(s.tasks) && dir == s.snap.Spec.Output:
				t := &s.tasks[task-1]
				if name == t.OutName() {
					return t.Out
				}
				return filepath.Join(filepath.Dir(t.Out), name)
			}
			return ""
		},
		// No result decides: one that is published and not recorded is taken back.
		Main: func(task int, name string) bool { return !s.isResult(task) && name == s.tasks[task-1].OutName() },
		Completed: func(task int) bool {
			if s.isResult(task) {
				return s.snap.Reduce != nil && s.snap.Reduce.Output != nil
			}
			return task >= 1 && task <= s.snap.Len() && s.snap.Task(task).State == job.Completed
		},
		Live: func(token string) bool { return !s.dead(token) },
	})
}

// isResult tells whether what looks like a task's is the reducer's: its number is
// one that no task has.
func (s *salvager) isResult(task int) bool { return task == len(s.tasks)+1 }

func (s *salvager) dead(token string) bool {
	if s.token != "" {
		return token == s.token
	}
	return slices.ContainsFunc(s.snap.Agents, func(a rundir.AgentState) bool { return a.Token == token })
}

// record writes the ends that are missing.
func (s *salvager) record(generation, element int, published []rundir.Recovered) error {
	ends := map[[2]int]*rundir.TaskEnd{}
	for _, p := range published {
		key := [2]int{p.Task, p.Attempt}
		end := ends[key]
		if end == nil {
			end = &rundir.TaskEnd{Task: p.Task, Attempt: p.Attempt, State: job.Completed, Final: true}
			ends[key] = end
		}
		if p.Output.Name == s.tasks[p.Task-1].Out { // told first, as agents do
			end.Outputs = slices.Insert(end.Outputs, 0, p.Output)
		} else {
			end.Outputs = append(end.Outputs, p.Output)
		}
	}
	start := rundir.AgentStart{Run: s.run.Number, Element: element, Began: time.Now()}
	start.Host, _ = os.Hostname()
	j, err := s.run.NewJournal(generation, element, start, rundir.JournalOptions{})
	if err != nil {
		return err
	}
	for _, end := range ends {
		j.Commit(rundir.Record{Kind: rundir.KindEnd, At: j.Now(), End: end}, func(error) {})
	}
	err = j.Append(rundir.Record{Kind: rundir.KindFinish, At: j.Now(), Note: "recorded what a killed agent had published"})
	return errors.Join(err, j.Close())
}
