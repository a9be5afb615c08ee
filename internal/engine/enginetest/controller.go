package enginetest

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// silence is how long the controller does not answer in testControllerStopped.
const silence = time.Minute

// underWay is what a fault of the controller meets: an array of three elements that
// run, one that waits for it, one that is held, one that has ended.
type underWay struct {
	running, after, held, ended engine.ID
}

func (l *lab) underWay() underWay {
	l.Helper()
	var u underWay
	u.ended = l.submit(l.array(1, "exit 3"))
	// Element 1 ends while the controller is away, the others after that.
	u.running = l.submit(l.array(3, incarnation+`test $MUSTER_ELEMENT = 1 && { `+waitFor("go-1")+`; : > "$D/ended-1"; exit 0; }
while ! test -e "$D/go"; do echo >> "$D/beat"; sleep 0.1; done
: > "$D/before.end"`))
	u.after = l.submit(l.dependent(u.running))
	held := l.array(1, `: > "$D/held-ran"`)
	held.Hold = true
	u.held = l.submit(held)
	l.follow(u.ended, job.Failed)
	for i := 1; i <= 3; i++ {
		l.until("the start of all elements", func() bool { return l.began(i) > 0 })
	}
	l.until("the report that all elements run", func() bool {
		for _, e := range l.status(u.running).Elements {
			if e.State != job.Running {
				return false
			}
		}
		return true
	})
	return u
}

// goesOn checks that all has gone well in spite of the fault.
func (l *lab) goesOn(u underWay) {
	l.Helper()
	if r := l.status(u.running); r.State != job.Running || r.Elements[1].State != job.Running {
		l.Errorf("after the controller is back the running array is %+v", r)
	}
	if r := l.status(u.ended); r.State != job.Failed || r.Elements[0].Exit.Code != 3 {
		l.Errorf("after the controller is back the ended array is %+v", r)
	}
	l.stillHeld(u.held)
	l.until("the report of the end of element 1", func() bool {
		return l.status(u.running).Elements[0].State == job.Completed
	})
	l.gate("go")
	r := l.completed(u.running)
	for _, e := range r.Elements {
		if e.Restart != 0 {
			l.Errorf("element %d was started again: %+v", e.Index, e)
		}
	}
	l.inOrder(u.after)
	l.control(u.held, job.OpRelease)
	l.completed(u.held)
	l.ranOnce(3)
}

func testControllerStopped(l *lab) {
	faults := l.faults()
	u := l.underWay()
	lost := l.array(1, `read I < /proc/sys/kernel/random/uuid; : > "$D/lost-$I"`)

	faults.silence()
	stopped := time.Now()
	l.gate("go-1")
	l.appears("ended-1") // nodes do not need the controller for that
	// All at once: each may take a while to give up.
	var work sync.WaitGroup
	call := func(what string, f func(ctx context.Context) error) {
		work.Go(func() {
			begun := time.Now()
			err := f(l.Context())
			if took := time.Since(begun); took > l.config.Wait {
				l.Errorf("%s took %v to say that the controller does not answer", what, took)
			}
			if !errors.Is(err, engine.ErrUnavailable) {
				l.Errorf("%s with a controller that does not answer: %v; want ErrUnavailable", what, err)
			}
		})
	}
	call("Submit", func(ctx context.Context) error { _, err := l.engine.Submit(ctx, lost); return err })
	call("Status", func(ctx context.Context) error { _, err := l.engine.Status(ctx, u.running, u.ended); return err })
	call("Find", func(ctx context.Context) error { _, err := l.engine.Find(ctx, lost.Tag); return err })
	call("Control", func(ctx context.Context) error { return l.engine.Control(ctx, u.held, job.OpHold) })
	call("Info", func(ctx context.Context) error { _, err := l.engine.Info(ctx, job.Resource{}); return err })
	work.Wait()
	l.until("a minute of silence", func() bool { return time.Since(stopped) > silence })
	faults.back()

	l.until("an answer", func() bool {
		_, err := l.engine.Status(l.Context(), u.running)
		if err != nil && !errors.Is(err, engine.ErrUnavailable) {
			l.Fatalf("Status: %v", err)
		}
		return err == nil
	})
	l.goesOn(u)
	// The submission whose answer was lost took place once or not at all, and Find
	// knows which.
	l.passes()
	found := l.find(lost.Tag)
	if len(found) > 1 {
		l.Errorf("submitted once, with a lost answer, the array is there as %v", found)
	}
	for _, id := range found {
		l.pending = append(l.pending, id)
		l.completed(id)
	}
	if ran := len(l.files("lost-")); ran != len(found) {
		l.Errorf("Find gives %v, and it has run %d times", found, ran)
	}
}

func testControllerKilled(l *lab) {
	faults := l.faults()
	u := l.underWay()
	// A scheduler writes down what it knows within seconds, not at once.
	l.until("some seconds of work", func() bool {
		st, err := os.Stat(l.path("beat"))
		return err == nil && st.Size() > 2*80
	})

	faults.down()
	l.gate("go-1")
	l.appears("ended-1")
	var work sync.WaitGroup
	work.Go(func() {
		if _, err := l.engine.Status(l.Context(), u.running); !errors.Is(err, engine.ErrUnavailable) {
			l.Errorf("Status without a controller: %v; want ErrUnavailable", err)
		}
	})
	lost := l.array(1, `: > "$D/lost"`)
	work.Go(func() {
		if id, err := l.engine.Submit(l.Context(), lost); !errors.Is(err, engine.ErrUnavailable) {
			l.Errorf("Submit without a controller: %q, %v; want ErrUnavailable", id, err)
		}
	})
	work.Wait()
	faults.back()

	l.until("an answer", func() bool {
		_, err := l.engine.Status(l.Context(), u.running)
		if err != nil && !errors.Is(err, engine.ErrUnavailable) {
			l.Fatalf("Status: %v", err)
		}
		return err == nil
	})
	l.goesOn(u)
	if found := l.find(lost.Tag); len(found) != 0 || l.exists("lost") {
		l.Errorf("submitted to no controller, the array is there as %v", found)
	}
}
