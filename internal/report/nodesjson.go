package report

import (
	"time"

	"muster/internal/clock"
	"muster/internal/timeline"
)

// nodeJSON is an agent and how it got going. Moments are seconds since the
// submission; null: it did not come to that.
type nodeJSON struct {
	Agent       int          `json:"agent"`
	Host        string       `json:"host"`
	Job         string       `json:"job,omitempty"` // what the scheduler calls it
	Starts      int          `json:"starts"`        // more than 1: it was requeued
	Lost        int          `json:"lost"`          // how often it ended without a word
	UpS         *float64     `json:"up_s"`
	StagedS     float64      `json:"staged_s"`
	StagedBytes int64        `json:"staged_bytes"`
	StagedHow   string       `json:"staged_how,omitempty"`
	ClonedS     float64      `json:"cloned_s"`
	BootedS     float64      `json:"booted_s"`
	FirstS      *float64     `json:"first_program_s"`
	EveryLaneS  *float64     `json:"every_lane_s"`
	Clock       clock.Method `json:"clock"`         // how its clock was compared
	AheadS      float64      `json:"clock_ahead_s"` // of the submitting host's; times are corrected by it
	ErrorS      *float64     `json:"clock_error_s"` // null: not known
}

// clockJSON says how the clocks of so many nodes were compared.
type clockJSON struct {
	Method clock.Method `json:"method"` // files, socket, machine (they are the submitting host), none
	Nodes  int          `json:"nodes"`
	ErrorS *float64     `json:"error_s"` // the greatest; null: not known of every one
}

func (r *Report) clockDocs() []clockJSON {
	out := []clockJSON{}
	for _, m := range r.clockMethods() {
		out = append(out, clockJSON{m.method, len(m.agents), known(m.wrong, m.known)})
	}
	return out
}

func (r *Report) nodeDocs() []nodeJSON {
	launches := map[int]timeline.NodeLaunch{}
	for _, l := range r.launches {
		launches[l.Agent] = l
	}
	out := []nodeJSON{}
	for _, a := range r.run.Agents {
		n := nodeJSON{Agent: a.Element, Host: a.last(), Job: a.Job, Starts: a.Starts, Lost: len(a.Lost), StagedBytes: a.StagedBytes, StagedHow: a.StagedHow,
			Clock: a.Clock.Method, AheadS: seconds(a.Clock.Ahead), ErrorS: known(a.Clock.Error, a.Clock.Known)}
		if l, ok := launches[a.Element]; ok {
			n.UpS, n.FirstS, n.EveryLaneS = known(l.Up, l.Up >= 0), known(l.First, l.First >= 0), known(l.All, l.All >= 0)
			n.StagedS, n.ClonedS, n.BootedS = seconds(l.Staged), seconds(l.Cloned), seconds(l.Booted)
		}
		out = append(out, n)
	}
	return out
}

func known(d time.Duration, is bool) *float64 {
	if !is {
		return nil
	}
	s := seconds(d)
	return &s
}
