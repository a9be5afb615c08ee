package bench

import (
	"fmt"
	"io"
	"strings"

	"muster/internal/ui/human"
)

// WriteReport writes the result as a page of Markdown, the figures in it.
func (r *Result) WriteReport(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Launching %s\n", r.what())
	line("%s · muster %s · %s · load %.1f before\n", r.When.Format("2006-01-02 15:04"), r.Version, r.Machine, r.Load)
	line("guest %s · isolation %s · engine %s · %s · took %s\n", r.Guest, r.Isolation, r.Engine, human.Plural(r.Repeats, "repeat"), human.Duration(r.Took))
	for _, s := range launchFindings(r) {
		line("%s", s)
	}
	line("\n![Launch time](launch-time.svg)\n\n![Launch rate](launch-rate.svg)\n\n![Copy time](copy-time.svg)")
	series := ""
	for _, p := range r.Points() {
		if p.Series != series {
			series = p.Series
			line("\n## %s\n", series)
			line("| instances | launch | rate | copying | alive at once | memory each | CPU each | taken down |")
			line("| ---: | --- | --- | --- | ---: | --- | --- | --- |")
		}
		line("| %s |", strings.Join(p.cells(), " | "))
	}
	for _, s := range r.Stops {
		at := "before anything was measured"
		if s.Instances > 0 {
			at = "at " + human.Plural(s.Instances, "instance")
		}
		line("\n%s was measured no further %s: %s", s.Series, at, s.Reason)
	}
	line("\n## How this was measured\n")
	b.WriteString(method(r))
	line("\nEvery launch is a line of launch.csv; launch.json has the same and the medians.")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// Verdict is the result in a few lines, the most important one last.
func (r *Result) Verdict() []string {
	var out []string
	for _, v := range r.rivals() {
		out = append(out, fmt.Sprintf("%s with %s: %s; with muster: %s", human.Count(v.theirs.Instances), v.theirs.Series,
			human.Rate(v.theirs.Rate.Median), human.Rate(v.ours.Rate.Median)))
	}
	best, ok := r.Best(r.Ours())
	if !ok {
		return append(out, "nothing was launched")
	}
	s := fmt.Sprintf("%s alive at once after %s, %s", human.Count(best.Instances), Seconds(best.Launch.Median), human.Rate(best.Rate.Median))
	if best.Memory > 0 && best.Instances >= enoughForMemory {
		s += ", " + human.Bytes(best.Memory) + " each"
	}
	return append(out, s)
}

// enoughForMemory is how many instances it takes for their memory to stand out
// from what else the machine does.
const enoughForMemory = 256

// cells are the point as a row of a table.
func (p Point) cells() []string {
	spread := p.reach
	unless := func(missing bool, text string) string {
		if missing {
			return "–"
		}
		return text
	}
	return []string{
		human.Count(p.Instances), spread(p.Launch, Seconds), spread(p.Rate, human.Rate), unless(!p.Copies, spread(p.Copy, Seconds)),
		fmt.Sprintf("%s, by %s", human.Count(p.Alive), p.Source), unless(p.Memory == 0 || p.Instances < enoughForMemory, human.Bytes(p.Memory)),
		unless(p.CPU == 0, Seconds(p.CPU.Seconds())), unless(p.Down.Median == 0, spread(p.Down, Seconds)),
	}
}

// reach is a measurement of the point, and how far its repeats are apart.
func (p Point) reach(s Spread, text func(float64) string) string {
	if p.Repeats < 2 {
		return text(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", text(s.Median), text(s.Min), text(s.Max))
}

// method says what the figures mean.
func method(r *Result) string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, "- "+format+"\n", args...) }
	add("Launch: from the command to the moment the last of all programs was alive, that is, had reported with its first instruction.")
	add("Alive at once: counted in /proc, not by muster, while muster held them; on other machines than this one by muster's agents.")
	add("Copying: bringing image and program to the slowest node, and making all instances' own files, as many side by side as are started. It is part of the launch; plain Wine's prefixes are copied before it.")
	add("Memory: what MemAvailable lost, divided by the instances. CPU: of everything below this command until all were alive, divided likewise. Few instances share what a launch costs once, and their memory is the machine's noise: it is left out below %d.", enoughForMemory)
	add("Taken down: at most so long from the last sight of all to the last one gone.")
	for _, p := range r.Points() {
		if p.Series != r.Ours() {
			add("The others were measured in the same run, in turns, with the same program; up to %d at a time are started. A slot is free again when its program has reported. Their prefixes are prepared before, and trimmed of nothing; what was not measured is not drawn.", InFlight)
			break
		}
	}
	add("%s", r.publishedSentence())
	return b.String()
}
