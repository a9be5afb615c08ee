package timeline_test

import (
	"reflect"
	"testing"

	"muster/internal/job"
	"muster/internal/timeline"
)

func TestNodeLaunches(t *testing.T) {
	tl := &timeline.Timeline{Spans: []timeline.Span{
		{Phase: job.PhaseSubmitted, Agent: 1, Lane: -1, End: 100 * ms},
		{Phase: job.PhaseSubmitted, Agent: 2, Lane: -1, End: 400 * ms},
		{Phase: job.PhaseStaged, Agent: 1, Lane: -1, Start: 100 * ms, End: 130 * ms},
		{Phase: job.PhaseCloned, Agent: 1, Lane: 0, Start: 130 * ms, End: 140 * ms},
		{Phase: job.PhaseCloned, Agent: 1, Lane: 1, Start: 135 * ms, End: 150 * ms}, // beside the other
		{Phase: job.PhaseBooted, Agent: 1, Lane: 0, Start: 140 * ms, End: 200 * ms},
		{Phase: job.PhaseBooted, Agent: 1, Lane: 1, Start: 150 * ms, End: 180 * ms},
		{Phase: job.PhaseRunning, Agent: 1, Lane: 1, Task: 1, Attempt: 1, Start: 181 * ms, End: 300 * ms},
		{Phase: job.PhaseRunning, Agent: 1, Lane: 0, Task: 2, Attempt: 1, Start: 205 * ms, End: 300 * ms},
		{Phase: job.PhaseRunning, Agent: 1, Lane: 1, Task: 3, Attempt: 1, Start: 310 * ms, End: 350 * ms}, // not its lane's first
		{Phase: job.PhaseSubmitted, Agent: 1, Lane: -1, Start: 350 * ms, End: 900 * ms},                   // requeued
		{Phase: job.PhaseStaged, Agent: 1, Lane: -1, Start: 900 * ms, End: 990 * ms},
		{Phase: job.PhaseCloned, Agent: 1, Lane: 0, Start: 990 * ms, End: 999 * ms},
	}}
	got := tl.NodeLaunches()
	want := []timeline.NodeLaunch{
		{Agent: 1, Up: 100 * ms, Staged: 30 * ms, Cloned: 20 * ms, Booted: 60 * ms, First: 181 * ms, All: 205 * ms, Again: 1, Lanes: 2},
		{Agent: 2, Up: 400 * ms, First: -1, All: -1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	stats := timeline.NodeStats(got)
	var names []string
	for _, s := range stats {
		names = append(names, s.Name)
	}
	if up := stats[0]; up.Slowest != 2 || up.Max != 400*ms || up.Count != 2 || !reflect.DeepEqual(names, []string{"up", "staged", "cloned", "booted", "first program", "every lane"}) {
		t.Errorf("stats %+v", stats)
	}
}
