// Package native is the guest without an environment of its own: programs run
// as they are, on this system. An instance is a private temporary folder and
// the marks by which everything started in it is found again.
package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/proc"
)

// Guest is the native driver's node half.
type Guest struct{ table *proc.Table }

// New makes the driver; table starts its programs.
func New(table *proc.Table) *Guest { return &Guest{table} }

// Traits implements guest.Guest.
func (g *Guest) Traits() guest.Traits {
	// The smallest static program.
	return guest.Traits{Name: "native", Hears: true, Program: guest.Load{Memory: 64 << 10, Tasks: 1, Open: 3}}
}

// Prepare implements guest.Guest. There is nothing to prepare.
func (g *Guest) Prepare(context.Context, guest.Node) error { return nil }

// Open implements guest.Guest.
func (g *Guest) Open(ctx context.Context, p guest.Place) (guest.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tmp := p.Temp
	if tmp == "" {
		tmp = filepath.Join(p.Dir, "tmp")
		if err := os.Mkdir(tmp, 0o700); err != nil {
			return nil, fmt.Errorf("%w: its temporary folder: %w", guest.ErrBoot, err)
		}
	}
	if p.Events != nil {
		p.Events.Phase(job.PhaseCloned)
		p.Events.Phase(job.PhaseBooted)
	}
	return &instance{table: g.table, place: p, tmp: tmp, mark: guest.Mark(p.Env)}, nil
}

type instance struct {
	table  *proc.Table
	place  guest.Place
	tmp    string
	mark   string
	closed atomic.Bool
	number atomic.Int64 // of programs with folders of their own
}

func (i *instance) Start(ctx context.Context, c guest.Command) (guest.Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if i.closed.Load() {
		return nil, guest.ErrDead
	}
	cpus := c.CPUs
	if cpus == nil {
		cpus = i.place.CPUs
	}
	tmp, own := i.tmp, ""
	if c.Private {
		own = filepath.Join(i.tmp, "own."+strconv.FormatInt(i.number.Add(1), 10))
		if err := os.Mkdir(own, 0o700); err != nil {
			return nil, fmt.Errorf("making the program's own folder for temporary files: %w", err)
		}
		tmp = own
	}
	child, err := i.table.Start(proc.Cmd{
		Path: c.Program, Args: append([]string{c.Program}, c.Args...), Dir: c.Dir,
		Env:   i.env(c.Env, tmp),
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		CPUs: cpus, Ended: c.Ended,
	})
	if err != nil {
		return nil, errors.Join(err, tidy(own))
	}
	return &process{child: child, own: own}, nil
}

// env puts a temporary folder and the instance's marks into the program's
// environment.
func (i *instance) env(program []string, tmp string) []string {
	env := make([]string, 0, len(program)+len(i.place.Env)+1)
	for _, kv := range program {
		if !strings.HasPrefix(kv, "TMPDIR=") {
			env = append(env, kv)
		}
	}
	return append(append(env, "TMPDIR="+tmp), i.place.Env...)
}

func (i *instance) Path(host string) (string, error) { return host, nil }

func (i *instance) Alive() bool { return !i.closed.Load() }

// Owns: a native instance has no processes of its own.
func (i *instance) Owns(int, []string) bool { return false }

func (i *instance) Control(ctx context.Context, op job.Op) error {
	var sig syscall.Signal
	switch op {
	case job.OpSuspend:
		sig = syscall.SIGSTOP
	case job.OpContinue:
		sig = syscall.SIGCONT
	default:
		return fmt.Errorf("a native instance cannot %s", op)
	}
	return i.table.Family(i.mark).Signal(sig)
}

func (i *instance) Close(ctx context.Context) error {
	i.closed.Store(true)
	// A cancelled context must not leave processes behind.
	ctx = context.WithoutCancel(ctx)
	_, killErr := i.table.Family(i.mark).Kill(ctx)
	return errors.Join(killErr, guest.EmptyDir(i.place.Dir), guest.EmptyDir(i.place.Temp))
}

type process struct {
	child *proc.Child
	own   string // its folder for temporary files; "": the instance's
}

// tidy removes a program's own folder.
func tidy(own string) error {
	if own == "" {
		return nil
	}
	return guest.RemoveAll(own)
}

func (p *process) PID() int { return p.child.PID() }

func (p *process) Wait(ctx context.Context) (job.Exit, error) {
	e, err := p.child.Wait(ctx)
	if err == nil {
		tidy(p.own) // what cannot be removed goes with the instance
	}
	if err == nil && e.Signal != 0 {
		e.Detail = "killed by " + unix.SignalName(syscall.Signal(e.Signal))
	}
	return e, err
}

func (p *process) Terminate(context.Context) error { return p.child.SignalGroup(syscall.SIGTERM) }

func (p *process) Control(ctx context.Context, op job.Op) error {
	below := p.child.Family()
	switch op {
	case job.OpCancel:
		_, err := below.Kill(ctx)
		return err
	case job.OpSuspend:
		return below.Signal(syscall.SIGSTOP)
	case job.OpContinue:
		return below.Signal(syscall.SIGCONT)
	}
	return fmt.Errorf("a program cannot %s", op)
}

// Front is the native driver's submitting half.
type Front struct{}

// Name implements guest.Front.
func (Front) Name() string { return "native" }

// Recognise implements guest.Front: everything that is executable runs natively.
func (Front) Recognise(program string) (bool, string, error) {
	if err := Executable(program); err != nil {
		return false, "", err
	}
	return true, "native program", nil
}

// Check implements guest.Front.
func (Front) Check(_ context.Context, r guest.Request) (guest.Verdict, error) {
	if err := Executable(r.Program); err != nil {
		return guest.Verdict{}, err
	}
	if windows(r.Program) {
		return guest.Verdict{}, fmt.Errorf("%w: %s is a Windows program, and this system does not start those itself; --guest wine runs it", guest.ErrUnfit, r.Program)
	}
	return guest.Verdict{OK: true, Line: filepath.Base(r.Program) + ": runs natively"}, nil
}

// windows reports whether a program begins as those of Windows do, and the kernel
// has no handler (binfmt_misc) that starts them with something else.
func windows(program string) bool {
	const handlers = "/proc/sys/fs/binfmt_misc"
	found, _ := os.ReadDir(handlers)
	for _, h := range found {
		if text, err := os.ReadFile(filepath.Join(handlers, h.Name())); err == nil && strings.Contains(string(text), "magic 4d5a") {
			return false
		}
	}
	f, err := os.Open(program)
	if err != nil {
		return false // executable, and not readable: fine
	}
	defer f.Close()
	var start [2]byte
	_, err = io.ReadFull(f, start[:])
	return err == nil && string(start[:]) == "MZ"
}

// Aliases implements guest.Front: every name is fine.
func (Front) Aliases(string) func(names []string) []string {
	return func(names []string) []string { return make([]string, len(names)) }
}

// Image implements guest.Front: there is none.
func (Front) Image(context.Context, guest.Request, func(string)) (guest.Image, error) {
	return guest.Image{}, nil
}

// Executable says, in one line, why a file cannot be run as a program.
func Executable(program string) error {
	st, err := os.Stat(program)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %s is not there", guest.ErrUnfit, program)
	case err != nil:
		return fmt.Errorf("%w: %w", guest.ErrUnfit, err)
	case st.IsDir():
		return fmt.Errorf("%w: %s is a folder, not a program", guest.ErrUnfit, program)
	case !st.Mode().IsRegular():
		return fmt.Errorf("%w: %s is not a file", guest.ErrUnfit, program)
	}
	if err := syscall.Access(program, 1); err != nil {
		return fmt.Errorf("%w: %s is not executable; chmod +x it, or name its interpreter after --", guest.ErrUnfit, program)
	}
	return nil
}
