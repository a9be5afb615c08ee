package clock_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/internal/clock"
)

// ahead is a clock that is so much ahead of this machine's.
func ahead(d time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(d) }
}

// heard gathers what a listener was told.
type heard struct {
	mu     sync.Mutex
	events []clock.Event
	come   chan struct{}
}

func newHeard() *heard { return &heard{come: make(chan struct{}, 1000)} }

func (h *heard) hear(e clock.Event) {
	h.mu.Lock()
	h.events = append(h.events, e)
	h.mu.Unlock()
	h.come <- struct{}{}
}

func (h *heard) all() []clock.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]clock.Event(nil), h.events...)
}

func listen(t *testing.T, now func() time.Time) (*clock.Listener, *heard) {
	t.Helper()
	h := newHeard()
	l, err := clock.Listen(now, h.hear)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		goleak.VerifyNone(t)
	})
	return l, h
}

func TestAskingAListenerFindsTheDifference(t *testing.T) {
	for _, off := range []time.Duration{0, time.Hour, -time.Hour, -9 * 365 * 24 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			l, h := listen(t, time.Now)
			link, err := clock.Dial(t.Context(), l.Offer(), "1.3.1", ahead(off))
			if err != nil {
				t.Fatal(err)
			}
			defer link.Close()
			r, err := link.Compare()
			if err != nil {
				t.Fatal(err)
			}
			if off < r.Ahead.Least || off > r.Ahead.Most {
				t.Errorf("%v is not within %+v", off, r.Ahead)
			}
			at := ahead(off)()
			if err := link.Tell(clock.EventFirst, at); err != nil {
				t.Fatal(err)
			}
			<-h.come
			e := h.all()[0]
			if e.Agent != "1.3.1" || e.Name != clock.EventFirst || e.Told.UnixNano() != at.UnixNano() {
				t.Errorf("heard %+v", e)
			}
			if real := at.Add(-off); e.Stamped.UnixNano() < real.UnixNano() {
				t.Errorf("stamped %v, before it happened at %v", e.Stamped, real)
			}
		})
	}
}

func TestWithoutTheTokenNothingIsSaid(t *testing.T) {
	l, h := listen(t, time.Now)
	o := l.Offer()
	o.Token = "another"
	if link, err := clock.Dial(t.Context(), o, "1.1.1", time.Now); err == nil {
		link.Close()
		t.Fatal("a wrong token is accepted")
	}
	// The proof of one connection is of no use on another.
	first, second := raw(t, l), raw(t, l)
	nonce := first.line(t)
	first.say(t, "hello 1.1.1 abc 0000")
	if got := first.line(t); got != "" {
		t.Errorf("answered %q to %q", got, nonce)
	}
	second.line(t)
	second.say(t, "event up 5") // without a hello
	if got := second.line(t); got != "" {
		t.Errorf("answered %q", got)
	}
	if n := len(h.all()); n != 0 {
		t.Errorf("%d events of strangers were taken", n)
	}
}

// peer is a connection on which anything can be said.
type peer struct {
	net.Conn
	in *bufio.Reader
}

func raw(t *testing.T, l *clock.Listener) *peer {
	t.Helper()
	addrs := l.Offer().Addrs
	c, err := net.Dial("tcp", addrs[len(addrs)-1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &peer{c, bufio.NewReader(c)}
}

// line is what comes next, "" when the connection was closed.
func (p *peer) line(t *testing.T) string {
	t.Helper()
	s, _ := p.in.ReadString('\n')
	return s
}

func (p *peer) say(t *testing.T, text string) {
	t.Helper()
	if _, err := fmt.Fprintf(p, "%s\n", text); err != nil {
		t.Logf("saying %q: %v", text, err)
	}
}

func TestAnotherListenerIsNotBelieved(t *testing.T) {
	defer goleak.VerifyNone(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() { // it took the port of one that is gone, and says what one says
		c, err := tcp.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "muster-clock 1 nonce\n")
		words, _ := bufio.NewReader(c).ReadString('\n')
		if strings.Contains(words, "secret") {
			t.Error("the token was sent")
		}
		fmt.Fprintf(c, "ok %064d\n", 0)
	})
	_, err = clock.Dial(t.Context(), clock.Offer{Addrs: []string{tcp.Addr().String()}, Token: "secret"}, "1.1.1", time.Now)
	tcp.Close()
	wait.Wait()
	if err == nil || !strings.Contains(err.Error(), "another listener answers") {
		t.Errorf("error %v", err)
	}
}

func TestASlowPeerKeepsNobodyWaiting(t *testing.T) {
	l, _ := listen(t, time.Now)
	for range 20 {
		raw(t, l) // says nothing
	}
	link, err := clock.Dial(t.Context(), l.Offer(), "1.1.1", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	if _, err := link.Compare(); err != nil {
		t.Error(err)
	}
}

func TestAFloodIsCutOff(t *testing.T) {
	l, h := listen(t, time.Now)
	link, err := clock.Dial(t.Context(), l.Offer(), "1.1.1", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	for range 100_000 {
		if link.Tell(clock.EventUp, time.Now()) != nil {
			break
		}
	}
	if _, err := link.Compare(); err == nil {
		t.Error("the connection is still there")
	}
	if n := len(h.all()); n > 512 {
		t.Errorf("%d events taken", n)
	}
	long := raw(t, l)
	long.line(t)
	long.say(t, "hello "+strings.Repeat("x", 1<<20))
	if got := long.line(t); got != "" {
		t.Errorf("a line without end is answered: %q", got)
	}
}

func TestAListenerThatEndsIsNoticed(t *testing.T) {
	l, _ := listen(t, time.Now)
	link, err := clock.Dial(t.Context(), l.Offer(), "1.1.1", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := link.Compare(); err == nil {
		t.Error("it still tells the time")
	}
	if _, err := clock.Dial(context.Background(), l.Offer(), "1.1.1", time.Now); err == nil {
		t.Error("a listener that has ended is still found")
	}
}

func TestSaid(t *testing.T) {
	for event, want := range map[string]int{clock.Said(12): 12, clock.EventFirst: 0, "said.": 0, "said.x": 0, "said.-1": 0} {
		if got := clock.SaidBy(event); got != want {
			t.Errorf("%q is of task %d, want %d", event, got, want)
		}
	}
}
