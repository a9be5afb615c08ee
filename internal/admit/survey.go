package admit

import (
	"cmp"
	"slices"

	"muster/internal/node"
	"muster/internal/ui/human"
)

// margin is what is added to the memory that programs were seen to take, in
// percent: they go on to touch pages after they are up.
const margin = 10

// Survey finds what one more program takes: by how much the room has shrunk since
// before the first, divided by the programs that came up meanwhile. Others on the
// machine disturb that, and the disturbance does not grow with the number of
// programs: so each look is at twice as many as the one before. Pure.
type Survey struct {
	Before node.Room // when none was up
	Least  Need      // what one takes in any case, whatever is measured
}

// looks are at 4, 8, 16 … programs.
const firstLook = 4

// Look is what was seen of the first programs.
type Look struct {
	Up   int
	Each Need
	How  string // for a person
	Firm bool   // enough was seen to refuse something for it
}

// Look compares the room with what it was before. footprints are what a few of the
// programs take by their own pages: a check from the other side, for the growth of
// what the machine uses misses what was freed by others meanwhile.
func (s Survey) Look(up int, now node.Room, footprints []int64) Look {
	l := Look{Up: up, Each: s.Least}
	if up <= 0 {
		return l
	}
	n := int64(up)
	for _, r := range Resources() {
		grown, ok := growth(r.of(s.Before), r.of(now))
		if !ok {
			continue
		}
		each := r.in(&l.Each)
		if r != Memory {
			*each = max(*each, (grown+n/2)/n)
			continue
		}
		// A disturbance is no ground for a refusal: it takes 32 programs, or so much
		// memory that it can hardly be others'.
		l.Firm = up >= 32 || grown >= 256<<20 || 2*grown >= left(s.Before.Memory)
		seen := max(grown/n, mean(footprints), *each)
		*each = seen + seen*margin/100
	}
	l.How = "measured over " + human.Plural(up, "program") + ", " + human.Count(margin) + " % added"
	return l
}

// Bears reports whether a decision that not all fit can rest on the look: enough was
// seen, and twice as many programs gave nearly the same figure as the look before. Early on
// it is also enough that twice as many could not even be started; later the floor sees to that, which waits for others to give
// memory back.
func (l Look) Bears(d Decision, before Look) bool {
	if l.Up == 0 { // what is taken in any case
		return true
	}
	c, _ := d.Tightest()
	was := c.Resource.need(before.Each)
	steady := before.Up > 0 && 3*was <= 4*c.Each && 3*c.Each <= 4*was
	return l.Firm && (steady || l.Up <= barrierEnd && d.AtOnce < 2*l.Up)
}

// growth is by how much the tightest of the bounds has been used up.
func growth(before, now []node.Bound) (int64, bool) {
	tightest, ok := tight(before)
	for _, b := range now {
		if ok && b.By == tightest.By {
			return (tightest.Limit - tightest.Used) - (b.Limit - b.Used), true
		}
	}
	return 0, false
}

// left is what the tightest of the bounds leaves.
func left(bounds []node.Bound) int64 {
	b, _ := tight(bounds)
	return b.Free()
}

func tight(bounds []node.Bound) (node.Bound, bool) {
	if len(bounds) == 0 {
		return node.Bound{}, false
	}
	return slices.MinFunc(bounds, func(a, b node.Bound) int { return cmp.Compare(a.Limit-a.Used, b.Limit-b.Used) }), true
}

func mean(n []int64) int64 {
	if len(n) == 0 {
		return 0
	}
	var sum int64
	for _, v := range n {
		sum += v
	}
	return sum / int64(len(n))
}
