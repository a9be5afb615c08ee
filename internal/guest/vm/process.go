package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	"muster/internal/guest/vm/wire"
	"muster/internal/job"
)

// process is a program in a guest.
type process struct {
	inst    *instance
	program *wire.Program
	carried []folder
	streams []*os.File // the driver's own descriptors of them

	done chan struct{} // closed when exit is set
	exit job.Exit
}

// own duplicates the streams of a command: a caller may close its own once Start has returned, and the guest's
// output is written until the end.
func own(c guest.Command) (s wire.Streams, all []*os.File, err error) {
	dup := func(f *os.File) (*os.File, error) {
		if f == nil {
			return nil, nil
		}
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("keeping a stream: %w", err)
		}
		d := os.NewFile(uintptr(fd), f.Name())
		all = append(all, d)
		return d, nil
	}
	var errs [3]error
	s.In, errs[0] = dup(c.Stdin)
	s.Out, errs[1] = dup(c.Stdout)
	if c.Stderr != nil && c.Stderr == c.Stdout {
		s.Err = s.Out
	} else {
		s.Err, errs[2] = dup(c.Stderr)
	}
	return s, all, errors.Join(errs[:]...)
}

// watch waits for the program's end, brings back what it has left, and tells.
func (p *process) watch(ended func()) {
	e, err := p.program.Wait(context.Background())
	p.exit = p.conclude(e, err)
	for _, f := range p.streams {
		f.Close()
	}
	close(p.done)
	if ended != nil {
		ended()
	}
}

// conclude says how the program ended.
func (p *process) conclude(e wire.Exit, err error) job.Exit {
	if errors.Is(err, wire.ErrGone) {
		return job.Exit{Cause: job.CauseInstance, Detail: p.inst.died()}
	}
	out := exitOf(e)
	if err == nil {
		err = p.inst.carrier.out(p.inst.life, p.carried)
	}
	switch {
	case err == nil:
	case errors.Is(err, wire.ErrGone) || !p.inst.Alive():
		return job.Exit{Cause: job.CauseInstance, Detail: p.inst.died()}
	case out.OK():
		out.Cause, out.Detail = job.CausePublish, oneLine(err)
	default:
		out.Detail += "; " + oneLine(err)
	}
	return out
}

// exitOf says in the project's words how a program ended in the guest.
func exitOf(e wire.Exit) job.Exit {
	out := job.Exit{Code: e.Code, Signal: e.Signal, User: e.User, System: e.System, MaxRSS: e.MaxRSS}
	switch {
	case e.OutOfMemory && (e.Signal != 0 || e.Code != 0):
		out.Cause, out.Detail = job.CauseOOM, "the guest had no memory left for it; --mem gives it more"
	case e.Signal != 0:
		out.Cause, out.Detail = job.CauseSignal, "killed by "+unix.SignalName(syscall.Signal(e.Signal))
	case e.Code != 0:
		out.Cause = job.CauseExit
	}
	return out
}

// Wait implements guest.Process.
func (p *process) Wait(ctx context.Context) (job.Exit, error) {
	select {
	case <-p.done:
		return p.exit, nil
	default:
	}
	select {
	case <-p.done:
		return p.exit, nil
	case <-ctx.Done():
		return job.Exit{}, ctx.Err()
	}
}

// PID implements guest.Process: the host knows the machine alone.
func (p *process) PID() int { return p.inst.machine.PID() }

// Terminate implements guest.Process.
func (p *process) Terminate(ctx context.Context) error { return p.signal(ctx, syscall.SIGTERM) }

// Control implements guest.Process.
func (p *process) Control(ctx context.Context, op job.Op) error {
	switch op {
	case job.OpCancel:
		return p.signal(ctx, syscall.SIGKILL)
	case job.OpSuspend:
		return p.signal(ctx, syscall.SIGSTOP)
	case job.OpContinue:
		return p.signal(ctx, syscall.SIGCONT)
	}
	return fmt.Errorf("a program cannot %s", op)
}

// signal sends a signal to the program; one that has ended with its guest needs none.
func (p *process) signal(ctx context.Context, sig syscall.Signal) error {
	err := p.program.Signal(ctx, sig)
	if errors.Is(err, wire.ErrGone) {
		return nil
	}
	return err
}
