package link

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// errFinished is what a write gets after Close.
var errFinished = errors.New("the channel was closed")

// chunks are the buffers of data frames: each is read by the writing goroutine and comes back.
type chunks struct{ pool sync.Pool }

func (c *chunks) get() []byte {
	if b, ok := c.pool.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, headerSize+chunk)
}

// Writer is the sending end of a channel. One goroutine may write; Abort may come from another.
type Writer struct {
	link *Link
	id   uint32
	dead chan struct{} // closed when ended is set

	mu    sync.Mutex
	more  sync.Cond // there is more room, or there will be none
	room  int       // bytes that may be sent
	ended error
}

// Writer opens the sending end of channel id.
func (l *Link) Writer(id uint32) *Writer {
	w := &Writer{link: l, id: id, dead: make(chan struct{}), room: Window}
	w.more.L = &w.mu
	l.mu.Lock()
	if l.err == nil {
		l.writers[id] = w
		l.mu.Unlock()
		return w
	}
	err := l.err
	l.mu.Unlock()
	w.finish(err)
	return w
}

// Write sends p, and waits while there is no room. It returns a RemoteError when the reader wants no more.
func (w *Writer) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		n, err := w.take(min(len(p)-sent, chunk))
		if err != nil {
			return sent, err
		}
		b := append(w.link.chunks.get(), make([]byte, headerSize)...)
		putHeader(b, data, w.id, n)
		b = append(b, p[sent:sent+n]...)
		if !w.link.offer(frame{bytes: b, pool: &w.link.chunks.pool}, w.dead) {
			return sent, w.why()
		}
		sent += n
	}
	return sent, w.why()
}

// take waits for room and takes up to n bytes of it.
func (w *Writer) take(n int) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.room == 0 && w.ended == nil {
		w.more.Wait()
	}
	if w.ended != nil {
		return 0, w.ended
	}
	n = min(n, w.room)
	w.room -= n
	return n, nil
}

// Close says that nothing more will come.
func (w *Writer) Close() error {
	if !w.finish(errFinished) {
		if err := w.why(); !errors.Is(err, errFinished) {
			return err
		}
		return nil
	}
	w.link.forget(nil, w)
	w.link.out.push(newFrame(end, w.id, nil))
	return nil
}

// Abort says that nothing more will come although there is more, and why. A write that waits fails with that reason.
func (w *Writer) Abort(why error) {
	if w.finish(why) {
		w.link.forget(nil, w)
		w.link.out.push(textFrame(end, w.id, why))
	}
}

// grant gives room for n bytes more.
func (w *Writer) grant(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > Window-w.room {
		return fmt.Errorf("%w: credit of %d bytes, %d more than was sent", ErrBroken, n, n-(Window-w.room))
	}
	w.room += n
	w.more.Signal()
	return nil
}

// finish ends the channel for that reason; it reports whether this was the first time.
func (w *Writer) finish(why error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil {
		return false
	}
	w.ended = why
	close(w.dead)
	w.more.Broadcast()
	return true
}

func (w *Writer) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// textFrame is a frame with a reason; the text is never empty, since that would mean a good end.
func textFrame(kind Kind, id uint32, why error) frame {
	text := strings.TrimSpace(why.Error())
	if text == "" {
		text = "given up"
	}
	return newFrame(kind, id, []byte(text[:min(len(text), maxReason)]))
}

var _ io.WriteCloser = (*Writer)(nil)
