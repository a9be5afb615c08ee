package bench

import (
	"fmt"
	"io"
	"strings"

	"muster/internal/plot"
	"muster/internal/ui/human"
)

// jobsAxis is where the figures' axis of jobs ends.
const jobsAxis = 100

// Figures are launch time and the time of shutting down against jobs: each series with one VM
// for a job, and with the most that it was measured with.
func (r *VMResult) Figures() []Drawing {
	return []Drawing{
		{"launch-time", r.figure("Launch time of VM jobs", "Seconds from the command until every guest has added two numbers", r.findings(),
			func(p Point) Spread { return p.Launch })},
		{"down-time", r.figure("Shutdown of VM jobs", "Seconds to shut down and discard a guest, the slowest of each launch", []string{r.spread()},
			func(p Point) Spread { return p.Down })},
	}
}

func (r *VMResult) figure(what, unit string, findings []string, value func(Point) Spread) *plot.LogLog {
	f := &plot.LogLog{
		Head: what + " against jobs", Sub: fmt.Sprintf("%s · guests of %s, %s · %s", r.Machine, human.Memory(r.Memory), r.Runs, r.When.Format("2006-01-02")),
		XName: "jobs", XMost: jobsAxis, YName: unit, Findings: findings,
	}
	most := map[string]int{}
	var order []string
	for _, p := range r.Points() {
		if most[p.Series] == 0 {
			order = append(order, p.Series)
		}
		most[p.Series] = max(most[p.Series], p.PerJob())
	}
	for _, name := range order {
		per := []int{1}
		if most[name] > 1 {
			per = append(per, most[name])
		}
		for _, k := range per {
			s := plot.LogSeries{Name: fmt.Sprintf("%s, %s a job", name, human.Plural(k, "VM")), Look: len(f.Series)}
			for _, p := range r.Points() {
				if v := value(p); p.Series == name && p.PerJob() == k && v.Median > 0 {
					s.Points = append(s.Points, plot.LogPoint{X: float64(p.Jobs), Y: v.Median, Lo: v.Min, Hi: v.Max})
				}
			}
			f.Series = append(f.Series, s)
		}
	}
	return f
}

func (r *VMResult) spread() string {
	if r.Repeats < 2 {
		return "Each was measured once."
	}
	return fmt.Sprintf("Signs are medians of %d launches, bars reach from the shortest to the longest.", r.Repeats)
}

// findings say what was found, one VM alone first.
func (r *VMResult) findings() []string {
	var out []string
	for _, name := range []string{SeriesUnoptimised, SeriesCold, SeriesWarm} {
		if p, ok := r.at(name, Scene{1, 1}); ok {
			s := fmt.Sprintf("One VM, %s: its job has added two numbers %s after the command", name, Seconds(p.Launch.Median))
			if p.Start.Median > 0 {
				s += fmt.Sprintf(", %s after the beginning of its clone", Seconds(p.Start.Median))
			}
			out = append(out, s+".")
		}
	}
	for _, v := range r.Ratios() {
		s := fmt.Sprintf("%s is %.1f times as quick as %s from the command", strings.ToUpper(v.Quick[:1])+v.Quick[1:], v.Launch, v.Slow)
		if v.Start > 0 {
			s += fmt.Sprintf(", %.1f times in the guest's own start", v.Start)
		}
		out = append(out, s+".")
	}
	return append(out, r.spread())
}

// Verdict is the result in a few lines, the most important one last.
func (r *VMResult) Verdict() []string {
	var out []string
	for _, p := range r.Plans {
		if left := p.LeftOut(); left != "" {
			out = append(out, "left out: "+left)
		}
	}
	for _, s := range r.Stops {
		out = append(out, r.stopped(s))
	}
	found := r.findings()
	return append(out, found[:len(found)-1]...) // how it was measured says the page
}

func (r *VMResult) stopped(s Stop) string {
	at := "before anything was measured"
	if s.Instances > 0 {
		at = "at " + r.Scenes[s.Instances-1].String()
	}
	return fmt.Sprintf("%s was measured no further %s: %s", s.Series, at, s.Reason)
}

// WriteReport writes the result as a page of Markdown, the figures in it.
func (r *VMResult) WriteReport(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# VM jobs\n")
	line("%s · muster %s · %s · load %.1f before\n", r.When.Format("2006-01-02 15:04"), r.Version, r.Machine, r.Load)
	line("guests of %s, run by %s · engine %s · %s · took %s\n", human.Memory(r.Memory), r.Runs, r.Engine, human.Plural(r.Repeats, "repeat"), human.Duration(r.Took))
	for _, s := range r.findings() {
		line("%s", s)
	}
	line("\n![Launch time](launch-time.svg)\n\n![Shutdown](down-time.svg)")
	series := ""
	for _, p := range r.Points() {
		if p.Series != series {
			series = p.Series
			line("\n## %s\n\nImage %s.\n", series, r.Images[series])
			line("| jobs | VMs a job | all have added | the first has | a guest's own start | shut down and discarded |")
			line("| ---: | ---: | --- | --- | --- | --- |")
		}
		line("| %d | %d | %s | %s | %s | %s |", p.Jobs, p.PerJob(), p.seconds(p.Launch), p.seconds(p.First), p.seconds(p.Start), p.seconds(p.Down))
	}
	line("")
	for _, p := range r.Plans {
		if left := p.LeftOut(); left != "" {
			line("Left out: %s.\n", left)
		}
	}
	for _, s := range r.Stops {
		line("%s\n", r.stopped(s))
	}
	line("## How this was measured\n")
	b.WriteString(r.method())
	line("\nEvery launch is a line of vm.csv; vm.json has the same and the medians.")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// seconds is a time as a cell of a table.
func (p Point) seconds(s Spread) string {
	if s.Median == 0 {
		return "–"
	}
	return p.reach(s, Seconds)
}

func (r *VMResult) method() string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, "- "+format+"\n", args...) }
	where := "A job is a lane of this machine"
	if r.Nodes > 0 {
		where = fmt.Sprintf("A job is an element of a job array, or a lane of one where there are more than %d", r.Nodes)
	}
	add("%s; its VMs share its place (`--per-lane`). Each VM is cloned, started, has one job, is shut down and discarded.", where)
	add("The job adds two numbers and says the sum. That word is stamped by the command that follows the run, on this host (`--timing socket`): no other clock has a part in it. All sums are checked.")
	add("All have added: from the command to the last guest's word. muster's own start, its plan, and the engine are in it.")
	add("A guest's own start: from the beginning of its clone to its word, by its node's clock; the median of a launch's guests.")
	add("Shut down and discarded: from the end of the job until nothing is left of its guest; the slowest of a launch.")
	add("The series take turns. Before the first launch that counts each has had others that do not, on as many nodes as are used: they bring the image there, read it, and for warm starts save the guest that all go on from.")
	add("Published: %s; 8 nodes, 1 to 16 jobs, 1 to 8 VMs each, 10 times. Its times are not at hand as numbers, so nothing stands beside these.", VMSource)
	return b.String()
}
