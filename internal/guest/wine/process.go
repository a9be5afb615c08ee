package wine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"muster/internal/guest"
	"muster/internal/guest/wine/exitcode"
	"muster/internal/guest/wine/winpe"
	"muster/internal/job"
	"muster/internal/proc"
)

// process is one program under a server.
type process struct {
	server *server
	child  *proc.Child
	mark   string // envProgram=…
	file   string // the program's, on the host
	native bool   // it is a program of this system

	once   sync.Once
	stderr stderr
	own    *profile // nil: it shares its server's
	exit   job.Exit
}

// startOn starts a program under s.
func (i *instance) startOn(s *server, c guest.Command) (*process, error) {
	if _, err := os.Stat(c.Program); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Program, err)
	}
	number := s.number.Add(1)
	p := &process{server: s, file: c.Program, mark: envProgram + "=" + s.id + "." + strconv.FormatInt(number, 10)}
	own := s.profile
	if c.Private {
		own = own.own(number)
		if err := own.make(s.home, s.lean); err != nil {
			return nil, err
		}
		p.own = &own
	}
	path, argv, env, err := i.composed(s, p, own, c)
	if err != nil {
		return nil, errors.Join(err, p.tidy())
	}
	p.stderr = stderrOf(c.Stderr)
	cpus := c.CPUs
	if cpus == nil {
		cpus = i.place.CPUs
	}
	p.child, err = startHumble(i.guest.table, proc.Cmd{
		Path: path, Args: argv, Dir: c.Dir, Env: append(env, p.mark),
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		CPUs: cpus, Limits: noCore, Ended: c.Ended,
	})
	if err != nil {
		p.stderr.close()
		return nil, errors.Join(err, p.tidy())
	}
	return p, nil
}

// composed is what is started for a program, and its environment.
func (i *instance) composed(s *server, p *process, own profile, c guest.Command) (path string, argv, env []string, err error) {
	if p.native = native(c.Program); p.native {
		env, err = i.nativeEnviron(s, own, c.Env)
		return c.Program, append([]string{c.Program}, c.Args...), env, err
	}
	program, err := i.Path(c.Program)
	if err != nil {
		program = c.Program // Wine takes host paths as well
	}
	args, more, err := commandLine(program, c.Args)
	if err != nil {
		return "", nil, nil, err
	}
	return s.wine.Loader, append([]string{s.wine.Loader}, args...), append(s.environOf(own, exitcode.Debug, c.Env), more...), nil
}

// PID implements guest.Process.
func (p *process) PID() int { return p.child.PID() }

// Wait implements guest.Process.
func (p *process) Wait(ctx context.Context) (job.Exit, error) {
	e, err := p.child.Wait(ctx)
	if err != nil {
		return job.Exit{}, err
	}
	p.once.Do(func() { p.exit = p.finish(e) })
	return p.exit, nil
}

// finish says how the program came to its end.
func (p *process) finish(e job.Exit) job.Exit {
	defer p.stderr.close()
	defer p.server.load.Add(-1)
	var told job.Exit
	// Wine ends programs with code 0 when their server is gone.
	switch {
	case !p.server.alive():
		told = exitcode.InstanceDied(e.Code, e.Signal)
	case p.native:
		told = e
	default:
		told = exitcode.Classify(e.Code, e.Signal, p.stderr.tail())
	}
	if told.Cause == job.CauseExit && !p.native {
		// Wine hands what is no program to its start.exe, which says nothing useful.
		if _, err := winpe.Read(p.file); err != nil {
			told.Cause, told.Detail = job.CauseCannotLoad, err.Error()
		}
	}
	p.tidy() // what cannot be removed goes with the instance
	told.User, told.System, told.MaxRSS = e.User, e.System, e.MaxRSS
	return told
}

// tidy removes what the program had of its own.
func (p *process) tidy() error {
	if p.own == nil {
		return nil
	}
	return p.own.remove(p.server.home, p.server.lean)
}

// family is the program and what it has started, but for what serves others.
func (p *process) family() proc.Family {
	return p.child.Family(p.mark).But(func(i proc.Info) bool { return isSystem(i.PID) })
}

// Terminate implements guest.Process. Windows programs know no SIGTERM: Wine
// ends them.
func (p *process) Terminate(ctx context.Context) error {
	if p.over() {
		return nil
	}
	return p.family().Signal(syscall.SIGTERM)
}

// Control implements guest.Process.
func (p *process) Control(ctx context.Context, op job.Op) error {
	switch op {
	case job.OpCancel:
		_, err := p.family().Kill(ctx)
		return err
	case job.OpSuspend:
		return p.family().Signal(syscall.SIGSTOP)
	case job.OpContinue:
		return p.family().Signal(syscall.SIGCONT)
	}
	return fmt.Errorf("a program cannot %s", op)
}

// over reports whether the program's first process has ended.
func (p *process) over() bool {
	select {
	case <-p.child.Done():
		return true
	default:
		return false
	}
}
