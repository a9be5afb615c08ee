package run

import (
	"fmt"
	"strings"

	"muster/internal/admit"
	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/rundir"
)

// The exit codes of a shell that cannot start what it was told to.
const (
	exitCannotExec = 126
	exitNotFound   = 127
)

// Unfit says that the nodes of a run lack what this host has, so that none could
// begin, or that a launch does not fit on them. It is an error for whoever wanted the run; nothing
// of it is queued any more.
type Unfit struct {
	Run        int
	Generation int    // of the submission
	Why        string // one clause, with the node
	Do         string
	Code       string
}

func (u *Unfit) Error() string {
	what := "could not begin"
	if u.Code == admit.Code { // some of it may have been up
		what = "does not fit"
	}
	return fmt.Sprintf("run %d %s: %s", u.Run, what, u.Why)
}

// Hint says what to do.
func (u *Unfit) Hint() string { return u.Do }

// ErrorCode is what `muster explain` expands.
func (u *Unfit) ErrorCode() string {
	if u.Code == "" {
		return "not-shared"
	}
	return u.Code
}

// noRoom tells on which node there is no room for its part of a launch.
func (a *arrays) noRoom(snap *rundir.Snapshot) *Unfit {
	gen := a.last(rundir.SubmitMap)
	for _, ag := range snap.Agents {
		why, refused := strings.CutPrefix(ag.Why, rundir.NoRoom)
		if !refused || ag.ID.Generation != gen {
			continue
		}
		line, hint, _ := strings.Cut(why, "\n")
		if hint == "" {
			hint = "fewer programs at a time, or more nodes"
		}
		return &Unfit{Run: snap.Run, Generation: gen, Why: ag.Host + ": " + line, Do: hint, Code: admit.Code}
	}
	return nil
}

// unfit tells why no element of the newest map could even begin, as far as is
// known; nil: that is not so.
func (a *arrays) unfit(snap *rundir.Snapshot) *Unfit {
	if u := a.noRoom(snap); u != nil {
		return u
	}
	gen := a.last(rundir.SubmitMap)
	for _, ag := range snap.Agents {
		if ag.ID.Generation == gen && ag.Lanes > 0 {
			return nil // somebody has begun
		}
	}
	return a.unfitNode(snap)
}

// unfitNode tells why an element of the newest map could not begin, whatever the others do.
func (a *arrays) unfitNode(snap *rundir.Snapshot) *Unfit {
	gen := a.last(rundir.SubmitMap)
	for _, el := range a.reports[gen].Elements {
		if u := unfitElement(el); u != nil {
			u.Run, u.Generation = snap.Run, gen
			return u
		}
	}
	return nil
}

// unfitElement tells why one element could not begin.
func unfitElement(el engine.Element) *Unfit {
	if el.State != job.Failed {
		return nil
	}
	where := "a node"
	if el.Node != "" {
		where = "node " + el.Node
	}
	switch el.Exit.Code {
	case job.ExitUnseen:
		return &Unfit{
			Why: where + " does not see the folder of the run",
			Do:  "keep runs in a folder that all nodes share: --state DIR, or state = \"DIR\" in ~/.config/muster/config.toml",
		}
	case exitNotFound, exitCannotExec:
		return &Unfit{
			Why: where + " cannot start muster's own program",
			Do:  "put muster into a folder that all nodes share, and start it from there",
		}
	}
	return nil
}
