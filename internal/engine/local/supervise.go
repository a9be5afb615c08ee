package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// supervisor looks after one array, from its submission until everything of it
// has ended. One goroutine, run, decides; an element's goroutine attends to it:
//
//	             After ended, not held,
//	             a place is free                       ends by itself
//	PENDING ──────────────────────────────▶ RUNNING ──────────────────▶ COMPLETED, FAILED
//	   │                                       │  asks to be started again, and may be
//	   │                                       ├──────────────────────▶ RUNNING
//	   │                                       │  cancel: SIGTERM, then SIGKILL
//	   │ cancel                                ├──────────────────────▶ CANCELLED
//	   ├──────▶ CANCELLED                      │  Array.Time: likewise
//	   │                                       ├──────────────────────▶ TIMEOUT
//	   │ the supervisor is killed              │  the supervisor is killed (told by Status)
//	   └──────▶ NODE_FAIL                      └──────────────────────▶ NODE_FAIL
type supervisor struct {
	order   order
	id      engine.ID
	number  int
	base    string // the folder of the arrays
	dir     string // the folder of this array
	table   *proc.Table
	journal *journal
	beats   int

	next    int // elements started or cancelled so far: they are started in order
	running int
	ended   int
	free    bool // the arrays to wait for have ended
	held    bool
	stopped bool          // cancelled
	stop    chan struct{} // closed when cancelled
	trouble string        // why it cannot be told whether the arrays to wait for have ended
	reason  string        // last one recorded
	ends    chan ending
}

// ending is how an element that ran has ended; nothing that carries its mark is
// left by then.
type ending struct {
	index int // from 1
	state job.State
	exit  job.Exit
	at    time.Time
}

// Supervise looks after the array that a submitter has just put into dir, and
// returns when everything of it has ended. It is the whole work of a process of
// its own, which Options.Command leads to: it takes over standard input and
// output, all children, and SIGTERM, which cancels the array, as the end of ctx does.
func Supervise(ctx context.Context, dir string) error {
	// Elements are told to end when the thread that started them does. This one
	// lives as long as the work does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Never undone: a late wake-up must not end the process in its last moments.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, wake, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	s, err := takeOver(dir)
	if errors.Is(err, errAborted) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.table, err = proc.NewTable(); err != nil {
		return err
	}
	err = s.run(ctx, signals)
	return errors.Join(err, s.journal.close(), s.table.Close())
}

func (s *supervisor) run(ctx context.Context, signals <-chan os.Signal) error {
	waits, stopWaiting := context.WithCancel(ctx)
	freed := s.waitAfter(waits)
	var over atomic.Bool
	swept := make(chan struct{})
	defer func() {
		over.Store(true)
		stopWaiting()
		<-swept
	}()
	tick := time.NewTicker(beat)
	defer tick.Stop()

	s.look()
	s.advance()
	go func() {
		defer close(swept)
		if err := sweep(s.base, time.Now(), over.Load); err != nil {
			s.say(err)
		}
	}()
	done := ctx.Done()
	for s.ended < s.order.Array.Elements {
		select {
		case e := <-s.ends:
			s.finish(e)
		case err := <-freed:
			s.free, s.trouble = err == nil, ""
			if err != nil {
				s.trouble = err.Error()
			}
		case sig := <-signals:
			s.signalled(sig)
		case <-tick.C:
			s.say(s.heartbeat())
			s.say(s.journal.flush())
			s.look()
		case <-done:
			done = nil
			s.cancel()
		}
		s.advance()
	}
	return s.lastWords(signals)
}

func (s *supervisor) signalled(sig os.Signal) {
	switch sig {
	case wake:
		s.look()
	case syscall.SIGTERM, syscall.SIGINT:
		s.cancel()
	}
}

// waitAfter tells nil when the arrays to wait for have ended; before that, each
// time that it cannot be found out, why.
func (s *supervisor) waitAfter(ctx context.Context) <-chan error {
	told := make(chan error)
	after := make([]engine.ID, len(s.order.Array.After))
	for i, id := range s.order.Array.After {
		after[i] = engine.ID(id)
	}
	if s.free {
		return told
	}
	go func() {
		for {
			err := waitAll(ctx, s.base, after, s.order.KillWait)
			select {
			case told <- err:
			case <-ctx.Done():
				return
			}
			if err == nil || sleep(ctx, beat) != nil {
				return
			}
		}
	}()
	return told
}

// look reads the requests in the folder.
func (s *supervisor) look() {
	s.held = exists(filepath.Join(s.dir, holdFile))
	if exists(filepath.Join(s.dir, cancelFile)) {
		s.cancel()
	}
}

// advance starts what may start, and records why nothing does.
func (s *supervisor) advance() {
	for s.free && !s.held && s.next < s.order.Array.Elements && s.running < s.order.Parallel {
		s.next++
		s.start(s.next, false)
	}
	s.explain()
}

// explain records why nothing has run yet, when that is not what was last said.
func (s *supervisor) explain() {
	reason := ""
	switch {
	case s.next > 0:
		return // the reason is that of an array of which nothing has run
	case s.held:
		reason = "it is held"
	case s.trouble != "":
		reason = "it cannot be told whether the arrays that it waits for have ended: " + s.trouble
	case !s.free:
		reason = "it waits for the end of " + strings.Join(s.order.Array.After, ", ")
	}
	if reason != s.reason {
		s.reason = reason
		s.record(event{Reason: reason})
	}
}

// cancel tells what runs to end, and ends what has not begun.
func (s *supervisor) cancel() {
	if s.stopped {
		return
	}
	s.stopped = true
	close(s.stop)
	for s.next < s.order.Array.Elements {
		s.next++
		s.ended++
		s.record(event{Element: s.next, State: job.Cancelled, Exit: job.Exit{Cause: job.CauseCancelled}})
	}
}

func (s *supervisor) finish(e ending) {
	s.running--
	if s.running == 0 {
		// Whatever is still there belongs to elements that have ended, also what
		// has thrown away its environment.
		s.kill(func(proc.Info) bool { return true })
	}
	if s.order.Array.Requeue && e.exit.Code == job.ExitRequeue && e.state == job.Failed && !s.stopped {
		s.start(e.index, true)
		return
	}
	s.ended++
	s.record(event{Element: e.index, State: e.state, Exit: e.exit, At: e.at})
}

func (s *supervisor) record(e event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	s.say(s.journal.add(e))
}

// lastWords gets the end of the array into its folder, and waits for space when
// the disk is full: as long as the supervisor lives, nobody takes the array for
// lost. SIGTERM ends that.
func (s *supervisor) lastWords(signals <-chan os.Signal) error {
	for {
		err := s.journal.flush()
		if err == nil {
			return nil
		}
		select {
		case sig := <-signals:
			if sig == syscall.SIGTERM {
				return err
			}
		case <-time.After(time.Second):
		}
	}
}

// heartbeat moves the counter that readers on other hosts go by.
func (s *supervisor) heartbeat() error {
	s.beats++
	err := os.WriteFile(filepath.Join(s.dir, heartbeatFile), fmt.Appendf(nil, "%d\n", s.beats), 0o600)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	return nil
}

// say puts a trouble that does not stop the work into the log.
func (s *supervisor) say(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, time.Now().Format(time.RFC3339), err)
	}
}
