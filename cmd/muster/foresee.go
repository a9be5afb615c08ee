package main

import (
	"fmt"
	"strings"

	"muster/internal/admit"
	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/node"
	"muster/internal/run"
)

// foreseen is what can be known of a launch before anything is begun.
type foreseen struct {
	ask     admit.Ask
	judged  bool // on this machine; elsewhere the nodes judge for themselves
	verdict admit.Decision
	waves   bool // what does not fit at once may go in waves
}

// foresee judges a launch on this machine: by what its programs take at least, for what they
// really take is found out with the first few. Its servers stand in the plan from then on. Of a map nothing is foreseen: nil.
func (a *app) foresee(prep *run.Prepared) (*foreseen, error) {
	s := prep.Spec
	if s.Launch == nil {
		return nil, nil
	}
	g, err := guestOf(s.Guest, nil)
	if err != nil {
		return nil, err
	}
	largest, servers := 0, 0
	for i := range prep.Plan.Elements {
		e := &prep.Plan.Elements[i]
		e.Servers = serversFor(g, s.Isolation, len(e.Calls))
		largest, servers = max(largest, len(e.Calls)), max(servers, e.Servers)
	}
	f := &foreseen{waves: s.Launch.Waves}
	f.ask = admit.Ask{Programs: largest, Each: admit.Least(g.Traits(), s.Isolation), Floor: s.Launch.Floor, How: "at least"}
	if s.Isolation == job.IsolateNode {
		f.ask.Fixed = admit.Servers(g.Traits(), servers)
	}
	if s.Engine != "local" {
		return f, nil
	}
	root, _, err := node.ScratchRoot(a.getenv)
	if err != nil {
		return nil, err
	}
	f.verdict, f.judged = admit.Judge(f.ask, node.This().RoomFor(root)), true
	return f, nil
}

// serversFor is how many servers a node has for so many programs, with this machine's limits; 0: its guest has none.
func serversFor(g guest.Guest, i job.Isolation, programs int) int {
	s, ok := g.(guest.Spreader)
	switch {
	case !ok:
		return 0
	case i == job.IsolateNode:
		return s.Spread(programs)
	}
	return programs
}

// refusal is the error when it is known that the programs cannot be had, nil otherwise.
func (f *foreseen) refusal() error {
	if f == nil || !f.judged || f.verdict.OK() || f.verdict.AtOnce > 0 && f.waves {
		return nil
	}
	return &admit.Refusal{Decision: f.verdict}
}

// text is the arithmetic, for a person.
func (f *foreseen) text() string {
	var b strings.Builder
	switch {
	case f == nil:
		return ""
	case !f.judged:
		fmt.Fprintf(&b, "\nWhat a node's programs need at least; what is free is found out there\n%s", f.ask.Needs())
		if f.ask.Fixed != (admit.Need{}) {
			b.WriteString("A node has as many servers as its limit on open files asks for; they are reckoned with this machine's.\n")
		}
	default:
		fmt.Fprintf(&b, "\nWhat they need at least, and what is free\n%s", f.verdict.Table())
		if waves := admit.Waves(f.verdict.Programs, f.verdict.AtOnce); len(waves) > 1 && f.waves {
			fmt.Fprintf(&b, "So they go in %d waves or more.\n", len(waves))
		}
	}
	if f.refusal() == nil {
		b.WriteString("What one really takes is measured as the first ones come up, and all is judged again.\n")
	}
	return b.String()
}
