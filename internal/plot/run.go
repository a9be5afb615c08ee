package plot

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot/vg"

	"muster/internal/job"
	"muster/internal/timeline"
	"muster/internal/ui/human"
)

// Run is what the figure of a run is made of.
type Run struct {
	Number    int
	Name      string    // of the program
	State     job.State // of the run; "" is not shown
	Guest     string
	Engine    string
	Isolation job.Isolation
	Launch    bool // its tasks are programs that are to be alive at the same time
	Tasks     int  // that were asked for; 0: those in the timeline
	Timeline  *timeline.Timeline
	Hosts     map[int]string // agent → its host, for the names of lanes where there are several agents; may be nil

	// The run before, for comparison, or nil.
	Before       *timeline.Timeline
	BeforeNumber int
}

// RunFigure is the figure of a run: how instances or programs were launched, how
// many were up at once, and what each lane did when.
type RunFigure struct {
	run     Run
	sum     timeline.Summary
	lives   []timeline.Life
	of      int           // agents in whose lanes something was done
	end     time.Duration // of the axis of time
	launch  launch
	rows    []row
	signs   signs
	title   string
	sub     string
	caption []string
}

// Measures of the page, in points: the width of a page's text.
const (
	pageWidth    = vg.Length(504)
	marginLeft   = vg.Length(62)
	marginRight  = vg.Length(16)
	marginTop    = vg.Length(8)
	marginBottom = vg.Length(8)
	launchHeight = vg.Length(128)
	upHeight     = vg.Length(74)
	headHeight   = vg.Length(19) // of a panel's heading
	axisHeight   = vg.Length(17) // of tick labels
	legendLine   = vg.Length(13)
	captionLine  = vg.Length(11)
)

// NewRun makes the figure of a run. It reads the timeline once, and does not
// keep it changed.
func NewRun(r Run) *RunFigure {
	f := &RunFigure{run: r}
	if r.Timeline == nil {
		f.run.Timeline = &timeline.Timeline{}
	}
	tl := f.run.Timeline
	f.sum = timeline.Summarise(tl)
	f.lives = tl.Lives()
	f.of = countAgents(f.sum.Lanes)
	f.end = tl.End
	for i := range tl.Spans {
		f.end = max(f.end, tl.Spans[i].End)
	}
	if f.end <= 0 {
		f.end = time.Second // nothing happened; the axes need some length
	}
	f.launch = newLaunch(f)
	f.rows = newRows(tl)
	f.signs = countSigns(tl)
	f.title, f.sub = f.makeTitle()
	f.caption = f.findings()
	return f
}

// Size is the figure's size on paper; its height follows from the lanes and
// the length of the caption.
func (f *RunFigure) Size() (width, height vg.Length) {
	return pageWidth, f.layout(nil).height
}

// Title says what is shown.
func (f *RunFigure) Title() string { return f.title }

// Caption says what was found.
func (f *RunFigure) Caption() string { return strings.Join(f.caption, " ") }

func (f *RunFigure) makeTitle() (title, sub string) {
	name := human.Line(f.run.Name, 60)
	if name == "" {
		name = "a program"
	}
	title = human.Plural(f.sum.Tasks, f.noun())
	if f.sum.Tasks < f.run.Tasks {
		title = human.Count(f.sum.Tasks) + " of " + human.Plural(f.run.Tasks, f.noun())
	}
	if f.batches() {
		title += " in " + human.Plural(f.sum.Programs.Begun, "call")
	}
	where := human.Plural(f.lanes(), "lane")
	if n := f.agents(); n > 1 && f.lanes() > 0 {
		where += " of " + f.nodes()
	}
	if f.lanes() == 0 && f.agents() > 0 { // programs that no lanes bound
		where = human.Plural(f.agents(), "node")
	}
	if f.agents() > 0 {
		title += " on " + where
	}
	title += " (" + name + ")"
	if f.run.Number > 0 {
		title = fmt.Sprintf("Run %d: %s", f.run.Number, title)
	}
	var facts []string
	for _, s := range []string{f.run.Guest, f.run.Engine} {
		if s != "" {
			facts = append(facts, s)
		}
	}
	if f.run.Isolation != "" {
		facts = append(facts, "isolation "+string(f.run.Isolation))
	}
	if !f.run.Timeline.Origin.IsZero() {
		facts = append(facts, f.run.Timeline.Origin.Format("2006-01-02 15:04:05 -0700"))
	}
	if f.run.State != "" {
		facts = append(facts, string(f.run.State))
	}
	return title, strings.Join(facts, " · ")
}

// noun is what the run's tasks are for a person.
func (f *RunFigure) noun() string {
	if f.run.Launch {
		return "program"
	}
	return "task"
}

// agentName is how an agent is called: by its host without its domain, else by its
// number.
func (f *RunFigure) agentName(agent int) string {
	host := f.run.Hosts[agent]
	if net := strings.IndexByte(host, '.'); net > 0 && strings.Trim(host, "0123456789.") != "" {
		host = host[:net]
	}
	if host != "" {
		return human.Line(host, 30)
	}
	return fmt.Sprintf("agent %d", agent)
}

// nodes counts the nodes, and the agents where a node has several.
func (f *RunFigure) nodes() string {
	hosts := map[string]bool{}
	for _, u := range f.sum.Lanes {
		hosts[f.run.Hosts[u.Agent]] = true
	}
	if hosts[""] || len(hosts) == f.agents() {
		return human.Plural(f.agents(), "node")
	}
	return fmt.Sprintf("%s on %s", human.Plural(f.agents(), "agent"), human.Plural(len(hosts), "node"))
}

// batches reports whether one call of the program served several tasks.
func (f *RunFigure) batches() bool { return f.sum.Attempts > f.sum.Programs.Begun }

// lanes counts the lanes in which programs ran or instances were opened.
func (f *RunFigure) lanes() int {
	n := 0
	for _, u := range f.sum.Lanes {
		if u.Lane >= 0 {
			n++
		}
	}
	return n
}

// places is how many programs could run at once, as far as the run shows.
func (f *RunFigure) places() int { return max(f.lanes(), f.sum.Programs.Peak) }

func (f *RunFigure) agents() int { return f.of }

func countAgents(lanes []timeline.LaneUse) int {
	var ids []int
	for _, u := range lanes {
		ids = append(ids, u.Agent)
	}
	slices.Sort(ids)
	return len(slices.Compact(ids))
}

// page is where everything stands; distances from the top.
type page struct {
	launch, up, lanes vg.Length // tops of the areas of data
	lanesHeight       vg.Length
	legend, caption   vg.Length
	legendLines       [][]legendItem
	captionLines      []string
	height            vg.Length
}

// layout works out the page. Without a canvas, texts are measured on one of
// its own.
func (f *RunFigure) layout(c *canvas) page {
	if c == nil {
		c = measuring()
	}
	var p page
	y := marginTop + 14 + 12 // title and what stands under it
	y += headHeight
	p.launch = y
	y += launchHeight + axisHeight
	y += headHeight
	p.up = y
	y += upHeight + 6
	y += headHeight
	p.lanes = y
	p.lanesHeight = rowHeight(len(f.rows)) * vg.Length(max(len(f.rows), 1))
	y += p.lanesHeight + axisHeight
	p.legend = y + 6
	p.legendLines = f.legend(c)
	y = p.legend + legendLine*vg.Length(len(p.legendLines))
	p.caption = y + 6
	p.captionLines = c.wrap(styleCaption, f.Caption(), pageWidth-2*marginRight)
	p.height = p.caption + captionLine*vg.Length(len(p.captionLines)) + marginBottom
	return p
}

func (f *RunFigure) draw(c *canvas) {
	p := f.layout(c)
	top := func(y vg.Length) vg.Length { return p.height - y }
	c.text(styleTitle, ink, marginRight, top(marginTop+11), 0, c.clip(styleTitle, f.title, pageWidth-2*marginRight))
	c.text(styleSub, greyText, marginRight, top(marginTop+23), 0, c.clip(styleSub, f.sub, pageWidth-2*marginRight))

	area := func(y, h vg.Length) vg.Rectangle {
		return rect(marginLeft, top(y+h), pageWidth-marginRight, top(y))
	}
	head := func(letter, text string, y vg.Length) {
		c.text(stylePanel, ink, marginRight, top(y-7), 0, letter)
		c.text(stylePanel, ink, marginRight+10, top(y-7), 0, c.clip(stylePanel, text, pageWidth-2*marginRight-10))
	}
	head("a", f.launch.heading(), p.launch)
	f.drawLaunch(c, area(p.launch, launchHeight))
	head("b", f.upHeading(), p.up)
	f.drawUp(c, area(p.up, upHeight))
	head("c", f.lanesHeading(), p.lanes)
	f.drawLanes(c, area(p.lanes, p.lanesHeight))
	f.drawLegend(c, p.legendLines, top(p.legend))
	for i, line := range p.captionLines {
		c.text(styleCaption, ink, marginRight, top(p.caption+captionLine*vg.Length(i)+8), 0, line)
	}
}

// Table writes what the panels show: for a and b the steps of each line, at
// most some thousand of them; for c how long each lane spent in each phase, and
// in how many spans.
func (f *RunFigure) Table(w io.Writer) error { return f.writeTable(w) }
