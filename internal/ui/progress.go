package ui

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/ui/human"
)

// ProgressMode is --progress.
type ProgressMode string

const (
	ProgressAuto  ProgressMode = "auto"  // tty on a terminal, plain elsewhere
	ProgressTTY   ProgressMode = "tty"   // a few lines, redrawn in place
	ProgressPlain ProgressMode = "plain" // a line for every 30 s or 10 %
	ProgressJSON  ProgressMode = "json"  // objects, one a line
	ProgressNone  ProgressMode = "none"
)

// ParseProgress reads the value of --progress.
func ParseProgress(s string) (ProgressMode, error) {
	switch m := ProgressMode(s); m {
	case ProgressAuto, ProgressTTY, ProgressPlain, ProgressJSON, ProgressNone:
		return m, nil
	}
	return "", Problemf("--progress is auto, tty, plain, json or none, not %q", s)
}

const (
	redraw      = 125 * time.Millisecond // how often a terminal is drawn
	quietStep   = time.Second            // a step that is shorter is not mentioned
	plainEvery  = 30 * time.Second       // a plain line at least so often
	plainAtMost = time.Second            // and, at every 10 %, at most so often
)

// Progress shows how a run goes on, on the printer's error stream. Its methods
// may be called by several goroutines at once. Whoever made it calls Close or Finish.
type Progress struct {
	out   reporter
	every time.Duration

	mu     sync.Mutex
	view   view
	steps  []*step
	closed bool

	stop, stopped chan struct{}
}

// reporter is one way to show progress. beat and the others are never called
// at the same time, and beat is called several times per second.
type reporter interface {
	beat(now time.Time, v view)
	note(text string)                         // a line for the person to keep
	stepEnded(v stepView, seen bool, e error) // seen: it was long enough to have been mentioned
	finish(st Status)
	close() // takes what is drawn off the screen; idempotent
}

// step is a stepView that goes on.
type step struct {
	stepView
	began time.Time
}

// Progress makes a display and starts it. Nothing is shown before there is
// something to show.
func (p *Printer) Progress(mode ProgressMode) *Progress {
	if mode == ProgressAuto || mode == "" {
		mode = ProgressPlain
		if p.Err.tty && !p.Err.dumb {
			mode = ProgressTTY
		}
	}
	pr := &Progress{every: redraw, stop: make(chan struct{}), stopped: make(chan struct{})}
	pr.view.unicode = p.Err.unicode
	switch mode {
	case ProgressTTY:
		pr.out = newTTY(p.Err)
	case ProgressJSON:
		pr.out = &jsonReporter{out: p.Err}
	case ProgressNone:
		pr.out = silent{out: p.Err}
	default:
		pr.out = &plainReporter{out: p.Err}
	}
	go pr.loop()
	return pr
}

func (p *Progress) loop() {
	defer close(p.stopped)
	t := time.NewTicker(p.every)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case now := <-t.C:
			p.mu.Lock()
			p.out.beat(now, p.snapshot(now))
			p.mu.Unlock()
		}
	}
}

// snapshot is the view at this moment. The caller holds mu.
func (p *Progress) snapshot(now time.Time) view {
	v := p.view
	for _, s := range p.steps {
		if sv := s.stepView; now.Sub(s.began) >= quietStep {
			sv.took = now.Sub(s.began)
			v.steps = append(v.steps, sv)
		}
	}
	return v
}

// Update tells how the run stands. Call it as often as is convenient: what is
// shown changes a few times per second. The Status must not be changed afterwards.
func (p *Progress) Update(st Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view.status, p.view.have = st, true
}

// Note prints a line that stays, above the display.
func (p *Progress) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.note(text)
}

// Ask shows a question until Ask is called again; "" takes it away. It does not
// read the answer.
func (p *Progress) Ask(question string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if question != "" && question != p.view.ask {
		if _, drawn := p.out.(*ttyReporter); !drawn {
			p.out.note(question)
		}
	}
	p.view.ask = question
}

// LimitError is the cause of the context of a step that took longer than its limit.
type LimitError struct {
	Step  string
	Limit time.Duration
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s took longer than its limit of %s", e.Step, human.Duration(e.Limit))
}

// Do runs a long step that says nothing by itself, and shows its name, its time,
// its limit (0: none) and what say was told last. A step shorter than a second
// is not shown. The context given to f ends when the limit has passed, with an
// *LimitError as its cause; Do returns then when f does, with that error. Do may
// be used whether or not there is a Status yet.
func (p *Progress) Do(ctx context.Context, name string, limit time.Duration, f func(ctx context.Context, say func(string)) error) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, &LimitError{name, limit})
		defer cancel()
	}
	s := &step{stepView: stepView{name: name, limit: limit}, began: time.Now()}
	p.mu.Lock()
	p.steps = append(p.steps, s)
	p.mu.Unlock()

	err := f(ctx, func(detail string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		s.detail = detail
	})
	if late, ok := context.Cause(ctx).(*LimitError); ok && err != nil && late.Step == name {
		err = late
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = slices.DeleteFunc(p.steps, func(other *step) bool { return other == s })
	s.took = time.Since(s.began)
	if !p.closed {
		now := time.Now()
		p.out.beat(now, p.snapshot(now)) // first without the step, then the line about it
		p.out.stepEnded(s.stepView, s.took >= quietStep, err)
	}
	return err
}

// Stop stops the command as the terminal's Ctrl-Z means to, with the display off the
// screen, and returns when it has been continued. Call it on SIGTSTP, which otherwise
// leaves the shell's prompt in the middle of the display.
func (p *Progress) Stop() error {
	p.mu.Lock() // nothing is drawn meanwhile
	defer p.mu.Unlock()
	p.out.close()
	return unix.Kill(unix.Getpid(), unix.SIGSTOP)
}

// Close takes the display off the screen and ends it. Idempotent.
func (p *Progress) Close() { p.end(nil) }

// Finish is Close, and leaves one line that says how the run ended.
func (p *Progress) Finish(st Status) { p.end(&st) }

func (p *Progress) end(st *Status) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.mu.Unlock()
	close(p.stop)
	<-p.stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.close()
	if st != nil {
		p.out.finish(*st)
	}
}
