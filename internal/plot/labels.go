package plot

import (
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
)

// lineLabel asks for a text on a line.
type lineLabel struct {
	text   string
	colour color.Color
	line   []vg.Point // the line that it names, as drawn
}

// placedLabel is a text with its place.
type placedLabel struct {
	lineLabel
	box    vg.Rectangle
	anchor vg.Point // where it touches its line
	leader bool     // it stands so far off that a thin line leads to it
}

// labelHeight is the height of a label's box, and labelDrop the part below the
// baseline.
const (
	labelHeight = vg.Length(9)
	labelDrop   = vg.Length(2)
)

// placeLabels finds a place for each label, near its own line and clear of all
// lines, of the boxes in taken and of each other. Greedy: the order of labels is the
// order of importance. It is deterministic.
func placeLabels(area vg.Rectangle, labels []lineLabel, taken []vg.Rectangle, width func(string) vg.Length) []placedLabel {
	lines := make([][]vg.Point, len(labels))
	for i, l := range labels {
		lines[i] = thin(l.line, 160)
	}
	var out []placedLabel
	for i, l := range labels {
		best, bestCost := placedLabel{}, math.Inf(1)
		w := width(l.text)
		for _, a := range anchors(lines[i], area, 30) {
			for _, gap := range []vg.Length{2.5, 6, 11, 18, 28, 42, 60} {
				if float64(gap) >= bestCost {
					break
				}
				for k := range 12 {
					box := boxAround(a, w, gap, float64(k)*math.Pi/6)
					if !within(box, area) || hitsAny(box, taken, out) {
						continue
					}
					cand := placedLabel{l, box, a, gap > 6}
					if cost := labelCost(cand, gap, lines, i, out, bestCost); cost < bestCost {
						best, bestCost = cand, cost
					}
				}
			}
		}
		if !math.IsInf(bestCost, 1) {
			out = append(out, best)
		}
	}
	return out
}

// labelCost is small for a place that is near its line, far from the others,
// and covers nothing. What costs more than limit is not worked out to the end.
func labelCost(p placedLabel, gap vg.Length, lines [][]vg.Point, own int, placed []placedLabel, limit float64) float64 {
	cost := float64(gap)
	for _, ln := range lines {
		cost += 60 * float64(min(crossings(ln, p.box, 1.2), 6))
		if cost >= limit {
			return cost
		}
	}
	for j, ln := range lines {
		if j == own {
			continue
		}
		// A label that is as near to another line as to its own names neither.
		if d := float64(distance(ln, p.box)); d < 8+float64(gap) {
			cost += 1.2 * (8 + float64(gap) - d)
		}
		if d := pointDistance(ln, p.anchor); d < 6 {
			cost += 3 * (6 - float64(d))
		}
		if p.leader {
			cost += 12 * float64(cutBy(ln, p.anchor, nearest(p.box, p.anchor)))
		}
	}
	for _, q := range placed {
		if p.leader && segmentHits(p.anchor, nearest(p.box, p.anchor), q.box, 1) {
			cost += 200
		}
		if q.leader && segmentHits(q.anchor, nearest(q.box, q.anchor), p.box, 1) {
			cost += 200
		}
	}
	return cost
}

// drawLabels draws placed labels with a halo of paper around each letter's box.
func (c *canvas) drawLabels(labels []placedLabel) {
	for _, l := range labels {
		if l.leader {
			to := nearest(l.box, l.anchor)
			c.line(l.anchor.X, l.anchor.Y, to.X, to.Y, lineLook{colour: l.colour, width: 0.5})
		}
	}
	for _, l := range labels {
		c.fillRect(l.box, color.NRGBA{0xFF, 0xFF, 0xFF, 0xD0})
		c.text(styleText, l.colour, l.box.Min.X+1, l.box.Min.Y+labelDrop, 0, l.text)
	}
}

// thin keeps at most n points of a line.
func thin(pts []vg.Point, n int) []vg.Point {
	if len(pts) <= n {
		return pts
	}
	out := make([]vg.Point, 0, n)
	for i := range n {
		out = append(out, pts[i*(len(pts)-1)/(n-1)])
	}
	return out
}

// anchors returns n points evenly spread over the length of a line, those in
// the area.
func anchors(pts []vg.Point, area vg.Rectangle, n int) []vg.Point {
	var total float64
	for i := 1; i < len(pts); i++ {
		total += dist(pts[i-1], pts[i])
	}
	if total == 0 {
		return nil
	}
	var out []vg.Point
	step, next, walked := total/float64(n), total/float64(2*n), 0.0
	for i := 1; i < len(pts); i++ {
		d := dist(pts[i-1], pts[i])
		for d > 0 && next <= walked+d {
			f := vg.Length((next - walked) / d)
			p := vg.Point{X: pts[i-1].X + f*(pts[i].X-pts[i-1].X), Y: pts[i-1].Y + f*(pts[i].Y-pts[i-1].Y)}
			if within(vg.Rectangle{Min: p, Max: p}, area) {
				out = append(out, p)
			}
			next += step
		}
		walked += d
	}
	return out
}

// boxAround is the box of a text w wide whose nearest edge or corner is gap away
// from a, in the direction of angle.
func boxAround(a vg.Point, w, gap vg.Length, angle float64) vg.Rectangle {
	w += 2
	sin, cos := math.Sincos(angle)
	// The box's centre slides along its own edges as the angle turns.
	cx := a.X + vg.Length(cos)*(gap+w/2)
	cy := a.Y + vg.Length(sin)*(gap+labelHeight/2)
	return rect(cx-w/2, cy-labelHeight/2, cx+w/2, cy+labelHeight/2)
}

func within(r, area vg.Rectangle) bool {
	return r.Min.X >= area.Min.X && r.Max.X <= area.Max.X && r.Min.Y >= area.Min.Y && r.Max.Y <= area.Max.Y
}

func hitsAny(box vg.Rectangle, taken []vg.Rectangle, placed []placedLabel) bool {
	for _, t := range taken {
		if overlaps(box, t, 1) {
			return true
		}
	}
	for _, p := range placed {
		if overlaps(box, p.box, 3) {
			return true
		}
	}
	return false
}

// crossings counts the segments of a line that come into the box.
func crossings(pts []vg.Point, box vg.Rectangle, margin vg.Length) int {
	n := 0
	for i := 1; i < len(pts); i++ {
		if segmentHits(pts[i-1], pts[i], box, margin) {
			n++
		}
	}
	return n
}

// segmentHits reports whether the segment a–b comes into the box, widened by
// margin (Liang and Barsky's clipping).
func segmentHits(a, b vg.Point, box vg.Rectangle, margin vg.Length) bool {
	t0, t1 := 0.0, 1.0
	dx, dy := float64(b.X-a.X), float64(b.Y-a.Y)
	for _, e := range [4][2]float64{
		{-dx, float64(a.X - box.Min.X + margin)}, {dx, float64(box.Max.X + margin - a.X)},
		{-dy, float64(a.Y - box.Min.Y + margin)}, {dy, float64(box.Max.Y + margin - a.Y)},
	} {
		p, q := e[0], e[1]
		switch {
		case p == 0:
			if q < 0 {
				return false
			}
		case p < 0:
			t0 = max(t0, q/p)
		default:
			t1 = min(t1, q/p)
		}
	}
	return t0 <= t1
}

// cutBy counts the segments of a line that cross the segment a–b.
func cutBy(pts []vg.Point, a, b vg.Point) int {
	side := func(p, q, r vg.Point) float64 {
		return float64((q.X-p.X)*(r.Y-p.Y) - (q.Y-p.Y)*(r.X-p.X))
	}
	n := 0
	for i := 1; i < len(pts); i++ {
		c, d := pts[i-1], pts[i]
		if side(a, b, c)*side(a, b, d) < 0 && side(c, d, a)*side(c, d, b) < 0 {
			n++
		}
	}
	return n
}

// nearest is the point of the box nearest to p.
func nearest(box vg.Rectangle, p vg.Point) vg.Point {
	return vg.Point{X: min(max(p.X, box.Min.X), box.Max.X), Y: min(max(p.Y, box.Min.Y), box.Max.Y)}
}

// distance is how far the line stays from the box, by its points and the box's
// corners and middle.
func distance(pts []vg.Point, box vg.Rectangle) vg.Length {
	d := vg.Length(math.Inf(1))
	for _, p := range pts {
		d = min(d, vg.Length(dist(p, nearest(box, p))))
	}
	mid := vg.Point{X: (box.Min.X + box.Max.X) / 2, Y: (box.Min.Y + box.Max.Y) / 2}
	for _, p := range []vg.Point{box.Min, box.Max, {X: box.Min.X, Y: box.Max.Y}, {X: box.Max.X, Y: box.Min.Y}, mid} {
		d = min(d, pointDistance(pts, p))
	}
	return d
}

// pointDistance is how far p is from the line.
func pointDistance(pts []vg.Point, p vg.Point) vg.Length {
	best := math.Inf(1)
	for i := 1; i < len(pts); i++ {
		a, b := pts[i-1], pts[i]
		dx, dy := float64(b.X-a.X), float64(b.Y-a.Y)
		f := 0.0
		if l := dx*dx + dy*dy; l > 0 {
			f = min(max((float64(p.X-a.X)*dx+float64(p.Y-a.Y)*dy)/l, 0), 1)
		}
		best = min(best, math.Hypot(float64(p.X)-float64(a.X)-f*dx, float64(p.Y)-float64(a.Y)-f*dy))
	}
	return vg.Length(best)
}

func dist(a, b vg.Point) float64 { return math.Hypot(float64(a.X-b.X), float64(a.Y-b.Y)) }
