package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/scratch"
)

// Contain says how an agent's processes are held together.
type Contain string

const (
	// ContainAuto: a PID namespace where root or, for guests that do not mind a
	// user namespace, the system allows it; else the keeper alone.
	ContainAuto Contain = "auto"
	// ContainNamespace: a PID namespace, or nothing runs.
	ContainNamespace Contain = "namespace"
	// ContainKeeper: the keeper as subreaper.
	ContainKeeper Contain = "keeper"
)

// exitNoNamespace is how an agent says that it cannot be PID 1 here.
const exitNoNamespace = 97

// Descriptors that the keeper hands to the agent.
const (
	fdLock   = 3 // the scratch folder's lock
	fdKeeper = 4 // reads end-of-file when the keeper has gone
)

// Keeper is the agent's parent. Once it has staged what the agent needs it does no
// work: it lives to clean up when the agent is killed. What it starts ends with the agent, by the PID namespace or
// because the keeper is the subreaper of everything below it, and it removes
// the scratch folder then. It is the other way round when the keeper is killed: the
// agent notices and cleans up by itself.
type Keeper struct {
	Exe     string   // muster's own executable
	Args    []string // arguments that make it the agent, without the scratch folder
	Env     []string
	Root    string // node-local folder in which the scratch folder is made
	Contain Contain
	// UserNamespace: the guest does not mind running in a user namespace, which an
	// ordinary user's PID namespace needs (set-user-ID programs do not work in one, and
	// other users' files seem to belong to nobody).
	UserNamespace bool
	// Bury is called when the agent ended without saying goodbye, after everything
	// of it is gone.
	Bury   func(token string) error
	Stage  *Staging         // brings image and program to the node before the agent starts; nil: nothing is staged
	Warned <-chan os.Signal // gets the scheduler's warning that the time is nearly over, which is passed on; may be nil
	Log    *slog.Logger

	warned bool
}

// Run runs the agent until it ends and returns its exit code. When ctx ends the
// agent is told to stop, with SIGTERM, and waited for.
func (k *Keeper) Run(ctx context.Context) (int, error) {
	table, err := proc.NewTable()
	if err != nil {
		return 0, err
	}
	defer table.Close()
	folder, err := scratch.New(k.Root)
	if err != nil {
		return 0, err
	}
	code, err := k.stageAndRun(ctx, table, folder)
	// Not ctx: what is left must go also when we were told to stop.
	kill, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()
	left, killErr := table.Kill(kill, func(proc.Info) bool { return true })
	if left > 0 {
		k.Log.Warn("ended what the agent had left", "processes", left)
	}
	var buryErr error
	if err == nil && !saidGoodbye(code) && k.Bury != nil {
		buryErr = k.Bury(folder.Token)
	}
	return code, errors.Join(err, killErr, buryErr, folder.Remove())
}

// Exit codes of an agent that said goodbye to its journal; job.ExitRequeue is one, too.
const (
	exitDone    = 0
	exitStopped = 3
)

// saidGoodbye reports whether nothing is to be buried of an agent that ended so.
func saidGoodbye(code int) bool {
	return code == exitDone || code == exitStopped || code == job.ExitRequeue
}

// stageAndRun stages, and runs the agent for as long as what was staged is held.
func (k *Keeper) stageAndRun(ctx context.Context, table *proc.Table, folder *scratch.Folder) (code int, err error) {
	if k.Stage != nil {
		defer func() { err = errors.Join(err, k.Stage.Close()) }()
		if err := k.Stage.Do(ctx, folder); ctx.Err() != nil {
			return exitStopped, nil // nothing has begun
		} else if err != nil {
			return exitFailed, err
		}
	}
	return k.agent(ctx, table, folder)
}

func (k *Keeper) agent(ctx context.Context, table *proc.Table, folder *scratch.Folder) (int, error) {
	namespace := k.Contain == ContainNamespace ||
		k.Contain == ContainAuto && (os.Geteuid() == 0 || k.UserNamespace)
	for {
		code, err := k.once(ctx, table, folder, namespace)
		if namespace && (err != nil || code == exitNoNamespace) {
			if k.Contain == ContainNamespace {
				return code, fmt.Errorf("no PID namespace can be had here; use contain = keeper: %w", errors.Join(err, errors.ErrUnsupported))
			}
			namespace = false
			continue
		}
		return code, err
	}
}

func (k *Keeper) once(ctx context.Context, table *proc.Table, folder *scratch.Folder, namespace bool) (int, error) {
	alive, hold, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer hold.Close()
	args := append([]string{k.Exe}, k.Args...)
	args = append(args, "--scratch-dir", folder.Dir)
	if namespace {
		args = append(args, "--namespace")
		if err := tellOutside(folder); err != nil {
			k.Log.Warn("the agent will not know of limits outside of its namespace", "err", err)
		}
	}
	child, err := table.Start(proc.Cmd{
		Path: k.Exe, Args: args, Env: k.Env,
		Stdout: os.Stdout, Stderr: os.Stderr,
		Files:   append([]*os.File{folder.Lock, alive}, k.claims()...),
		Isolate: proc.Isolate{PID: namespace},
	})
	alive.Close()
	if err != nil {
		return 0, fmt.Errorf("starting the agent: %w", err)
	}
	k.watch(ctx, child)
	e, err := child.Wait(context.Background())
	if err != nil {
		return 0, err
	}
	if e.Signal != 0 {
		return 128 + e.Signal, nil
	}
	return e.Code, nil
}

// watch waits for the agent's end, and passes on what the scheduler says. A warning
// is passed on only after a while, and again and again: a process that has no handler
// yet would die of it, and one that executes itself anew has forgotten it.
func (k *Keeper) watch(ctx context.Context, agent *proc.Child) {
	tick := time.NewTicker(againEvery)
	defer tick.Stop()
	for {
		select {
		case <-agent.Done():
			return
		case <-ctx.Done():
			k.stop(agent)
			return
		case <-k.Warned:
			k.warned = true
		case <-tick.C:
			if !k.warned {
				continue
			}
			if err := agent.Signal(syscall.SIGUSR1); err != nil {
				k.Log.Error("warning the agent that the time is nearly over", "err", err)
			}
		}
	}
}

// keeperEnd is the agent's view of its keeper: a pipe that ends with it. It is
// never closed.
type keeperEnd struct{ pipe *os.File }

// againEvery is how often the agent is told the same.
const againEvery = time.Second

// stop tells the agent to stop until it has. Once is not enough: PID 1 of a
// namespace gets no signal that it has no handler for yet, and one that has executed itself anew has
// forgotten what it was told before.
func (k *Keeper) stop(agent *proc.Child) {
	tick := time.NewTicker(againEvery)
	defer tick.Stop()
	for {
		if err := agent.Signal(syscall.SIGTERM); err != nil {
			k.Log.Error("telling the agent to stop", "err", err)
		}
		select {
		case <-agent.Done():
			return
		case <-tick.C:
		}
	}
}

// claims are the locks of what was staged, for the agent to hold as well.
func (k *Keeper) claims() (locks []*os.File) {
	if k.Stage != nil {
		for _, u := range k.Stage.uses {
			locks = append(locks, u.Lock())
		}
	}
	return locks
}

// inherited takes over the descriptors that the keeper has handed to this
// process.
func inherited() (lock *os.File, keeper keeperEnd) {
	syscall.CloseOnExec(fdLock)
	syscall.CloseOnExec(fdKeeper)
	for n := range 2 { // image and program, where they were staged
		syscall.CloseOnExec(fdStaged + n)
	}
	return os.NewFile(fdLock, "scratch lock"), keeperEnd{os.NewFile(fdKeeper, "keeper")}
}

// watch returns a channel that is closed when the keeper has gone.
func (k keeperEnd) watch() <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		var b [1]byte
		for {
			if _, err := k.pipe.Read(b[:]); err != nil {
				return
			}
		}
	}()
	return gone
}

// gone reports whether the keeper has gone, also when watch has not told yet.
func (k keeperEnd) gone() bool {
	set := []unix.PollFd{{Fd: fdKeeper, Events: unix.POLLIN}}
	n, err := unix.Poll(set, 0)
	return err == nil && n > 0
}
