package bench

import (
	"fmt"

	"muster/internal/plot"
	"muster/internal/ui/human"
)

// axisMost is where the published figures' axis of instances ends.
const axisMost = 100_000

// A Drawing is a figure with the name of its file, without extension.
type Drawing struct {
	Name   string
	Figure *plot.LogLog
}

// Figures are the three published ones: copy time, launch time and launch rate
// against instances.
func (r *Result) Figures() []Drawing {
	ref := r.Published
	return []Drawing{
		{"copy-time", r.figure("Copy time", "Seconds until image, program and every instance's own files are in place", copyFindings,
			func(p Point) (Spread, bool) { return p.Copy, p.Copies }, nil)},
		{"launch-time", r.figure("Launch time", "Seconds from the command to the moment the last of all is alive", launchFindings,
			func(p Point) (Spread, bool) { return p.Launch, true }, &plot.LogPoint{X: float64(ref.Instances), Y: ref.Seconds})},
		{"launch-rate", r.figure("Launch rate", "Instances per second, from the command to the moment the last of all is alive", rateFindings,
			func(p Point) (Spread, bool) { return p.Rate, true }, &plot.LogPoint{X: float64(ref.Instances), Y: ref.Rate()})},
	}
}

func (r *Result) figure(what, unit string, findings func(*Result) []string, value func(Point) (Spread, bool), published *plot.LogPoint) *plot.LogLog {
	f := &plot.LogLog{
		Head:  what + " against instances, " + r.what(),
		Sub:   r.Machine + " · " + r.When.Format("2006-01-02"),
		XName: "instances alive at once", XMost: axisMost, YName: unit, Findings: findings(r),
	}
	at, looks := map[string]int{}, map[string]int{}
	for _, p := range r.Points() {
		if _, seen := looks[p.Series]; !seen {
			looks[p.Series] = len(looks)
		}
		v, ok := value(p)
		if !ok || v.Median <= 0 {
			continue
		}
		k, there := at[p.Series]
		if !there {
			k = len(f.Series)
			at[p.Series] = k
			f.Series = append(f.Series, plot.LogSeries{Name: p.Series, Look: looks[p.Series]})
		}
		f.Series[k].Points = append(f.Series[k].Points, plot.LogPoint{X: float64(p.Instances), Y: v.Median, Lo: v.Min, Hi: v.Max})
	}
	if published != nil {
		f.Series = append(f.Series, plot.LogSeries{Name: r.Published.Name, Reference: true, Points: []plot.LogPoint{*published}})
	}
	return f
}

// what says in a few words what was launched.
func (r *Result) what() string {
	s := "programs"
	switch r.Guest {
	case "wine":
		s = "Windows programs"
	case "native":
		s = "native programs"
	}
	if r.Nodes > 1 {
		s += " on " + human.Plural(r.Nodes, "node")
	}
	return s
}

func (r *Result) spread() string {
	if r.Repeats < 2 {
		return "Each was measured once."
	}
	return fmt.Sprintf("Signs are medians of %d launches, bars reach from the shortest to the longest.", r.Repeats)
}

func copyFindings(r *Result) []string {
	out := []string{}
	if best, ok := r.Best(r.Ours()); ok && best.Copies {
		out = append(out, fmt.Sprintf("%s instances had all they needed after %s, %s each.", human.Count(best.Instances), Seconds(best.Copy.Median),
			Seconds(best.Copy.Median/float64(best.Instances))))
		if best.Launch.Median > 0 {
			out = append(out, fmt.Sprintf("That is %s of the launch.", human.Percent(int(1e6*best.Copy.Median), int(max(1, 1e6*best.Launch.Median)))))
		}
	}
	return append(out, r.spread(), "The published copy times are not at hand as numbers, so none stands here.")
}

func launchFindings(r *Result) []string {
	out := []string{}
	if best, ok := r.Best(r.Ours()); ok {
		s := fmt.Sprintf("%s alive at once after %s", human.Count(best.Instances), Seconds(best.Launch.Median))
		if best.Repeats > 1 {
			s += fmt.Sprintf(" (%s to %s)", Seconds(best.Launch.Min), Seconds(best.Launch.Max))
		}
		out = append(out, s+", "+r.where()+".")
	}
	return append(out, r.spread(), r.publishedSentence())
}

func rateFindings(r *Result) []string {
	out := []string{}
	if best, ok := r.Best(r.Ours()); ok {
		s := fmt.Sprintf("%s at %s", human.Rate(best.Rate.Median), human.Plural(best.Instances, "instance"))
		out = append(out, s+", "+r.where()+".")
		for _, v := range r.rivals() {
			out = append(out, fmt.Sprintf("%s with %s: %s; with muster: %s.", human.Count(v.theirs.Instances), v.theirs.Series,
				human.Rate(v.theirs.Rate.Median), human.Rate(v.ours.Rate.Median)))
		}
	}
	return append(out, r.spread(), r.publishedSentence())
}

func (r *Result) publishedSentence() string {
	p := r.Published
	return fmt.Sprintf("Published: %s in about %.0f s on %d nodes with %d cores each (%s).", human.Count(p.Instances), p.Seconds, p.Nodes, p.Cores, p.Source)
}

// where says what carried the instances.
func (r *Result) where() string {
	if r.Nodes > 1 {
		return fmt.Sprintf("on %s (%s)", human.Plural(r.Nodes, "node"), r.Engine)
	}
	return fmt.Sprintf("on one machine with %s", human.Plural(r.CPUs, "CPU"))
}

// A rival is another series at the most instances that it was measured with, and
// ours with as many.
type rival struct{ theirs, ours Point }

// rivals are the other series, where ours has as many instances.
func (r *Result) rivals() []rival {
	ours, last := map[int]Point{}, map[string]Point{}
	var names []string
	for _, p := range r.Points() {
		if p.Series == r.Ours() {
			ours[p.Instances] = p
			continue
		}
		if _, there := last[p.Series]; !there {
			names = append(names, p.Series)
		}
		last[p.Series] = p
	}
	var out []rival
	for _, name := range names {
		if o, both := ours[last[name].Instances]; both {
			out = append(out, rival{last[name], o})
		}
	}
	return out
}
