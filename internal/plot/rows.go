package plot

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"gonum.org/v1/plot/vg"

	"muster/internal/job"
	"muster/internal/timeline"
)

// row is a horizontal bar of panel c: a lane, or several neighbouring ones
// where there are too many lanes for a row each.
type row struct {
	first, last timeline.LaneID
	spans       []int // indexes into the timeline's spans
	capacity    int   // how many spans of programs and instances can be in it at once

	// whole holds, in a row of whole agents, by how much more than a lane's span one
	// counts that concerns all lanes of an agent: by their number.
	whole map[int]int
}

// Bounds of panel c.
const (
	maxRows     = 72
	exactInRow  = 150  // so many bars can be told apart in a row
	exactInAll  = 3000 // and so many keep the file small
	maxPieces   = 9000 // rectangles of an aggregated panel
	columnWidth = vg.Length(1.5)
)

// rowHeight is the height of a row among n.
func rowHeight(n int) vg.Length {
	return min(max(170/vg.Length(max(n, 1)), 4.8), 22)
}

// newRows sorts the spans into rows, by agent and lane: a row per lane as long
// as there are few enough, then neighbouring lanes of an agent together, then
// whole agents. What a node's lanes share has a row of its own above them.
func newRows(tl *timeline.Timeline) []row {
	by := map[timeline.LaneID][]int{}
	for i := range tl.Spans {
		id := timeline.LaneID{Agent: tl.Spans[i].Agent, Lane: tl.Spans[i].Lane}
		by[id] = append(by[id], i)
	}
	ids := slices.SortedFunc(maps.Keys(by), timeline.LaneID.Compare)
	var rows []row
	for _, g := range groupLanes(ids) {
		r := row{first: g[0], last: g[len(g)-1], whole: map[int]int{}}
		for _, id := range g {
			r.spans = append(r.spans, by[id]...)
			if n := capacity(tl, by[id]); id.Lane >= 0 || runs(tl, by[id]) {
				r.capacity += n
				r.whole[id.Agent] += n
			}
		}
		if r.first == r.last || r.capacity == 0 {
			r.whole, r.capacity = nil, max(r.capacity, 1)
		}
		rows = append(rows, r)
	}
	return rows
}

// groupLanes cuts sorted lanes into groups, as few lanes in each as maxRows allows.
func groupLanes(ids []timeline.LaneID) [][]timeline.LaneID {
	perAgent := slices.Collect(chunkBy(ids, func(a, b timeline.LaneID) bool { return a.Agent == b.Agent }))
	if 3*len(perAgent) > maxRows && len(ids) > maxRows {
		each := (len(perAgent) + maxRows - 1) / maxRows
		var out [][]timeline.LaneID
		for g := range slices.Chunk(perAgent, each) {
			out = append(out, slices.Concat(g...))
		}
		return out
	}
	for each := 1; ; each++ {
		var out [][]timeline.LaneID
		for _, lanes := range perAgent {
			if lanes[0].Lane < 0 {
				out = append(out, lanes[:1])
				lanes = lanes[1:]
			}
			out = slices.AppendSeq(out, slices.Chunk(lanes, each))
		}
		if len(out) <= maxRows || each >= len(ids) {
			return out
		}
	}
}

// chunkBy cuts s where same says that neighbours differ.
func chunkBy(s []timeline.LaneID, same func(a, b timeline.LaneID) bool) iter.Seq[[]timeline.LaneID] {
	return func(yield func([]timeline.LaneID) bool) {
		for a := 0; a < len(s); {
			b := a + 1
			for b < len(s) && same(s[a], s[b]) {
				b++
			}
			if !yield(s[a:b]) {
				return
			}
			a = b
		}
	}
}

// capacity is how many spans overlap at most, at least 1. Publishing an
// output beside the next program's run takes no place in a lane.
func capacity(tl *timeline.Timeline, spans []int) int {
	var iv []timeline.Interval
	seen := map[timeline.Interval]bool{}
	for _, i := range spans {
		s := &tl.Spans[i]
		v := timeline.Interval{From: s.Start, To: s.End}
		if s.Phase == job.PhaseExited || s.Lane >= 0 && seen[v] {
			continue
		}
		seen[v] = true
		iv = append(iv, v)
	}
	return max(timeline.Concurrency(iv).Peak().N, 1)
}

// runs reports whether programs ran among the spans.
func runs(tl *timeline.Timeline, spans []int) bool {
	return slices.ContainsFunc(spans, func(i int) bool { return tl.Spans[i].Phase == job.PhaseRunning })
}

// weight is for how many lanes a span counts in the row. A place in the queue is none
// on the node: it is drawn as thin as elsewhere.
func (r *row) weight(s *timeline.Span) float64 {
	n := 1
	if s.Lane < 0 && s.Phase != job.PhaseRunning && s.Phase != job.PhaseExited {
		n = max(r.whole[s.Agent], 1)
	}
	if s.Phase == job.PhaseSubmitted {
		return float64(n) * look(s.Phase).height
	}
	return float64(n)
}

// exact reports whether the row's bars can be drawn one by one.
func (r *row) exact(tl *timeline.Timeline) bool {
	if r.capacity > 1 || r.first != r.last {
		return false
	}
	n := 0
	for _, i := range r.spans {
		if tl.Spans[i].Phase != job.PhaseExited {
			n++
		}
	}
	return n <= exactInRow
}

// rowLabel names row i. Where there are several agents, the first row of each
// bears its node's name, and the others their lanes'.
func (f *RunFigure) rowLabel(i int) string {
	r := &f.rows[i]
	if r.first.Agent != r.last.Agent {
		if len(f.run.Hosts) == 0 {
			return fmt.Sprintf("agents %d–%d", r.first.Agent, r.last.Agent)
		}
		return f.agentName(r.first.Agent) + "–" + f.agentName(r.last.Agent)
	}
	lanes := fmt.Sprintf("lane %d", r.last.Lane)
	switch {
	case r.last.Lane < 0:
		lanes = "node"
	case r.first.Lane < 0:
		return f.agentName(r.first.Agent)
	case r.first != r.last:
		lanes = fmt.Sprintf("lanes %d–%d", r.first.Lane, r.last.Lane)
	}
	switch {
	case f.agents() < 2 || i > 0 && f.rows[i-1].last.Agent == r.first.Agent:
		return lanes
	case r.last.Lane < 0:
		return f.agentName(r.first.Agent)
	}
	return f.agentName(r.first.Agent) + " " + lanes
}

// pieces are the rectangles of panel c by phase.
type pieces map[job.Phase][]vg.Rectangle

func (p pieces) count() int {
	n := 0
	for _, rs := range p {
		n += len(rs)
	}
	return n
}

// rowsAreExact reports whether every row is drawn bar by bar.
func (f *RunFigure) rowsAreExact() bool {
	n := 0
	for i := range f.rows {
		n += len(f.rows[i].spans)
		if !f.rows[i].exact(f.run.Timeline) {
			return false
		}
	}
	return n <= exactInAll
}

// exactPieces gives a bar per span.
func (f *RunFigure) exactPieces(p panel, h vg.Length) pieces {
	out := pieces{}
	for i := range f.rows {
		base := rowBase(p, i, h)
		for _, k := range f.rows[i].spans {
			s := &f.run.Timeline.Spans[k]
			x0, x1 := p.x.at(s.Start.Seconds()), p.x.at(s.End.Seconds())
			if x1-x0 > 2 {
				x1 -= 0.35 // paper between neighbours
			}
			x1 = max(x1, x0+0.4)
			y1 := base + vg.Length(look(s.Phase).height)*barHeight(h)
			out[s.Phase] = append(out[s.Phase], rect(x0, base, x1, y1))
		}
	}
	return out
}

// sharePieces gives, for each row and column of time, the share of the row's
// time in each phase as a stack, with as many columns as keep the file small.
func (f *RunFigure) sharePieces(p panel, h vg.Length) (pieces, time.Duration) {
	n := int((p.area.Max.X - p.area.Min.X) / columnWidth)
	for {
		width := max(f.end/time.Duration(n), 1)
		out := pieces{}
		for i := range f.rows {
			f.stackRow(out, p, i, h, width, n)
		}
		if out.count() <= maxPieces || n <= 16 {
			return out, width
		}
		n = n * 3 / 4
	}
}

// stackRow adds the stacks of row i. Neighbouring columns that look the same
// become one rectangle.
func (f *RunFigure) stackRow(out pieces, p panel, i int, h vg.Length, width time.Duration, n int) {
	shares := f.shares(&f.rows[i], width, n)
	base, bar := rowBase(p, i, h), barHeight(h)
	order := stackOrder()
	type slab struct{ y0, y1 vg.Length }
	slabs := make([][]slab, len(order)) // by phase, by column
	for k := range order {
		slabs[k] = make([]slab, n)
	}
	for col := range n {
		sum := 0.0
		for k, ph := range order {
			share := min(shares[ph][col], max(1-sum, 0))
			// Steps of a quarter point: finer ones nobody sees, and they would
			// keep neighbours from being joined.
			y0, y1 := quarter(vg.Length(sum)*bar), quarter(vg.Length(sum+share)*bar)
			slabs[k][col] = slab{y0, y1}
			sum += share
		}
	}
	for k, ph := range order {
		for a := 0; a < n; {
			b := a + 1
			for b < n && slabs[k][b] == slabs[k][a] {
				b++
			}
			if s := slabs[k][a]; s.y1 > s.y0 {
				x0, x1 := p.x.at((time.Duration(a) * width).Seconds()), p.x.at((time.Duration(b) * width).Seconds())
				out[ph] = append(out[ph], rect(x0, base+s.y0, min(x1, p.area.Max.X), base+s.y1))
			}
			a = b
		}
	}
}

// shares gives for each phase and column which share of the row's capacity it
// took, 0 to 1.
func (f *RunFigure) shares(r *row, width time.Duration, n int) map[job.Phase][]float64 {
	out := map[job.Phase][]float64{}
	for _, ph := range job.Phases() {
		out[ph] = make([]float64, n)
	}
	full := float64(width) * float64(r.capacity)
	type call struct { // tasks of one call took their time together
		timeline.LaneID
		phase job.Phase
		start time.Duration
	}
	seen := map[call]bool{}
	for _, k := range r.spans {
		s := &f.run.Timeline.Spans[k]
		if s.Lane >= 0 {
			c := call{timeline.LaneID{Agent: s.Agent, Lane: s.Lane}, s.Phase, s.Start}
			if seen[c] {
				continue
			}
			seen[c] = true
		}
		into := out[s.Phase]
		if into == nil {
			continue // a phase that this muster does not know
		}
		weight := r.weight(s)
		first := min(int(s.Start/width), n-1)
		for col := first; col < n; col++ {
			from, to := time.Duration(col)*width, time.Duration(col+1)*width
			if from >= s.End {
				break
			}
			into[col] += weight * float64(min(to, s.End)-max(from, s.Start)) / full
		}
	}
	return out
}

func quarter(l vg.Length) vg.Length { return vg.Length(int(l*4+0.5)) / 4 }

// rowBase is the lower edge of row i; barHeight leaves paper between rows.
func rowBase(p panel, i int, h vg.Length) vg.Length { return p.area.Max.Y - h*vg.Length(i+1) + h*0.06 }

func barHeight(h vg.Length) vg.Length { return h * 0.84 }

// sortedPhases are the phases of p in drawing order.
func (p pieces) sortedPhases() []job.Phase {
	out := make([]job.Phase, 0, len(p))
	for ph := range p {
		out = append(out, ph)
	}
	slices.SortFunc(out, func(a, b job.Phase) int {
		// The lower ones over the higher ones, so that none is hidden.
		return cmp.Or(cmp.Compare(look(b).height, look(a).height), cmp.Compare(a, b))
	})
	return out
}
