package winname

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

const (
	maxStem = 60 // UTF-16 units of the true name kept in an alias
	maxExt  = 16 // bytes of an extension that is kept, its dot included
)

// Aliases answers, for each base name that will stand in one folder, "" when
// Windows can express it there, or else a safe name that resembles it and keeps its
// extension where that is possible: "con.txt" becomes "con-8a2f6e01.txt".
//
// What the folder then shows (the aliases, and the names without one) is valid and
// distinct, letter case ignored. Of names that differ in letter case only, the first
// in byte order stays as it is; of equal names, the one that comes first in names. An
// alias depends on its own name only, unless it is taken: adding names elsewhere does
// not change it, nor does their order.
func Aliases(names []string) []string { return AliasesFor(names, nil) }

// AliasesFor is Aliases for a program that knows only the characters for which
// can says yes (see ANSI); nil: all that Windows knows.
func AliasesFor(names []string, can func(rune) bool) []string {
	aliases := make([]string, len(names))
	order := make([]int, len(names)) // by name, equal ones as they came
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(names[a], names[b]) })

	taken := make(map[string]bool, len(names))
	var need []int
	for _, i := range order {
		key := Fold(names[i])
		if taken[key] || Reason(names[i]) != "" || !knows(can, names[i]) {
			need = append(need, i)
			continue
		}
		taken[key] = true
	}
	for _, i := range need {
		aliases[i] = alias(names[i], taken, can)
		taken[Fold(aliases[i])] = true
	}
	return aliases
}

// alias makes a safe name that is not taken. An equal name that has been given one
// before gets the next in line.
func alias(name string, taken map[string]bool, can func(rune) bool) string {
	stem, ext := split(name, can)
	for n := 0; ; n++ {
		seed := name
		if n > 0 {
			seed = fmt.Sprintf("%s\x00%d", name, n)
		}
		a := fmt.Sprintf("%s-%.4x%s", stem, sha256.Sum256([]byte(seed)), ext)
		if device(a) != "" {
			a = "_" + a // con.tar.gz: what counts is what stands before the first dot
		}
		if !taken[Fold(a)] {
			return a
		}
	}
}

// split gives what an alias keeps of a name: its beginning, made safe, and its
// extension when that is safe as it is, or "".
func split(name string, can func(rune) bool) (stem, ext string) {
	stem = strings.TrimRight(name, ". ")
	if i := strings.LastIndexByte(stem, '.'); i > 0 && len(stem)-i <= maxExt && safe(stem[i:], can) == stem[i:] && stem == name {
		stem, ext = stem[:i], stem[i:]
	}
	stem = strings.TrimRight(shorten(safe(stem, can), maxStem), ". ")
	if stem == "" {
		stem = "_"
	}
	return stem, ext
}

// safe replaces everything in a name that Windows, or the program, cannot express
// by "_".
func safe(name string, can func(rune) bool) string {
	var b strings.Builder
	for i, w := 0, 0; i < len(name); i += w {
		var r rune
		r, w = utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && w == 1 || r < 0x20 || r == 0x7F || strings.ContainsRune(`<>:"/\|?*`, r) || can != nil && !can(r) {
			r = '_'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// knows reports whether a program can express a name.
func knows(can func(rune) bool, name string) bool {
	return can == nil || strings.IndexFunc(name, func(r rune) bool { return !can(r) }) < 0
}

// ANSI returns what a program knows that was written for the ANSI functions of
// Windows (main with its char arguments): the characters of the locale's code page. lang is as
// in LANG. Western locales and none have page 1252; of others only ASCII is
// relied upon.
func ANSI(lang string) func(rune) bool {
	language, _, _ := strings.Cut(strings.ToLower(lang), "_")
	language, _, _ = strings.Cut(language, ".")
	switch language {
	case "", "c", "posix", "en", "de", "fr", "es", "it", "pt", "nl", "da", "sv", "nb", "nn", "no", "fi", "is", "ga", "ca", "eu", "gl", "af", "id":
		return func(r rune) bool {
			_, ok := charmap.Windows1252.EncodeRune(r)
			return ok
		}
	}
	return func(r rune) bool { return r < utf8.RuneSelf }
}

// shorten keeps as many runes as fit into n UTF-16 units.
func shorten(s string, n int) string {
	units := 0
	for i, r := range s {
		if units += utf16.RuneLen(r); units > n {
			return s[:i]
		}
	}
	return s
}
