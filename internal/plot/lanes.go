package plot

import (
	"fmt"
	"strconv"
	"time"

	"gonum.org/v1/plot/vg"

	"muster/internal/job"
	"muster/internal/timeline"
	"muster/internal/ui/human"
)

// sign marks how something ended that did not end well.
type sign int

const (
	noSign   sign = iota
	failSign      // × : the program failed, or the instance did not come up
	lostSign      // ◇ : cancelled, or lost with its agent or node
	openSign      // ▷ : had not ended
)

// signOf is the sign that a span carries.
func signOf(s *timeline.Span) sign {
	switch {
	case s.Open:
		return openSign
	case s.State == "" || s.State == job.Completed || s.Phase != job.PhaseRunning && s.Phase != job.PhaseBooted:
		return noSign
	case s.State.Failure():
		return failSign
	}
	return lostSign
}

// signs counts how often each sign occurs.
type signs [4]int

func countSigns(tl *timeline.Timeline) signs {
	var n signs
	for i := range tl.Spans {
		n[signOf(&tl.Spans[i])]++
	}
	return n
}

func (f *RunFigure) lanesHeading() string {
	if len(f.rows) == 0 {
		return "Lanes: nothing happened yet"
	}
	if r := f.rows[0]; r.first.Agent != r.last.Agent {
		return fmt.Sprintf("Lanes, %d nodes to a row: share of their time by phase, in columns of %s", r.last.Agent-r.first.Agent+1, human.Duration(f.columns()))
	}
	head := "Lanes"
	if f.agents() > 1 {
		head += ", node by node"
	}
	if f.rowsAreExact() {
		return head + ": what each did when"
	}
	return head + ": share of each one's time by phase, in columns of " + human.Duration(f.columns())
}

// columns is the width of panel c's columns of time.
func (f *RunFigure) columns() time.Duration {
	h := rowHeight(len(f.rows))
	area := rect(marginLeft, 0, pageWidth-marginRight, h*vg.Length(len(f.rows)))
	_, width := f.sharePieces(panel{area: area, x: timeScale(0, f.end, area.Min.X, area.Max.X, 8)}, h)
	return width
}

func (f *RunFigure) drawLanes(c *canvas, area vg.Rectangle) {
	h := rowHeight(len(f.rows))
	p := panel{area: area, x: timeScale(0, f.end, area.Min.X, area.Max.X, 8)}
	for i := range f.rows {
		base := rowBase(p, i, h)
		c.fillRect(rect(area.Min.X, base, area.Max.X, base+barHeight(h)), rowGrey)
	}
	f.drawRowLabels(c, p, h)
	var ps pieces
	if f.rowsAreExact() {
		ps = f.exactPieces(p, h)
	} else {
		ps, _ = f.sharePieces(p, h)
	}
	for _, ph := range ps.sortedPhases() {
		c.fillRects(ps[ph], look(ph).colour)
	}
	c.timeAxis(p, true)
	for i := range f.rows {
		f.drawMarks(c, p, i, h)
	}
}

// drawRowLabels names the rows for which there is room, the first of each
// agent before the others.
func (f *RunFigure) drawRowLabels(c *canvas, p panel, h vg.Length) {
	least := 1 // rows from label to label
	for h*vg.Length(least) < 8 {
		least++
	}
	last := -least
	for i := range f.rows {
		if i-last < least || !f.headsAgent(i) && f.headWithin(i, least-1) {
			continue
		}
		last = i
		y := rowBase(p, i, h) + barHeight(h)/2 - 2.4
		c.text(styleSmall, greyText, p.area.Min.X-4, y, 1, c.clip(styleSmall, f.rowLabel(i), marginLeft-8))
	}
}

// headsAgent reports whether row i is the first of an agent's several rows.
func (f *RunFigure) headsAgent(i int) bool {
	agent := f.rows[i].first.Agent
	return (i == 0 || f.rows[i-1].first.Agent != agent) && i+1 < len(f.rows) && f.rows[i+1].first.Agent == agent
}

// headWithin reports whether an agent's rows begin in the n rows after i.
func (f *RunFigure) headWithin(i, n int) bool {
	for k := i + 1; k <= i+n && k < len(f.rows); k++ {
		if f.headsAgent(k) {
			return true
		}
	}
	return false
}

// mark is a sign at a place; n are drawn as one.
type mark struct {
	x vg.Length
	n int
}

// drawMarks draws the signs of row i at the ends of what they tell of. Signs
// too near to each other become one, with their number where there is room.
func (f *RunFigure) drawMarks(c *canvas, p panel, i int, h vg.Length) {
	size := min(max(barHeight(h)*0.4, 2.2), 3.4)
	y := rowBase(p, i, h) + barHeight(h)/2
	var marks [4][]mark
	for _, k := range f.rows[i].spans {
		s := &f.run.Timeline.Spans[k]
		sg := signOf(s)
		if sg == noSign {
			continue
		}
		x := min(max(p.x.at(s.End.Seconds()), p.area.Min.X+size), p.area.Max.X-size)
		ms := marks[sg]
		if last := len(ms) - 1; last >= 0 && x-ms[last].x < 2.6*size && ms[last].x-x < 2.6*size {
			ms[last].n++
			continue
		}
		marks[sg] = append(ms, mark{x, 1})
	}
	for sg := failSign; sg <= openSign; sg++ {
		for _, m := range c.spaceMarks(marks[sg], size) {
			c.drawSign(sg, m.x, y, size)
			if m.n == 1 || h < 10 {
				continue
			}
			text := strconv.Itoa(m.n)
			w := c.width(styleSmall, text)
			x0 := m.x + size + 1
			if x0+w > p.area.Max.X { // no room on the right
				x0 = m.x - size - 1 - w
			}
			c.fillRect(rect(x0-0.5, y-3.2, x0+w+0.5, y+3.2), white)
			c.text(styleSmall, ink, x0, y-2.4, 0, text)
		}
	}
}

// spaceMarks joins marks until the numbers beside them have room.
func (c *canvas) spaceMarks(ms []mark, size vg.Length) []mark {
	var out []mark
	for _, m := range ms {
		if last := len(out) - 1; last >= 0 {
			room := 2*size + 2
			if out[last].n > 1 {
				room += c.width(styleSmall, strconv.Itoa(out[last].n)) + 2
			}
			if m.x-out[last].x < room {
				out[last].n += m.n
				continue
			}
		}
		out = append(out, m)
	}
	return out
}

// drawSign draws a sign around a point, on a halo of paper.
func (c *canvas) drawSign(sg sign, x, y, r vg.Length) {
	var strokes [][]vg.Point
	switch sg {
	case failSign:
		strokes = [][]vg.Point{{{X: x - r, Y: y - r}, {X: x + r, Y: y + r}}, {{X: x - r, Y: y + r}, {X: x + r, Y: y - r}}}
	case lostSign:
		strokes = [][]vg.Point{{{X: x - r, Y: y}, {X: x, Y: y + r}, {X: x + r, Y: y}, {X: x, Y: y - r}, {X: x - r, Y: y}, {X: x, Y: y + r}}}
	case openSign:
		strokes = [][]vg.Point{{{X: x - r*0.7, Y: y + r}, {X: x + r, Y: y}, {X: x - r*0.7, Y: y - r}, {X: x - r*0.7, Y: y + r}, {X: x + r, Y: y}}}
	}
	for _, lk := range []lineLook{{colour: white, width: 2.8}, {colour: ink, width: 1.2}} {
		for _, s := range strokes {
			c.polyline(s, lk)
		}
	}
}
