package run

import (
	"slices"

	"muster/internal/job"
	"muster/internal/rundir"
)

// ArrayStanding is how one array of a run stands, as its engine tells it.
type ArrayStanding struct {
	Kind     rundir.SubmissionKind `json:"kind"`
	Engine   string                `json:"engine"`
	ID       string                `json:"id"`
	State    job.State             `json:"state"`
	Reason   string                `json:"reason,omitempty"`   // why it is pending, in the engine's words
	Elements map[job.State]int     `json:"elements"`           // none when the engine has forgotten it
	Nodes    []string              `json:"nodes"`              // that elements run or ran on, each once, sorted
	Restarts int                   `json:"restarts,omitempty"` // how often the engine has started an element again
}

// standings are the arrays of the newest map and what belongs to it.
func (a *arrays) standings() []ArrayStanding {
	out := []ArrayStanding{}
	first := a.last(rundir.SubmitMap)
	for _, s := range a.subs {
		r, known := a.reports[s.Generation]
		if !known || s.Generation < first {
			continue
		}
		st := ArrayStanding{Kind: s.Kind, Engine: s.Engine, ID: s.IDs[0], State: r.State, Reason: r.Reason, Elements: map[job.State]int{}, Nodes: []string{}}
		for _, el := range r.Elements {
			st.Elements[el.State]++
			st.Restarts += el.Restart
			if el.Node != "" {
				st.Nodes = append(st.Nodes, el.Node)
			}
		}
		slices.Sort(st.Nodes)
		st.Nodes = slices.Compact(st.Nodes)
		out = append(out, st)
	}
	return out
}
