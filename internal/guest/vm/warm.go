package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"muster/internal/guest"
	"muster/internal/guest/vm/machine"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/guest/vm/wire"
	"muster/internal/job"
)

// warm has a node's guests resumed instead of booted. A state that does not come to life is made anew once, and then done without.
type warm struct {
	node   *node
	states states

	mu    sync.Mutex
	kinds map[string]*warmKind // by the key of the state
}

// warmKind is one kind of machine: those with the same number of CPUs.
type warmKind struct {
	mu      sync.Mutex // held while its state is found or made
	state   *state
	remade  bool // the state was made anew, since another did not come to life
	without bool // there is none to be had
}

// statesLimit is how much is kept that nobody uses.
const statesLimit = 8 << 30

func newWarm(n *node) *warm {
	return &warm{node: n, states: states{filepath.Join(n.Keep, SavedFolder), statesLimit}, kinds: map[string]*warmKind{}}
}

func (w *warm) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, k := range w.kinds {
		if k.state != nil {
			errs = append(errs, k.state.close())
		}
	}
	return errors.Join(errs...)
}

// warmUp has the state made that most instances want, one CPU each. What goes wrong with it is told, and is not the node's failure.
func (n *node) warmUp(ctx context.Context) error {
	c := n.config(guest.Place{}, "", "")
	if n.options.net == NetSlot {
		ours, card, err := pair()
		if err != nil {
			return err
		}
		defer ours.Close()
		defer card.Close()
		c.Net.Socket = card
	}
	_, kind, err := n.warm.kind(c)
	if err == nil {
		_, err = n.warm.get(ctx, kind, c, nil)
	}
	return err
}

func (w *warm) kind(c machine.Config) (key string, _ *warmKind, err error) {
	if key, err = w.node.host.StateKey(c); err != nil {
		return "", nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.kinds[key]
	if k == nil {
		k = &warmKind{}
		w.kinds[key] = k
	}
	return key, k, nil
}

// open resumes the instance. It reports false, without an error, where it has to be booted.
func (w *warm) open(ctx context.Context, i *instance, c machine.Config) (bool, error) {
	_, kind, err := w.kind(c)
	if err != nil {
		return false, err
	}
	var bad *state
	for {
		st, err := w.get(ctx, kind, c, bad)
		if err != nil || st == nil {
			return false, err
		}
		err = w.resume(ctx, i, c, st)
		if err == nil {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if !errors.Is(err, machine.ErrState) {
			return false, err
		}
		w.node.tell(fmt.Sprintf("a guest did not come to life from its saved state: %s", oneLine(err)))
		bad = st
	}
}

// resume makes the clone of a state and lets it run.
func (w *warm) resume(ctx context.Context, i *instance, c machine.Config, st *state) error {
	if err := w.node.cloneDisks(ctx, i.disks(), st.dir); err != nil {
		return err
	}
	i.told(job.PhaseCloned)
	m, err := w.node.host.Resume(ctx, c, st.dir)
	if err == nil {
		err = i.meet(ctx, m, wakeLimit)
		// What a guest refuses it would refuse from another state, too.
		if err != nil && ctx.Err() == nil && !errors.As(err, new(*wire.GuestError)) {
			err = fmt.Errorf("%w: %w", machine.ErrState, err)
		}
	}
	if err != nil {
		return errors.Join(err, w.node.removeDisks(i.disks()))
	}
	i.told(job.PhaseBooted)
	return nil
}

// get returns the state of a kind of machine, other than bad, and has it made if need be; nil: there is none to be had.
func (w *warm) get(ctx context.Context, k *warmKind, c machine.Config, bad *state) (*state, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if bad != nil && k.state == bad { // nobody has replaced it meanwhile
		k.without, k.remade = k.remade, true
		k.state = nil // its claim stays: others may be alive on it
		bad.condemn()
	}
	if k.state != nil || k.without {
		return k.state, nil
	}
	key, err := w.node.host.StateKey(c)
	if err != nil {
		return nil, err
	}
	st, _, err := w.states.get(ctx, key, bad, func(dir string) error { return w.save(ctx, c, dir) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		k.without = true
		w.node.tell("guests boot one by one, since none could be saved: " + oneLine(err))
		return nil, nil
	}
	k.state = st
	return st, nil
}

// save boots a guest and saves it in dir, when it waits for its first word of who it is.
func (w *warm) save(ctx context.Context, c machine.Config, dir string) error {
	payload := filepath.Join(dir, payloadDisk)
	if err := w.node.cloneDisks(ctx, dir, ""); err != nil {
		return err
	}
	if err := vmimage.WritePayload(ctx, payload, nil); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, savedImage), []byte(w.node.Image), 0o600); err != nil {
		return err
	}
	c.Disks = w.node.disks(dir, payload)
	m, err := w.node.host.BootToSave(ctx, c, dir)
	if err != nil {
		return err
	}
	h, err := greet(ctx, m, w.node.patience)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := rehearse(ctx, h); err != nil {
		return errors.Join(fmt.Errorf("having the guest do once what its clones will: %w", err), m.Close())
	}
	return w.node.host.Save(ctx, m)
}
