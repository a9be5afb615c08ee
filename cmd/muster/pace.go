package main

import (
	"time"

	"muster/internal/ui"
)

// pace tells how fast a run goes lately, from what it is told now and then.
type pace struct {
	seen []moment // oldest first, of the last paceWindow
}

type moment struct {
	at    time.Time
	ended int
}

const paceWindow = 10 * time.Second

func newPace() *pace { return &pace{} }

// fill adds rate and expectation to a status.
func (p *pace) fill(st *ui.Status) {
	ended := st.Progress()
	now := time.Now()
	p.seen = append(p.seen, moment{now, ended})
	for len(p.seen) > 2 && now.Sub(p.seen[0].at) > paceWindow {
		p.seen = p.seen[1:]
	}
	first := p.seen[0]
	if d := now.Sub(first.at); d > 0 && ended > first.ended {
		st.Rate = float64(ended-first.ended) / d.Seconds()
		st.Left = time.Duration(float64(st.Total-ended) / st.Rate * float64(time.Second))
	}
}
