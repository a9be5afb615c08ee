package link

import "sync"

// queue is what waits to be written, in order. Whoever sends messages or data waits for a slot before; what the
// link says by itself (credit, stop, end) waits for nobody: so that a channel can be given up while
// the other side reads nothing. That is bounded by how many channels there are and what their windows let through.
type queue struct {
	slots chan struct{} // holds one for each frame that took one
	some  chan struct{} // there may be frames

	mu     sync.Mutex
	frames []frame
}

// A frame waits to be written: its bytes, or somebody who wants to know that all before has been.
type frame struct {
	bytes   []byte
	slot    bool       // it has one
	pool    *sync.Pool // takes bytes back; may be nil
	flushed chan struct{}
}

func newQueue() queue { return queue{slots: make(chan struct{}, 4), some: make(chan struct{}, 1)} }

func (q *queue) push(f frame) {
	q.mu.Lock()
	q.frames = append(q.frames, f)
	q.mu.Unlock()
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// take returns all that waits.
func (q *queue) take() []frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.frames
	q.frames = nil
	return all
}

// done says that a frame has been dealt with.
func (q *queue) done(f frame) {
	if f.slot {
		<-q.slots
	}
	if f.pool != nil {
		f.pool.Put(&f.bytes)
	}
	if f.flushed != nil {
		close(f.flushed)
	}
}
