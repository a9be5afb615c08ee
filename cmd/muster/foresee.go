package main

import (
	"muster/internal/admit"
	"muster/internal/node"
	"muster/internal/run"
)

// foresee judges a launch on this machine before anything is begun: by what its programs
// take at least, for what they really take is found out with the first few. It returns
// the arithmetic for a person. On a cluster the nodes judge for themselves.
func (a *app) foresee(prep *run.Prepared) (string, error) {
	s := prep.Spec
	if s.Launch == nil || s.Engine != "local" {
		return "", nil
	}
	g, err := guestOf(s.Guest, nil)
	if err != nil {
		return "", err
	}
	root, _, err := node.ScratchRoot(a.getenv)
	if err != nil {
		return "", err
	}
	d := admit.Judge(admit.Ask{Programs: s.Launch.Programs, Each: admit.Least(g.Traits(), s.Isolation), Floor: s.Launch.Floor, How: "at least"},
		node.This().RoomFor(root))
	if d.AtOnce == 0 || !d.OK() && !s.Launch.Waves {
		return "", &admit.Refusal{Decision: d}
	}
	return "\nWhat they need at least, and what is free\n" + d.Table(), nil
}
