package timeline

import (
	"cmp"
	"slices"
	"time"

	"muster/internal/job"
)

// NodeLaunch says how an agent got its lanes going: of every lane the first
// instance and the first program count. What it has not come to is 0 in the
// durations, and −1 in the moments.
type NodeLaunch struct {
	Agent  int
	Up     time.Duration // it came up: the moment, since Origin
	Staged time.Duration // staging took so long
	Cloned time.Duration // so long at least one was being cloned
	Booted time.Duration // so long at least one booted
	First  time.Duration // its first program was started: the moment
	All    time.Duration // the last of its lanes had started its first program: the moment
	Again  int           // how often it was started again
	Lanes  int           // that started programs
}

// NodeLaunches tells of each agent, by number. Spans that have not ended count to now.
func (t *Timeline) NodeLaunches() []NodeLaunch {
	type agent struct {
		NodeLaunch
		ups            int
		cloned, booted []Interval
		begun          map[int]bool         // lanes that have run a program
		opened         map[LaneID]job.Phase // the last phase of each lane's first instance
	}
	by := map[int]*agent{}
	for i := range t.Spans {
		s := &t.Spans[i]
		a := by[s.Agent]
		if a == nil {
			a = &agent{NodeLaunch: NodeLaunch{Agent: s.Agent, Up: -1, First: -1, All: -1}, begun: map[int]bool{}, opened: map[LaneID]job.Phase{}}
			by[s.Agent] = a
		}
		lane := LaneID{s.Agent, s.Lane}
		switch s.Phase {
		case job.PhaseSubmitted:
			if a.ups++; a.ups == 1 && !s.Open {
				a.Up = s.End
			}
		case job.PhaseStaged:
			if a.ups <= 1 {
				a.Staged += s.End - s.Start
			}
		case job.PhaseCloned:
			if a.opened[lane] == "" {
				a.opened[lane] = s.Phase
				a.cloned = append(a.cloned, Interval{s.Start, s.End})
			}
		case job.PhaseBooted:
			if p := a.opened[lane]; p == "" || p == job.PhaseCloned {
				a.opened[lane] = s.Phase
				a.booted = append(a.booted, Interval{s.Start, s.End})
			}
		case job.PhaseRunning:
			if a.begun[s.Lane] {
				continue
			}
			a.begun[s.Lane] = true
			if a.First < 0 {
				a.First = s.Start
			}
			a.All = max(a.All, s.Start)
		}
	}
	out := make([]NodeLaunch, 0, len(by))
	for _, a := range by {
		a.Cloned, a.Booted = covered(a.cloned), covered(a.booted)
		a.Again, a.Lanes = max(a.ups-1, 0), len(a.begun)
		out = append(out, a.NodeLaunch)
	}
	slices.SortFunc(out, func(a, b NodeLaunch) int { return cmp.Compare(a.Agent, b.Agent) })
	return out
}

// StatEveryLane names the figure that closes a launch.
const StatEveryLane = "every lane"

// NodeStat describes one figure over the agents that have come to it.
type NodeStat struct {
	Name    string // as in a report: "up", "staged", "cloned", "booted", "first program", "every lane"
	Moment  bool   // it is a moment, since Origin; else it is a duration
	Slowest int    // the agent with the greatest
	Stats
}

// NodeStats summarises launches, figure by figure in the order in which things
// happen. What no agent has come to is left out.
func NodeStats(launches []NodeLaunch) []NodeStat {
	var out []NodeStat
	add := func(name string, moment bool, of func(NodeLaunch) time.Duration) {
		var took []time.Duration
		st := NodeStat{Name: name, Moment: moment}
		most := time.Duration(-1)
		for _, l := range launches {
			d := of(l)
			if d < 0 || d == 0 && !moment {
				continue
			}
			took = append(took, d)
			if d > most {
				most, st.Slowest = d, l.Agent
			}
		}
		if len(took) > 0 {
			st.Stats = statsOf(took)
			out = append(out, st)
		}
	}
	add("up", true, func(l NodeLaunch) time.Duration { return l.Up })
	add("staged", false, func(l NodeLaunch) time.Duration { return l.Staged })
	add("cloned", false, func(l NodeLaunch) time.Duration { return l.Cloned })
	add("booted", false, func(l NodeLaunch) time.Duration { return l.Booted })
	add("first program", true, func(l NodeLaunch) time.Duration { return l.First })
	add(StatEveryLane, true, func(l NodeLaunch) time.Duration { return l.All })
	return out
}
