package timeline

import (
	"cmp"
	"slices"
	"time"
)

// Point is a step of a Curve: from At on there are N.
type Point struct {
	At time.Duration // since Timeline.Origin
	N  int
}

// Curve is a count against time: a staircase, exact, ordered by At. Before its
// first point the count is 0; after its last one it stays.
type Curve []Point

// Interval is half open: what it counts is up at From and no longer at To.
type Interval struct{ From, To time.Duration }

// Concurrency counts how many of the intervals hold each moment. Empty
// intervals count nowhere.
func Concurrency(iv []Interval) Curve {
	from := make([]time.Duration, 0, len(iv))
	to := make([]time.Duration, 0, len(iv))
	for _, v := range iv {
		if v.From < v.To {
			from, to = append(from, v.From), append(to, v.To)
		}
	}
	slices.Sort(from)
	slices.Sort(to)
	c := make(Curve, 0, 2*len(from))
	n := 0
	for i, j := 0, 0; j < len(to); {
		at := to[j]
		if i < len(from) && from[i] < at {
			at = from[i]
		}
		for ; i < len(from) && from[i] == at; i++ {
			n++
		}
		for ; j < len(to) && to[j] == at; j++ {
			n--
		}
		c = c.step(at, n)
	}
	return c
}

// Cumulative counts how many of the moments have passed. It sorts at.
func Cumulative(at []time.Duration) Curve {
	slices.Sort(at)
	c := make(Curve, 0, len(at))
	for i, t := range at {
		if i+1 == len(at) || at[i+1] != t {
			c = append(c, Point{t, i + 1})
		}
	}
	return c
}

// step appends a point unless it changes nothing.
func (c Curve) step(at time.Duration, n int) Curve {
	if len(c) > 0 && c[len(c)-1].N == n || len(c) == 0 && n == 0 {
		return c
	}
	return append(c, Point{at, n})
}

// At returns the count at t.
func (c Curve) At(t time.Duration) int {
	i, found := slices.BinarySearchFunc(c, t, func(p Point, t time.Duration) int { return cmp.Compare(p.At, t) })
	switch {
	case found:
		return c[i].N
	case i == 0:
		return 0
	}
	return c[i-1].N
}

// Peak returns the highest count and when it was first reached.
func (c Curve) Peak() Point {
	var top Point
	for _, p := range c {
		if p.N > top.N {
			top = p
		}
	}
	return top
}

// Downsample returns a curve of at most about 4·columns points that looks the
// same when drawn columns wide: of each column it keeps the first and the last
// step, the lowest and the highest, so that no peak and no gap is lost.
func (c Curve) Downsample(columns int) Curve {
	if columns < 1 || len(c) <= 4*columns {
		return c
	}
	from, to := c[0].At, c[len(c)-1].At
	width := float64(to-from) / float64(columns)
	out := make(Curve, 0, 4*columns+1)
	for i := 0; i < len(c); {
		col := int(float64(c[i].At-from) / width)
		lo, hi, j := i, i, i
		for ; j < len(c) && (int(float64(c[j].At-from)/width) == col); j++ {
			if c[j].N < c[lo].N {
				lo = j
			}
			if c[j].N > c[hi].N {
				hi = j
			}
		}
		keep := []int{i, lo, hi, j - 1}
		slices.Sort(keep)
		for _, k := range slices.Compact(keep) {
			out = append(out, c[k])
		}
		i = j
	}
	return out
}
