package trim

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The parts of locale.nls that are read. Offsets count from the locale header,
// names are indexes into the strings: a length, then UTF-16 with a zero at the end.
type (
	nlsFile struct {
		_       [4]uint32
		Locales uint32 // offset of the locale header
		_       uint32
	}
	localeHeader struct {
		_                               [3]uint32
		Magic                           [4]byte
		_                               [3]uint32
		Size, IDs, Locales, LocaleSize  uint16
		LocalesAt                       uint32
		Names, _                        uint16
		IDsAt, NamesAt, _               uint32
		Calendars, CalendarSize         uint16
		CalendarsAt, StringsAt, _, Last uint32
	}
	localeName struct {
		Name, Locale uint16
		ID           uint32
	}
)

// defaultLanguage is where a locale's default language is in its record, the one
// thing that is read of it.
const defaultLanguage = 0x6C

// locale is a name with its number, as they follow each other in the file.
type locale struct {
	name   []byte // UTF-16, without the zero
	locale uint16
	id     uint32
	number uint16
}

// readLocales reads them as ntdll.so does.
func readLocales(b []byte) (all []locale, header localeHeader, err error) {
	var file nlsFile
	if err := read(b, &file); err != nil {
		return nil, header, fmt.Errorf("%w: %w", ErrOther, err)
	}
	part := func(at uint64) []byte { return b[min(uint64(len(b)), uint64(file.Locales)+at):] }
	if err := read(part(0), &header); err != nil || string(header.Magic[:]) != "NSDS" {
		return nil, header, fmt.Errorf("%w: it is of another form", ErrOther)
	}
	for i := range uint64(header.Names) {
		var n localeName
		if err := read(part(uint64(header.NamesAt)+8*i), &n); err != nil {
			return nil, header, fmt.Errorf("%w: %w", ErrOther, err)
		}
		var length uint16
		text := part(uint64(header.StringsAt) + 2*uint64(n.Name))
		if err := read(text, &length); err != nil || len(text) < 4+2*int(length) {
			return nil, header, fmt.Errorf("%w: a name is cut off", ErrOther)
		}
		var number uint16
		if err := read(part(uint64(header.LocalesAt)+uint64(n.Locale)*uint64(header.LocaleSize)+defaultLanguage), &number); err != nil {
			return nil, header, fmt.Errorf("%w: %w", ErrOther, err)
		}
		all = append(all, locale{text[2 : 2+2*int(length)], n.Locale, n.ID, number})
	}
	return all, header, nil
}

// LocaleIndex makes, of locale.nls, a file of the same form with nothing but what
// each start looks up: the numbers of locales by their names. Records of locales have a size of two bytes in it, so that
// they overlap and only the numbers are left.
func LocaleIndex(whole []byte) ([]byte, error) {
	all, header, err := readLocales(whole)
	if err != nil {
		return nil, err
	}
	file := nlsFile{Locales: uint32(binary.Size(nlsFile{}))}
	records := make([]byte, defaultLanguage+2*int(header.Locales))
	var names []localeName
	var texts bytes.Buffer
	for _, l := range all {
		if l.locale >= header.Locales || texts.Len()/2 > 0xFFFF {
			return nil, fmt.Errorf("%w: it is of another form", ErrOther)
		}
		binary.LittleEndian.PutUint16(records[defaultLanguage+2*int(l.locale):], l.number)
		names = append(names, localeName{Name: uint16(texts.Len() / 2), Locale: l.locale, ID: l.id})
		texts.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(l.name)/2)))
		texts.Write(append(bytes.Clone(l.name), 0, 0))
	}
	header.IDs, header.Calendars, header.LocaleSize = 0, 0, 2
	header.LocalesAt = uint32(binary.Size(header))
	header.NamesAt = header.LocalesAt + uint32(len(records)+3)&^3
	header.StringsAt = header.NamesAt + uint32(binary.Size(names))
	var out bytes.Buffer
	for _, v := range []any{file, header, records, make([]byte, -len(records)&3), names, texts.Bytes()} {
		if err := binary.Write(&out, binary.LittleEndian, v); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}
