package inputs

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// maxShown bounds how much of a name stands in a message.
const maxShown = 200

// show writes a name for a person: as it is, or quoted where it holds blanks or
// what a terminal does not show; the middle of a very long one is left out.
func show(name string) string {
	if len(name) > maxShown {
		head, tail := name[:maxShown/2], name[len(name)-maxShown/4:]
		for !utf8.ValidString(head) && utf8.ValidString(name) {
			head = head[:len(head)-1]
		}
		for !utf8.ValidString(tail) && utf8.ValidString(name) {
			tail = tail[1:]
		}
		name = head + "…" + tail
	}
	plain := name != "" && utf8.ValidString(name)
	for _, r := range name {
		plain = plain && r != ' ' && r != '"' && unicode.IsPrint(r)
	}
	if plain {
		return name
	}
	return strconv.Quote(name)
}

// place names a line of a list.
func place(list string, line int) string {
	return show(list) + ":" + strconv.Itoa(line)
}
