package job

import "strings"

// maxSuggest is the length of the longest word that is compared, in bytes.
const maxSuggest = 64

// Closest returns the known word that word is most likely a slip of, or "" when
// none is near. Case does not matter.
func Closest(word string, known []string) string {
	if word == "" || len(word) > maxSuggest {
		return ""
	}
	word = strings.ToLower(word)
	best, bestDistance := "", 1+(len(word)+1)/3
	for _, k := range known {
		lower := strings.ToLower(k)
		d := distance(word, lower)
		if len(word) < len(lower) && strings.HasPrefix(lower, word) {
			d = min(d, 1) // cut short
		}
		if len(lower) > 1 && strings.HasPrefix(word, lower) {
			d = min(d, 2) // too long
		}
		if d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// OneOf returns the known word that value is, whatever its case. Otherwise the
// error lists the known words and guesses the one that was meant: what names the
// value, "--existing". The error is ErrBadInput.
func OneOf(what, value string, known ...string) (string, error) {
	for _, k := range known {
		if strings.EqualFold(strings.TrimSpace(value), k) {
			return k, nil
		}
	}
	guess := ""
	if c := Closest(value, known); c != "" {
		guess = "; did you mean " + c + "?"
	}
	return "", BadInputf("%s cannot be %q: it is one of %s%s", what, value, strings.Join(known, ", "), guess)
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbouring bytes that turn a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
