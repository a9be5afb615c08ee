package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// Reader is the receiving end of a channel. It must be open before the other side may send: before
// the message goes out that asks for it, or in the function that takes that message.
type Reader struct {
	link *Link
	id   uint32

	mu    sync.Mutex
	some  sync.Cond // there is something to read, or nothing will come
	buf   []byte    // a ring, grown as needed up to Window
	start int       // of what is in it
	held  int       // bytes in it
	owed  int       // bytes read since the last credit was given
	ended error     // what comes after the last byte
}

// Reader opens the receiving end of channel id.
func (l *Link) Reader(id uint32) *Reader {
	r := &Reader{link: l, id: id}
	r.some.L = &r.mu
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		r.ended = l.err
		return r
	}
	l.readers[id] = r
	return r
}

// Read reads what has arrived. It returns io.EOF after the sender's Close, a RemoteError after
// its Abort, and otherwise why there is nothing more.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	for r.held == 0 && r.ended == nil {
		r.some.Wait()
	}
	if r.held == 0 {
		defer r.mu.Unlock()
		return 0, r.ended
	}
	n := copy(p, r.buf[r.start:min(r.start+r.held, len(r.buf))])
	r.start = (r.start + n) % len(r.buf)
	r.held -= n
	r.owed += n
	grant := 0
	if r.owed >= Window/4 && r.ended == nil {
		grant, r.owed = r.owed, 0
	}
	r.mu.Unlock()
	if grant > 0 {
		r.link.out.push(newFrame(credit, r.id, binary.BigEndian.AppendUint32(nil, uint32(grant))))
	}
	return n, nil
}

// Stop says that nothing more is wanted, and why; what has arrived is dropped, and reading fails
// with that reason. Nothing happens when all has been read, or the second time.
func (r *Reader) Stop(why error) {
	r.mu.Lock()
	over := r.ended != nil
	if !over {
		r.ended = why
	}
	r.held, r.buf = 0, nil
	r.some.Broadcast()
	r.mu.Unlock()
	r.link.forget(r, nil)
	if !over {
		r.link.out.push(textFrame(stop, r.id, why))
	}
}

// add takes what has arrived. It never waits.
func (r *Reader) add(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended != nil {
		return nil
	}
	// What was read and not yet granted anew is no room of the sender's.
	if r.held+r.owed+len(p) > Window {
		return fmt.Errorf("%w: %d bytes more than a channel's window", ErrBroken, r.held+r.owed+len(p)-Window)
	}
	r.grow(len(p))
	at := (r.start + r.held) % max(len(r.buf), 1)
	n := copy(r.buf[at:], p)
	copy(r.buf, p[n:])
	r.held += len(p)
	r.some.Signal()
	return nil
}

// grow makes room for n bytes more.
func (r *Reader) grow(n int) {
	if r.held+n <= len(r.buf) {
		return
	}
	size := max(len(r.buf), 4<<10)
	for size < r.held+n {
		size *= 2
	}
	bigger := make([]byte, size)
	if r.held > 0 {
		m := copy(bigger, r.buf[r.start:min(r.start+r.held, len(r.buf))])
		copy(bigger[m:r.held], r.buf)
	}
	r.buf, r.start = bigger, 0
}

// finish says what comes after the last byte; only the first time counts.
func (r *Reader) finish(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		r.ended = why
		r.some.Broadcast()
	}
}

var _ io.Reader = (*Reader)(nil)
