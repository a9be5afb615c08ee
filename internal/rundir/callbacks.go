package rundir

import "sync"

// callbacks calls done functions in order, by a goroutine of their own, so that
// a slow one does not hold up the writer.
type callbacks struct {
	after func()
	wake  chan struct{}
	ended chan struct{}

	mu     sync.Mutex
	queue  []group
	closed bool
}

type group struct {
	dones []func(error)
	err   error
}

func newCallbacks(after func()) *callbacks {
	c := &callbacks{after: after, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go c.run()
	return c
}

func (c *callbacks) add(dones []func(error), err error) {
	if len(dones) == 0 {
		return
	}
	c.mu.Lock()
	c.queue = append(c.queue, group{dones, err})
	c.mu.Unlock()
	c.poke()
}

func (c *callbacks) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// close waits until all have been called.
func (c *callbacks) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.poke()
	<-c.ended
}

func (c *callbacks) run() {
	defer close(c.ended)
	for range c.wake {
		for {
			c.mu.Lock()
			queue, closed := c.queue, c.closed
			c.queue = nil
			c.mu.Unlock()
			if len(queue) == 0 {
				if closed {
					return
				}
				break
			}
			for _, g := range queue {
				for _, done := range g.dones {
					done(g.err)
				}
				if c.after != nil {
					c.after()
				}
			}
		}
	}
}
