// Package timelinetest makes timelines of imagined runs, for the tests of what
// summarises and draws them. The same Shape always gives the same timeline.
package timelinetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"muster/internal/job"
	"muster/internal/timeline"
)

// Shape describes an imagined run.
type Shape struct {
	Tasks     int
	Agents    int // 0: 1
	Lanes     int // per agent
	Isolation job.Isolation
	Submitted time.Duration // until the agents run
	Staged    time.Duration
	Clone     time.Duration // typical
	Boot      time.Duration // typical
	Run       time.Duration // typical running time of a program
	Exit      time.Duration // typical
	Discard   time.Duration // typical
	Fail      map[int]job.State
	Slow      map[int]float64 // task → its running time is so many times longer
	Cut       time.Duration   // the timeline is made so early: later spans are missing or open; 0: all has ended
	Spread    float64         // relative spread of all times; 0: a third
}

// Make plays the run through.
func (sh Shape) Make() *timeline.Timeline {
	p := &player{Shape: sh, rnd: rand.New(rand.NewPCG(1, uint64(sh.Tasks)))}
	p.Agents = max(p.Agents, 1)
	if p.Spread == 0 {
		p.Spread = 1.0 / 3
	}
	p.play()
	tl := &timeline.Timeline{Origin: time.Date(2026, 3, 4, 10, 20, 30, 0, time.UTC), Spans: p.spans}
	slices.SortStableFunc(tl.Spans, func(a, b timeline.Span) int { return cmp.Compare(a.Start, b.Start) })
	for _, s := range tl.Spans {
		tl.End = max(tl.End, s.End)
	}
	if sh.Cut > 0 {
		tl.End = sh.Cut
	}
	return tl
}

type player struct {
	Shape
	rnd   *rand.Rand
	spans []timeline.Span
}

type laneState struct {
	agent, lane int
	free        time.Duration
	instance    string
}

func (p *player) play() {
	var lanes []*laneState
	for a := 1; a <= p.Agents; a++ {
		at := p.span(timeline.Span{Phase: job.PhaseSubmitted, Agent: a, Lane: -1}, 0, p.vary(p.Submitted))
		at = p.span(timeline.Span{Phase: job.PhaseStaged, Agent: a, Lane: -1}, at, p.vary(p.Staged))
		if p.Isolation == job.IsolateNode {
			at = p.open(&laneState{agent: a, lane: -1, free: at, instance: "node0"})
		}
		for l := range p.Lanes {
			ls := &laneState{agent: a, lane: l, free: at, instance: "node0"}
			if p.Isolation == job.IsolateLane {
				ls.instance = fmt.Sprintf("lane%d", l)
				ls.free = p.open(ls)
			}
			lanes = append(lanes, ls)
		}
	}
	for task := 1; task <= p.Tasks; task++ {
		p.task(task, slices.MinFunc(lanes, func(a, b *laneState) int { return cmp.Compare(a.free, b.free) }))
	}
	for _, ls := range lanes {
		switch {
		case p.Isolation == job.IsolateLane, p.Isolation == job.IsolateNode && ls.lane == 0:
			lane := ls.lane
			at := ls.free
			if p.Isolation == job.IsolateNode {
				lane = -1
				for _, o := range lanes {
					if o.agent == ls.agent {
						at = max(at, o.free)
					}
				}
			}
			p.span(timeline.Span{Phase: job.PhaseDiscarded, Agent: ls.agent, Lane: lane, Instance: ls.instance}, at, p.vary(p.Discard))
		}
	}
}

func (p *player) open(ls *laneState) time.Duration {
	s := timeline.Span{Phase: job.PhaseCloned, Agent: ls.agent, Lane: ls.lane, Instance: ls.instance}
	at := p.span(s, ls.free, p.vary(p.Clone))
	s.Phase = job.PhaseBooted
	return p.span(s, at, p.vary(p.Boot))
}

func (p *player) task(n int, ls *laneState) {
	if p.Isolation == job.IsolateTask {
		ls.instance = fmt.Sprintf("task%d.1", n)
		ls.free = p.open(ls)
	}
	state := p.Fail[n]
	if state == "" {
		state = job.Completed
	}
	took := p.vary(p.Run)
	if times := p.Slow[n]; times > 0 {
		took = time.Duration(float64(p.Run) * times)
	}
	s := timeline.Span{Phase: job.PhaseRunning, Agent: ls.agent, Lane: ls.lane, Instance: ls.instance, Task: n, Attempt: 1, State: state}
	ended := p.span(s, ls.free, took)
	s.Phase, s.State = job.PhaseExited, ""
	p.span(s, ended, p.vary(p.Exit))
	// The lane goes on at once; publishing overlaps the next program.
	ls.free = ended + p.vary(200*time.Microsecond)
	if p.Isolation == job.IsolateTask {
		ls.free = p.span(timeline.Span{Phase: job.PhaseDiscarded, Agent: ls.agent, Lane: ls.lane, Instance: ls.instance}, ls.free, p.vary(p.Discard))
	}
}

// span adds s unless the timeline was made before it began, and returns its end.
func (p *player) span(s timeline.Span, from, took time.Duration) time.Duration {
	s.Start, s.End = from, from+took
	end := s.End
	if p.Cut > 0 {
		if s.Start >= p.Cut {
			return end
		}
		if s.End > p.Cut {
			s.End, s.Open, s.State = p.Cut, true, ""
		}
	}
	p.spans = append(p.spans, s)
	return end
}

func (p *player) vary(d time.Duration) time.Duration {
	f := 1 + p.Spread*(2*p.rnd.Float64()-1)
	return time.Duration(f * float64(d))
}
