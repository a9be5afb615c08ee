// Package timeline turns what happened in a run into spans of phases on one
// clock, and summarises and exports them.
package timeline

import (
	"time"

	"muster/internal/job"
)

// Timeline is everything that took time in a run, on the submitting host's clock.
type Timeline struct {
	Origin time.Time      // the first submission
	End    time.Duration  // when the last thing ended, since Origin
	Spans  []Span         // by Start
	Nodes  map[int]string // agent → its node, for exports; may be nil
}

// Span is one phase of one instance or of one attempt at a task.
type Span struct {
	Phase      job.Phase
	Start, End time.Duration // since Timeline.Origin
	Agent      int           // element, from 1
	Lane       int           // from 0; −1: shared by a node's lanes
	Instance   string        // "" for what concerns the agent
	Task       int           // 0: the span is not a task's
	Attempt    int
	State      job.State // of a task's PhaseRunning span: how the attempt ended; BOOT_FAIL on a PhaseBooted span: it did not come up
	Open       bool      // had not ended when the timeline was made; End is now
}
