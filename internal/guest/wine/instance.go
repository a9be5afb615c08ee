package wine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"muster/internal/guest"
	"muster/internal/job"
)

// instance is a set of servers that share drives: one, and more when there are
// more programs at once than one can serve.
type instance struct {
	guest  *Guest
	node   *node
	place  guest.Place
	drives drives
	lean   bool
	mark   string

	mu      sync.Mutex
	servers []*server
	next    int  // number of the next server
	closed  bool //
	pending sync.WaitGroup
}

// Start implements guest.Instance.
func (i *instance) Start(ctx context.Context, c guest.Command) (guest.Process, error) {
	s, err := i.pick(ctx)
	if err != nil {
		return nil, err
	}
	p, err := i.startOn(s, c)
	if err != nil {
		s.load.Add(-1)
		if !s.alive() {
			return nil, guest.ErrDead
		}
		return nil, err
	}
	return p, nil
}

// pick claims a place on the server with the fewest programs, and opens another
// server when all have as many as they can take.
func (i *instance) pick(ctx context.Context) (*server, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil, guest.ErrDead
	}
	var best *server
	for _, s := range i.servers {
		if s.alive() && (best == nil || s.load.Load() < best.load.Load()) {
			best = s
		}
	}
	if best == nil {
		return nil, guest.ErrDead
	}
	if best.load.Load() >= i.node.clients {
		// Under the lock: whoever comes meanwhile needs it as well.
		s, err := i.openServer(ctx)
		if err != nil {
			return nil, fmt.Errorf("opening another Wine server: %w", err)
		}
		best = s
	}
	best.load.Add(1)
	return best, nil
}

// openServer clones and boots a server. The caller holds the lock.
func (i *instance) openServer(ctx context.Context) (*server, error) {
	s := i.newServer()
	if err := i.cloneFor(s); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	if err := i.boot(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

func (i *instance) newServer() *server {
	id := i.place.ID + "." + strconv.Itoa(i.next)
	s := &server{
		table: i.guest.table, wine: i.node.wine, user: i.node.user, lean: i.lean, id: id,
		home:  home(filepath.Join(i.place.Dir, strconv.Itoa(i.next))),
		marks: append(slices.Clone(i.place.Env), envServer+"="+id),
		cpus:  i.place.CPUs,
	}
	i.next++
	return s
}

// cloneFor makes the prefix of s.
func (i *instance) cloneFor(s *server) error {
	if err := os.Mkdir(string(s.home), 0o700); err != nil {
		return fmt.Errorf("making the prefix: %w", err)
	}
	temp := i.place.Temp
	if temp != "" {
		temp = filepath.Join(temp, filepath.Base(string(s.home)))
		if err := os.Mkdir(temp, 0o700); err != nil {
			return fmt.Errorf("making the folder for temporary files: %w", err)
		}
	}
	if err := clone(i.node.tree, i.node.steps, s.home, temp); err != nil {
		return fmt.Errorf("making the prefix: %w", err)
	}
	return i.drives.link(s.home.prefix())
}

// boot starts s; when that fails nothing of it is left.
func (i *instance) boot(ctx context.Context, s *server) error {
	limit, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	if err := s.start(limit); err != nil {
		return errors.Join(err, s.kill(context.WithoutCancel(ctx)), s.remove())
	}
	i.servers = append(i.servers, s)
	i.pending.Go(s.watch)
	return nil
}

// Path implements guest.Instance. Besides the drives, it knows where the image's
// own files are.
func (i *instance) Path(host string) (string, error) {
	for _, root := range []string{filepath.Join(i.node.tree, prefixName, "drive_c"), filepath.Join(i.place.Dir, "0", ".wine", "drive_c")} {
		if rel, ok := strings.CutPrefix(filepath.Clean(host), root+"/"); ok {
			return `C:\` + strings.ReplaceAll(rel, "/", `\`), nil
		}
	}
	return i.drives.path(host)
}

// Alive implements guest.Instance.
func (i *instance) Alive() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.closed && slices.ContainsFunc(i.servers, (*server).alive)
}

// Owns implements guest.Instance: what carries the instance's mark and no
// task's is the instance's, and so are Windows' own services and the desktop, though the task that
// first needed one has started it and left its mark on it.
func (i *instance) Owns(pid int, env []string) bool {
	if !slices.Contains(env, i.mark) {
		return false
	}
	if !slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, envProgram+"=") }) {
		return true
	}
	return isSystem(pid)
}

// systemPrograms are the programs of Windows that serve all others under a
// server and outlive who started them.
var systemPrograms = []string{
	"services.exe", "winedevice.exe", "plugplay.exe", "svchost.exe", "rpcss.exe",
	"explorer.exe", "spoolsv.exe", "wineboot.exe", holderName,
}

// isSystem reports whether a process is one of those, from Windows' own folder.
func isSystem(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return false
	}
	program, _, _ := strings.Cut(string(b), "\x00")
	program = strings.ToLower(program)
	at := strings.LastIndexByte(program, '\\')
	dir := program[:max(at, 0)]
	return slices.Contains(systemPrograms, program[at+1:]) && (dir == `c:\windows\system32` || dir == `c:\windows`)
}

// Control implements guest.Instance.
func (i *instance) Control(ctx context.Context, op job.Op) error {
	var sig syscall.Signal
	switch op {
	case job.OpSuspend:
		sig = syscall.SIGSTOP
	case job.OpContinue:
		sig = syscall.SIGCONT
	default:
		return fmt.Errorf("a Wine instance cannot %s", op)
	}
	return i.guest.table.SignalAll(i.guest.table.Marked(i.mark), sig)
}

// Close implements guest.Instance. Nothing in a clone is worth a graceful end,
// so everything is killed: a server that is asked to end can hang.
func (i *instance) Close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	var errs []error
	for _, s := range i.servers {
		errs = append(errs, s.kill(ctx))
	}
	_, err := i.guest.table.Kill(ctx, i.guest.table.Marked(i.mark))
	errs = append(errs, err)
	i.pending.Wait()
	for _, s := range i.servers {
		errs = append(errs, s.remove())
	}
	i.servers = nil
	return errors.Join(append(errs, guest.EmptyDir(i.place.Dir), guest.EmptyDir(i.place.Temp))...)
}
