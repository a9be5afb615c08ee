// Package inside is the guest's half of package wire: it starts programs, sends and receives
// trees, and leaves what only the guest's system can do to an interface.
//
// It runs in the guest, as root and believing its host, in a program that has to be small. In tests
// it runs as an ordinary process on the host, at the other end of a socket pair.
package inside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"muster/internal/guest/vm/wire"
	"muster/internal/guest/vm/wire/link"
	"muster/internal/guest/vm/wire/tree"
)

// System is what a guest's system can do.
type System interface {
	// Hello says what the guest is; version, nonce and cells are filled in.
	Hello() wire.Hello
	// Settle makes the guest itself.
	Settle(wire.Settings) error
	// Quit brings the file systems to rest. No program runs any more.
	Quit() error
	// Off takes the power away, after the host was told. In a guest it returns only when that fails.
	Off() error
}

// Server serves one host.
type Server struct {
	system   System
	children *Children
	link     *link.Link
	work     sync.WaitGroup
	over     chan error // the power is off, or could not be taken away

	mu       sync.Mutex
	parts    map[uint32][]byte // beginnings of long messages
	programs map[uint32]*program
	closed   bool // no more programs
}

// Serve speaks on the stream until it ends, or the power is taken away: then it returns nil. All programs have ended when it returns.
func Serve(stream io.ReadWriteCloser, system System, children *Children) error {
	s := &Server{
		system:   system,
		children: children,
		over:     make(chan error, 1),
		parts:    map[uint32][]byte{},
		programs: map[uint32]*program{},
	}
	ready := make(chan struct{})
	s.link = link.Open(stream, func(kind link.Kind, id uint32, payload []byte) error {
		<-ready
		return s.take(kind, id, payload)
	})
	close(ready)
	var err error
	select {
	case err = <-s.over:
	case <-s.link.Done():
		err = s.link.Err()
	}
	s.endPrograms()
	s.link.Close()
	s.work.Wait()
	return err
}

// take hears one message. It must not wait, so that whatever does has a goroutine of its own. Channels are opened
// here, before anything can come in them.
func (s *Server) take(kind link.Kind, id uint32, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == wire.More {
		if len(s.parts[id])+len(payload) > wire.MaxMessage {
			return fmt.Errorf("%w: a message of more than %d bytes", link.ErrBroken, wire.MaxMessage)
		}
		s.parts[id] = append(s.parts[id], payload...)
		return nil
	}
	if part := s.parts[id]; part != nil {
		payload = append(part, payload...)
		delete(s.parts, id)
	}
	switch kind {
	case wire.Greet:
		return request(payload, func(g wire.Greeting) { s.work.Go(func() { s.welcome(g) }) })
	case wire.Settle:
		return request(payload, func(set wire.Settings) { s.answer(id, func() error { return s.system.Settle(set) }) })
	case wire.Start:
		return request(payload, func(r wire.StartRequest) { s.start(id, r) })
	case wire.Signal:
		return request(payload, func(r wire.SignalRequest) {
			p := s.programs[r.Program]
			s.answer(id, func() error { return p.signal(syscall.Signal(r.Signal)) })
		})
	case wire.Put:
		return request(payload, func(r wire.TreeRequest) {
			in := s.link.Reader(id + wire.Input)
			s.answer(id, func() error { return put(in, string(r.Dir)) })
		})
	case wire.Get:
		return request(payload, func(r wire.TreeRequest) {
			out := s.link.Writer(id + wire.Output)
			s.answer(id, func() error { return get(out, string(r.Dir)) })
		})
	case wire.Remove:
		return request(payload, func(r wire.TreeRequest) {
			s.answer(id, func() error { return os.RemoveAll(string(r.Dir)) })
		})
	case wire.Rest:
		s.answer(id, s.children.cells.stock)
		return nil
	case wire.PowerOff:
		s.work.Go(func() { s.powerOff(id) })
		return nil
	default:
		return fmt.Errorf("%w: a message of kind %d", link.ErrBroken, kind)
	}
}

// request reads a request and does what it asks for.
func request[R any](payload []byte, do func(R)) error {
	var r R
	if err := json.Unmarshal(payload, &r); err != nil {
		return fmt.Errorf("%w: %w", link.ErrBroken, err)
	}
	do(r)
	return nil
}

// say sends a message. When the link has ended there is nobody to tell.
func (s *Server) say(kind link.Kind, id uint32, what any) {
	b, err := json.Marshal(what)
	if err == nil {
		err = s.link.Send(context.Background(), kind, id, b)
	}
	if err != nil && s.link.Err() == nil {
		fmt.Fprintln(os.Stderr, "muster-init: answering the host:", err)
	}
}

// answer does something and says what came of it.
func (s *Server) answer(id uint32, do func() error) {
	s.work.Go(func() { s.reply(id, do()) })
}

func (s *Server) reply(id uint32, err error) {
	var r wire.Reply
	if err != nil {
		r.Error = err.Error()
		var errno syscall.Errno
		if errors.As(err, &errno) {
			r.Errno = int(errno)
		}
	}
	s.say(wire.Answer, id, r)
}

func (s *Server) welcome(g wire.Greeting) {
	h := s.system.Hello()
	h.Version, h.Nonce, h.Cells = wire.Version, g.Nonce, s.children.cells.here()
	s.say(wire.Welcome, 0, h)
}

func put(in *link.Reader, dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		_, err = tree.Receive(in, dir, tree.Limits{})
	}
	if err != nil {
		in.Stop(err)
	}
	return err
}

func get(out *link.Writer, dir string) error {
	_, err := tree.Send(context.Background(), out, dir, tree.Keep)
	if err != nil {
		out.Abort(err)
		return err
	}
	return out.Close()
}

// endPrograms kills all programs, and lets no new ones start.
func (s *Server) endPrograms() {
	s.mu.Lock()
	s.closed = true
	var all []*program
	for _, p := range s.programs {
		all = append(all, p)
	}
	s.mu.Unlock()
	for _, p := range all {
		_ = p.signal(syscall.SIGKILL)
	}
	for _, p := range all {
		<-p.gone
	}
}

func (s *Server) powerOff(id uint32) {
	s.endPrograms()
	s.reply(id, s.system.Quit())
	_ = s.link.Flush(context.Background())
	s.over <- s.system.Off()
}
