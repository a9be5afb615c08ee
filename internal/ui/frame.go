package ui

import (
	"strings"
	"time"

	"muster/internal/ui/human"
)

// frameLines is how many lines a progress display takes at most.
const frameLines = 4

// painter gives text a style, or leaves it.
type painter func(Style, string) string

// view is what a progress display shows: pure data, so that drawing can be
// tested without a terminal.
type view struct {
	status  Status
	have    bool // status was given
	steps   []stepView
	ask     string // a question to the person, shown until it is answered
	unicode bool
}

// stepView is one long step that is under way.
type stepView struct {
	name   string
	detail string
	took   time.Duration
	limit  time.Duration // 0: none
}

// frame draws v in at most height lines of less than width cells.
func frame(v view, width, height int, paint painter) []string {
	width = max(width-1, 1) // the last column stays free: writing there makes some terminals wrap
	type line struct {
		rank int // lower is more important when there is not room for all
		text string
	}
	var lines []line
	indent := ""
	if v.have {
		if width >= 20 {
			indent = "  "
		}
		lines = append(lines,
			line{1, barLine(v, width, paint)},
			line{2, join(countParts(v.status.tally()), indent, width, v.unicode, paint)})
		if parts := paceParts(v.status); len(parts) > 0 {
			lines = append(lines, line{5, join(parts, indent, width, v.unicode, paint)})
		}
		if v.status.Failure != "" {
			label := indent + "newest failure  "
			text := human.Line(v.status.Failure, max(1, width-len(label)))
			lines = append(lines, line{4, clipPainted(label, text, width, paint, Red)})
		}
	}
	for _, s := range v.steps {
		lines = append(lines, line{3, stepLine(s, indent, width, paint)})
	}
	if m := v.status.Message; v.have && m != "" {
		lines = append(lines, line{3, human.Line(indent+m, width)})
	}
	if v.ask != "" {
		for _, l := range human.Wrap(human.Escape(v.ask), width-len(indent)) {
			lines = append(lines, line{0, paint(Yellow, human.Clip(indent+l, width))})
		}
	}
	for room := min(height, frameLines); len(lines) > room; {
		worst := 0
		for i, l := range lines {
			if l.rank >= lines[worst].rank {
				worst = i
			}
		}
		lines = append(lines[:worst], lines[worst+1:]...)
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l.text
	}
	return out
}

// barLine is "run 12  sim.exe  ██████▒▒░░░░  62 %  6,214 of 10,000". On a narrow
// terminal the name goes first, then the bar.
func barLine(v view, width int, paint painter) string {
	t := v.status.tally()
	head := runName(v.status.Run)
	name := human.ClipMiddle(human.Escape(v.status.Name), 24)
	tail := human.PadLeft(human.Percent(t.progress(), t.total), 5) + "  " + human.Count(t.progress()) + " of " + human.Count(t.total)
	if t.launch && t.ended() == 0 {
		tail += " alive"
	}
	const least, most = 10, 40
	used := len(head) + 2 + len(tail) + 2
	withName := name != "" && width-used-human.Width(name)-2 >= least
	if withName {
		used += human.Width(name) + 2
	}
	cells := min(width-used, most)
	s := paint(Bold, head)
	if withName {
		s += "  " + name
	}
	if t.total == 0 && cells >= least { // nothing is known yet
		return s
	}
	if cells >= least {
		return s + "  " + bar(t, cells, v.unicode, paint) + "  " + tail
	}
	return clipPainted(head, human.Clip("  "+strings.TrimSpace(tail), max(1, width-len(head))), width, paint, Plain)
}

// bar draws the tasks by state in exactly that many cells. Each state that
// occurs has a sign of its own and at least one cell, so that one failure in ten
// thousand is seen.
func bar(t tally, cells int, unicode bool, paint painter) string {
	segments := []struct {
		n           int
		sign, ascii string
		style       Style
	}{
		{t.completed, "█", "#", Green},
		{t.failed, "▚", "x", Red},
		{t.lost, "▞", "!", Yellow},
		{t.alive, "▓", "@", Green},
		{t.running - t.alive, "▒", ">", Cyan},
		{t.waiting, "░", ".", Dim},
	}
	var share [6]int
	left, biggest := cells, 0
	for i, s := range segments {
		if s.n > 0 {
			share[i] = max(1, s.n*cells/max(t.total, 1))
		}
		left -= share[i]
		if s.n > segments[biggest].n {
			biggest = i
		}
	}
	share[biggest] = max(0, share[biggest]+left)
	var b strings.Builder
	for i, s := range segments {
		sign := s.ascii
		if unicode {
			sign = s.sign
		}
		b.WriteString(paint(s.style, strings.Repeat(sign, share[i])))
	}
	return b.String()
}

// part is a piece of a line, with its colour.
type part struct {
	text  string
	style Style
}

func countParts(t tally) []part {
	parts := []part{{human.Count(t.running) + " running", Cyan}}
	if t.launch {
		parts = []part{{human.Count(t.alive) + " alive", Green}, {human.Count(t.running-t.alive) + " starting", Cyan}}
	}
	if t.suspended > 0 {
		parts[0].text += " (" + human.Count(t.suspended) + " suspended)"
	}
	parts = append(parts, part{human.Count(t.completed) + " completed", Green})
	if t.failed > 0 {
		parts = append(parts, part{human.Count(t.failed) + " failed", Red})
	}
	if t.lost > 0 {
		parts = append(parts, part{human.Count(t.lost) + " lost or cancelled", Yellow})
	}
	return append(parts, part{human.Count(t.waiting) + " waiting", Plain})
}

func paceParts(st Status) []part {
	var parts []part
	if st.Elapsed > 0 {
		parts = append(parts, part{human.Seconds(st.Elapsed), Plain})
	}
	if st.Rate > 0 {
		parts = append(parts, part{human.Rate(st.Rate) + " now", Plain})
	}
	if st.Left > 0 {
		parts = append(parts, part{"about " + human.Seconds(st.Left) + " left", Plain})
	}
	if st.Slowest != "" {
		parts = append(parts, part{"slowest: " + string(st.Slowest) + " " + human.Duration(st.SlowestTime), Plain})
	}
	return parts
}

func stepLine(s stepView, indent string, width int, paint painter) string {
	text := human.Escape(s.name)
	took := "  " + human.Seconds(s.took)
	if s.limit > 0 {
		took += " of at most " + human.Duration(s.limit)
	}
	line := indent + human.Clip(text, max(1, width-len(indent)-len(took))) + took
	if s.detail != "" {
		if room := width - human.Width(line) - 2; room >= 8 {
			return line + "  " + paint(Dim, human.Line(s.detail, room))
		}
	}
	return human.Clip(line, width)
}

// join puts as many parts on a line as there is room for, the first ones first.
// A part that does not fit is left out, and a shorter one after it may still fit.
func join(parts []part, indent string, width int, unicode bool, paint painter) string {
	sep := ", "
	if unicode {
		sep = " · "
	}
	var b strings.Builder
	b.WriteString(indent)
	used := len(indent)
	between := ""
	for _, p := range parts {
		need := human.Width(between) + human.Width(p.text)
		if used+need > width {
			continue
		}
		b.WriteString(paint(Dim, between))
		b.WriteString(paint(p.style, p.text))
		used += need
		between = sep
	}
	return b.String()
}

// clipPainted writes a label and a coloured text within width cells.
func clipPainted(label, text string, width int, paint painter, style Style) string {
	if human.Width(label)+human.Width(text) > width {
		return human.Clip(label+text, width)
	}
	return label + paint(style, text)
}
