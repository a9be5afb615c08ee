package ui

import (
	"fmt"
	"strings"
)

// block is the few lines that are redrawn in place at the bottom of what has
// been printed. Every method is called with screen.mu held.
//
// Between two drawings the cursor rests at the beginning of the block's first
// line, not after its last. A terminal that grows narrower breaks the lines
// anew, so how many rows the block takes can no longer be known; but the cursor
// stays where the block begins, and clearing from there to the end of the screen
// removes it whole. For the same reason the ^C that a terminal echoes lands
// inside the block and is drawn over.
type block struct {
	stream *Stream
	render func(width, height int) []string // lines of less than width cells, at most height
	drawn  bool
}

// draw puts the block on the screen, over its last drawing. Lines are overwritten
// and then cleared to their end, not the other way round, so nothing flickers.
func (b *block) draw() {
	width, height := b.stream.size()
	if width == 0 {
		width, height = 80, 24
	}
	if !b.stream.foreground() {
		return
	}
	lines := b.render(width, max(1, height-1))
	if len(lines) == 0 {
		b.erase()
		return
	}
	var s strings.Builder
	// No wrapping meanwhile: a terminal that is made narrower just now would break
	// the lines, and the way back up would end in the middle of the block.
	s.WriteString("\r\x1b[?7l")
	for i, line := range lines {
		if i > 0 {
			s.WriteString("\r\n")
		}
		s.WriteString(line)
		s.WriteString("\x1b[K")
	}
	s.WriteString("\x1b[J")
	if len(lines) > 1 {
		fmt.Fprintf(&s, "\x1b[%dA", len(lines)-1)
	}
	s.WriteString("\r\x1b[?7h")
	_, _ = b.stream.w.Write([]byte(s.String())) // a terminal that has gone away: the run goes on without it
	b.drawn = true
}

// erase takes the block off the screen.
func (b *block) erase() {
	if b.drawn && b.stream.foreground() {
		_, _ = b.stream.w.Write([]byte("\r\x1b[J"))
	}
	b.drawn = false
}
