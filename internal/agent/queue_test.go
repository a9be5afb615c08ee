package agent

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// The queue against a model: no task is out twice at a time, none is given that
// was done or dropped, attempts grow, and every task is told of in the end.
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tasks := rapid.IntRange(1, 12).Draw(t, "tasks")
		size := rapid.IntRange(1, 4).Draw(t, "tasks of a call")
		var all []int
		for i := range tasks {
			all = append(all, i+1)
		}
		before := map[int]int{} // attempts of earlier generations
		done := map[int]bool{}
		for _, i := range all {
			before[i] = rapid.IntRange(0, 2).Draw(t, "attempts before")
			done[i] = rapid.Bool().Draw(t, "done")
		}
		q := newQueue(slices.Collect(slices.Chunk(all, size)), func(i int) (bool, int) { return done[i], before[i] })

		var out []*call
		ended, dropped := map[int]bool{}, map[int]bool{}
		stopped := false
		waiting := func() (n int) { // tasks that the queue must still give
			for _, i := range all {
				given := slices.ContainsFunc(out, func(c *call) bool { return slices.Contains(c.tasks, i) })
				if !done[i] && !ended[i] && !dropped[i] && !given {
					n++
				}
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				if len(out) > 0 && waiting() == 0 && !stopped {
					t.Skip("a lane would wait")
				}
				c := q.next(t.Context())
				if c == nil {
					if n := waiting(); n > 0 && !stopped {
						t.Fatalf("the queue is empty, and %d tasks wait", n)
					}
					return
				}
				if stopped {
					t.Fatal("given after the stop")
				}
				for k, i := range c.tasks {
					if done[i] || ended[i] || dropped[i] {
						t.Fatalf("task %d: done %v, ended %v, dropped %v", i, done[i], ended[i], dropped[i])
					}
					for _, o := range out {
						if slices.Contains(o.tasks, i) {
							t.Fatalf("task %d is given out twice", i)
						}
					}
					if c.attempt[k] != before[i]+1 {
						t.Fatalf("task %d: attempt %d after %d", i, c.attempt[k], before[i])
					}
					before[i] = c.attempt[k]
				}
				out = append(out, c)
			},
			"finish": func(t *rapid.T) {
				if len(out) == 0 {
					t.Skip("nothing is out")
				}
				k := rapid.IntRange(0, len(out)-1).Draw(t, "call")
				for _, i := range out[k].tasks {
					ended[i] = true
				}
				out = slices.Delete(out, k, k+1)
				q.finish()
			},
			"retry": func(t *rapid.T) {
				if len(out) == 0 {
					t.Skip("nothing is out")
				}
				k := rapid.IntRange(0, len(out)-1).Draw(t, "call")
				c := out[k]
				out = slices.Delete(out, k, k+1)
				got := q.retry(c)
				for _, i := range c.tasks {
					if slices.Contains(got, i) != dropped[i] {
						t.Fatalf("task %d: dropped %v, told %v", i, dropped[i], got)
					}
				}
			},
			"drop": func(t *rapid.T) {
				i := rapid.IntRange(0, tasks+1).Draw(t, "task")
				given := slices.ContainsFunc(out, func(c *call) bool { return slices.Contains(c.tasks, i) })
				mine := i >= 1 && i <= tasks
				want := mine && !given && !done[i] && !ended[i] && !dropped[i]
				if got := q.drop(i); got != want {
					t.Fatalf("drop(%d) = %v, want %v (given %v, done %v)", i, got, want, given, done[i])
				}
				if mine {
					dropped[i] = true
				}
				if q.isDropped(i) != mine {
					t.Fatalf("isDropped(%d) = %v", i, !mine)
				}
			},
			"stop": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "stop") == 0 {
					q.stop("enough")
					stopped = true
				}
			},
		})
	})
}

// Lanes wait while a call that may come back is out, and no longer.
func TestQueueWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue([][]int{{1}}, func(int) (bool, int) { return false, 0 })
		c := q.next(t.Context())
		got := make(chan *call, 2)
		for range 2 {
			go func() { got <- q.next(t.Context()) }()
		}
		time.Sleep(time.Hour)
		select {
		case c := <-got:
			t.Fatalf("%+v, and the only task is out", c)
		default:
		}
		q.retry(c)
		again := <-got
		if again == nil || !slices.Equal(again.attempt, []int{2}) {
			t.Fatalf("%+v", again)
		}
		q.finish()
		if c := <-got; c != nil {
			t.Errorf("%+v after the end", c)
		}
	})
}

// Whoever asks for a call that is out between the queue and its start reaches it.
func TestQueueEnding(t *testing.T) {
	q := newQueue([][]int{{1, 2}, {3}}, func(int) (bool, int) { return false, 0 })
	a, b := q.next(t.Context()), q.next(t.Context())
	q.drop(2)
	if one, all := q.ending(a); !one || all != nil {
		t.Errorf("the call with a dropped task: %v, %v", one, all)
	}
	if one, all := q.ending(b); one || all != nil {
		t.Errorf("the other: %v, %v", one, all)
	}
	q.stop("max-fails")
	q.cancel("cancelled", errRunCancelled)
	if _, all := q.ending(b); all != errRunCancelled {
		t.Error("everything is cancelled, but for what is out")
	}
	if q.stopped() != "max-fails" {
		t.Errorf("stopped: %q", q.stopped())
	}
}

// Of a queue that is added to, every task is given once, or told to be dropped once:
// whichever comes first, the task or its cancellation.
func TestOpenQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tasks := rapid.IntRange(1, 20).Draw(t, "tasks")
		q := newOpenQueue()
		told, given, dropped := map[int]int{}, map[int]int{}, map[int]bool{}
		added := 0
		tell := func(list ...int) {
			for _, i := range list {
				told[i]++
			}
		}
		take := func() {
			c := q.next(t.Context())
			for _, i := range c.tasks {
				given[i]++
			}
			q.finish()
		}
		add := func(n int) {
			var calls []*call
			for range n {
				added++
				calls = append(calls, &call{number: added - 1, tasks: []int{added}, attempt: []int{1}})
			}
			tell(q.add(calls)...)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				if added < tasks {
					add(rapid.IntRange(1, tasks-added).Draw(t, "calls"))
				}
			},
			"take": func(t *rapid.T) {
				if ready, out, _ := q.stock(); ready > 0 {
					take()
				} else if out != 0 {
					t.Fatalf("%d are out", out)
				}
			},
			"drop": func(t *rapid.T) {
				i := rapid.IntRange(1, tasks).Draw(t, "task")
				if q.drop(i) {
					tell(i)
				}
				dropped[i] = true
			},
		})
		if !q.left() {
			t.Fatal("more may come, and nothing is left")
		}
		if added < tasks {
			add(tasks - added)
		}
		q.close()
		for q.left() {
			take()
		}
		if q.next(t.Context()) != nil {
			t.Fatal("there is more than nothing")
		}
		for i := 1; i <= tasks; i++ {
			if given[i]+told[i] != 1 || told[i] == 1 && !dropped[i] {
				t.Fatalf("task %d was given %d times, told of %d times; dropped: %v", i, given[i], told[i], dropped[i])
			}
		}
	})
}
