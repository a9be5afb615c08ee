package plan

import (
	"slices"
	"sort"

	"muster/internal/job"
)

// Pool is what the elements of a dynamic plan share. They take its chunks one
// after the other, each when it has need of one.
type Pool struct {
	Calls  [][]int // the task indexes of each call, in the order in which they are taken
	Chunks []int   // how many calls each chunk has, in that order; together all of them
}

// Tasks returns how many tasks the pool has.
func (p *Pool) Tasks() int {
	n := 0
	for _, c := range p.Calls {
		n += len(c)
	}
	return n
}

// How many chunks there may be. A chunk costs a claim, which is a few requests to
// a file server.
const (
	chunksPerLane    = 32
	chunksPerElement = 256    // an agent claims for all its lanes
	chunksAtMost     = 16_384 // all claims are in one folder, which agents list

	// sharpness is how much smaller the first chunks are than a lane's fair part of
	// what is left: a chunk of nothing but long tasks shall not outlast the rest.
	sharpness = 8
)

// chunks cuts calls into chunks for elements (at least 1) with lanes lanes in
// all: each is a fixed part of what is left, so they shrink, down to 1. This is guided
// self-scheduling (C. D. Polychronopoulos and D. J. Kuck, "Guided Self-Scheduling: A
// Practical Scheduling Scheme for Parallel Supercomputers", IEEE Transactions on
// Computers C-36(12), 1987) as for several times the lanes there are, because its first
// chunks are too large when tasks differ much (S. F. Hummel, E. Schonberg and
// L. E. Flynn, "Factoring", Communications of the ACM 35(8), 1992); for fewer where that would
// be too many chunks.
func chunks(calls, elements, lanes int) []int {
	lanes = max(lanes, elements)
	limit := min(chunksPerLane*lanes, chunksPerElement*elements, chunksAtMost)
	// The largest divisor that keeps the limit. At the number of elements it stays, since
	// with a smaller one some would find nothing at the start.
	more := sort.Search(sharpness*lanes-elements, func(i int) bool { return len(guided(calls, elements+1+i, limit)) > limit })
	return guided(calls, elements+more, calls)
}

// guided cuts calls into chunks of the d-th part of what is left, rounded up. It
// stops when there are more than limit.
func guided(calls, d, limit int) (sizes []int) {
	for calls > 0 && len(sizes) <= limit {
		size := (calls-1)/d + 1
		sizes = append(sizes, size)
		calls -= size
	}
	return sizes
}

// share makes the calls of all elements one pool, of what is left (nil: all of
// it), unless that is for one element only, which has nobody to share with.
func (p *Plan) share(left *job.IndexSet) {
	pool := &Pool{}
	for _, e := range p.Elements {
		for _, call := range e.Calls {
			if left != nil {
				call = only(call, *left)
			}
			if len(call) > 0 {
				pool.Calls = append(pool.Calls, call)
			}
		}
	}
	if left != nil {
		p.Left = left.Len()
	}
	if p.AppType == job.SISO {
		// Shares and their order mean nothing here: inputs in their own order.
		slices.SortFunc(pool.Calls, slices.Compare)
	}
	p.Elements = p.Elements[:min(len(p.Elements), len(pool.Calls))]
	lanes := 0
	for i := range p.Elements {
		e := &p.Elements[i]
		e.Calls, e.Ranks = nil, nil
		e.Lanes = min(e.Lanes, len(pool.Calls))
		lanes += e.Lanes
	}
	switch len(p.Elements) {
	case 0:
	case 1:
		p.Elements[0].Calls = pool.Calls
	default:
		pool.Chunks = chunks(len(pool.Calls), len(p.Elements), lanes)
		p.Pool = pool
	}
}
