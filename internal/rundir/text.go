package rundir

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// File names are bytes, JSON strings are Unicode. A byte that is not part of
// valid UTF-8 is written as the lone surrogate \udc80 … \udcff, as Python does
// (surrogateescape), and comes back as that byte. Everything else is plain JSON.

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		b = append(b, s[done:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, '\\', 'u', 'd', 'c', hex[c>>4], hex[c&15])
		}
		i += size
		done = i
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}

// cutString reads a JSON string at the beginning of s. Without escapes the
// value shares the memory of s.
func cutString(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", s, false
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 {
		return "", s, false
	}
	if plain := s[1 : 1+end]; strings.IndexByte(plain, '\\') < 0 {
		return plain, s[end+2:], true
	}
	return cutEscaped(s)
}

func cutEscaped(s string) (value, rest string, ok bool) {
	var b []byte
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return string(b), s[i+1:], true
		case '\\':
			i++
			if i == len(s) {
				return "", s, false
			}
			n := 0
			if b, n, ok = unescape(b, s[i:]); !ok {
				return "", s, false
			}
			i += n - 1
		default:
			b = append(b, c)
		}
	}
	return "", s, false
}

// unescape appends what the escape at the beginning of s (behind its backslash)
// stands for, and tells its length.
func unescape(b []byte, s string) (out []byte, n int, ok bool) {
	switch s[0] {
	case '"', '\\', '/':
		return append(b, s[0]), 1, true
	case 'b':
		return append(b, '\b'), 1, true
	case 'f':
		return append(b, '\f'), 1, true
	case 'n':
		return append(b, '\n'), 1, true
	case 'r':
		return append(b, '\r'), 1, true
	case 't':
		return append(b, '\t'), 1, true
	case 'u':
	default:
		return b, 0, false
	}
	r, ok := hex4(s[1:])
	if !ok {
		return b, 0, false
	}
	switch {
	case r >= 0xd800 && r < 0xdc00 && len(s) >= 11 && s[5] == '\\' && s[6] == 'u':
		if low, ok := hex4(s[7:]); ok && low >= 0xdc00 && low < 0xe000 {
			return utf8.AppendRune(b, (r-0xd800)<<10|(low-0xdc00)+0x10000), 11, true
		}
	case r >= 0xdc80 && r <= 0xdcff:
		return append(b, byte(r)), 5, true
	}
	return utf8.AppendRune(b, r), 5, true
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:4], 16, 32)
	return rune(n), err == nil
}

// marshal is json.Marshal with indents, without HTML's escapes, and with names kept byte by byte.
func marshal(v any) ([]byte, error) {
	data, err := plainMarshal(v)
	if err != nil || !bytes.Contains(data, []byte(`\ufffd`)) {
		return data, err
	}
	// Some string is not valid UTF-8 (encoding/json has just replaced its
	// bytes): put stand-ins for such bytes, and escapes for the stand-ins.
	data, err = plainMarshal(mapStrings(reflect.ValueOf(v), hideBytes).Interface())
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if isStandIn(r) {
			out = append(out, `\udc`...)
			out = strconv.AppendUint(out, uint64(r-standIn), 16)
		} else {
			out = append(out, data[i:i+n]...)
		}
		i += n
	}
	return out, nil
}

func plainMarshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(v)
	return buf.Bytes(), err
}

// unmarshal reads what marshal has written. v is a pointer.
func unmarshal(data []byte, v any) error {
	if !bytes.Contains(data, []byte(`\udc`)) {
		return json.Unmarshal(data, v)
	}
	if err := json.Unmarshal(hideEscapes(data), v); err != nil {
		return err
	}
	p := reflect.ValueOf(v).Elem()
	p.Set(mapStrings(p, showBytes))
	return nil
}

// Stand-ins are the last 128 private code points, one for each byte from 0x80.
// A string that holds such a code point itself is taken apart like invalid UTF-8.
const standIn rune = 0x10ff00

func isStandIn(r rune) bool { return r >= standIn+0x80 }

func hideBytes(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || isStandIn(r) {
			for _, c := range []byte(s[i : i+n]) {
				b.WriteRune(standIn + rune(c))
			}
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func showBytes(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if isStandIn(r) {
			b = append(b, byte(r-standIn))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

// hideEscapes puts stand-ins for lone escapes \udc80 … \udcff.
func hideEscapes(data []byte) []byte {
	s := string(data)
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		escaped, n, ok := unescape(nil, s[i+1:])
		if ok && n == 5 && len(escaped) == 1 && escaped[0] >= utf8.RuneSelf {
			out = utf8.AppendRune(out, standIn+rune(escaped[0]))
		} else {
			n = max(n, 1)
			out = append(out, s[i:i+1+n]...)
		}
		i += n
	}
	return out
}

// mapStrings returns a deep copy of v in which f has been applied to every string.
func mapStrings(v reflect.Value, f func(string) string) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.String:
		out.SetString(f(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(mapStrings(v.Field(i), f))
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			break
		}
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(mapStrings(v.Index(i), f))
		}
	case reflect.Map:
		if v.IsNil() {
			break
		}
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(mapStrings(it.Key(), f), mapStrings(it.Value(), f))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			p := reflect.New(v.Type().Elem())
			p.Elem().Set(mapStrings(v.Elem(), f))
			out.Set(p)
		}
	}
	return out
}

// borrow makes a string that shares b's memory; it changes when b does.
func borrow(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
