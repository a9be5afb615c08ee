package job

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes text that came from a file or a program fit for a line to a person: what a terminal would obey,
// and what is no UTF-8, becomes "?", and what is longer than limit bytes is cut, between two characters.
func Printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	cut := limit
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
