package agent

import (
	"iter"

	"muster/internal/job"
	"muster/internal/rundir"
)

// Manifest lists every task with its inputs, outputs and end.
func Manifest(tasks []job.Task, snap *rundir.Snapshot) iter.Seq[rundir.ManifestTask] {
	return func(yield func(rundir.ManifestTask) bool) {
		for i := range tasks {
			t := &tasks[i]
			s := snap.Task(t.Index)
			m := rundir.ManifestTask{
				Index: t.Index, Outputs: snap.Outputs(t.Index),
				State: s.State, Exit: s.Exit.String(), Cause: s.Exit.Cause,
			}
			for _, in := range t.In {
				m.Inputs = append(m.Inputs, in.Word)
			}
			if !yield(m) {
				return
			}
		}
	}
}
