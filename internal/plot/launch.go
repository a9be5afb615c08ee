package plot

import (
	"fmt"
	"slices"
	"time"

	"gonum.org/v1/plot/vg"

	"muster/internal/job"
	"muster/internal/timeline"
	"muster/internal/ui/human"
)

// launch is panel a: what was requested, started and ready (or ended) by when.
type launch struct {
	unit    string // "instance" or "program"
	lines   []series
	top     int           // of the counts
	end     time.Duration // of the panel's own axis of time
	zoomed  bool          // the axis is shorter than the run
	ideal   time.Duration // when all would have been there
	idealOf int
	why     string // what the ideal line supposes
	ramp    timeline.Launch
}

// series is a line of a panel.
type series struct {
	name  string
	curve timeline.Curve
	look  lineLook
	until time.Duration // where it ends; 0: at the panel's end
	slope bool          // straight from point to point, not in steps
}

// manyInstances is from how many instances on their launch is worth a panel,
// though more programs than instances were started.
const manyInstances = 16

func newLaunch(f *RunFigure) launch {
	if f.run.Launch {
		return aliveLaunch(f)
	}
	n := f.sum.Instances.Begun
	if n > 0 && (n >= f.sum.Programs.Begun || n >= manyInstances) {
		return instanceLaunch(f)
	}
	return programLaunch(f)
}

// aliveLaunch is the panel of a launch whose programs are to be alive at the same time:
// how many of them were, against time.
func aliveLaunch(f *RunFigure) launch {
	l := launch{unit: "program", ramp: f.sum.Programs, end: f.end, top: max(f.run.Tasks, f.sum.Programs.Peak)}
	var started []time.Duration
	for i := range f.run.Timeline.Spans {
		if s := &f.run.Timeline.Spans[i]; s.Phase == job.PhaseStarting {
			started = append(started, s.Start)
		}
	}
	l.lines = []series{
		{name: "alive", curve: f.run.Timeline.ProgramsUp(), look: lookReady()},
		{name: "started", curve: timeline.Cumulative(started), look: lookStarted()},
		{name: "requested", curve: timeline.Curve{{At: 0, N: f.run.Tasks}}, look: lookRequested()},
	}
	if f.run.Before != nil {
		l.before(f.run.BeforeNumber, f.run.Before.ProgramStarts())
	}
	if last := max(l.ramp.Last, lastOf(started)); last > 0 && last < f.end*3/10 {
		l.zoomed = true
		l.end = min(last*5/4, f.end)
	}
	return l
}

func instanceLaunch(f *RunFigure) launch {
	l := launch{unit: "instance", ramp: f.sum.Instances, end: f.end}
	began := make([]time.Duration, 0, len(f.lives))
	ready := make([]time.Duration, 0, len(f.lives))
	for _, v := range f.lives {
		began = append(began, v.Began)
		if v.Came {
			ready = append(ready, v.Ready)
		}
	}
	requested := len(f.lives)
	if f.run.Isolation == job.IsolateTask {
		requested = max(requested, f.run.Tasks)
	}
	l.top = requested
	l.lines = []series{
		{name: "ready", curve: timeline.Cumulative(ready), look: lookReady()},
		{name: "started", curve: timeline.Cumulative(began), look: lookStarted()},
		{name: "requested", curve: timeline.Curve{{At: 0, N: requested}}, look: lookRequested()},
	}
	if f.run.Isolation == job.IsolateTask && f.sum.Programs.Begun > f.places() {
		l.idealQueue(f, "the same programs with no lane ever idle and instances that cost nothing")
	} else {
		l.idealOpening(f)
	}
	if f.run.Before != nil {
		var at []time.Duration
		for _, v := range f.run.Before.Lives() {
			if v.Came {
				at = append(at, v.Ready)
			}
		}
		l.before(f.run.BeforeNumber, at)
	}
	if last := max(l.ramp.Last, lastOf(began)); last > 0 && last < f.end*3/10 {
		l.zoomed = true
		l.end = min(last*5/4, f.end)
	}
	return l
}

func programLaunch(f *RunFigure) launch {
	l := launch{unit: "program", ramp: f.sum.Programs, end: f.end}
	starts, ends := f.run.Timeline.ProgramStarts(), f.run.Timeline.ProgramEnds()
	l.lines = []series{
		{name: "started", curve: timeline.Cumulative(starts), look: lookReady()},
		{name: "ended", curve: timeline.Cumulative(ends), look: lookEnded()},
	}
	requested := max(f.run.Tasks, f.sum.Tasks)
	if f.batches() { // into how many calls the rest would have been cut is not in a timeline
		requested = len(starts)
	}
	l.top = max(requested, len(starts))
	if !f.batches() || f.sum.Tasks >= f.run.Tasks {
		l.lines = append(l.lines, series{name: "requested", curve: timeline.Curve{{At: 0, N: requested}}, look: lookRequested()})
	}
	l.idealQueue(f, "the same programs with no lane ever idle")
	if f.run.Before != nil {
		l.before(f.run.BeforeNumber, f.run.Before.ProgramStarts())
	}
	return l
}

// idealQueue supposes that lanes did nothing but run the programs that ran.
// Where none had to wait for a lane, it would say nothing.
func (l *launch) idealQueue(f *RunFigure, why string) {
	run := f.sum.Phase(job.PhaseRunning)
	if places := f.places(); run.Count > places && run.Total > 0 {
		l.setIdeal(l.ramp.Begin+run.Total/time.Duration(places), run.Count, why)
	}
}

// idealOpening supposes that every instance got ready as quickly as the
// quickest tenth did, with as many on their way at once as there were.
func (l *launch) idealOpening(f *RunFigure) {
	var took []time.Duration
	var iv []timeline.Interval
	for _, v := range f.lives {
		if v.Came && v.Ready > v.Began {
			took = append(took, v.Ready-v.Began)
			iv = append(iv, timeline.Interval{From: v.Began, To: v.Ready})
		}
	}
	if len(took) < 2 {
		return
	}
	slices.Sort(took)
	quick := timeline.Quantile(took, 0.1)
	rounds := float64(len(took)) / float64(max(timeline.Concurrency(iv).Peak().N, 1))
	l.setIdeal(l.ramp.Begin+time.Duration(float64(quick)*rounds), len(took), "every instance as quick as the quickest tenth")
}

func (l *launch) setIdeal(at time.Duration, n int, why string) {
	l.ideal, l.idealOf, l.why = at, n, why
	l.lines = append(l.lines, series{name: "ideal", look: lookIdeal(), slope: true, until: at,
		curve: timeline.Curve{{At: l.ramp.Begin, N: 0}, {At: at, N: n}}})
}

func (l *launch) before(number int, at []time.Duration) {
	if len(at) == 0 {
		return
	}
	name := "the run before"
	if number > 0 {
		name = fmt.Sprintf("run %d", number)
	}
	l.top = max(l.top, len(at))
	l.end = max(l.end, lastOf(at))
	l.lines = append(l.lines, series{name: name, curve: timeline.Cumulative(at), look: lookBefore(), until: lastOf(at)})
}

func lastOf(at []time.Duration) time.Duration {
	if len(at) == 0 {
		return 0
	}
	return slices.Max(at)
}

func (l *launch) heading() string {
	s := "Launch: number of " + l.unit + "s against time since submission"
	if l.zoomed {
		s += ", the first " + human.Duration(l.end) + " enlarged"
	}
	return s
}

func (f *RunFigure) drawLaunch(c *canvas, area vg.Rectangle) {
	l := &f.launch
	p := panel{area, timeScale(0, l.end, area.Min.X, area.Max.X, 8), countScale(l.top, area.Min.Y, area.Max.Y, 4)}
	c.drawAxes(p, true)
	c.drawSeries(p, l.lines, l.end)
}

// drawSeries draws lines, each over those before it, with a label on each.
func (c *canvas) drawSeries(p panel, lines []series, end time.Duration) {
	var labels []lineLabel
	for _, s := range lines {
		pts := s.points(p, end)
		if len(pts) < 2 {
			continue
		}
		labels = append(labels, lineLabel{s.name, s.look.text, pts})
	}
	for _, s := range lines {
		c.polyline(s.points(p, end), s.look)
	}
	inside := p.area
	inside.Min.X += 1
	inside.Min.Y += 1.5
	c.drawLabels(placeLabels(inside, merge(labels), nil, func(s string) vg.Length { return c.width(styleText, s) }))
}

// points is the line as it is drawn on the panel.
func (s series) points(p panel, end time.Duration) []vg.Point {
	if len(s.curve) == 0 {
		return nil
	}
	at := func(t time.Duration, n int) vg.Point {
		return vg.Point{X: p.x.at(t.Seconds()), Y: p.y.at(float64(n))}
	}
	if s.slope {
		a, b := s.curve[0], s.curve[1]
		if b.At > end && b.At > a.At { // cut at the panel's edge
			f := float64(end-a.At) / float64(b.At-a.At)
			pb := vg.Point{X: p.x.at(end.Seconds()), Y: p.y.at(float64(a.N) + f*float64(b.N-a.N))}
			return []vg.Point{at(a.At, a.N), pb}
		}
		return []vg.Point{at(a.At, a.N), at(b.At, b.N)}
	}
	curve := s.curve.Downsample(220)
	pts := []vg.Point{at(min(curve[0].At, end), 0)}
	prev := 0
	for _, q := range curve {
		if q.At > end {
			break
		}
		pts = append(pts, at(q.At, prev), at(q.At, q.N))
		prev = q.N
	}
	stop := end
	if s.until > 0 {
		stop = min(s.until, end)
	}
	return append(pts, at(stop, prev))
}

// merge joins the labels of lines that lie on each other.
func merge(labels []lineLabel) []lineLabel {
	var out []lineLabel
next:
	for _, l := range labels {
		for i := range out {
			if coincide(out[i].line, l.line) {
				out[i].text += " and " + l.text
				continue next
			}
		}
		out = append(out, l)
	}
	return out
}

// coincide reports whether no point of one line is visibly off the other.
func coincide(a, b []vg.Point) bool {
	const visible = 1.3
	for _, p := range anchors(a, everywhere(), 60) {
		if pointDistance(b, p) > visible {
			return false
		}
	}
	for _, p := range anchors(b, everywhere(), 60) {
		if pointDistance(a, p) > visible {
			return false
		}
	}
	return true
}

func everywhere() vg.Rectangle { return rect(-1e9, -1e9, 1e9, 1e9) }
