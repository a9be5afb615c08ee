package human

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Escape makes text that came from a file, a name or a program harmless on a
// terminal and in a line: control characters, escape sequences, bytes that are
// no UTF-8, and marks that change the direction or hide text are written as
// \n, \x1b, \u202e. Everything else, spaces and all scripts, stays as it is.
func Escape(s string) string {
	clean := true
	for i, r := range s {
		if hidden(r) || r == utf8.RuneError && invalidAt(s, i) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && invalidAt(s, i):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !hidden(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// Line is Escape bounded to width cells: what a stranger wrote, fit for one line.
func Line(s string, width int) string {
	// A cell takes at least one byte, and cutting beforehand keeps a flood of
	// output from being escaped whole. Clusters of marks take more than one byte.
	const perCell = 32
	if width > 0 && len(s) > width*perCell {
		cut := width * perCell
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return Clip(Escape(s), width)
}

// hidden reports whether r must not reach a terminal as it is.
func hidden(r rune) bool {
	switch r {
	case '\u2028', '\u2029': // line and paragraph separator
		return true
	case '\u200c', '\u200d': // joiners: part of ordinary Persian, Indic and emoji text
		return false
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

// invalidAt reports whether the replacement character that range yielded at i
// stands for a byte that is no UTF-8.
func invalidAt(s string, i int) bool {
	_, size := utf8.DecodeRuneInString(s[i:])
	return size == 1
}

// Width is the number of cells that s takes on a terminal. s holds no control
// characters.
func Width(s string) int { return uniseg.StringWidth(s) }

// Clip cuts s so that it takes at most width cells, and marks the cut with "…".
// A width of 0 or less means: do not cut.
func Clip(s string, width int) string {
	if width <= 0 || len(s) <= width && isASCII(s) || Width(s) <= width {
		return s
	}
	head, cells := clusters(s, width-1)
	if cells > width-1 { // cannot happen; the mark must not make it longer
		return "…"
	}
	return head + "…"
}

// ClipMiddle is Clip for paths and names, whose ends tell the most: it cuts in
// the middle.
func ClipMiddle(s string, width int) string {
	if width <= 0 || Width(s) <= width {
		return s
	}
	if width < 5 {
		return Clip(s, width)
	}
	head, used := clusters(s, (width-1)/2)
	room := width - 1 - used
	// Walk forward, and keep the shortest tail that fits.
	rest, state := s[len(head):], -1
	for Width(rest) > room && rest != "" {
		_, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
	}
	return head + "…" + rest
}

// clusters returns the longest beginning of s of at most width cells.
func clusters(s string, width int) (head string, cells int) {
	rest, state := s, -1
	for rest != "" {
		var w int
		var next string
		_, next, w, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if cells+w > width {
			break
		}
		cells += w
		rest = next
	}
	return s[:len(s)-len(rest)], cells
}

// PadRight fills s with spaces to width cells.
func PadRight(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-Width(s)))
}

// PadLeft puts spaces before s to make it width cells.
func PadLeft(s string, width int) string {
	return strings.Repeat(" ", max(0, width-Width(s))) + s
}

// Wrap breaks text at spaces into lines of at most width cells. A word that is
// longer than a line is not broken, so that commands and paths can be copied. A
// width of 0 or less gives one line.
func Wrap(text string, width int) []string {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil
	}
	if width <= 0 {
		return []string{strings.Join(words, " ")}
	}
	var lines []string
	line, cells := words[0], Width(words[0])
	for _, word := range words[1:] {
		w := Width(word)
		if cells+1+w > width {
			lines = append(lines, line)
			line, cells = word, w
			continue
		}
		line += " " + word
		cells += 1 + w
	}
	return append(lines, line)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
