// Package winname knows which base names Windows cannot express, and makes safe
// ones for them. It does no I/O.
//
// Programs under Wine see inputs and outputs in folders in which every name must
// be one that Windows can express. A name that it cannot has an alias there; the true
// name stays with the true file.
package winname

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxUnits is the longest name, in UTF-16 units, that is left as it is. Windows
// allows 255 in a name but 259 in a whole path (MAX_PATH), and many programs stop
// there; this leaves room for a drive and folders before the name.
const MaxUnits = 200

// Reason says in a few words why Windows cannot express a base name, or "" when it
// can. Names that are fine one by one may still clash in a folder: see Aliases.
//
// Leading blanks, leading dots and names that look like short names (LONGNA~1.TXT)
// are fine: Wine finds a file by its exact name before it thinks of short ones.
func Reason(name string) string {
	switch {
	case name == "":
		return "empty"
	case !utf8.ValidString(name):
		return "not UTF-8"
	case len(utf16.Encode([]rune(name))) > MaxUnits:
		return "too long"
	}
	for _, r := range name {
		switch {
		case r < 0x20:
			return "a control character"
		case strings.ContainsRune(`<>:"/\|?*`, r):
			return "the character " + string(r)
		}
	}
	switch name[len(name)-1] {
	case '.':
		return "a dot at the end"
	case ' ':
		return "a blank at the end"
	}
	if device := device(name); device != "" {
		return "the device " + device
	}
	return ""
}

// device gives the device that a name means to Windows, whatever its extension, or "".
func device(name string) string {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return base
	}
	for _, port := range []string{"COM", "LPT"} {
		// The superscripts ¹²³ count as digits.
		if n, ok := strings.CutPrefix(base, port); ok && utf8.RuneCountInString(n) == 1 && strings.Contains("123456789¹²³", n) {
			return base
		}
	}
	return ""
}

// Fold gives the form of a name in which names that Windows takes for the same are
// equal. It folds a little more than Windows does (Windows maps UTF-16 units to
// upper case one by one), so that no version of its table is missed.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		r = unicode.ToUpper(r)
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}
