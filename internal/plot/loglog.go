package plot

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot/vg"

	"muster/internal/ui/human"
)

// LogLog is a figure of measurements against a count, both axes logarithmic: how
// a time or a rate grows with the number of instances.
type LogLog struct {
	Head     string   // what is shown
	Sub      string   // where and when, below it
	XName    string   // what is counted
	XMost    float64  // where the count's axis ends; it begins at 1
	YName    string   // what is measured, with its unit
	Findings []string // sentences of the caption
	Series   []LogSeries
}

// LogSeries are measurements of one kind.
type LogSeries struct {
	Name      string
	Look      int        // from 0; different ones differ in hue, dashes and sign, the first six at least
	Points    []LogPoint // by count, ascending
	Reference bool       // somebody else's figures: drawn as stars
}

// LogPoint is a measurement: the middle, and from where to where it reached.
type LogPoint struct{ X, Y, Lo, Hi float64 }

// Measures of the page, beside those of a run's figure.
const (
	logHeight   = vg.Length(262)
	logTopSpace = vg.Length(10)
	axisTitle   = vg.Length(14)
	signRadius  = vg.Length(2.7)
)

// Size implements Figure.
func (f *LogLog) Size() (width, height vg.Length) {
	lines := measuring().wrap(styleCaption, f.Caption(), pageWidth-2*marginRight)
	height = marginTop + 14 + 12 + headHeight + logTopSpace + logHeight + axisHeight + axisTitle
	return pageWidth, height + 10 + captionLine*vg.Length(len(lines)) + marginBottom
}

// Title implements Figure.
func (f *LogLog) Title() string { return f.Head }

// Caption implements Figure.
func (f *LogLog) Caption() string { return strings.Join(f.Findings, " ") }

// Table implements Figure: a line for each point.
func (f *LogLog) Table(w io.Writer) error {
	cw := csv.NewWriter(w)
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	// Errors stay in the Writer until Flush.
	_ = cw.Write([]string{"series", f.XName, f.YName, "from", "to"})
	for _, s := range f.Series {
		for _, p := range s.Points {
			_ = cw.Write([]string{s.Name, number(p.X), number(p.Y), number(p.Lo), number(p.Hi)})
		}
	}
	cw.Flush()
	if err := cw.Error(); err != nil {
		return fmt.Errorf("writing the figure's table: %w", err)
	}
	return nil
}

func (f *LogLog) draw(c *canvas) {
	_, height := f.Size()
	top := func(y vg.Length) vg.Length { return height - y }
	wide := pageWidth - 2*marginRight
	c.text(styleTitle, ink, marginRight, top(marginTop+11), 0, c.clip(styleTitle, f.Head, wide))
	c.text(styleSub, greyText, marginRight, top(marginTop+23), 0, c.clip(styleSub, f.Sub, wide))
	y := marginTop + 14 + 12 + headHeight
	c.text(stylePanel, ink, marginRight, top(y-5), 0, c.clip(stylePanel, f.YName, wide))
	y += logTopSpace
	area := rect(marginLeft-16, top(y+logHeight), pageWidth-marginRight, top(y))
	lo, hi := f.reach()
	p := panel{area: area, x: newDecades(1, max(f.XMost, 10), area.Min.X, area.Max.X), y: newDecades(lo, hi, area.Min.Y, area.Max.Y)}
	f.drawGrid(c, p)
	f.drawData(c, p)
	y += logHeight + axisHeight
	c.text(styleText, ink, (area.Min.X+area.Max.X)/2, top(y+8), 0.5, f.XName)
	y += axisTitle + 10
	for i, line := range c.wrap(styleCaption, f.Caption(), wide) {
		c.text(styleCaption, ink, marginRight, top(y+captionLine*vg.Length(i)+8), 0, line)
	}
}

// reach is from where to where the measurements go; zero and less have no place
// on a logarithmic axis.
func (f *LogLog) reach() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, s := range f.Series {
		for _, p := range s.Points {
			for _, v := range []float64{p.Y, p.Lo, p.Hi} {
				if v > 0 {
					lo, hi = min(lo, v), max(hi, v)
				}
			}
		}
	}
	if lo > hi {
		return 1, 10
	}
	return lo, hi
}

// decades is a logarithmic axis over whole powers of ten.
type decades struct {
	lo, hi   int // exponents
	from, to vg.Length
}

func newDecades(lo, hi float64, from, to vg.Length) *decades {
	const almost = 1e-9
	d := &decades{lo: int(math.Floor(math.Log10(lo) + almost)), hi: int(math.Ceil(math.Log10(hi) - almost)), from: from, to: to}
	if d.hi-d.lo < 2 {
		d.hi = d.lo + 2
	}
	return d
}

func (d *decades) at(v float64) vg.Length {
	return d.from + vg.Length((math.Log10(v)-float64(d.lo))/float64(d.hi-d.lo))*(d.to-d.from)
}

func (d *decades) ticks() []tick {
	var out []tick
	for e := d.lo; e <= d.hi; e++ {
		label := strconv.FormatFloat(math.Pow10(e), 'f', max(0, -e), 64)
		if e >= 0 {
			label = human.Count(int(math.Pow10(e)))
		}
		out = append(out, tick{math.Pow10(e), label})
	}
	return out
}

// between are the places of 2, 3 … 9 times each power of ten.
func (d *decades) between() []float64 {
	var out []float64
	for e := d.lo; e < d.hi; e++ {
		for m := 2; m <= 9; m++ {
			out = append(out, float64(m)*math.Pow10(e))
		}
	}
	return out
}

// drawGrid draws the axes, with short marks between the powers of ten.
func (f *LogLog) drawGrid(c *canvas, p panel) {
	thin, frame := lineLook{colour: gridGrey, width: 0.5}, lineLook{colour: ink, width: 0.7}
	for _, t := range p.x.ticks() {
		x := p.x.at(t.value)
		c.line(x, p.area.Min.Y, x, p.area.Max.Y, thin)
		c.line(x, p.area.Min.Y, x, p.area.Min.Y-4, frame)
		align := 0.5
		if x+c.width(styleSmall, t.label)/2 > p.area.Max.X+8 {
			align = 1
		}
		c.text(styleSmall, greyText, x, p.area.Min.Y-12, align, t.label)
	}
	for _, t := range p.y.ticks() {
		y := p.y.at(t.value)
		c.line(p.area.Min.X, y, p.area.Max.X, y, thin)
		c.line(p.area.Min.X, y, p.area.Min.X-4, y, frame)
		c.text(styleSmall, greyText, p.area.Min.X-7, y-2.4, 1, t.label)
	}
	for _, v := range p.x.(*decades).between() {
		x := p.x.at(v)
		c.line(x, p.area.Min.Y, x, p.area.Min.Y-2, lineLook{colour: ink, width: 0.4})
	}
	for _, v := range p.y.(*decades).between() {
		y := p.y.at(v)
		c.line(p.area.Min.X, y, p.area.Min.X-2, y, lineLook{colour: ink, width: 0.4})
	}
	c.line(p.area.Min.X, p.area.Min.Y, p.area.Max.X, p.area.Min.Y, frame)
	c.line(p.area.Min.X, p.area.Min.Y, p.area.Min.X, p.area.Max.Y, frame)
}

// drawData draws lines first, then what lies on them, then their names.
func (f *LogLog) drawData(c *canvas, p panel) {
	type drawn struct {
		look logLook
		at   []vg.Point
	}
	var all []drawn
	var labels []lineLabel
	var taken []vg.Rectangle
	for _, s := range f.Series {
		d := drawn{look: referenceLook()}
		if !s.Reference {
			d.look = logLooks()[s.Look%len(logLooks())]
		}
		for _, m := range s.Points {
			if m.Y > 0 && m.X > 0 {
				d.at = append(d.at, vg.Point{X: p.x.at(m.X), Y: p.y.at(m.Y)})
			}
		}
		if !s.Reference {
			c.polyline(d.at, d.look.lineLook)
		}
		for _, m := range s.Points {
			if box, drawn := f.drawReach(c, p, m, d.look); drawn {
				taken = append(taken, box)
			}
		}
		all = append(all, d)
		if line := labelLine(d.at); len(line) > 0 {
			labels = append(labels, lineLabel{s.Name, d.look.text, line})
		}
		for _, at := range d.at {
			r := signRadius + 1
			taken = append(taken, rect(at.X-r, at.Y-r, at.X+r, at.Y+r))
		}
	}
	for _, d := range all {
		for _, at := range d.at {
			d.look.sign(c, at, d.look.colour)
		}
	}
	inside := rect(p.area.Min.X, p.area.Min.Y, p.area.Max.X, p.area.Max.Y+logTopSpace-2)
	c.drawLabels(placeLabels(inside, labels, taken, func(s string) vg.Length { return c.width(styleText, s) }))
}

// drawReach draws from where to where a measurement reached, where that can be
// seen beside its sign, and returns the place that it takes.
func (f *LogLog) drawReach(c *canvas, p panel, m LogPoint, look logLook) (box vg.Rectangle, drawn bool) {
	if m.Lo <= 0 || m.Hi <= m.Lo || m.X <= 0 {
		return box, false
	}
	const half = vg.Length(2.2)
	x, from, to := p.x.at(m.X), p.y.at(m.Lo), p.y.at(m.Hi)
	bar := lineLook{colour: look.colour, width: 0.8}
	c.line(x, from, x, to, bar)
	for _, y := range []vg.Length{from, to} {
		c.line(x-half, y, x+half, y, bar)
	}
	return rect(x-half, from, x+half, to), true
}

// labelLine is a line that a label can stand beside: also a lonely point has one.
func labelLine(at []vg.Point) []vg.Point {
	if len(at) == 1 {
		const arm = signRadius + 1
		return []vg.Point{{X: at[0].X - arm, Y: at[0].Y}, {X: at[0].X + arm, Y: at[0].Y}}
	}
	return at
}
