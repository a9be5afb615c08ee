package admit

import (
	"cmp"
	"math"
	"slices"

	"muster/internal/node"
	"muster/internal/ui/human"
)

// margin is what is added to the memory that programs were seen to take, in
// percent: they go on to touch pages after they are up.
const margin = 10

// Survey finds what one more program takes: by how much the room has shrunk since
// before the first, divided by the programs that came up. Others on the machine disturb that: so what the
// launch's own processes show bounds it, and each look is at twice as many programs as the
// one before, since a disturbance does not grow with their number. Pure.
type Survey struct {
	Before Sight // when none was up
	Least  Need  // what one takes in any case, whatever is measured
}

// Sight is what can be seen of a machine and of the launch's own processes on it.
type Sight struct {
	Room node.Room
	Own  *node.Tree // nil: not known
	Pss  []int64    // of a few programs: their pages, shared ones by share, and page tables
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

// Look compares what is seen with what was seen before the first.
func (s Survey) Look(up int, now Sight) Look {
	l := Look{Up: up, Each: s.Least}
	if up <= 0 {
		return l
	}
	n := int64(up)
	for _, r := range Resources() {
		grown, ok := growth(r.of(s.Before.Room), r.of(now.Room))
		if !ok {
			continue
		}
		each := r.in(&l.Each)
		switch {
		case r == Memory:
			// A disturbance is no ground for a refusal: it takes 32 programs, or so much
			// memory that it can hardly be others'.
			l.Firm = up >= 32 || grown >= 256<<20 || 2*grown >= left(s.Before.Room.Memory)
			seen := max(min(grown/n, s.most(n, now)), mean(now.Pss), *each)
			*each = seen + seen*margin/100
		case r == Tasks && now.Own != nil && s.Before.Own != nil:
			*each = max(*each, nearest(now.Own.Tasks-s.Before.Own.Tasks, n))
		default:
			*each = max(*each, nearest(s.share(grown, now), n))
		}
	}
	l.How = "measured over " + human.Plural(up, "program") + ", " + human.Count(margin) + " % added"
	return l
}

// most is what a program can have taken at most, by the launch's own processes: half as
// much again as they show, and what the kernel, and files in memory, take for each.
func (s Survey) most(n int64, now Sight) int64 {
	if now.Own == nil || s.Before.Own == nil {
		return math.MaxInt64
	}
	const unseen = 256 << 10
	memory, processes := now.Own.Memory-s.Before.Own.Memory, now.Own.Processes-s.Before.Own.Processes
	return (memory*3/2 + max(processes, n)*unseen) / n
}

// share is the launch's part of what has been used up: as large as its part of all new
// processes and threads.
func (s Survey) share(grown int64, now Sight) int64 {
	all, ok := growth(s.Before.Room.Tasks, now.Room.Tasks)
	if !ok || now.Own == nil || s.Before.Own == nil {
		return grown
	}
	own := now.Own.Tasks - s.Before.Own.Tasks
	if own < 0 || all <= own {
		return grown
	}
	return int64(float64(grown) * float64(own) / float64(all))
}

func nearest(sum, n int64) int64 { return (sum + n/2) / n }

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
