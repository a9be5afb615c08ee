package agent

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/clock"
	"muster/internal/job"
	"muster/internal/rundir"
)

func timed(s *job.Spec) { s.Timing = string(clock.Socket) }

// listener is one as a command that follows the run has, with a clock an hour ahead.
func (l *lab) listener() (log *rundir.ClockLog, end func()) {
	l.t.Helper()
	log, err := l.run.NewClockLog()
	check(l.t, err)
	tell, err := clock.Listen(func() time.Time { return time.Now().Add(time.Hour) }, log.Write)
	check(l.t, err)
	check(l.t, log.Offer(tell.Offer()))
	return log, func() { check(l.t, tell.Close()); check(l.t, log.Close()) }
}

// told are the events that listeners were told, in order, and checks that each
// was stamped by the listener's clock.
func (l *lab) told() string {
	l.t.Helper()
	all, err := l.run.ClockEvents()
	check(l.t, err)
	slices.SortStableFunc(all, func(a, b clock.Event) int { return a.Told.Compare(b.Told) })
	var names []string
	for _, e := range all {
		names = append(names, e.Name)
		if ahead := e.Stamped.Sub(e.Told); ahead < time.Hour {
			l.t.Errorf("%s was stamped %v after it happened", e.Name, ahead)
		}
	}
	return strings.Join(names, " ")
}

func readings(snap *rundir.Snapshot) []clock.Reading { return snap.Agents[0].Readings }

func TestAListenerIsToldOfTheLaunch(t *testing.T) {
	l := newLab(t, 4, `until [ -e ROOT/go ]; do sleep 0.01; done; cp "$1" "$2"`, timed)
	_, end := l.listener()
	snap := l.while(func() {
		for wait := time.Now().Add(limit); !strings.Contains(l.told(), clock.EventLanes); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(wait) {
				t.Fatal("the launch is not told")
			}
		}
		write(t, l.dir+"/go", "")
	})
	end()
	same(t, "events", l.told(), "up first lanes end")
	same(t, "states", states(snap), "COMPLETED COMPLETED COMPLETED COMPLETED")
	c := snap.Agents[0].Clock
	if c.Method != clock.Socket || !c.Known || (c.Ahead+time.Hour).Abs() > c.Error || c.Error > time.Minute {
		t.Errorf("correction %+v", c)
	}
	if offers, err := l.run.ClockOffers(); err != nil || len(offers) > 0 {
		t.Errorf("still offered: %+v, %v", offers, err)
	}
}

// A listener hears when a program has written something for the first time, and of no program that writes nothing.
func TestAListenerIsToldOfFirstWords(t *testing.T) {
	l := newLab(t, 3, `case $1 in */2) ;; *) echo one; until [ -e ROOT/go ]; do sleep 0.01; done; echo two;; esac; cp "$1" "$2"`, timed)
	l.lanes = 1 // so that the second program's silence is not the first one's file being emptied
	_, end := l.listener()
	snap := l.while(func() {
		for wait := time.Now().Add(limit); !strings.Contains(l.told(), clock.Said(1)); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(wait) {
				t.Fatal("the first word is not told while the program runs")
			}
		}
		write(t, l.dir+"/go", "")
	})
	end()
	told := strings.Fields(l.told()) // a program's start and its first word are told by two
	slices.Sort(told)
	same(t, "events", strings.Join(told, " "), "end first said.1 said.3 up")
	same(t, "states", states(snap), "COMPLETED COMPLETED COMPLETED")
}

// A listener that comes later, when an earlier one was killed and its offer still stands.
func TestALaterListenerIsFound(t *testing.T) {
	l := newLab(t, 2, `until [ -e ROOT/go ]; do sleep 0.01; done; cp "$1" "$2"`, timed)
	dead, err := l.run.NewClockLog()
	check(t, err)
	check(t, dead.Offer(clock.Offer{Addrs: []string{"127.0.0.1:1"}, Token: "x"}))
	l.while(func() {
		_, end := l.listener()
		defer end()
		for wait := time.Now().Add(limit); !strings.Contains(l.told(), clock.EventUp); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(wait) {
				t.Fatal("it is not found")
			}
		}
		write(t, l.dir+"/go", "")
	})
	check(t, dead.Close())
}

func TestWithoutAListenerTheReasonIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		offer func(*lab) func()
		why   string
	}{
		"nobody listens": {func(*lab) func() { return func() {} }, "nobody listened"},
		"it is gone": {func(l *lab) func() {
			log, err := l.run.NewClockLog()
			check(l.t, err)
			check(l.t, log.Offer(clock.Offer{Addrs: []string{"127.0.0.1:1"}, Token: "x"}))
			return func() { check(l.t, log.Close()) }
		}, "connection refused"},
		"the token is wrong": {func(l *lab) func() {
			_, end := l.listener()
			offers, err := l.run.ClockOffers()
			check(l.t, err)
			end()
			tell, err := clock.Listen(time.Now, func(clock.Event) { l.t.Error("an event without the token") })
			check(l.t, err)
			log, err := l.run.NewClockLog()
			check(l.t, err)
			check(l.t, log.Offer(clock.Offer{Addrs: tell.Offer().Addrs, Token: offers[0].Token}))
			return func() { check(l.t, tell.Close()); check(l.t, log.Close()) }
		}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 2, `cp "$1" "$2"`, timed)
			end := c.offer(l)
			snap := l.done()
			end()
			last := readings(snap)[len(readings(snap))-1]
			if last.Method != clock.Socket || !strings.Contains(last.Why, c.why) {
				t.Errorf("readings %+v", readings(snap))
			}
		})
	}
}

// Somebody who takes connections and says nothing holds up no task and not, for
// long, the agent's end.
func TestASilentListenerDelaysNoTask(t *testing.T) {
	l := newLab(t, 6, `cp "$1" "$2"`, timed)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var conns []io.Closer
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
		}
	}()
	log, err := l.run.NewClockLog()
	check(t, err)
	check(t, log.Offer(clock.Offer{Addrs: []string{tcp.Addr().String()}, Token: "x"}))
	snap := l.done()
	check(t, tcp.Close())
	<-taken
	for _, c := range conns {
		c.Close()
	}
	check(t, log.Close())
	same(t, "states", states(snap), strings.TrimSpace(strings.Repeat("COMPLETED ", 6)))
}
