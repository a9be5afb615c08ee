package wine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"muster/internal/guest"
	"muster/internal/job"
)

// instance is a set of servers that share drives. How many there are at first is
// planned (Spread); another is opened when all have as many programs as they can take.
type instance struct {
	guest  *Guest
	node   *node
	place  guest.Place
	drives drives
	lean   bool
	mark   string
	crowd  Crowd

	life     context.Context // ends with Close: of the servers that are being opened
	end      context.CancelFunc
	openings sync.WaitGroup // of further servers
	watchers sync.WaitGroup // of servers
	closing  sync.Mutex     // held by Close

	starts sync.RWMutex // held for reading while a program is being started

	mu      sync.Mutex
	servers []*server // that have come up, the dead too
	next    int       // number of the next server
	more    *opening  // of another server; nil: none is under way
	closed  bool
}

// opening is a server on its way, for all who wait for it.
type opening struct {
	done chan struct{}
	err  error // valid once done is closed
}

func newInstance(g *Guest, n *node, p guest.Place) *instance {
	i := &instance{
		guest: g, node: n, place: p, lean: p.Node.Boot != BootFull, mark: guest.Mark(p.Env),
		crowd: Spread(p.Programs, n.files, runtime.NumCPU()),
	}
	i.life, i.end = context.WithCancel(context.Background())
	return i
}

// open brings the planned servers up, all or none: who fails leaves it to Close
// to take the others down.
func (i *instance) open(ctx context.Context) error {
	servers := make([]*server, i.crowd.Servers)
	clone := errgroup.Group{}
	clone.SetLimit(inFlight)
	for n := range servers {
		s := i.newServer()
		servers[n] = s
		clone.Go(func() error { return i.cloneFor(s) })
	}
	if err := clone.Wait(); err != nil {
		return err
	}
	i.told(job.PhaseCloned)
	boot, ctx := errgroup.WithContext(ctx)
	boot.SetLimit(inFlight)
	for _, s := range servers {
		boot.Go(func() error { return i.boot(ctx, s) })
	}
	if err := boot.Wait(); err != nil {
		return err
	}
	i.told(job.PhaseBooted)
	return nil
}

// inFlight is how many servers of an instance come up at the same time: enough to
// keep processors busy while some wait, and few enough that each is up within its limit.
const inFlight = 8

func (i *instance) told(phase job.Phase) {
	if i.place.Events != nil {
		i.place.Events.Phase(phase)
	}
}

// Start implements guest.Instance.
func (i *instance) Start(ctx context.Context, c guest.Command) (guest.Process, error) {
	s, err := i.pick(ctx)
	if err != nil {
		return nil, err
	}
	p, err := i.startUnlessClosed(s, c)
	if err != nil {
		s.load.Add(-1)
		if !s.alive() && !i.Alive() {
			return nil, guest.ErrDead
		}
		return nil, err
	}
	return p, nil
}

// startUnlessClosed starts a program on s. Close waits for it, and finds what it has started.
func (i *instance) startUnlessClosed(s *server, c guest.Command) (*process, error) {
	i.starts.RLock()
	defer i.starts.RUnlock()
	if i.isClosed() {
		return nil, guest.ErrDead
	}
	p, err := i.startOn(s, c)
	if err == nil && !s.up() {
		// The server died meanwhile, and who buried it may not have seen the program, which
		// would start a server of its own.
		_, err = p.family().Kill(context.Background())
	}
	return p, err
}

func (i *instance) isClosed() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.closed
}

// pick claims a place on the server with the fewest programs. When all have as many as
// they can take it waits for another server, which it may be the first to ask for.
func (i *instance) pick(ctx context.Context) (*server, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, more, err := i.claim()
		if s != nil || err != nil {
			return s, err
		}
		select {
		case <-more.done:
			if more.err != nil {
				return nil, fmt.Errorf("opening another Wine server: %w", more.err)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// claim claims a place on a server, or says which opening to wait for.
func (i *instance) claim() (*server, *opening, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil, nil, guest.ErrDead
	}
	var best *server
	for _, s := range i.servers {
		if s.up() && (best == nil || s.load.Load() < best.load.Load()) {
			best = s
		}
	}
	if best == nil {
		return nil, nil, guest.ErrDead
	}
	if best.load.Load() < int64(i.crowd.Each) {
		best.load.Add(1)
		return best, nil, nil
	}
	if i.more == nil {
		i.more = &opening{done: make(chan struct{})}
		i.openings.Go(i.openMore)
	}
	return nil, i.more, nil
}

// openMore opens another server, for whoever waits for it.
func (i *instance) openMore() {
	s := i.newServer()
	err := i.cloneFor(s)
	if err == nil {
		err = i.boot(i.life, s)
	} else {
		err = errors.Join(err, s.remove())
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.more.err = err
	close(i.more.done)
	i.more = nil
}

func (i *instance) newServer() *server {
	i.mu.Lock()
	defer i.mu.Unlock()
	id := i.place.ID + "." + strconv.Itoa(i.next)
	s := &server{
		table: i.guest.table, undertaker: i.guest.undertaker, wine: i.node.wine, holds: i.node.holds, user: i.node.user, profile: i.node.profile, lean: i.lean, id: id,
		home:  home(filepath.Join(i.place.Dir, strconv.Itoa(i.next))),
		marks: append(slices.Clone(i.place.Env), envServer+"="+id),
		cpus:  i.place.CPUs,
	}
	if !i.lean {
		s.wine, s.holds = s.wine.plain(), s.wine.plain().Loader // as Wine is, in everything
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
	if err := clone(i.node.tree, i.node.steps, s.home, temp, i.lean); err != nil {
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
	i.mu.Lock()
	defer i.mu.Unlock()
	i.servers = append(i.servers, s)
	i.watchers.Go(s.watch)
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

// Parts implements guest.Crowded.
func (i *instance) Parts() (up, each int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, s := range i.servers {
		if s.up() {
			up++
		}
	}
	return up, i.crowd.Each
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
	return i.guest.table.Family(i.mark).Signal(sig)
}

// Close implements guest.Instance. Nothing in a clone is worth a graceful end,
// so everything is killed: a server that is asked to end can hang.
func (i *instance) Close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	i.closing.Lock()
	defer i.closing.Unlock()
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.end()
	i.openings.Wait()
	i.starts.Lock() // nobody starts anything any more
	i.mu.Lock()
	servers := i.servers
	i.servers = nil
	i.mu.Unlock()
	i.starts.Unlock()
	// The servers first: the end of a program costs one that lives more than that of all costs the dead.
	for _, s := range servers {
		s.fell()
	}
	_, err := i.guest.table.Family(i.mark).Kill(ctx)
	errs := []error{err}
	i.watchers.Wait()
	for _, s := range servers {
		errs = append(errs, s.remove())
	}
	return errors.Join(append(errs, guest.EmptyDir(i.place.Dir), guest.EmptyDir(i.place.Temp))...)
}
