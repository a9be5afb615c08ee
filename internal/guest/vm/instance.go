package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/vm/machine"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/guest/vm/wire"
	"muster/internal/job"
	"muster/internal/proc"
)

// instance is a guest, alive: a machine, and a conversation with what runs in it.
type instance struct {
	node      *node
	place     guest.Place
	names     names
	machine   *machine.Machine
	host      *wire.Host
	carrier   *carrier
	port      *port       // on a segment; nil: there is none
	machineID string      // the guest's own, drawn for it
	phases    []job.Phase // that were told of; Open's alone

	life     context.Context // ends with Close: of what is being carried
	end      context.CancelFunc
	watchers sync.WaitGroup // of programs

	starts sync.RWMutex // held for reading while a program is being started, for writing by Close

	mu      sync.Mutex
	closed  bool
	stopped bool // by Control
	number  int  // of programs with folders of their own
}

// Path implements guest.Instance.
func (i *instance) Path(host string) (string, error) { return i.names.path(host) }

// Owns implements guest.Instance: of a guest's processes the host sees none, so what has its mark is the machine's.
func (i *instance) Owns(_ int, env []string) bool {
	return slices.Contains(env, guest.Mark(i.place.Env))
}

// Alive implements guest.Instance.
func (i *instance) Alive() bool {
	i.mu.Lock()
	closed := i.closed
	i.mu.Unlock()
	select {
	case <-i.host.Done():
		return false
	case <-i.machine.Done():
		return false
	default:
		return !closed
	}
}

// Start implements guest.Instance.
func (i *instance) Start(ctx context.Context, c guest.Command) (guest.Process, error) {
	i.starts.RLock()
	defer i.starts.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !i.Alive() {
		return nil, guest.ErrDead
	}
	p, err := i.start(ctx, c)
	if err != nil && ctx.Err() == nil && (errors.Is(err, wire.ErrGone) || !i.Alive()) {
		return nil, fmt.Errorf("%w: %s", guest.ErrDead, i.died())
	}
	return p, err
}

func (i *instance) start(ctx context.Context, c guest.Command) (_ guest.Process, err error) {
	in, carried, err := i.composed(c)
	if err != nil {
		return nil, err
	}
	p := &process{inst: i, carried: carried, done: make(chan struct{})}
	var streams wire.Streams
	streams, p.streams, err = own(c)
	defer func() {
		if err != nil {
			for _, f := range p.streams {
				f.Close()
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	if in.Make, err = i.carrier.in(ctx, carried); err != nil {
		return nil, err
	}
	if p.program, err = i.exec(ctx, in, streams); err != nil {
		return nil, errors.Join(err, i.carrier.leave(i.life, carried))
	}
	i.watchers.Go(func() { p.watch(c.Ended) })
	return p, nil
}

// exec starts a program. One of the guest's own may be in another of its folders than it is in on the host: systems
// differ in whether /bin is /usr/bin.
func (i *instance) exec(ctx context.Context, c wire.Command, s wire.Streams) (*wire.Program, error) {
	at := int64(-1) // of standard input, of which a program that was not started may have taken something
	if s.In != nil {
		if n, err := s.In.Seek(0, io.SeekCurrent); err == nil {
			at = n
		}
	}
	p, err := i.host.Start(ctx, c, s, nil)
	if !guestsOwn(c.Path) {
		return p, err
	}
	missing := err
	for _, dir := range programDirs {
		if !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
		if dir == path.Dir(c.Path) {
			continue
		}
		if at >= 0 {
			if _, err := s.In.Seek(at, io.SeekStart); err != nil {
				return nil, fmt.Errorf("going back in standard input: %w", err)
			}
		}
		other := c
		other.Path = path.Join(dir, path.Base(c.Path))
		p, err = i.host.Start(ctx, other, s, nil)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	return p, err
}

// composed says a command in the guest's words, and what is to be carried for it.
func (i *instance) composed(c guest.Command) (in wire.Command, carried []folder, err error) {
	if in.Path, err = i.names.path(c.Program); err != nil {
		return in, nil, fmt.Errorf("starting %s: %w", c.Program, err)
	}
	in.Args, in.Dir = c.Args, "/"
	if c.Dir != "" {
		if in.Dir, err = i.names.path(c.Dir); err != nil {
			return in, nil, fmt.Errorf("the working folder of %s: %w", c.Program, err)
		}
	}
	if carried, err = i.names.plan(c); err != nil {
		return in, nil, err
	}
	temp := tempDir
	if c.Private {
		i.mu.Lock()
		i.number++
		temp = path.Join(ownDir, strconv.Itoa(i.number))
		i.mu.Unlock()
		carried = append(carried, folder{guest: temp})
	}
	in.Env = environ(c.Env, temp)
	return in, carried, nil
}

// environ is a program's environment: its own, but for what only the guest can know.
func environ(program []string, temp string) []string {
	env := []string{"TMPDIR=" + temp, "HOME=" + homeDir}
	if temp != tempDir {
		env[1] = "HOME=" + temp
	}
	path := false
	for _, kv := range program {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "TMPDIR", "HOME", "TMP", "TEMP", guest.EnvInstance:
			continue
		case "PATH":
			path = true
		}
		env = append(env, kv)
	}
	if !path {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return env
}

// Control implements guest.Instance. The guest's clocks stand still meanwhile, and the machine as a process, too:
// whoever looks at the host sees that it is stopped. When it goes on, its clock is set.
func (i *instance) Control(ctx context.Context, op job.Op) error {
	if op != job.OpSuspend && op != job.OpContinue {
		return fmt.Errorf("a VM cannot %s", op)
	}
	went, err := i.stopOrGo(ctx, op)
	if err != nil || !went {
		return err
	}
	ctx, done := context.WithTimeout(ctx, clockLimit)
	defer done()
	// A guest that is stopped or closed once more meanwhile does not answer, and need not.
	if err := i.host.Settle(ctx, wire.Settings{Now: time.Now(), MachineID: i.machineID}); err != nil && i.Alive() && !i.suspended() {
		return fmt.Errorf("setting the guest's clock: %w", err)
	}
	return nil
}

// clockLimit is how long a guest that goes on may take until it has set its clock.
const clockLimit = 20 * time.Second

// stopOrGo stops the guest or lets it go on. It reports whether it goes on by this.
func (i *instance) stopOrGo(ctx context.Context, op job.Op) (went bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.closed || i.stopped == (op == job.OpSuspend):
		return false, nil
	case op == job.OpSuspend:
		if err := i.machine.Suspend(ctx); err != nil {
			return false, i.unlessDead(err)
		}
		i.stopped = true
		return false, i.process().Signal(syscall.SIGSTOP)
	}
	i.stopped = false
	if err := i.process().Signal(syscall.SIGCONT); err != nil {
		return false, err
	}
	if err := i.machine.Continue(ctx); err != nil {
		return false, i.unlessDead(err)
	}
	return true, nil
}

func (i *instance) suspended() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.stopped
}

// process is the machine as a process of the host.
func (i *instance) process() proc.Family { return i.node.guest.table.Family(guest.Mark(i.place.Env)) }

// unlessDead is err, but not when the machine has ended: then there is nothing to stop.
func (i *instance) unlessDead(err error) error {
	select {
	case <-i.machine.Done():
		return nil
	default:
		return err
	}
}

// How long a guest may take to power itself down, and what is left of that when nobody wants to wait.
const (
	powerGrace = 5 * time.Second
	fullGrace  = time.Minute // of a system that ends its services one by one
	shortGrace = time.Second
)

// graceFor is how long a guest of that kind may take.
func graceFor(kind vmimage.Kind) time.Duration {
	if kind == vmimage.Stripped {
		return powerGrace
	}
	return fullGrace
}

// Close implements guest.Instance.
func (i *instance) Close(ctx context.Context) error {
	i.mu.Lock()
	was, stopped := i.closed, i.stopped
	i.closed = true
	i.mu.Unlock()
	i.starts.Lock() // nobody starts anything any more
	defer i.starts.Unlock()
	if !was && !stopped {
		i.powerOff(ctx)
	}
	i.end()
	err := i.machine.Close()
	i.host.Close()
	i.watchers.Wait()
	return errors.Join(err, i.offline(), guest.EmptyDir(i.place.Dir), guest.EmptyDir(i.place.Temp))
}

// powerOff asks the guest to end, and waits for it as long as the grace is.
func (i *instance) powerOff(ctx context.Context) {
	grace := graceFor(i.node.image.Kind)
	if ctx.Err() != nil {
		grace = shortGrace
	}
	limit, done := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer done()
	if i.host.PowerOff(limit) != nil {
		return
	}
	select {
	case <-i.machine.Done():
	case <-limit.Done():
	}
}

// died says how the guest came to its end, in one line.
func (i *instance) died() string {
	i.mu.Lock()
	closed := i.closed
	i.mu.Unlock()
	if closed {
		return "the guest was closed"
	}
	return "the guest has ended: " + oneLine(i.why())
}

// why is why the machine has ended, or else why the guest is not heard any more.
func (i *instance) why() error {
	// The stream ends a moment before the process.
	limit, done := context.WithTimeout(context.Background(), goneGrace)
	defer done()
	if end, err := i.machine.Wait(limit); err == nil {
		return errors.New(end.String())
	}
	return i.host.Err()
}

// goneGrace is how long a machine whose stream has ended is given to end.
const goneGrace = 2 * time.Second

func oneLine(err error) string {
	if err == nil {
		return "nobody knows why"
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", "; ")), " ")
}

// told tells that a phase has ended, once: a clone may take a second try.
func (i *instance) told(phase job.Phase) {
	if i.place.Events != nil && !slices.Contains(i.phases, phase) {
		i.phases = append(i.phases, phase)
		i.place.Events.Phase(phase)
	}
}
