package plot

import (
	"fmt"
	"image/color"
	"time"

	"gonum.org/v1/plot/vg"

	"muster/internal/timeline"
	"muster/internal/ui/human"
)

// Panel b shows exact steps while they can be told apart; beyond denseSteps it
// shows the mean of each of denseColumns columns.
const (
	denseSteps   = 400
	denseColumns = 160
)

var bandBlue = color.RGBA{0xD3, 0xE8, 0xF5, 0xFF} // least to most; the line in it carries the meaning

func (f *RunFigure) upCurves() (programs, instances timeline.Curve) {
	return f.run.Timeline.ProgramsUp(), timeline.InstancesUp(f.lives)
}

func (f *RunFigure) upHeading() string {
	s := "Up at once: number against time since submission"
	if programs, _ := f.upCurves(); len(programs) > denseSteps {
		s += fmt.Sprintf(" (means of %s; shaded: least to most)", human.Duration(f.end/denseColumns))
	}
	return s
}

func (f *RunFigure) drawUp(c *canvas, area vg.Rectangle) {
	programs, instances := f.upCurves()
	top := max(programs.Peak().N, instances.Peak().N, 1)
	p := panel{area, timeScale(0, f.end, area.Min.X, area.Max.X, 8), countScale(top, area.Min.Y, area.Max.Y, 3)}
	c.drawAxes(p, false)

	width := f.end / denseColumns
	name := "programs running"
	lines := []series{}
	add := func(name string, cv timeline.Curve, lk lineLook) {
		if len(cv) > 0 {
			lines = append(lines, series{name: name, curve: cv, look: lk})
		}
	}
	add(name, programs, lookReady())
	add("instances up", instances, lookStarted())
	var labels []lineLabel
	var all [][]vg.Point
	for i := range lines {
		s := &lines[i]
		var pts []vg.Point
		if len(s.curve) > denseSteps && width > 0 {
			cols := columnsOf(s.curve, f.end, denseColumns)
			if i == 0 {
				c.band(p, cols, width)
			}
			for k, col := range cols {
				at := time.Duration(k)*width + width/2
				pts = append(pts, vg.Point{X: p.x.at(at.Seconds()), Y: p.y.at(col.mean)})
			}
		} else {
			pts = s.points(p, f.end)
		}
		labels = append(labels, lineLabel{s.name, s.look.text, pts})
		all = append(all, pts)
	}
	for i := range lines {
		c.polyline(all[i], lines[i].look)
	}
	inside := area
	inside.Min.X, inside.Min.Y = inside.Min.X+1, inside.Min.Y+1.5
	c.drawLabels(placeLabels(inside, merge(labels), nil, func(s string) vg.Length { return c.width(styleText, s) }))
}

// column is what a curve did in a column of time.
type column struct {
	low, high int
	mean      float64
}

// columnsOf cuts the time from 0 to end into n columns.
func columnsOf(cv timeline.Curve, end time.Duration, n int) []column {
	out := make([]column, n)
	width := end / time.Duration(n)
	i, now := 0, 0
	for k := range out {
		from, to := time.Duration(k)*width, time.Duration(k+1)*width
		col := column{low: now, high: now}
		var area float64
		at := from
		for ; i < len(cv) && cv[i].At < to; i++ {
			if cv[i].At > at {
				area += float64(now) * float64(cv[i].At-at)
				at = cv[i].At
			}
			now = cv[i].N
			if cv[i].At == from {
				col = column{low: now, high: now}
			}
			col.low, col.high = min(col.low, now), max(col.high, now)
		}
		area += float64(now) * float64(to-at)
		col.mean = area / float64(width)
		out[k] = col
	}
	return out
}

// band fills between the lowest and the highest count of each column.
func (c *canvas) band(p panel, cols []column, width time.Duration) {
	var rs []vg.Rectangle
	for k, col := range cols {
		x0, x1 := p.x.at((time.Duration(k) * width).Seconds()), p.x.at((time.Duration(k+1) * width).Seconds())
		rs = append(rs, rect(x0, p.y.at(float64(col.low)), x1, p.y.at(float64(col.high))))
	}
	c.fillRects(rs, bandBlue)
}
