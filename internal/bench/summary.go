package bench

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"muster/internal/ui/human"
)

// A Spread is the middle of several measurements, and how far they reach.
type Spread struct {
	Median, Min, Max float64
}

// SpreadOf is the spread of at least one value.
func SpreadOf(values []float64) Spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return Spread{}
	}
	return Spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}

// A Point is what all repeats with one number of instances showed.
type Point struct {
	Series    string
	Instances int
	Jobs      int // see Sample
	Nodes     int
	Repeats   int

	Launch Spread // seconds
	First  Spread // seconds; zero: not known
	Start  Spread // seconds; zero: not known
	Rate   Spread // instances per second
	Copy   Spread // seconds; only where Copies
	Copies bool
	Alive  int // in every repeat at least so many were alive at once
	Source Source
	Memory int64         // bytes each, the median; 0: not known
	CPU    time.Duration // each, the median; 0: not known
	Down   Spread        // seconds; zero: not known
}

// Summarise makes points of samples: in the order in which the series first
// appear, by number of instances, and of jobs.
func Summarise(samples []Sample) []Point {
	order := map[string]int{}
	type key struct {
		series    string
		instances int
		jobs      int
	}
	groups := map[key][]Sample{}
	var keys []key
	for _, s := range samples {
		if _, ok := order[s.Series]; !ok {
			order[s.Series] = len(order)
		}
		k := key{s.Series, s.Instances, s.Jobs}
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], s)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(order[a.series], order[b.series]), cmp.Compare(a.instances, b.instances), cmp.Compare(a.jobs, b.jobs))
	})
	var out []Point
	for _, k := range keys {
		out = append(out, pointOf(groups[k]))
	}
	return out
}

func pointOf(group []Sample) Point {
	spread := func(value func(Sample) float64) Spread {
		var v []float64
		for _, s := range group {
			v = append(v, value(s))
		}
		return SpreadOf(v)
	}
	first := group[0]
	p := Point{
		Series: first.Series, Instances: first.Instances, Jobs: first.Jobs, Nodes: first.Nodes, Repeats: len(group), Source: first.Source, Alive: first.Alive,
		Launch: spread(func(s Sample) float64 { return s.Launch.Seconds() }),
		First:  spread(func(s Sample) float64 { return s.First.Seconds() }),
		Start:  spread(func(s Sample) float64 { return s.Start.Seconds() }),
		Rate:   spread(Sample.Rate),
		Copy:   spread(func(s Sample) float64 { return s.Copy.Seconds() }),
		Copies: !slices.ContainsFunc(group, func(s Sample) bool { return !s.Copies }),
		Memory: int64(spread(func(s Sample) float64 { return float64(s.MemoryEach()) }).Median),
		CPU:    time.Duration(spread(func(s Sample) float64 { return float64(s.CPUEach()) }).Median),
		Down:   spread(func(s Sample) float64 { return s.Down.Seconds() }),
	}
	for _, s := range group {
		p.Alive = min(p.Alive, s.Alive)
	}
	return p
}

// String is the line that a person sees when the point is measured.
func (p Point) String() string {
	s := fmt.Sprintf("%s: %s", p.Series, Seconds(p.Launch.Median))
	if p.Repeats > 1 {
		s += fmt.Sprintf(" (%s to %s)", Seconds(p.Launch.Min), Seconds(p.Launch.Max))
	}
	if p.Jobs > 0 {
		return s
	}
	return s + ", " + human.Rate(p.Rate.Median)
}

// Seconds writes a time with three digits that count.
func Seconds(s float64) string {
	// A step is where the shorter form would round up to it.
	switch {
	case s >= 99.95:
		return fmt.Sprintf("%.0f s", s)
	case s >= 9.995:
		return fmt.Sprintf("%.1f s", s)
	case s >= 0.9995:
		return fmt.Sprintf("%.2f s", s)
	case s >= 0.00995:
		return fmt.Sprintf("%.0f ms", s*1e3)
	}
	return fmt.Sprintf("%.2g ms", s*1e3)
}
