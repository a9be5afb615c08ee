package timeline

import (
	"cmp"
	"slices"
	"time"

	"muster/internal/job"
)

// The rule for stragglers, see Timeline.Stragglers.
const (
	stragglerTimes  = 3                      // so many medians
	stragglerIQRs   = 3                      // so many interquartile ranges above the third quartile
	stragglerExcess = 100 * time.Millisecond // less than that above the median is noise of the machine
	stragglerLeast  = 4                      // with fewer programs ended nothing is said
)

// StragglerRule says, for people, which programs count as stragglers.
const StragglerRule = "ran longer than 3 × the median, than the third quartile + 3 × the interquartile range, and 0.1 s above the median"

// Straggler is a program that ran far longer than the others.
type Straggler struct {
	Task, Attempt int
	Agent, Lane   int
	Instance      string
	State         job.State
	Ran           time.Duration
	Times         float64 // Ran ÷ the median of the programs that ended
	Open          bool    // it still runs
}

// Stragglers returns the programs whose running time lies far beyond the
// others': more than three times the median, and beyond the upper outer fence
// (third quartile plus three interquartile ranges), so that a broad spread of
// running times makes no stragglers; and at least 0.1 s above the median. The
// quartiles are those of the programs that have ended; programs that still run
// can be stragglers, too. With fewer than four ended programs there are none. The
// longest comes first.
func (t *Timeline) Stragglers() []Straggler {
	var ran []time.Duration
	for sp := range t.Programs() {
		if !sp.Open {
			ran = append(ran, sp.End-sp.Start)
		}
	}
	if len(ran) < stragglerLeast {
		return nil
	}
	slices.Sort(ran)
	q1, median, q3 := Quantile(ran, 0.25), Quantile(ran, 0.5), Quantile(ran, 0.75)
	limit := max(stragglerTimes*median, q3+stragglerIQRs*(q3-q1), median+stragglerExcess)

	var out []Straggler
	for sp := range t.Programs() {
		if sp.End-sp.Start <= limit {
			continue
		}
		g := Straggler{Task: sp.Task, Attempt: sp.Attempt, Agent: sp.Agent, Lane: sp.Lane,
			Instance: sp.Instance, State: sp.State, Ran: sp.End - sp.Start, Open: sp.Open}
		if median > 0 {
			g.Times = float64(g.Ran) / float64(median)
		}
		out = append(out, g)
	}
	slices.SortStableFunc(out, func(a, b Straggler) int {
		return cmp.Or(cmp.Compare(b.Ran, a.Ran), cmp.Compare(a.Task, b.Task))
	})
	return out
}
