package inside

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"muster/internal/guest/vm/wire"
	"muster/internal/guest/vm/wire/link"
)

// program is a program that the host has asked for.
type program struct {
	server *Server
	id     uint32
	in     *link.Reader // standard input; nil: none

	begun chan struct{} // closed when it has started, or failed to
	gone  chan struct{} // closed when everything of it has gone

	child *child // nil: it did not start
	cell  *cell
}

// start begins a program, under the server's lock.
func (s *Server) start(id uint32, r wire.StartRequest) {
	p := &program{server: s, id: id, begun: make(chan struct{}), gone: make(chan struct{})}
	if s.closed {
		s.answer(id, func() error { return errors.New("the guest is being shut down") })
		return
	}
	if r.Input {
		p.in = s.link.Reader(id + wire.Input)
	}
	s.programs[id] = p
	s.work.Go(func() { p.run(r) })
}

// run is the program's life.
func (p *program) run(r wire.StartRequest) {
	defer func() {
		p.server.mu.Lock()
		delete(p.server.programs, p.id)
		p.server.mu.Unlock()
		close(p.gone)
	}()
	streams, err := p.launch(r)
	close(p.begun)
	p.server.reply(p.id, err)
	if err != nil {
		if p.in != nil {
			p.in.Stop(err)
		}
		return
	}
	streams.begin(p)
	<-p.child.ended
	p.sweep()
	streams.finish(p)
	p.server.say(wire.Ended, p.id, p.exit())
	p.server.children.cells.shut(p.cell)
}

// launch starts the process.
func (p *program) launch(r wire.StartRequest) (*streams, error) {
	dir := string(r.Dir)
	if dir == "" {
		dir = "/"
	}
	for _, name := range r.Make {
		if err := os.MkdirAll(string(name), 0o755); err != nil {
			return nil, err
		}
	}
	if st, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("working folder: %w", err)
	} else if !st.IsDir() {
		return nil, fmt.Errorf("working folder %s: %w", dir, syscall.ENOTDIR)
	}
	streams, err := openStreams(p, r)
	if err != nil {
		return nil, err
	}
	defer streams.closeTheirs()
	if p.cell, err = p.server.children.cells.open(); err != nil {
		streams.closeOurs()
		return nil, err
	}
	path := string(r.Path)
	argv := append([]string{path}, texts(r.Args)...)
	sys := &syscall.SysProcAttr{Setsid: true}
	p.cell.attach(sys)
	p.child, err = p.server.children.start(path, argv, &syscall.ProcAttr{Dir: dir, Env: texts(r.Env), Files: streams.fds(), Sys: sys})
	if err != nil {
		streams.closeOurs()
		p.cell.remove()
		return nil, &os.PathError{Op: "start", Path: path, Err: err}
	}
	return streams, nil
}

func texts(b [][]byte) []string {
	s := make([]string, len(b))
	for i := range b {
		s[i] = string(b[i])
	}
	return s
}

// signal: see wire.Program.Signal. A program that is just being started is waited for.
func (p *program) signal(sig syscall.Signal) error {
	if p == nil {
		return nil // it has ended
	}
	<-p.begun
	if p.child == nil {
		return nil
	}
	select {
	case <-p.gone:
		return nil
	default:
	}
	var err error
	switch sig {
	case syscall.SIGKILL:
		err = p.kill()
	case syscall.SIGSTOP, syscall.SIGCONT:
		err = p.halt(sig)
	default:
		err = p.server.children.signal(p.child, sig)
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil // the cell has gone, and with it the program
	}
	return err
}

func (p *program) kill() error {
	if p.cell != nil {
		return p.cell.kill()
	}
	return p.each(syscall.SIGKILL)
}

func (p *program) halt(sig syscall.Signal) error {
	if p.cell != nil {
		return p.cell.freeze(sig == syscall.SIGSTOP)
	}
	return p.each(sig)
}

// each sends a signal to all of the program where there are no cells: its group, and all below it.
func (p *program) each(sig syscall.Signal) error {
	err := p.server.children.signal(p.child, sig)
	for _, pid := range session(p.child.pid) {
		_ = syscall.Kill(pid, sig)
	}
	return err
}

// sweep ends what the program has left behind.
func (p *program) sweep() {
	p.cell.clear(drain)
	if p.cell != nil {
		return
	}
	for range 100 {
		left := session(p.child.pid)
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
}

func (p *program) exit() wire.Exit {
	status, usage := p.child.status, p.child.usage
	e := wire.Exit{
		User:        time.Duration(usage.Utime.Nano()),
		System:      time.Duration(usage.Stime.Nano()),
		MaxRSS:      usage.Maxrss << 10,
		OutOfMemory: p.cell.outOfMemory(),
	}
	if status.Signaled() {
		e.Signal = int(status.Signal())
	} else {
		e.Code = status.ExitStatus()
	}
	return e
}
