package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"

	"muster/internal/guest/vm/wire/link"
)

// ErrGone means that the guest says nothing any more: it has ended, or breaks the protocol.
var ErrGone = errors.New("the guest has gone")

// Host is the host's end of a conversation with one guest. Its methods may be called by several
// goroutines at once.
type Host struct {
	link   *link.Link
	nonce  uint64
	hello  Hello
	heard  chan Hello     // the answer to the greeting
	lost   sync.WaitGroup // what waits for the guest to go
	ending sync.WaitGroup // programs whose end is being told

	mu       sync.Mutex
	next     uint32
	waiting  map[uint32]chan Reply // by id: who waits for an answer
	programs map[uint32]*Program   // by id: those that have not ended
}

// Dial greets the guest at the other end of stream, which has just booted or was resumed, and waits for its
// answer. The stream belongs to the Host from now on, also when Dial fails; closing it must wake its readers.
// A guest that is still booting answers when it is up: ctx bounds that.
func Dial(ctx context.Context, stream io.ReadWriteCloser) (*Host, error) {
	h := &Host{
		nonce:    rand.Uint64() >> 11, // exact as a number of JSON's
		heard:    make(chan Hello, 1),
		next:     Stride,
		waiting:  map[uint32]chan Reply{},
		programs: map[uint32]*Program{},
	}
	ready := make(chan struct{}) // nothing is taken before h.link is set
	h.link = link.Open(stream, func(kind link.Kind, id uint32, payload []byte) error {
		<-ready
		return h.take(kind, id, payload)
	})
	close(ready)
	if err := h.greet(ctx); err != nil {
		h.link.Close()
		return nil, err
	}
	h.lost.Go(func() {
		<-h.link.Done()
		h.lose()
	})
	return h, nil
}

func (h *Host) greet(ctx context.Context) error {
	if err := h.say(ctx, Greet, 0, Greeting{Version: Version, Nonce: h.nonce}); err != nil {
		return fmt.Errorf("greeting the guest: %w", err)
	}
	select {
	case h.hello = <-h.heard:
		if h.hello.Version != Version {
			return fmt.Errorf("the guest's muster-init speaks version %d, this muster %d: build the image again", h.hello.Version, Version)
		}
		return nil
	case <-h.link.Done():
		return fmt.Errorf("greeting the guest: %w", h.gone())
	case <-ctx.Done():
		return fmt.Errorf("waiting for the guest's first word: %w", context.Cause(ctx))
	}
}

// Hello is what the guest said of itself.
func (h *Host) Hello() Hello { return h.hello }

// Done is closed when the guest has gone.
func (h *Host) Done() <-chan struct{} { return h.link.Done() }

// Err says why the guest has gone; nil while it is there.
func (h *Host) Err() error {
	if h.link.Err() == nil {
		return nil
	}
	return h.gone()
}

// Close ends the conversation; the stream is closed. Every call that waits returns ErrGone, and nothing of the
// Host runs any more.
func (h *Host) Close() {
	h.link.Close()
	h.lost.Wait()
}

// lose tells those who wait for programs that the guest has gone.
func (h *Host) lose() {
	h.mu.Lock()
	for _, p := range h.programs {
		p.end(Exit{}, h.gone())
	}
	h.programs = nil
	h.mu.Unlock()
	h.ending.Wait()
}

func (h *Host) gone() error { return fmt.Errorf("%w: %w", ErrGone, h.link.Err()) }

// Settle makes the guest itself: call it before anything else of every clone.
func (h *Host) Settle(ctx context.Context, s Settings) error {
	return h.ask(ctx, Settle, h.conversation(), s, "settling the guest")
}

// Rest has a guest that is about to be saved make beforehand what each of its clones would have to.
func (h *Host) Rest(ctx context.Context) error {
	return h.ask(ctx, Rest, h.conversation(), struct{}{}, "having the guest made ready to be saved")
}

// PowerOff ends the guest: programs are killed, file systems written out and unmounted. It returns when that is
// done and the power is about to go; the stream ends soon after.
func (h *Host) PowerOff(ctx context.Context) error {
	return h.ask(ctx, PowerOff, h.conversation(), struct{}{}, "powering the guest off")
}

// conversation returns a new id.
func (h *Host) conversation() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.next
	h.next += Stride
	return id
}

// say sends a message.
func (h *Host) say(ctx context.Context, kind link.Kind, id uint32, what any) error {
	b, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if len(b) > MaxMessage {
		return fmt.Errorf("%d bytes are more than the %d that the guest takes: %w", len(b), MaxMessage, syscall.E2BIG)
	}
	for err == nil && len(b) > link.MaxPayload {
		err = h.link.Send(ctx, More, id, b[:link.MaxPayload])
		b = b[link.MaxPayload:]
	}
	if err == nil {
		err = h.link.Send(ctx, kind, id, b)
	}
	if err != nil && h.link.Err() != nil {
		return h.gone()
	}
	return err
}

// ask sends a request and waits for the answer.
func (h *Host) ask(ctx context.Context, kind link.Kind, id uint32, what any, doing string) error {
	answer := h.expect(id)
	defer h.forget(id)
	if err := h.say(ctx, kind, id, what); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return h.hear(ctx, answer, doing)
}

// expect says that an answer to id will be waited for.
func (h *Host) expect(id uint32) chan Reply {
	answer := make(chan Reply, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting[id] = answer
	return answer
}

func (h *Host) forget(id uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiting, id)
}

// hear waits for an answer.
func (h *Host) hear(ctx context.Context, answer chan Reply, doing string) error {
	select {
	case r := <-answer:
		return r.err(doing)
	case <-h.link.Done():
		select {
		case r := <-answer: // it came before the end
			return r.err(doing)
		default:
			return fmt.Errorf("%s: %w", doing, h.gone())
		}
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	}
}

// GuestError is what a guest says went wrong.
type GuestError struct {
	Doing string
	Text  string        // the guest's words, made fit to print
	Errno syscall.Errno // 0: not known
}

func (e *GuestError) Error() string { return e.Doing + ": " + e.Text }

// Unwrap gives the system's error, so that errors.Is finds fs.ErrNotExist and the like.
func (e *GuestError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

func (r Reply) err(doing string) error {
	if r.Error == "" {
		return nil
	}
	e := &GuestError{Doing: doing, Text: printable(r.Error)}
	if r.Errno > 0 && r.Errno < maxErrno {
		e.Errno = syscall.Errno(r.Errno)
	}
	return e
}

// maxErrno is where the system's numbers end.
const maxErrno = 4096

// take hears what the guest says; it never waits.
func (h *Host) take(kind link.Kind, id uint32, payload []byte) error {
	switch kind {
	case Welcome:
		var hello Hello
		if err := parse(payload, &hello); err != nil {
			return err
		}
		if hello.Nonce != h.nonce {
			return nil // to somebody who greeted before, and left
		}
		hello.Boot, hello.Kernel = printable(hello.Boot), printable(hello.Kernel)
		select {
		case h.heard <- hello:
		default:
		}
	case Answer:
		var r Reply
		if err := parse(payload, &r); err != nil {
			return err
		}
		h.mu.Lock()
		answer := h.waiting[id]
		delete(h.waiting, id)
		h.mu.Unlock()
		if answer != nil {
			answer <- r
		}
	case Ended:
		var e Exit
		if err := parse(payload, &e); err != nil {
			return err
		}
		h.mu.Lock()
		if p := h.programs[id]; p != nil {
			delete(h.programs, id)
			p.end(e.tame(), nil)
		}
		h.mu.Unlock()
	default:
		return fmt.Errorf("%w: a message of kind %d", link.ErrBroken, kind)
	}
	return nil
}

// tame bounds what a guest says of a program's end.
func (e Exit) tame() Exit {
	e.Code &= 0xff
	e.Signal = max(0, min(e.Signal, 64))
	e.User, e.System, e.MaxRSS = max(0, e.User), max(0, e.System), max(0, e.MaxRSS)
	e.Lost = printable(e.Lost)
	return e
}

func parse(payload []byte, to any) error {
	if err := json.Unmarshal(payload, to); err != nil {
		return fmt.Errorf("%w: %w", link.ErrBroken, err)
	}
	return nil
}

// printable makes a guest's words fit for a person's terminal.
func printable(s string) string {
	const most = 1 << 10
	if len(s) > most {
		s = s[:most] + "…"
	}
	var b []rune
	for _, r := range s {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' {
			r = '?'
		}
		b = append(b, r)
	}
	return string(b)
}
