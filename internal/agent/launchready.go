package agent

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/template"
)

// readiness knows when a program of a launch counts as alive.
type readiness struct {
	how  job.ReadyHow
	line *regexp.Regexp     // output
	file *template.Template // file: its name, as an argument's would be written
	text string
}

func newReadiness(l job.Launch) (r readiness, err error) {
	r = readiness{how: l.Ready.How, text: l.Ready.What}
	switch r.how {
	case job.ReadyOutput:
		r.line, err = regexp.Compile(r.text)
	case job.ReadyFile:
		r.file, err = template.Parse([]string{r.text})
	}
	if err != nil {
		err = fmt.Errorf("--ready: %w", err)
	}
	return r, err
}

// watches reports whether a program has to be watched to know: an exec tells by itself.
func (r readiness) watches() bool { return r.how != job.ReadyExec }

// sign says by what a program is known to be alive.
func (r readiness) sign() string {
	switch r.how {
	case job.ReadyOutput:
		return "no line of its output matches " + r.text
	case job.ReadyFile:
		return "there was no file " + r.text + " in its work folder"
	}
	return "its own code did not run yet"
}

// missed says what did not happen in time.
func (r readiness) missed(limit time.Duration) string {
	return fmt.Sprintf("not alive after %v: %s", limit, r.sign())
}

// How often a starter looks whether the program that it has started runs its own code: first when most of
// the time has passed that the programs before it took, and then more and more rarely. Each look costs a read of
// /proc, and a start hundreds of times as much.
const (
	execFirst = time.Millisecond
	execMost  = 20 * time.Millisecond
)

// await waits until a program runs its own code, as far as its guest does not tell
// that by the return of Start; then it is alive, unless there is another sign to wait for.
func (l *launching) await(ctx context.Context, p *program) {
	r, slow := p.proc.(guest.Readier)
	if !slow {
		return
	}
	began := time.Now()
	usual := time.Duration(l.usual.Load())
	for wait, next := max(execFirst, usual*3/4), max(execFirst, usual/8); ; wait, next = next, min(next*3/2, execMost) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if l.isGone(p) {
			return
		}
		if r.Ready() {
			break
		}
	}
	// Several may write at once; any of their figures will do.
	l.usual.Store(int64(usual + (min(time.Since(began), time.Second)-usual)/8))
	if !l.ready.watches() {
		l.isUp(p)
	}
}

func (l *launching) isGone(p *program) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.gone
}

// lookReady looks whether programs have become alive that have to be watched for it, and
// ends those that were not in time.
func (l *launching) lookReady(now time.Time) {
	if now.Before(l.meeting.nextReady) {
		return
	}
	ran := l.a.pause.running()
	for _, p := range l.startingPrograms() {
		if l.ready.watches() && l.isReady(p) {
			l.isUp(p)
			continue
		}
		if limit := l.want.ReadyTimeout; limit > 0 && ran-p.ran >= limit {
			l.fell(p, errNotReady)
		}
	}
	// Looking must not become what the node does.
	l.meeting.nextReady = time.Now().Add(10 * time.Since(now))
}

// startingPrograms lists those that are started and not alive.
func (l *launching) startingPrograms() []*program {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.missing == 0 {
		return nil
	}
	var list []*program
	for _, p := range l.progs {
		if p.started && !p.gone && !p.up {
			list = append(list, p)
		}
	}
	return list
}

func (l *launching) isReady(p *program) bool {
	if l.ready.how == job.ReadyOutput {
		l.carry(p)
		return p.out[0].matched || p.out[1].matched
	}
	names, err := l.ready.file.Expand(p.values())
	if err != nil {
		return false
	}
	dir := p.work
	if dir == "" {
		dir = l.a.spec.WorkDir
	}
	_, err = os.Lstat(filepath.Join(dir, names[0]))
	return err == nil
}

// longestLine bounds what is kept of a line that has not ended.
const longestLine = 64 << 10

// match takes more of a stream in, and looks for the line that tells that the program
// is alive.
func (w *written) match(line *regexp.Regexp, data []byte) {
	w.rest = append(w.rest, data...)
	for !w.matched {
		text, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			break
		}
		w.matched = line.Match(bytes.TrimSuffix(text, []byte("\r")))
		w.rest = rest
	}
	switch {
	case w.matched:
		w.rest = nil
	case len(w.rest) > longestLine:
		w.rest = w.rest[len(w.rest)-longestLine:]
	}
}
