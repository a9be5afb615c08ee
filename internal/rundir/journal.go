package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"muster/internal/clock"
)

const (
	groupTime  = 20 * time.Millisecond // a commit waits no longer for others to share its fsync
	groupCount = 256                   // nor for more records than these
	appendWait = 50 * time.Millisecond // appended records are written within this time, for readers
	retryTime  = time.Second           // between attempts to open a new segment
	heldLimit  = 64 << 20              // bytes held in memory while nothing can be written
)

// JournalOptions may be zero.
type JournalOptions struct {
	// FS is the file system; nil: the real one.
	FS FS
	// Health is called when the journal cannot be written any more, with the
	// reason, and with nil when it can again. Calls come one at a time; it must
	// not wait for the journal.
	Health func(err error)
	// AfterGroup is called after the done functions of each group.
	AfterGroup func()
	// Limit is how many bytes are held in memory while nothing can be written;
	// 0: 64 MiB. Beyond it Append and Commit fail with ErrFull.
	Limit int
}

// Journal is the journal of one incarnation of an agent, which alone writes it.
// Its methods may be called by several goroutines at once. None but Flush and
// Close waits for the file system.
//
// When a write or an fsync fails, nothing is tried again in the same file: what
// was not durable is written once more to a new segment. If that cannot be
// had, records stay in memory, and a new segment is tried every second.
type Journal struct {
	id    AgentID
	start AgentStart
	opt   JournalOptions

	mu      sync.Mutex
	seq     uint64
	buf     []byte        // encoded records that the writer has not taken yet
	count   int           // how many they are
	dones   []func(error) // of those that are to be committed
	waiters []chan error  // of Flush
	due     time.Time     // when the writer is to take them; zero: nothing is there
	held    int           // bytes that the writer has taken and that are not durable
	closed  bool
	health  error

	kick   chan struct{} // the writer is to look again
	done   chan struct{} // the writer has ended
	result error         // of Close, once done is closed
	calls  *callbacks
	writer journalWriter
}

// NewJournal makes the journal of a new incarnation of element of generation
// gen, and writes its first record, durably. Version, Run, Generation, Element
// and Incarnation of start are filled in; Began is now if it is zero, Boot this
// machine's if it is empty. When it
// fails, nothing is left.
func (r *Run) NewJournal(gen, element int, start AgentStart, opt JournalOptions) (*Journal, error) {
	if opt.FS == nil {
		opt.FS = osFS{}
	}
	if opt.Limit <= 0 {
		opt.Limit = heldLimit
	}
	if start.Boot == "" {
		start.Boot = clock.BootID()
	}
	if start.Began.IsZero() {
		start.Began = time.Now()
	}
	start.Version, start.Run, start.Generation, start.Element = JournalVersion, r.Number, gen, element
	id, err := r.nextIncarnation(gen, element)
	if err != nil {
		return nil, fmt.Errorf("open a journal: %w", err)
	}
	for ; ; id.Incarnation++ {
		start.Incarnation = id.Incarnation
		j := &Journal{id: id, start: start, opt: opt, seq: 1, kick: make(chan struct{}, 1), done: make(chan struct{})}
		err := j.writer.begin(r, id, start, opt.FS)
		if errors.Is(err, fs.ErrExist) {
			continue // another incarnation was quicker
		}
		if err != nil {
			return nil, fmt.Errorf("open a journal: %w", err)
		}
		j.calls = newCallbacks(opt.AfterGroup)
		go j.run()
		return j, nil
	}
}

// nextIncarnation is one more than the highest that has a journal.
func (r *Run) nextIncarnation(gen, element int) (AgentID, error) {
	next := AgentID{gen, element, 1}
	names, err := readNames(r.path(journalDir, ""))
	if err != nil {
		return next, err
	}
	for _, name := range names {
		id, _, ok := parseJournalName(name)
		if ok && id.Generation == gen && id.Element == element {
			next.Incarnation = max(next.Incarnation, id.Incarnation+1)
		}
	}
	return next, nil
}

// Start is the record that opened the journal, with its incarnation.
func (j *Journal) Start() AgentStart { return j.start }

// ID names the incarnation.
func (j *Journal) ID() AgentID { return j.id }

// Now is the time since the journal began, for Record.At.
func (j *Journal) Now() time.Duration { return time.Since(j.start.Began) }

// Health is nil, or why nothing can be written just now.
func (j *Journal) Health() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.health
}

// Append adds a record that becomes durable with the next group, and visible to
// readers soon. Errors: ErrFull, ErrClosed, or the record cannot be written down.
func (j *Journal) Append(rec Record) error {
	return j.add(&rec, nil)
}

// Commit adds a record and calls done when it is durable, or with the error when
// it will not be. done is called exactly once, never by Commit itself, and in the
// order of the records; it must not wait for the journal.
func (j *Journal) Commit(rec Record, done func(error)) {
	if err := j.add(&rec, done); err != nil {
		go done(err)
	}
}

func (j *Journal) add(rec *Record, done func(error)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("journal %v: %w", j.id, ErrClosed)
	}
	if len(j.buf)+j.held > j.opt.Limit {
		if j.health != nil {
			return fmt.Errorf("journal %v: %w: %w", j.id, ErrFull, j.health)
		}
		return fmt.Errorf("journal %v: %w", j.id, ErrFull)
	}
	buf, err := appendLine(j.buf, j.seq+1, rec)
	if err != nil {
		return fmt.Errorf("journal %v: %w", j.id, err)
	}
	j.buf = buf
	j.seq++
	j.count++
	wait := appendWait
	if done != nil {
		j.dones = append(j.dones, done)
		wait = groupTime
	}
	if j.count == groupCount {
		wait = 0
	}
	if due := time.Now().Add(wait); j.due.IsZero() || due.Before(j.due) {
		j.due = due
		j.poke()
	}
	return nil
}

// poke makes the writer look again.
func (j *Journal) poke() {
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

// Flush waits until everything that was added is durable. The error says why
// it is not; the journal goes on trying.
func (j *Journal) Flush(ctx context.Context) error {
	w := make(chan error, 1)
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return fmt.Errorf("journal %v: %w", j.id, ErrClosed)
	}
	j.waiters = append(j.waiters, w)
	j.due = time.Now()
	j.mu.Unlock()
	j.poke()
	select {
	case err := <-w:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close makes everything durable, waits for the last done function, and closes
// the file. The error tells how many records are not durable; their done
// functions have been given it. Further calls return the same.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.poke()
	<-j.done
	return j.result
}

// run is the writer's goroutine.
func (j *Journal) run() {
	defer close(j.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		j.mu.Lock()
		due, closed := j.due, j.closed
		j.mu.Unlock()
		if closed {
			break
		}
		if j.writer.broken != nil && (due.IsZero() || due.Before(j.writer.retry)) {
			due = j.writer.retry
		}
		// A stopped timer has an empty channel, since Go 1.23.
		if due.IsZero() {
			timer.Stop()
		} else if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
		} else {
			j.round(false)
			continue
		}
		select {
		case <-timer.C:
		case <-j.kick:
			j.hurry()
		}
	}
	j.round(true)
	j.result = errors.Join(j.writer.abandon(), j.writer.close())
	j.calls.close()
}

// hurry answers those who wait for a Flush while nothing can be written.
func (j *Journal) hurry() {
	if j.writer.broken == nil {
		return
	}
	j.mu.Lock()
	waiters := j.waiters
	j.waiters = nil
	j.mu.Unlock()
	for _, w := range waiters {
		w <- j.writer.broken
	}
}

// round takes what has been added and writes it; last: and gives up what cannot be.
func (j *Journal) round(last bool) {
	j.mu.Lock()
	batch, count, dones, waiters := j.buf, j.count, j.dones, j.waiters
	j.buf, j.count, j.dones, j.waiters, j.due = j.writer.spare[:0], 0, nil, nil, time.Time{}
	j.held += len(batch)
	j.mu.Unlock()

	sync := last || len(dones) > 0 || len(waiters) > 0
	wasBroken := j.writer.broken != nil
	err := j.writer.write(batch, count, dones, sync)
	durable := j.writer.durable
	j.writer.durable = nil
	j.writer.spare = nil
	if cap(batch) <= 1<<20 {
		j.writer.spare = batch // its content has been copied
	}

	j.mu.Lock()
	j.held = len(j.writer.unsynced)
	j.health = err
	j.mu.Unlock()
	if j.opt.Health != nil && wasBroken != (err != nil) {
		j.opt.Health(err)
	}
	j.calls.add(durable, nil)
	for _, w := range waiters {
		w <- err
	}
	if last && err != nil {
		j.calls.add(j.writer.dones, err)
	}
}
