package winpe

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// oneWord makes a name from a file fit for a line to a person: nothing that a
// terminal would obey, and not long.
func oneWord(s string) string {
	const limit = 80
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
