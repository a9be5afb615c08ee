package ui

import (
	"time"

	"muster/internal/ui/human"
)

// ttyReporter draws on a terminal.
type ttyReporter struct {
	out   *Stream
	block *block
	view  view // guarded by screen.mu
}

func newTTY(out *Stream) *ttyReporter {
	t := &ttyReporter{out: out}
	t.block = &block{stream: out, render: func(width, height int) []string {
		return frame(t.view, width, height, out.Paint)
	}}
	return t
}

func (t *ttyReporter) beat(_ time.Time, v view) {
	sc := t.out.screen
	sc.mu.Lock()
	defer sc.mu.Unlock()
	t.view = v
	sc.live = t.block
	t.block.draw()
}

func (t *ttyReporter) note(text string) { t.out.Print(human.Escape(text) + "\n") }

func (t *ttyReporter) stepEnded(s stepView, seen bool, err error) {
	if seen {
		t.out.Print(stepSentence(s, err) + "\n")
	}
}

func (t *ttyReporter) finish(st Status) { t.out.Print(lastSentence(st) + "\n") }

func (t *ttyReporter) close() {
	sc := t.out.screen
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.live != t.block {
		return
	}
	t.block.erase()
	sc.live = nil
	sc.flush()
}
