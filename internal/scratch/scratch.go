// Package scratch makes and removes the folders on a node in which agents keep
// everything that is to vanish with them.
package scratch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	"muster/internal/proc"
)

// Folder is a folder on the node that belongs to one agent, with everything
// that is to vanish with it. Its lock file is held by the keeper and by the agent, so the
// lock is free exactly when both are gone.
type Folder struct {
	Dir   string
	Token string   // names the agent among all that ever ran here: the marks hold it
	Lock  *os.File // open and locked
}

// Home is the folder of all this user's scratch folders below root, made
// if need be. Another user's folder of that name is refused: what is in it
// could be changed under us.
func Home(root string) (string, error) {
	dir := filepath.Join(root, "muster-"+strconv.Itoa(os.Geteuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("making the scratch folder: %w", err)
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("looking at the scratch folder: %w", err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.IsDir() || int(sys.Uid) != os.Geteuid() || st.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s is not a folder of yours alone (0700); remove it, or set MUSTER_SCRATCH to another place", dir)
	}
	return dir, nil
}

// New makes a scratch folder below root, and removes those that dead
// agents have left there.
func New(root string) (*Folder, error) {
	home, err := Home(root)
	if err != nil {
		return nil, err
	}
	Sweep(root)
	dir := filepath.Join(home, newToken())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the scratch folder: %w", err)
	}
	// Locked before it gets its name, or another's Sweep could take it for a dead one's.
	lock, err := os.OpenFile(dir+".new", os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = os.Rename(dir+".new", dir+".lock")
	}
	if err != nil {
		os.Remove(dir)
		return nil, fmt.Errorf("locking the scratch folder: %w", err)
	}
	return &Folder{Dir: dir, Token: filepath.Base(dir), Lock: lock}, nil
}

// newToken is a name that no agent on any node has: twins of an element share an output
// folder. It is short, since guests keep sockets in a folder of that name.
func newToken() string { return "a" + strings.ToLower(rand.Text()[:12]) }

// Remove removes the folder and its lock.
func (s *Folder) Remove() error {
	err := guest.RemoveAll(s.Dir)
	if err == nil {
		err = os.Remove(s.Dir + ".lock")
	}
	s.Lock.Close()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// buryLimit bounds the wait for processes that do not end.
const buryLimit = 5 * time.Second

// bury ends what carries the marks of a dead agent, and removes its folder. As
// long as anything of it is alive, the folder stays for the next time.
func (s *Folder) bury() {
	ctx, done := context.WithTimeout(context.Background(), buryLimit)
	defer done()
	if _, err := proc.KillMarked(ctx, s.marks); err != nil {
		s.Lock.Close()
		return
	}
	_ = s.Remove()
}

// marks reports whether an environment holds a mark of this agent.
func (s *Folder) marks(env []string) bool {
	return slices.ContainsFunc(env, func(kv string) bool {
		name, value, _ := strings.Cut(kv, "=")
		return (name == guest.EnvInstance || name == guest.EnvTask) && strings.HasSuffix(value, "@"+s.Token)
	})
}

// Sweep removes the scratch folders below root whose agent and keeper
// have both been killed, and first ends what these have left running: where
// there was no PID namespace nobody else does. It is done by every agent's start and by resume;
// what cannot be removed is left for the next time.
func Sweep(root string) {
	home, err := Home(root)
	if err != nil {
		return
	}
	names, err := os.ReadDir(home)
	if err != nil {
		return
	}
	for _, n := range names {
		name, isLock := strings.CutSuffix(n.Name(), ".lock")
		if !isLock {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(home, n.Name()), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			dead := Folder{Dir: filepath.Join(home, name), Token: name, Lock: lock}
			dead.bury()
			continue
		}
		lock.Close()
	}
}
