package exitcode

import (
	"bytes"
	"path"
	"strconv"
	"strings"

	"muster/internal/job"
)

// wineLines gives the lines of standard error that Wine may have written. Wine
// ends its lines with LF, the C library of a Windows program with CR LF.
func wineLines(stderr []byte) []string {
	if len(stderr) > TailLimit {
		stderr = stderr[len(stderr)-TailLimit:]
	}
	var lines []string
	for _, l := range bytes.Split(stderr, []byte("\n")) {
		if bytes.HasSuffix(l, []byte("\r")) || !bytes.Contains(l, []byte("wine")) && !bytes.Contains(l, []byte("err:module:")) {
			continue
		}
		lines = append(lines, string(l))
	}
	return lines
}

// unquote reads Wine's debug form of a string, "text" or L"text" with escapes,
// from the start of s, and gives what follows it. Other text is taken up to the
// next blank.
func unquote(s string) (text, rest string) {
	s = strings.TrimPrefix(s, "L")
	if !strings.HasPrefix(s, `"`) {
		text, rest, _ = strings.Cut(s, " ")
		return text, rest
	}
	var b strings.Builder
	i := 1
	for i < len(s) && s[i] != '"' {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		i++
		switch c := s[i]; {
		case c == 'n' || c == 'r' || c == 't':
			b.WriteByte(' ')
			i++
		case isHex(s[i:], 4): // \1234: a UTF-16 unit
			n, _ := strconv.ParseUint(s[i:i+4], 16, 16)
			b.WriteRune(rune(n))
			i += 4
		default: // \\ and \"
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), strings.TrimPrefix(s[min(i, len(s)):], `"`)
}

func isHex(s string, n int) bool {
	if len(s) < n {
		return false
	}
	_, err := strconv.ParseUint(s[:n], 16, 64)
	return err == nil
}

// base is the last element of a Windows path.
func base(p string) string { return path.Base(strings.ReplaceAll(p, `\`, "/")) }

// oneLine makes text from a program's stream fit for a report.
func oneLine(s string) string { return job.Printable(s, 300) }
