package plot

import (
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot/vg"

	"muster/internal/ui/human"
)

// scale maps values to places on paper. It is an interface so that a panel can
// be logarithmic as well as linear.
type scale interface {
	at(v float64) vg.Length
	ticks() []tick
}

// tick is a mark on an axis.
type tick struct {
	value float64
	label string
}

// linear maps lo…hi to from…to.
type linear struct {
	lo, hi   float64
	from, to vg.Length
	marks    []tick
}

func (l *linear) at(v float64) vg.Length {
	if l.hi <= l.lo {
		return l.from
	}
	return l.from + vg.Length((v-l.lo)/(l.hi-l.lo))*(l.to-l.from)
}

func (l *linear) ticks() []tick { return l.marks }

// niceStep is the smallest of 1, 2, 5 × 10^k that is at least v.
func niceStep(v float64) float64 {
	if v <= 0 {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= v*(1-1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// countScale is an axis of whole numbers from 0 to at least top, with about n ticks.
func countScale(top int, from, to vg.Length, n int) *linear {
	top = max(top, 1)
	step := max(1, niceStep(float64(top)/float64(n)))
	l := &linear{hi: float64(top) * 1.06, from: from, to: to}
	// The top itself is what people want to read; round numbers keep away from it.
	room := float64(top) * 0.6 / float64(n)
	for v := 0.0; v < float64(top)-room; v += step {
		l.marks = append(l.marks, tick{v, human.Count(int(v))})
	}
	l.marks = append(l.marks, tick{float64(top), human.Count(top)})
	return l
}

// timeUnit is the unit in which an axis of time is labelled.
type timeUnit struct {
	name string
	each float64 // seconds
}

// unitFor chooses the unit for an axis that is d long.
func unitFor(d time.Duration) timeUnit {
	switch {
	case d < 10*time.Millisecond:
		return timeUnit{"µs", 1e-6}
	case d < 2*time.Second:
		return timeUnit{"ms", 1e-3}
	case d < 10*time.Minute:
		return timeUnit{"s", 1}
	case d < 10*time.Hour:
		return timeUnit{"min", 60}
	case d < 10*24*time.Hour:
		return timeUnit{"h", 3600}
	}
	return timeUnit{"days", 86400}
}

// timeScale is an axis of time from lo to hi, in seconds, with about n ticks.
// The last one carries the unit.
func timeScale(lo, hi time.Duration, from, to vg.Length, n int) *linear {
	if hi <= lo {
		hi = lo + time.Millisecond
	}
	l := &linear{lo: lo.Seconds(), hi: hi.Seconds(), from: from, to: to}
	u := unitFor(hi)
	step := niceStep((l.hi - l.lo) / u.each / float64(n))
	first := math.Ceil(l.lo / u.each / step)
	for k := first; k*step*u.each <= l.hi*(1+1e-9); k++ {
		label := strconv.FormatFloat(k*step, 'f', max(0, -int(math.Floor(math.Log10(step)+1e-9))), 64)
		l.marks = append(l.marks, tick{k * step * u.each, label})
	}
	if last := len(l.marks) - 1; last >= 0 {
		l.marks[last].label += " " + u.name
	}
	return l
}

// panel is a place for data with its two scales.
type panel struct {
	area vg.Rectangle
	x, y scale
}

// drawAxes draws grid, baseline and tick labels; with xLabels false, only the
// marks of the time axis.
func (c *canvas) drawAxes(p panel, xLabels bool) {
	for _, t := range p.y.ticks() {
		y := p.y.at(t.value)
		if t.value != 0 {
			c.line(p.area.Min.X, y, p.area.Max.X, y, lineLook{colour: gridGrey, width: 0.5})
		}
		c.text(styleSmall, greyText, p.area.Min.X-4, y-2.4, 1, t.label)
	}
	c.timeAxis(p, xLabels)
}

// timeAxis draws the horizontal axis alone.
func (c *canvas) timeAxis(p panel, labels bool) {
	c.line(p.area.Min.X, p.area.Min.Y, p.area.Max.X, p.area.Min.Y, lineLook{colour: ink, width: 0.7})
	for _, t := range p.x.ticks() {
		x := p.x.at(t.value)
		c.line(x, p.area.Min.Y, x, p.area.Min.Y-3, lineLook{colour: ink, width: 0.7})
		if labels {
			align := 0.5
			if x+c.width(styleSmall, t.label)/2 > p.area.Max.X+8 {
				align = 1
			}
			c.text(styleSmall, greyText, x, p.area.Min.Y-10.5, align, t.label)
		}
	}
}
