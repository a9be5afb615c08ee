// Package clock finds out by how much a node's clock and the submitting host's
// differ, and how well that is known: through the clock that stamps files on a
// folder which both see, through a socket, or from what must have come before what.
//
// Every finding is a Range that holds the truth. What is told of a clock is the
// middle of what is left, and half its width is the error.
package clock

import "time"

// Range says that a clock is ahead of another one by at least Least and at most
// Most. Negative: it is behind.
type Range struct {
	Least time.Duration `json:"least_ns"`
	Most  time.Duration `json:"most_ns"`
}

// Valid reports whether there is anything in the range.
func (r Range) Valid() bool { return r.Least <= r.Most }

// Middle is the best guess, and by how much it may be wrong.
func (r Range) Middle() (ahead, wrong time.Duration) {
	half := (r.Most - r.Least + 1) / 2
	return r.Most - half, half
}

// from is by how much d may be wrong.
func (r Range) from(d time.Duration) time.Duration { return max(d-r.Least, r.Most-d) }

// And is what both allow. It is not Valid when they contradict each other.
func (r Range) And(o Range) Range {
	return Range{max(r.Least, o.Least), min(r.Most, o.Most)}
}

// Or is the least range that holds both.
func (r Range) Or(o Range) Range {
	return Range{min(r.Least, o.Least), max(r.Most, o.Most)}
}

// Minus tells by how much a clock is ahead of b when it is ahead of c by r, and
// b is ahead of c by o.
func (r Range) Minus(o Range) Range {
	return Range{r.Least - o.Most, r.Most - o.Least}
}

// drift is by how much two clocks may drift apart, as a share of the time that
// passes: NTP slews a clock by at most 500 ppm, and there are two of them.
const drift = 0.001

// moment joins what was found within so short a time that all of it is true, but
// for what clocks drift meanwhile. Where it contradicts itself, somebody's
// assumption is wrong, and the whole span is left.
func moment(all []Range, took time.Duration) Range {
	slack := time.Duration(float64(took) * drift)
	both, any := NoBounds(), all[0]
	for _, r := range all {
		r.Least, r.Most = r.Least-slack, r.Most+slack
		both, any = both.And(r), any.Or(r)
	}
	if both.Valid() {
		return both
	}
	return any
}

// spell joins what was found at different moments: clocks drift, so the truth
// has moved from one to the other, and may have been anywhere between.
func spell(all []Range) Range {
	any := all[0]
	for _, r := range all[1:] {
		any = any.Or(r)
	}
	return any
}
