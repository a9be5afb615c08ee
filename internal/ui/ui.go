// Package ui is how muster speaks to a person: streams that know whether they
// are a terminal, errors as plain sentences, tables, and progress that never
// leaves garbage behind.
//
// Results go to Printer.Out, everything else to Printer.Err. Text that comes
// from files, names or programs is escaped by Problem, Table and Progress
// themselves; whoever prints with Stream.Print escapes it with human.Escape.
package ui

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// ColorMode is --color.
type ColorMode string

const (
	ColorAuto   ColorMode = "auto" // where the stream is a terminal that can, and NO_COLOR is not set
	ColorAlways ColorMode = "always"
	ColorNever  ColorMode = "never"
)

// ParseColor reads the value of --color.
func ParseColor(s string) (ColorMode, error) {
	switch m := ColorMode(s); m {
	case ColorAuto, ColorAlways, ColorNever:
		return m, nil
	}
	return "", &Problem{Message: fmt.Sprintf("--color is auto, always or never, not %q", s)}
}

// Printer is the two streams of a command. Its methods may be called by several
// goroutines at once.
type Printer struct {
	Out *Stream // results
	Err *Stream // everything else
}

// Options say where a Printer writes.
type Options struct {
	Stdout, Stderr io.Writer // *os.File where they may be terminals
	Getenv         func(string) string
	Color          ColorMode
}

// New makes a Printer. Each stream is looked at on its own: one can be a
// terminal and the other a pipe.
func New(o Options) *Printer {
	// One lock for both: when both are the same terminal, what is printed to one
	// must not cut into what is drawn on the other.
	screen := &screen{}
	return &Printer{
		Out: newStream(o.Stdout, o, screen),
		Err: newStream(o.Stderr, o, screen),
	}
}

// Problem prints err on the error stream as a person should read it.
func (p *Printer) Problem(err error) {
	if err == nil {
		return
	}
	p.Err.Print(strings.Join(renderProblem(err, p.Err.Width(), p.Err.Paint), "\n") + "\n")
}

// Stream is one of a command's two streams.
type Stream struct {
	w       io.Writer
	fd      int // −1 when it is no file
	tty     bool
	dumb    bool // a terminal that cannot move its cursor
	color   bool
	unicode bool
	screen  *screen
	held    []byte // an unfinished line, printed while progress was drawn; guarded by screen.mu
}

func newStream(w io.Writer, o Options, sc *screen) *Stream {
	s := &Stream{w: w, fd: -1, screen: sc}
	if f, ok := w.(*os.File); ok {
		s.fd = int(f.Fd())
		s.tty = term.IsTerminal(s.fd)
	}
	name := o.Getenv("TERM")
	s.dumb = name == "" || name == "dumb"
	switch o.Color {
	case ColorAlways:
		s.color = true
	case ColorNever:
	default:
		s.color = s.tty && !s.dumb && o.Getenv("NO_COLOR") == ""
	}
	s.unicode = utf8Locale(o.Getenv)
	sc.streams = append(sc.streams, s)
	return s
}

// utf8Locale reports whether the locale says that UTF-8 can be shown.
func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// Terminal reports whether the stream is a terminal.
func (s *Stream) Terminal() bool { return s.tty }

// Width is the number of columns to write in: the terminal's, and 0 (do not
// cut) when the stream is none.
func (s *Stream) Width() int {
	w, _ := s.size()
	return w
}

// size is the terminal's columns and rows; 0, 0 when there is none.
func (s *Stream) size() (width, height int) {
	if !s.tty {
		return 0, 0
	}
	w, h, err := term.GetSize(s.fd)
	if err != nil || w <= 0 || h <= 0 { // a serial line, or a pty nobody has sized
		return 80, 24
	}
	return w, h
}

// foreground reports whether this process may draw on the terminal: a command
// that was put into the background with & must not scribble over the shell.
func (s *Stream) foreground() bool {
	group, err := unix.IoctlGetInt(s.fd, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// Print writes text. It takes care of a progress display on the same terminal:
// the text appears above it.
func (s *Stream) Print(text string) {
	_, _ = s.Write([]byte(text)) // a closed stdout is found by the caller's own Write, or nobody reads
}

// Printf is Print with a format.
func (s *Stream) Printf(format string, args ...any) { s.Print(fmt.Sprintf(format, args...)) }

// Write implements io.Writer with Print's care. While a progress display is on
// the terminal, a line without its end is held back until the end comes.
func (s *Stream) Write(b []byte) (int, error) {
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	if s.tty && s.screen.live != nil {
		return s.screen.above(s, b)
	}
	return s.w.Write(b)
}

// screen is the terminal that both streams may share. live is what is drawn on
// it at the moment, or nil.
type screen struct {
	mu      sync.Mutex
	live    *block
	streams []*Stream
}

// above writes b above what is drawn. The caller holds mu.
func (sc *screen) above(s *Stream, b []byte) (int, error) {
	whole := strings.LastIndexByte(string(b), '\n') + 1
	if whole == 0 {
		s.held = append(s.held, b...)
		return len(b), nil
	}
	text := append(s.held, b[:whole]...)
	s.held = append([]byte(nil), b[whole:]...)
	sc.live.erase()
	_, err := s.w.Write(text)
	sc.live.draw()
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// flush writes what is held back. The caller holds mu.
func (sc *screen) flush() {
	for _, s := range sc.streams {
		if len(s.held) > 0 {
			_, _ = s.w.Write(s.held)
			s.held = nil
		}
	}
}
