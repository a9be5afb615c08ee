package machine

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestLog: of a flood the end is kept, every line is looked at, and long ones no further than their beginning.
func TestLog(t *testing.T) {
	r, w := io.Pipe()
	var lines, longestSeen int
	var last string
	l := newLog(r, func(line []byte) {
		lines++
		longestSeen = max(longestSeen, len(line))
		last = string(line)
	})
	const many = 20_000
	for i := range many {
		fmt.Fprintf(w, "line %d of a guest that has much to say\r\n", i)
	}
	fmt.Fprint(w, strings.Repeat("x", 1<<20), "\nlast words\nand half a li")
	w.Close()
	<-l.ended
	if lines != many+2 || last != "last words" || longestSeen != longest {
		t.Errorf("%d lines were seen, the last one %q, the longest of %d bytes", lines, last, longestSeen)
	}
	if len(l.bytes) > 2*kept {
		t.Errorf("%d bytes are kept", len(l.bytes))
	}
	if got := l.last(2); got != "last words\nand half a li" {
		t.Errorf("the last lines are %q", got)
	}
	if got := l.last(1000); len(got) > shown*3+100 { // a line of x, cut, and these two
		t.Errorf("%d bytes are shown", len(got))
	}
}

func TestPanicLine(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"[    1.715005] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r", "VFS: Unable to mount root fs on unknown-block(0,0)"},
		{"Kernel panic - not syncing: Fatal exception in interrupt", "Fatal exception in interrupt"},
		{"[12345.678901] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300", "Attempted to kill init! exitcode=0x00000300"},
		{"a program says: Kernel panic - not syncing: no", ""},
		{"[    1.0] kernel: panic", ""},
	} {
		got := ""
		if m := panicLine.FindStringSubmatch(c.line); m != nil {
			got = m[1]
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.line, got, c.want)
		}
	}
}
