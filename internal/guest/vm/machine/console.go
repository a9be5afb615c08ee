package machine

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// kept is how much of what a console or QEMU itself says is remembered.
const kept = 32 << 10

// A log keeps the end of what is read from somewhere, and looks for one line in it.
type log struct {
	ended chan struct{} // nothing more comes

	mu    sync.Mutex
	bytes []byte // at most 2*kept
	line  []byte // the line that is coming in, as far as a search wants it
}

// newLog reads r to its end. seen, which may be nil, is called for every line, by the reader; of long lines
// it gets the beginning.
func newLog(r io.ReadCloser, seen func(line []byte)) *log {
	l := &log{ended: make(chan struct{})}
	go l.read(r, seen)
	return l
}

func (l *log) read(r io.ReadCloser, seen func([]byte)) {
	defer close(l.ended)
	defer r.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := r.Read(buffer)
		l.keep(buffer[:n])
		if seen != nil {
			l.split(buffer[:n], seen)
		}
		if err != nil {
			return
		}
	}
}

func (l *log) keep(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes = append(l.bytes, b...)
	if over := len(l.bytes) - kept; over > kept {
		l.bytes = append(l.bytes[:0], l.bytes[over:]...)
	}
}

// longest is how much of a line is looked at.
const longest = 256

func (l *log) split(b []byte, seen func([]byte)) {
	for len(b) > 0 {
		part, rest, whole := bytes.Cut(b, []byte{'\n'})
		if room := longest - len(l.line); room > 0 {
			l.line = append(l.line, part[:min(room, len(part))]...)
		}
		if whole {
			seen(l.line)
			l.line = l.line[:0]
		}
		b = rest
	}
}

// last returns the last lines, fit to be shown: what a guest writes may be anything, so control characters
// and what is not text are left out, and long lines cut.
func (l *log) last(lines int) string {
	l.mu.Lock()
	text := string(l.bytes[max(0, len(l.bytes)-kept):])
	l.mu.Unlock()
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = readable(line); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out[max(0, len(out)-lines):], "\n")
}

const shown = 200 // characters of a line

func readable(line string) string {
	var b strings.Builder
	count := 0
	for _, r := range line {
		if r == '\t' {
			r = ' '
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			continue
		}
		if count++; count > shown {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " ")
}
