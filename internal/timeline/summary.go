package timeline

import (
	"slices"
	"time"

	"muster/internal/job"
)

// PhaseStats describes the spans of one phase that have ended.
type PhaseStats struct {
	Phase job.Phase
	Stats
	Open int // spans that had not ended; they count nowhere else
}

// Launch says how fast instances got ready, or programs were started.
type Launch struct {
	Begun  int           // instances begun; programs started
	Came   int           // of them: ready; for programs the same number
	Begin  time.Duration // the ramp begins: the first instance was begun
	By95   time.Duration // 95 % of Came had come
	Last   time.Duration // all of Came had come
	Peak   int           // most at once
	PeakAt time.Duration //
	Rate   float64       // Came per second over the ramp, Begin to Last; 0 where the ramp has no length
}

// Summary is what a run's timeline amounts to.
type Summary struct {
	Phases     []PhaseStats // those that occur, in the order of job.Phases
	Instances  Launch
	Programs   Launch
	Tasks      int // that were begun
	Attempts   int // at tasks; with one program for many tasks there are more than programs
	Retried    int // attempts after a task's first one
	Stragglers []Straggler
	Lanes      []LaneUse
}

// Summarise computes everything at once. It does not change t, and takes
// n·log n for n spans.
func Summarise(t *Timeline) Summary {
	var s Summary
	lives := t.Lives()
	s.Phases = t.phaseStats()
	s.Instances = instanceLaunch(lives)
	s.Programs = t.programLaunch(s.Instances)
	begun := map[int]bool{}
	for i := range t.Spans {
		sp := &t.Spans[i]
		if sp.Phase != job.PhaseRunning || sp.Task == 0 {
			continue
		}
		begun[sp.Task] = true
		s.Attempts++
		if sp.Attempt > 1 {
			s.Retried++
		}
	}
	s.Tasks = len(begun)
	s.Stragglers = t.Stragglers()
	s.Lanes = t.LaneUses()
	return s
}

// Phase returns the statistics of phase p; the zero value when it did not occur.
func (s *Summary) Phase(p job.Phase) PhaseStats {
	for _, ps := range s.Phases {
		if ps.Phase == p {
			return ps
		}
	}
	return PhaseStats{Phase: p}
}

func (t *Timeline) phaseStats() []PhaseStats {
	phases := job.Phases()
	took := make([][]time.Duration, len(phases)+1)
	open := make([]int, len(phases)+1)
	add := func(sp *Span) {
		k := order(sp.Phase)
		if sp.Open {
			open[k]++
		} else {
			took[k] = append(took[k], sp.End-sp.Start)
		}
	}
	for i := range t.Spans {
		if sp := &t.Spans[i]; sp.Phase != job.PhaseRunning {
			add(sp)
		}
	}
	for sp := range t.Programs() {
		add(sp)
	}
	var out []PhaseStats
	for k, p := range phases {
		if len(took[k])+open[k] > 0 {
			out = append(out, PhaseStats{Phase: p, Stats: statsOf(took[k]), Open: open[k]})
		}
	}
	return out
}

// InstancesUp counts the instances that are ready and not yet being taken down.
func InstancesUp(lives []Life) Curve {
	iv := make([]Interval, 0, len(lives))
	for _, l := range lives {
		if l.Came {
			iv = append(iv, Interval{l.Ready, l.Gone})
		}
	}
	return Concurrency(iv)
}

// ProgramsUp counts the programs that run.
func (t *Timeline) ProgramsUp() Curve {
	var iv []Interval
	for sp := range t.Programs() {
		iv = append(iv, Interval{sp.Start, sp.End})
	}
	return Concurrency(iv)
}

// ProgramStarts returns when programs were started, in order.
func (t *Timeline) ProgramStarts() []time.Duration {
	var at []time.Duration
	for sp := range t.Programs() {
		at = append(at, sp.Start)
	}
	slices.Sort(at)
	return at
}

// ProgramEnds returns when programs ended, in order; those that still run are
// not among them.
func (t *Timeline) ProgramEnds() []time.Duration {
	var at []time.Duration
	for sp := range t.Programs() {
		if !sp.Open {
			at = append(at, sp.End)
		}
	}
	slices.Sort(at)
	return at
}

func instanceLaunch(lives []Life) Launch {
	var at []time.Duration
	for _, l := range lives {
		if l.Came {
			at = append(at, l.Ready)
		}
	}
	slices.Sort(at)
	la := Launch{Begun: len(lives)}
	if len(lives) > 0 {
		la.Begin = lives[0].Began
	}
	return la.measure(at, InstancesUp(lives).Peak())
}

func (t *Timeline) programLaunch(instances Launch) Launch {
	at := t.ProgramStarts()
	la := Launch{Begun: len(at)}
	if len(at) > 0 {
		la.Begin = at[0]
	}
	if instances.Begun > 0 {
		la.Begin = min(la.Begin, instances.Begin)
	}
	return la.measure(at, t.ProgramsUp().Peak())
}

// measure fills in what follows from the sorted moments at which things came.
func (la Launch) measure(at []time.Duration, peak Point) Launch {
	la.Came = len(at)
	la.By95 = Quantile(at, 0.95)
	la.Last = Quantile(at, 1)
	la.Peak, la.PeakAt = peak.N, peak.At
	if ramp := la.Last - la.Begin; la.Came > 0 && ramp > 0 {
		la.Rate = float64(la.Came) / ramp.Seconds()
	}
	return la
}
