package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"muster/internal/guest/vm/wire/link"
)

// Command is a program to start, in the guest's words. Its texts may hold any byte but NUL.
type Command struct {
	Path string   // absolute
	Args []string // without the program's name
	Env  []string // NAME=VALUE; all of it
	Dir  string   // "": /
	Make []string // folders that are made before, if they are not there
}

// Streams are a program's standard streams: regular files, which the caller opens and closes, but not before Wait
// has told of the end. Nil: none (input is empty, output is dropped). Out and Err may be the same file: then the order between them is kept, too.
type Streams struct {
	In, Out, Err *os.File
}

// Program is a program that was started in the guest.
type Program struct {
	host  *Host
	id    uint32
	path  string
	ended func()
	work  sync.WaitGroup // copies of the streams
	stop  func()         // ends the copy of standard input
	read  []*link.Reader // its output

	mu      sync.Mutex
	lost    error // what of the output could not be kept
	started bool  // Start has succeeded
	over    bool  // it has ended

	done chan struct{} // closed when exit and err are set
	exit Exit
	err  error
}

// Start starts a program and returns when it runs, after execve(2). An error that is a GuestError is the program's
// own trouble (not found, not executable); errors.Is tells which. ended, if not nil, is called once when the program
// has ended and all that it wrote is in the files; it must not wait for anything, and may be called before Start returns.
func (h *Host) Start(ctx context.Context, c Command, s Streams, ended func()) (*Program, error) {
	p := &Program{host: h, id: h.conversation(), path: c.Path, ended: ended, done: make(chan struct{}), stop: func() {}}
	merged := s.Out != nil && s.Out == s.Err
	request := StartRequest{
		Path: []byte(c.Path), Args: bytesOf(c.Args), Env: bytesOf(c.Env), Dir: []byte(c.Dir), Make: bytesOf(c.Make),
		Input: s.In != nil, Output: s.Out != nil, Errors: s.Err != nil && !merged, Merged: merged,
	}
	// The channels are open before the guest can use them.
	if request.Output {
		p.receive(Output, s.Out, "standard output")
	}
	if request.Errors {
		p.receive(Errors, s.Err, "standard error")
	}
	asked := make(chan struct{}) // closed when the guest has been asked: before, it would not know the channel
	if request.Input {
		in := h.link.Writer(p.id + Input)
		p.stop = func() { in.Abort(errEnded) }
		p.work.Go(func() {
			<-asked
			feed(in, s.In)
		})
	}
	h.mu.Lock()
	if h.programs != nil {
		h.programs[p.id] = p
	}
	h.mu.Unlock()
	doing := "starting " + c.Path + " in the guest"
	answer := h.expect(p.id)
	defer h.forget(p.id)
	err := h.say(ctx, Start, p.id, request)
	if err != nil {
		err = fmt.Errorf("%s: %w", doing, err)
		p.stop()
	}
	close(asked)
	if err == nil {
		err = h.hear(ctx, answer, doing)
	}
	if err != nil {
		p.abandon(err)
		return nil, err
	}
	p.mu.Lock()
	p.started = true
	over := p.over
	p.mu.Unlock()
	if over {
		p.tell()
	}
	return p, nil
}

// receive keeps what comes in a channel.
func (p *Program) receive(channel uint32, to *os.File, name string) {
	r := p.host.link.Reader(p.id + channel)
	p.read = append(p.read, r)
	p.work.Go(func() { p.keep(r, to, name) })
}

// tell says that the program has ended.
func (p *Program) tell() {
	if p.ended != nil {
		p.ended()
	}
}

func bytesOf(texts []string) [][]byte {
	b := make([][]byte, len(texts))
	for i, t := range texts {
		b[i] = []byte(t)
	}
	return b
}

// errEnded is why nobody wants a channel any more.
var errEnded = errors.New("the program has ended")

// abandon lets go of a program that did not start. Where nobody knows whether it did, it is killed.
func (p *Program) abandon(why error) {
	h := p.host
	h.mu.Lock()
	delete(h.programs, p.id)
	h.mu.Unlock()
	p.stop()
	for _, r := range p.read {
		r.Stop(errEnded)
	}
	p.work.Wait()
	if refused := new(GuestError); !errors.As(why, &refused) {
		id := h.conversation()
		go func() { // for as long as the link lasts, at most
			_ = h.say(context.Background(), Signal, id, SignalRequest{Program: p.id, Signal: int(syscall.SIGKILL)})
		}()
	}
}

// keep writes what the program writes to a file.
func (p *Program) keep(r *link.Reader, to *os.File, name string) {
	_, err := io.Copy(onlyWriter{to}, r)
	if err == nil {
		return
	}
	r.Stop(err) // the program gets EPIPE, as near to a full disk as a pipe comes
	if errors.Is(err, errEnded) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost == nil {
		p.lost = fmt.Errorf("keeping the %s of %s: %w", name, p.path, err)
	}
}

// feed gives the program its standard input. What the program does not want is not an error.
func feed(w *link.Writer, from *os.File) {
	if _, err := io.Copy(w, onlyReader{from}); err != nil {
		w.Abort(err)
		return
	}
	_ = w.Close()
}

// onlyWriter and onlyReader hide a file's short cuts, which would read a channel by way of a pipe.
type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }

// end takes the news of the program's end, under the Host's lock. What it wrote was sent before, but may not be in the files yet.
func (p *Program) end(e Exit, err error) {
	p.host.ending.Go(func() {
		p.stop()
		p.work.Wait()
		p.conclude(e, err)
	})
}

// conclude tells everybody.
func (p *Program) conclude(e Exit, err error) {
	p.mu.Lock()
	if err == nil {
		err = p.lost
	}
	if err == nil && e.Lost != "" {
		err = fmt.Errorf("keeping the output of %s: %s", p.path, e.Lost)
	}
	p.exit, p.err = e, err
	close(p.done)
	p.over = true
	started := p.started
	p.mu.Unlock()
	if started {
		p.tell()
	}
}

// Wait waits until the program has ended, everything else of it in the guest is gone too, and all that it wrote is in
// the files. An error other than ctx's and ErrGone says that output could not be kept; Exit is then true nevertheless.
func (p *Program) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.done:
		return p.exit, p.err
	case <-ctx.Done():
		return Exit{}, context.Cause(ctx)
	}
}

// Signal sends a signal to the program's process group. SIGKILL, SIGSTOP and SIGCONT reach everything that the program has
// started. No error when it has ended.
func (p *Program) Signal(ctx context.Context, sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	id := p.host.conversation()
	return p.host.ask(ctx, Signal, id, SignalRequest{Program: p.id, Signal: int(sig)}, "signalling "+p.path+" in the guest")
}
