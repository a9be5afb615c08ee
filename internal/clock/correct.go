package clock

import (
	"math"
	"time"
)

// Evidence is all that is known of a node's clock. Ranges of one list were found
// at different moments.
type Evidence struct {
	Same   bool    // node and submitting host are one machine
	Socket []Range // ahead of the submitting host's clock
	Node   []Range // ahead of the file server's clock
	Host   []Range // the submitting host's clock, ahead of the file server's
	Why    string  // nothing could be compared, for this reason

	// Bounds is what follows from what came before what, as the submitting host's
	// clock tells: an agent begins after its submission, and nothing is read before
	// it is written. The one is said of the agent's beginning, the other of its end, which
	// is Over later: so long clocks have drifted.
	Bounds Range
	Over   time.Duration
}

// NoBounds allows everything.
func NoBounds() Range { return Range{math.MinInt64 / 4, math.MaxInt64 / 4} }

// Correction is what a node's clock is to be corrected by.
type Correction struct {
	Method Method
	Ahead  time.Duration // the node's clock is ahead of the submitting host's by so much
	Error  time.Duration // and that is wrong by at most so much, if it is Known
	Known  bool
	Odd    bool   // what came before what contradicts the comparison: a clock was set, or an assumption does not hold
	Why    string // with None: nothing could be compared, for this reason
}

// Apply brings a time by the node's clock to the submitting host's.
func (c Correction) Apply(t time.Time) time.Time { return t.Add(-c.Ahead) }

// Correct weighs the evidence. What was asked of a socket counts before what all
// share, and that before files; Bounds narrow each. Where nothing was compared, the
// node's clock is taken to be right as far as Bounds allow.
func (e Evidence) Correct() Correction {
	switch {
	case len(e.Socket) > 0:
		return e.within(Socket, spell(e.Socket))
	case e.Same:
		return e.within(Machine, Range{})
	case len(e.Node) > 0 && len(e.Host) > 0:
		return e.within(Files, spell(e.Node).Minus(spell(e.Host)))
	}
	c := Correction{Method: None, Why: e.Why, Ahead: e.clamp(0), Odd: !e.drifted().Valid()}
	if all := NoBounds(); e.Bounds.Least > all.Least && e.Bounds.Most < all.Most {
		c.Known, c.Error = true, e.drifted().from(c.Ahead)
	}
	return c
}

// within narrows r by the bounds.
func (e Evidence) within(m Method, r Range) Correction {
	bounds := e.drifted()
	both := r.And(bounds)
	c := Correction{Method: m, Known: true, Odd: !both.Valid()}
	switch {
	// A clock was set meanwhile, or something that was taken for granted does not
	// hold: the truth is somewhere between the two.
	case r.Least > bounds.Most:
		both = Range{bounds.Most, r.Most}
	case r.Most < bounds.Least:
		both = Range{r.Least, bounds.Least}
	case c.Odd: // the bounds contradict each other
		both = r.Or(bounds)
	}
	middle, _ := both.Middle()
	c.Ahead = e.clamp(middle)
	c.Error = both.from(c.Ahead)
	return c
}

// drifted is what the bounds say of the whole time from beginning to end.
func (e Evidence) drifted() Range {
	slack := time.Duration(float64(e.Over) * drift)
	return Range{e.Bounds.Least - slack, e.Bounds.Most + slack}
}

// clamp keeps within the bounds; a beginning after the submission is what counts.
func (e Evidence) clamp(d time.Duration) time.Duration {
	return min(max(d, e.Bounds.Least), e.Bounds.Most)
}
