package agent

import (
	"context"
	"slices"
	"sync"
)

// call is one execution of the program: one task (SISO) or several (MIMO).
type call struct {
	number  int   // in the share, from 0
	tasks   []int // indexes
	attempt []int // number of this attempt, by task
	tries   int   // failed attempts that count against --retries
	lost    int   // attempts that ended through no fault of the task
}

// queue deals calls to lanes. A call that is to be tried again comes back, so
// lanes wait while others still work, and while more may be added.
type queue struct {
	mu      sync.Mutex
	change  chan struct{} // closed and renewed when a waiting lane should look again
	hunger  chan struct{} // whoever adds calls should look again; nil when nobody does
	open    bool          // more may be added
	ready   []*call       // those that were added, and that nobody has taken
	idle    int           // lanes that wait
	calls   [][]int
	first   int // the first of calls that nobody has taken
	done    func(task int) (bool, int)
	again   []*call
	out     int    // calls taken and not given back
	why     string // stopped: nothing more is given out
	over    error  // why what is given out is to end as well; nil: it is not
	dropped map[int]bool
	places  map[int]int // of tasks in calls; made when it is needed
}

// newQueue makes the queue of a share. done tells whether a task needs no run,
// and the number of its last attempt.
func newQueue(calls [][]int, done func(task int) (bool, int)) *queue {
	return &queue{calls: calls, done: done, change: make(chan struct{}), dropped: map[int]bool{}}
}

// newOpenQueue makes a queue that is empty, until add gives it calls or close
// says that there are none.
func newOpenQueue() *queue {
	q := newQueue(nil, nil)
	q.open, q.hunger = true, make(chan struct{}, 1)
	return q
}

// add gives the queue more calls. Tasks of them that were dropped before they came
// are left out; it returns them, for their end to be told.
func (q *queue) add(calls []*call) (dropped []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range calls {
		for i := len(c.tasks) - 1; i >= 0; i-- {
			if t := c.tasks[i]; q.dropped[t] {
				dropped = append(dropped, t)
				c.without(i)
			}
		}
		if len(c.tasks) > 0 {
			q.ready = append(q.ready, c)
		}
	}
	q.signal()
	return dropped
}

// close says that no more calls will be added, for there are none.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = false
	q.signal()
}

// stock tells whoever adds calls how many wait to be taken, how many are out, and
// whether a lane has nothing to do.
func (q *queue) stock() (ready, out int, hungry bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ready = len(q.ready) + len(q.again)
	return ready, q.out, q.idle > 0 && ready == 0
}

// next gives the next call; nil when there is and will be none, or ctx has ended.
// Every call given must be given back, by again or finish.
func (q *queue) next(ctx context.Context) *call {
	for {
		q.mu.Lock()
		if ctx.Err() != nil || q.why != "" {
			q.mu.Unlock()
			return nil
		}
		if c := q.take(); c != nil {
			q.out++
			q.poke()
			q.mu.Unlock()
			return c
		}
		if q.out == 0 && !q.open {
			q.mu.Unlock()
			return nil
		}
		change := q.change
		q.idle++
		q.poke()
		q.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
		}
		q.mu.Lock()
		q.idle--
		q.mu.Unlock()
	}
}

func (q *queue) take() *call {
	for q.first < len(q.calls) {
		c := &call{number: q.first}
		for _, t := range q.calls[q.first] {
			done, attempts := q.done(t)
			if done || q.dropped[t] {
				continue
			}
			c.tasks = append(c.tasks, t)
			c.attempt = append(c.attempt, attempts+1)
		}
		q.first++
		if len(c.tasks) > 0 {
			return c
		}
	}
	for _, list := range []*[]*call{&q.ready, &q.again} {
		if len(*list) > 0 {
			c := (*list)[0]
			*list = (*list)[1:]
			return c
		}
	}
	return nil
}

// without takes the call's i-th task out of it.
func (c *call) without(i int) {
	c.tasks = slices.Delete(c.tasks, i, i+1)
	c.attempt = slices.Delete(c.attempt, i, i+1)
}

// retry gives a call back for another attempt. Tasks that were dropped
// meanwhile are not tried again; it returns them, for their end to be told.
func (q *queue) retry(c *call) (dropped []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	next := &call{number: c.number, tries: c.tries, lost: c.lost}
	for i, t := range c.tasks {
		if q.dropped[t] {
			dropped = append(dropped, t)
			continue
		}
		next.tasks = append(next.tasks, t)
		next.attempt = append(next.attempt, c.attempt[i]+1)
	}
	if len(next.tasks) > 0 {
		q.again = append(q.again, next)
	}
	q.out--
	q.signal()
	return dropped
}

// finish gives a call back for good.
func (q *queue) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.out--
	q.signal()
}

// stop ends the giving out of calls.
func (q *queue) stop(why string) { q.halt(why, nil) }

// cancel ends the giving out of calls, and those that are out are to end, too,
// because of cause.
func (q *queue) cancel(why string, cause error) { q.halt(why, cause) }

// halt: the first word counts, but that time is running out is no more than a
// prospect for who ends everything.
func (q *queue) halt(why string, over error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.why == "" || q.why == outOfTime && q.over == nil && over != nil {
		q.why = why
	}
	if q.over == nil {
		q.over = over
	}
	q.signal()
}

// stopped is why no more calls are given out; "" while they are.
func (q *queue) stopped() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.why
}

// drop cancels one task of the share. It reports whether the task was waiting:
// then nobody else tells its end. One that is given out may be running; one that may
// still be added is told of then, by whoever gets it.
func (q *queue) drop(task int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	place, mine := q.place(task)
	if !mine && q.hunger == nil || q.dropped[task] {
		return false
	}
	q.dropped[task] = true
	if mine && place >= q.first {
		done, _ := q.done(task)
		return !done
	}
	for _, list := range []*[]*call{&q.ready, &q.again} {
		for i, c := range *list {
			if k := slices.Index(c.tasks, task); k >= 0 {
				if c.without(k); len(c.tasks) == 0 {
					*list = slices.Delete(*list, i, i+1)
				}
				return true
			}
		}
	}
	return false
}

// place is the number of the call that a task of the share is in.
func (q *queue) place(task int) (int, bool) {
	if q.places == nil {
		q.places = make(map[int]int, len(q.calls))
		for n, call := range q.calls {
			for _, t := range call {
				q.places[t] = n
			}
		}
	}
	n, ok := q.places[task]
	return n, ok
}

// isDropped reports whether this one task was cancelled.
func (q *queue) isDropped(task int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped[task]
}

// count is how many calls there are to be run.
func (q *queue) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.ready) + len(q.again)
	for _, call := range q.calls[q.first:] {
		if slices.ContainsFunc(call, func(t int) bool { done, _ := q.done(t); return !done && !q.dropped[t] }) {
			n++
		}
	}
	return n
}

// left reports whether there are calls that nobody has been given and that are to
// be run, or may yet be added.
func (q *queue) left() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, call := range q.calls[q.first:] {
		for _, t := range call {
			if done, _ := q.done(t); !done && !q.dropped[t] {
				return true
			}
		}
	}
	return q.open || len(q.ready)+len(q.again) > 0
}

// ending reports whether a call is to end: one of its tasks was dropped, or
// everything is, because of all.
func (q *queue) ending(c *call) (one bool, all error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(c.tasks, func(t int) bool { return q.dropped[t] }), q.over
}

func (q *queue) signal() {
	close(q.change)
	q.change = make(chan struct{})
	q.poke()
}

// poke has whoever adds calls look again.
func (q *queue) poke() {
	if q.hunger == nil {
		return
	}
	select {
	case q.hunger <- struct{}{}:
	default:
	}
}
