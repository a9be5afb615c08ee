package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"muster/internal/guest"
	"muster/internal/guest/vm/wire"
	"muster/internal/guest/vm/wire/tree"
)

// folder is a folder of a program's that has a copy in the guest.
type folder struct {
	host, guest string // host "": nothing is in it
	follow      bool   // links are replaced by what they lead to
	back        bool   // it is brought back
}

// carrier brings folders into a guest and back. Programs may have a folder in common: it is brought in for each, brought back after
// each, and removed from the guest after the last.
type carrier struct {
	host *wire.Host

	mu     sync.Mutex
	copies map[string]*copied // by the folder's name in the guest
}

// copied is a folder's copy in the guest.
type copied struct {
	mu    sync.Mutex // held while something is done with it
	users int        // guarded by carrier.mu
}

func newCarrier(h *wire.Host) *carrier { return &carrier{host: h, copies: map[string]*copied{}} }

// plan lists what a command wants to have carried.
func (n names) plan(c guest.Command) ([]folder, error) {
	var all []folder
	add := func(host string, follow, back bool) error {
		at, err := n.path(host)
		if err != nil {
			return err
		}
		all = append(all, folder{host, at, follow, back})
		return nil
	}
	for _, dir := range c.In {
		if err := add(dir, true, false); err != nil {
			return nil, err
		}
	}
	for _, dir := range c.Out {
		if err := add(dir, false, true); err != nil {
			return nil, err
		}
	}
	if _, ok := below(c.Dir, n.folders.Work, workDir); ok {
		if err := add(c.Dir, false, true); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// in brings the folders in. Those in which nothing is are left to whoever starts the program, to be made in the same breath: most
// are, and a request of its own is dear. When it fails none is left in the guest that no other program uses.
func (c *carrier) in(ctx context.Context, all []folder) (toMake []string, err error) {
	for i, f := range all {
		copy := c.use(f)
		bare, err := f.bare()
		switch {
		case err != nil:
		case bare:
			toMake = append(toMake, f.guest)
			copy.mu.Lock() // whoever was removing it has done so; nobody else will
			copy.mu.Unlock()
		default:
			err = c.put(ctx, copy, f)
		}
		if err != nil {
			return nil, errors.Join(err, c.leave(context.WithoutCancel(ctx), all[:i+1]))
		}
	}
	return toMake, nil
}

// bare reports whether nothing is in a folder.
func (f folder) bare() (bool, error) {
	if f.host == "" {
		return true, nil
	}
	dir, err := os.Open(f.host)
	if err != nil {
		return false, fmt.Errorf("bringing %s into the guest: %w", f.host, err)
	}
	defer dir.Close()
	_, err = dir.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

func (c *carrier) put(ctx context.Context, copy *copied, f folder) error {
	copy.mu.Lock()
	defer copy.mu.Unlock()
	links := tree.Keep
	if f.follow {
		links = tree.Follow
	}
	_, err := c.host.Put(ctx, f.guest, f.host, links)
	return err
}

// out brings back what is to be brought back, and gives the folders up.
func (c *carrier) out(ctx context.Context, all []folder) error {
	var errs []error
	for _, f := range all {
		if f.back {
			errs = append(errs, c.get(ctx, f))
		}
	}
	return errors.Join(append(errs, c.leave(ctx, all))...)
}

func (c *carrier) get(ctx context.Context, f folder) error {
	c.mu.Lock()
	copy := c.copies[f.guest]
	c.mu.Unlock()
	copy.mu.Lock()
	defer copy.mu.Unlock()
	_, err := c.host.Get(ctx, f.guest, f.host, tree.Limits{})
	return err
}

// use says that a folder is wanted in the guest.
func (c *carrier) use(f folder) *copied {
	c.mu.Lock()
	defer c.mu.Unlock()
	copy := c.copies[f.guest]
	if copy == nil {
		copy = &copied{}
		c.copies[f.guest] = copy
	}
	copy.users++
	return copy
}

// leave gives folders up, and removes those from the guest that nobody uses any more.
func (c *carrier) leave(ctx context.Context, all []folder) error {
	var errs []error
	for _, f := range all {
		c.mu.Lock()
		copy := c.copies[f.guest]
		copy.users--
		c.mu.Unlock()
		errs = append(errs, c.remove(ctx, copy, f))
	}
	return errors.Join(errs...)
}

// remove removes a folder's copy unless it is wanted. Who wants it from here on brings it in anew, after this.
func (c *carrier) remove(ctx context.Context, copy *copied, f folder) error {
	copy.mu.Lock()
	defer copy.mu.Unlock()
	c.mu.Lock()
	wanted := copy.users > 0
	c.mu.Unlock()
	if wanted {
		return nil
	}
	return c.host.Remove(ctx, f.guest)
}
