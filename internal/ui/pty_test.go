package ui

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rivo/uniseg"
	"golang.org/x/sys/unix"
)

// terminal is a real pseudo-terminal, with a screen on its other side that
// understands what a progress display writes, and breaks lines anew when it is resized, as
// most terminals do.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File // what the program under test writes to

	mu     sync.Mutex
	screen vt
	tail   []byte // a sequence or rune that has not arrived whole
}

func newTerminal(t *testing.T, width, height int) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("a pseudo-terminal is needed: %v", err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, master: master, slave: slave}
	term.screen.width, term.screen.height = width, height
	term.setSize(width, height)
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if n > 0 {
				term.mu.Lock()
				term.tail = term.screen.feed(append(term.tail, buf[:n]...))
				term.mu.Unlock()
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		slave.Close()
		master.Close()
		<-read
	})
	return term
}

func (term *terminal) setSize(width, height int) {
	ws := unix.Winsize{Col: uint16(width), Row: uint16(height)}
	if err := unix.IoctlSetWinsize(int(term.slave.Fd()), unix.TIOCSWINSZ, &ws); err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) resize(width, height int) {
	term.mu.Lock()
	term.screen.reflow(width, height)
	term.mu.Unlock()
	term.setSize(width, height)
}

// lines is everything on the screen and scrolled off it, without empty lines at the end.
func (term *terminal) lines() []string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.text()
}

// await waits until the screen's text satisfies ok.
func (term *terminal) await(what string, ok func(lines []string) bool) []string {
	term.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		lines := term.lines()
		if ok(lines) {
			return lines
		}
		if time.Now().After(deadline) {
			term.t.Fatalf("%s was not seen; the screen shows:\n%s", what, strings.Join(lines, "\n"))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (term *terminal) awaitText(text string) []string {
	term.t.Helper()
	return term.await(fmt.Sprintf("%q", text), func(lines []string) bool {
		return strings.Contains(strings.Join(lines, "\n"), text)
	})
}

// vt is a screen: rows of cells, the cursor, and which rows go on in the next.
type vt struct {
	width, height int
	rows          []vtRow // history and screen; the screen is the last height rows, when there are so many
	nowrap        bool
	row, col      int // of the cursor, row counted in rows
	bad           []string
}

type vtRow struct {
	cells []string // "" is the second half of a wide character
	goes  bool     // the line was wrapped and goes on in the next row
}

func (v *vt) top() int { return max(0, len(v.rows)-v.height) }

func (v *vt) need() {
	for len(v.rows) <= v.row {
		v.rows = append(v.rows, vtRow{})
	}
}

// feed interprets b and returns what is not whole yet.
func (v *vt) feed(b []byte) []byte {
	s := string(b)
	for s != "" {
		switch {
		case s[0] == '\r':
			v.col, s = 0, s[1:]
		case s[0] == '\n':
			v.row++
			v.need()
			s = s[1:]
		case s[0] == '\x1b':
			end := strings.IndexAny(s, "ABCDHJKmhl")
			if end < 0 {
				return []byte(s)
			}
			v.control(s[1:end], s[end])
			s = s[end+1:]
		case s[0] < ' ':
			v.bad = append(v.bad, fmt.Sprintf("control character %q", s[0]))
			s = s[1:]
		default:
			if s[0] >= 0x80 && !fullRune(s) {
				return []byte(s)
			}
			cluster, rest, width, _ := uniseg.FirstGraphemeClusterInString(s, -1)
			v.put(cluster, width)
			s = rest
		}
	}
	return nil
}

func fullRune(s string) bool {
	n := map[bool]int{s[0] >= 0xf0: 4, s[0] >= 0xe0 && s[0] < 0xf0: 3, s[0] < 0xe0: 2}[true]
	return len(s) >= n
}

func (v *vt) put(cluster string, width int) {
	v.need()
	if v.col+width > v.width && v.nowrap {
		v.col = max(0, v.width-width)
	}
	if v.col+width > v.width {
		v.rows[v.row].goes = true
		v.row++
		v.col = 0
		v.need()
	}
	r := &v.rows[v.row]
	for len(r.cells) < v.col+width {
		r.cells = append(r.cells, " ")
	}
	r.cells[v.col] = cluster
	for i := 1; i < width; i++ {
		r.cells[v.col+i] = ""
	}
	v.col += width
}

func (v *vt) control(args string, final byte) {
	n := 1
	if !strings.HasPrefix(args, "[") {
		v.bad = append(v.bad, fmt.Sprintf("sequence ESC %s%c", args, final))
		return
	}
	_, _ = fmt.Sscanf(args[1:], "%d", &n) // no number: the default
	v.need()
	switch final {
	case 'm':
	case 'h', 'l':
		if args != "[?7" {
			v.bad = append(v.bad, "mode "+args)
		}
		v.nowrap = final == 'l'
	case 'A':
		v.row = max(v.top(), v.row-n)
	case 'K':
		r := &v.rows[v.row]
		r.cells = r.cells[:min(len(r.cells), v.col)]
		r.goes = false
	case 'J':
		r := &v.rows[v.row]
		r.cells = r.cells[:min(len(r.cells), v.col)]
		r.goes = false
		for i := v.row + 1; i < len(v.rows); i++ {
			v.rows[i] = vtRow{}
		}
	default:
		v.bad = append(v.bad, fmt.Sprintf("sequence ESC %s%c", args, final))
	}
}

// reflow resizes the screen and breaks its lines anew. The cursor stays on its
// character.
func (v *vt) reflow(width, height int) {
	var rows []vtRow
	row, col := 0, 0
	for i := 0; i < len(v.rows); {
		var line []string
		cursor := -1
		for {
			if i == v.row {
				cursor = len(line) + v.col
			}
			line = append(line, v.rows[i].cells...)
			i++
			if !v.rows[i-1].goes || i == len(v.rows) {
				break
			}
		}
		first := len(rows)
		for start := 0; start == 0 || start < len(line); start += width {
			end := min(start+width, len(line))
			rows = append(rows, vtRow{append([]string(nil), line[start:end]...), end < len(line)})
		}
		if cursor >= 0 {
			row, col = first+cursor/width, cursor%width
		}
	}
	// The cursor stays on the screen: what is too far below it is dropped, empty
	// rows first.
	for len(rows) > row+1 && len(rows[len(rows)-1].cells) == 0 {
		rows = rows[:len(rows)-1]
	}
	rows = rows[:min(len(rows), row+height)]
	v.rows, v.row, v.col, v.width, v.height = rows, row, col, width, height
	v.need()
}

func (v *vt) text() []string {
	var lines []string
	for i := 0; i < len(v.rows); i++ {
		line := strings.Join(v.rows[i].cells, "")
		for v.rows[i].goes && i+1 < len(v.rows) {
			i++
			line += strings.Join(v.rows[i].cells, "")
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
