package rundir

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// The output stream of an agent is two files: what its tasks wrote, one piece
// behind the other, and an index with a line for each piece, framed as in a
// journal:
//
//	LENGTH CRC SEQ T TASK ATTEMPT FD OFFSET BYTES
//	LENGTH CRC SEQ C TASK ATTEMPT FD 0 BYTES       so many bytes were not kept
//
// Pieces are written before their lines. Tasks that write nothing cost nothing.

const (
	streamFlush = 64 << 10               // bytes that are written at once
	streamWait  = 200 * time.Millisecond // and the longest that fewer wait
	streamHeld  = 16 << 20               // bytes held while nothing can be written; more is cut
)

// Stream writes the output stream of one incarnation of an agent. Its methods may
// be called by several goroutines at once. Write never waits for the file system:
// what cannot be held in memory is cut, and that is told.
type Stream struct {
	limit int64

	mu       sync.Mutex
	attempts map[[2]int]*kept
	data     []byte  // not yet taken by the writer
	pieces   []piece // of data, and cuts
	taken    int     // so many pieces are being written, and stay as they are
	closed   bool

	kick    chan struct{}
	flush   chan chan error
	closing chan struct{}
	ended   chan struct{}
	err     error // of Close, once ended is closed
	w       streamWriter
}

// kept counts an attempt's bytes.
type kept struct{ n, cut [3]int64 }

// piece is a line of the index. Cut pieces have no data.
type piece struct {
	task, attempt, fd int
	n                 int64
	cut               bool
}

// NewStream makes the stream of an incarnation, which must be new. limit is how
// many bytes of each attempt are kept, of both descriptors together; 0: all.
func (r *Run) NewStream(id AgentID, limit int64) (*Stream, error) {
	const flags = os.O_CREATE | os.O_EXCL | os.O_WRONLY
	data, err := os.OpenFile(r.streamPath(id), flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open an output stream: %w", err)
	}
	index, err := os.OpenFile(r.streamPath(id)+indexSuffix, flags, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open an output stream: %w", err), data.Close(), os.Remove(data.Name()))
	}
	s := &Stream{limit: limit, attempts: map[[2]int]*kept{}, kick: make(chan struct{}, 1), flush: make(chan chan error),
		closing: make(chan struct{}), ended: make(chan struct{}), w: streamWriter{data: data, index: index}}
	go s.run()
	return s, nil
}

// Write adds what fd (1 or 2) of an attempt has written. It keeps no reference
// to data. Nothing is lost silently: what is beyond the limit, or beyond what
// memory holds while the file system takes nothing, is counted as cut. The
// error is ErrClosed.
func (s *Stream) Write(task, attempt, fd int, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if fd != 1 && fd != 2 {
		return fmt.Errorf("output stream: descriptor %d", fd)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("output stream: %w", ErrClosed)
	}
	k := s.of(task, attempt)
	n := int64(len(data))
	if s.limit > 0 {
		n = min(n, max(0, s.limit-k.n[1]-k.n[2]))
	}
	if int64(len(s.data))+n > streamHeld {
		n = 0
	}
	// Once something has been cut, what follows would stand in the wrong place.
	if k.cut[fd] > 0 {
		n = 0
	}
	k.n[fd] += n
	k.cut[fd] += int64(len(data)) - n
	if n == 0 {
		return nil
	}
	s.data = append(s.data, data[:n]...)
	if last := len(s.pieces) - 1; last >= s.taken && s.pieces[last].task == task && s.pieces[last].attempt == attempt &&
		s.pieces[last].fd == fd && !s.pieces[last].cut {
		s.pieces[last].n += n
	} else {
		s.pieces = append(s.pieces, piece{task: task, attempt: attempt, fd: fd, n: n})
	}
	if len(s.pieces) == 1 || len(s.data) >= streamFlush {
		s.poke()
	}
	return nil
}

// Cut counts n bytes that fd of an attempt has written and that nobody keeps, as
// Write does with what is beyond the limit. Nothing of that descriptor is kept afterwards. The error is ErrClosed.
func (s *Stream) Cut(task, attempt, fd int, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("output stream: %w", ErrClosed)
	}
	s.of(task, attempt).cut[fd] += n
	return nil
}

// of is what is kept of an attempt so far. The caller holds mu.
func (s *Stream) of(task, attempt int) *kept {
	key := [2]int{task, attempt}
	k := s.attempts[key]
	if k == nil {
		k = new(kept)
		s.attempts[key] = k
	}
	return k
}

// Finish says that nothing more comes from an attempt.
func (s *Stream) Finish(task, attempt int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finish([2]int{task, attempt})
}

func (s *Stream) finish(key [2]int) {
	k := s.attempts[key]
	if k == nil {
		return
	}
	delete(s.attempts, key)
	for fd, cut := range k.cut {
		if cut > 0 {
			s.pieces = append(s.pieces, piece{task: key[0], attempt: key[1], fd: fd, n: cut, cut: true})
			s.poke()
		}
	}
}

func (s *Stream) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Flush waits until everything is visible to readers.
func (s *Stream) Flush() error {
	answer := make(chan error, 1)
	select {
	case s.flush <- answer:
		return <-answer
	case <-s.ended:
		return fmt.Errorf("output stream: %w", ErrClosed)
	}
}

// Close writes everything, makes it durable and closes the files. The error
// says what could not be written. Further calls do nothing.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.ended
		return nil
	}
	for key := range s.attempts {
		s.finish(key)
	}
	s.closed = true
	s.mu.Unlock()
	close(s.closing)
	<-s.ended
	if s.err != nil {
		return fmt.Errorf("write the output stream: %w", s.err)
	}
	return nil
}

// run is the writer's goroutine.
func (s *Stream) run() {
	defer close(s.ended)
	var retry <-chan time.Time // not nil: the last round failed
	for {
		kick := s.kick
		if retry != nil {
			kick = nil
		}
		var err error
		select {
		case answer := <-s.flush:
			err = s.round()
			answer <- err
		case <-kick:
			s.gather()
			err = s.round()
		case <-retry:
			err = s.round()
		case <-s.closing:
			s.err = errors.Join(s.round(), s.w.close())
			return
		}
		retry = nil
		if err != nil {
			retry = time.After(retryTime)
		}
	}
}

// gather lets more come together before it is written.
func (s *Stream) gather() {
	s.mu.Lock()
	full := len(s.data) >= streamFlush
	s.mu.Unlock()
	if full {
		return
	}
	select {
	case <-time.After(streamWait):
	case <-s.kick:
	case <-s.closing:
	}
}

// round writes what there is. What cannot be written is kept, and tried again.
func (s *Stream) round() error {
	s.mu.Lock()
	data, pieces := s.data, s.pieces
	s.taken = len(pieces)
	s.mu.Unlock()
	if len(pieces) == 0 {
		return nil
	}
	err := s.w.write(data, pieces)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = 0
	if err != nil {
		return err
	}
	s.data = append([]byte(nil), s.data[len(data):]...)
	s.pieces = append([]piece(nil), s.pieces[len(pieces):]...)
	return nil
}

// streamWriter writes the two files, at offsets of its own: after a failed
// write the same bytes are written to the same place again.
type streamWriter struct {
	data, index       *os.File
	dataOff, indexOff int64
	seq               uint64
}

func (w *streamWriter) write(data []byte, pieces []piece) error {
	if _, err := w.data.WriteAt(data, w.dataOff); err != nil {
		return err
	}
	var lines []byte
	off, seq := w.dataOff, w.seq
	for _, p := range pieces {
		seq++
		var err error
		if lines, err = appendPiece(lines, seq, p, off); err != nil {
			return err
		}
		if !p.cut {
			off += p.n
		}
	}
	if _, err := w.index.WriteAt(lines, w.indexOff); err != nil {
		return err
	}
	w.dataOff, w.indexOff, w.seq = off, w.indexOff+int64(len(lines)), seq
	return nil
}

func appendPiece(b []byte, seq uint64, p piece, off int64) ([]byte, error) {
	start := len(b)
	b = openLine(b, seq)
	if p.cut {
		b, off = append(b, 'C'), 0
	} else {
		b = append(b, 'T')
	}
	for _, n := range []int64{int64(p.task), int64(p.attempt), int64(p.fd), off, p.n} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	return sealLine(b, start)
}

func (w *streamWriter) close() error {
	return errors.Join(w.data.Sync(), w.data.Close(), w.index.Sync(), w.index.Close())
}
