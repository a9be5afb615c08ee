package link

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrClosed means that the link has ended.
var ErrClosed = errors.New("the link has ended")

// Link is one end. Its methods may be called by several goroutines at once.
type Link struct {
	stream io.ReadWriteCloser
	take   func(kind Kind, id uint32, payload []byte) error
	out    queue
	chunks chunks
	gone   chan struct{}
	work   sync.WaitGroup

	mu      sync.Mutex
	err     error // why it has ended
	readers map[uint32]*Reader
	writers map[uint32]*Writer
}

// Open begins to speak on stream, which belongs to the link from now on; closing it has to wake whoever reads it. Every message goes to take, which
// must not wait for anything, least of all call Send; the payload is its to keep. An error of take ends the link.
func Open(stream io.ReadWriteCloser, take func(kind Kind, id uint32, payload []byte) error) *Link {
	l := &Link{
		stream:  stream,
		take:    take,
		out:     newQueue(),
		gone:    make(chan struct{}),
		readers: map[uint32]*Reader{},
		writers: map[uint32]*Writer{},
	}
	l.work.Add(2)
	go func() {
		defer l.work.Done()
		l.end(l.read())
	}()
	go func() {
		defer l.work.Done()
		l.end(l.write())
	}()
	return l
}

// Done is closed when the link has ended.
func (l *Link) Done() <-chan struct{} { return l.gone }

// Err says why the link has ended; nil while it has not.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close ends the link and its stream, and waits until nothing of it runs any more.
func (l *Link) Close() {
	l.end(ErrClosed)
	l.work.Wait()
}

// end ends the link for that reason; only the first one counts.
func (l *Link) end(why error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = why
	readers, writers := l.readers, l.writers
	l.readers, l.writers = nil, nil
	close(l.gone)
	l.mu.Unlock()
	_ = l.stream.Close() // wakes whoever reads or writes it
	for _, r := range readers {
		r.finish(why)
	}
	for _, w := range writers {
		w.finish(why)
	}
}

// Send sends a message. When it returns nil the message goes out before all that is sent later.
func (l *Link) Send(ctx context.Context, kind Kind, id uint32, payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("a message of %d bytes is longer than %d", len(payload), MaxPayload)
	}
	return l.post(ctx, newFrame(kind, id, payload))
}

// Flush waits until everything that was sent before has been written to the stream.
func (l *Link) Flush(ctx context.Context) error {
	done := make(chan struct{})
	if err := l.post(ctx, frame{flushed: done}); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-l.gone:
		return l.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func newFrame(kind Kind, id uint32, payload []byte) frame {
	b := make([]byte, headerSize+len(payload))
	putHeader(b, kind, id, len(payload))
	copy(b[headerSize:], payload)
	return frame{bytes: b}
}

// post hands a frame to the writing goroutine, when it has a slot.
func (l *Link) post(ctx context.Context, f frame) error {
	if !l.offer(f, ctx.Done()) {
		return context.Cause(ctx)
	}
	return l.Err()
}

// offer is post for channels: it reports whether the frame was taken before anything came from cancelled.
// When the link has ended, that is for nothing.
func (l *Link) offer(f frame, cancelled <-chan struct{}) bool {
	select {
	case l.out.slots <- struct{}{}:
		f.slot = true
		l.out.push(f)
	case <-l.gone:
	case <-cancelled:
		return false
	}
	return true
}

func (l *Link) write() error {
	for {
		select {
		case <-l.out.some:
		case <-l.gone:
			return ErrClosed
		}
		for _, f := range l.out.take() {
			if f.flushed == nil {
				if _, err := l.stream.Write(f.bytes); err != nil {
					return fmt.Errorf("writing to the other side: %w", err)
				}
			}
			l.out.done(f)
		}
	}
}

func (l *Link) read() error {
	r := bufio.NewReaderSize(l.stream, chunk)
	buf := make([]byte, MaxPayload)
	for {
		kind, id, payload, err := readFrame(r, buf)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the other side has gone: %w", io.EOF)
		}
		if err != nil {
			return fmt.Errorf("reading from the other side: %w", err)
		}
		if err := l.dispatch(kind, id, payload); err != nil {
			return err
		}
	}
}

// dispatch gives a frame to whom it is for. Frames of channels that nobody has open any more are
// dropped: they were on their way when it was closed.
func (l *Link) dispatch(kind Kind, id uint32, payload []byte) error {
	if kind >= Message {
		return l.take(kind, id, append([]byte(nil), payload...))
	}
	l.mu.Lock()
	r, w := l.readers[id], l.writers[id]
	l.mu.Unlock()
	switch kind {
	case data:
		if r != nil {
			return r.add(payload)
		}
	case end:
		if r != nil {
			r.finish(ending(payload))
			l.forget(r, nil)
		}
	case credit:
		if len(payload) != 4 {
			return fmt.Errorf("%w: credit of %d bytes", ErrBroken, len(payload))
		}
		if w != nil {
			return w.grant(int(binary.BigEndian.Uint32(payload)))
		}
	case stop:
		if w != nil {
			w.finish(&RemoteError{Text: reason(payload)})
			l.forget(nil, w)
		}
	default:
		return fmt.Errorf("%w: a frame of kind %d", ErrBroken, kind)
	}
	return nil
}

// forget takes a channel's end out of the tables.
func (l *Link) forget(r *Reader, w *Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r != nil && l.readers[r.id] == r {
		delete(l.readers, r.id)
	}
	if w != nil && l.writers[w.id] == w {
		delete(l.writers, w.id)
	}
}

// RemoteError is why the other side gave a channel up, in its own words: nothing to be trusted.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }

// ending is what a reader gets after the last byte.
func ending(payload []byte) error {
	if len(payload) == 0 {
		return io.EOF
	}
	return &RemoteError{Text: reason(payload)}
}

func reason(payload []byte) string { return string(payload[:min(len(payload), maxReason)]) }
