package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/rundir"
)

// shelf keeps the agent's instances, by the isolation that was asked for: one
// per task, per lane, or as few for the node as the guest's limits allow.
type shelf struct {
	a      *agent
	mu     sync.Mutex
	shared []*slot            // isolation node
	number int                // of instances opened so far
	live   map[*instance]bool // every one: true when it is open, false while it comes up
}

// slot holds an instance for its users, and opens another when it has died.
type slot struct {
	mu   sync.Mutex
	name string
	lane int // −1: shared
	cpus []int
	inst *instance
}

// instance is an open instance with its place.
type instance struct {
	guest.Instance
	id   string
	dir  string
	temp string
}

func newShelf(a *agent) *shelf {
	s := &shelf{a: a, live: map[*instance]bool{}}
	if a.spec.Isolation == job.IsolateNode {
		n := 1
		if per := a.traits.PerInstance; per > 0 {
			n = (a.together() + per - 1) / per
		}
		for k := range n {
			s.shared = append(s.shared, &slot{name: fmt.Sprintf("node%d", k), lane: -1})
		}
	}
	return s
}

// together is how many programs the node has at the same time.
func (a *agent) together() int {
	if a.spec.Launch != nil {
		return len(a.share.Calls)
	}
	return a.share.Lanes
}

// programs is how many programs an instance has at the same time.
func (s *shelf) programs() int {
	if n := len(s.shared); n > 0 {
		return (s.a.together() + n - 1) / n
	}
	return 1
}

// width is how many CPUs an instance is meant to use: its program's threads, or those of all that share it.
func (a *agent) width() int {
	threads := max(a.share.Threads, 1)
	if a.spec.Isolation == job.IsolateNode {
		threads *= a.together()
	}
	return max(min(threads, len(cpusAllowed())), 1)
}

// slotOf is the slot that a lane uses.
func (s *shelf) slotOf(lane int, cpus []int) *slot {
	if len(s.shared) > 0 {
		return s.shared[lane%len(s.shared)]
	}
	return &slot{name: fmt.Sprintf("lane%d", lane), lane: lane, cpus: cpus}
}

// get returns the slot's instance, alive.
func (s *shelf) get(ctx context.Context, sl *slot) (*instance, error) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.inst != nil && sl.inst.Alive() {
		return sl.inst, nil
	}
	if err := s.put(ctx, sl); err != nil {
		return nil, err
	}
	inst, err := s.open(ctx, sl.name, sl.lane, sl.cpus)
	sl.inst = inst
	return inst, err
}

// put closes the slot's instance, if it has one. The caller holds sl.mu.
func (s *shelf) put(ctx context.Context, sl *slot) error {
	inst := sl.inst
	if inst == nil {
		return nil
	}
	sl.inst = nil
	return s.discard(ctx, inst, sl.lane)
}

// release closes the slot's instance unless others share it.
func (s *shelf) release(ctx context.Context, sl *slot) error {
	if sl.lane < 0 {
		return nil
	}
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return s.put(ctx, sl)
}

// close closes the shared instances.
func (s *shelf) close(ctx context.Context) error {
	var errs []error
	for _, sl := range s.shared {
		sl.mu.Lock()
		errs = append(errs, s.put(ctx, sl))
		sl.mu.Unlock()
	}
	return errors.Join(errs...)
}

// open opens an instance. Its ID tells which use of which slot it is.
func (s *shelf) open(ctx context.Context, name string, lane int, cpus []int) (*instance, error) {
	a := s.a
	s.mu.Lock()
	s.number++
	// The folder's name is short: guests keep sockets below it.
	inst := &instance{
		id:   fmt.Sprintf("%s.%d", name, s.number),
		dir:  filepath.Join(a.Scratch, instancesDir, strconv.Itoa(s.number)),
		temp: filepath.Join(a.Scratch, "t", strconv.Itoa(s.number)),
	}
	s.mu.Unlock()
	if err := errors.Join(os.Mkdir(inst.dir, 0o700), os.Mkdir(inst.temp, 0o700)); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", guest.ErrBoot, err), inst.remove())
	}
	ev := &phases{a: a, id: inst.id, lane: lane, last: a.journal.Now()}
	place := guest.Place{
		ID: inst.id, Dir: inst.dir, Temp: inst.temp, Node: a.node, Folders: a.folders, Drives: a.spec.Drives, CPUs: cpus, Events: ev,
		Env: []string{inst.mark(a.token)}, Programs: s.programs(),
	}
	if k := a.share.PerLane; k > 1 && lane >= 0 {
		place.Group, place.Number, place.Members = fmt.Sprintf("lane%d", lane/k), lane%k, k
	}
	_, err := s.watched(inst, func() (guest.Instance, error) { return a.guest.Open(ctx, place) })
	if err != nil {
		if ctx.Err() == nil {
			ev.failed(err)
		}
		return nil, errors.Join(err, inst.remove())
	}
	return inst, nil
}

// watched opens inst with open, and keeps an eye on it from the beginning on, for
// those who stop and continue instances.
func (s *shelf) watched(inst *instance, open func() (guest.Instance, error)) (guest.Instance, error) {
	note := func(up bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.live[inst] = up
	}
	note(false)
	opened, err := open()
	if err != nil {
		s.forget(inst)
		return nil, err
	}
	inst.Instance = opened
	note(true)
	return opened, nil
}

func (s *shelf) forget(inst *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, inst)
}

// mark is what every process of the instance has in its environment.
func (i *instance) mark(token string) string { return guest.EnvInstance + "=" + i.id + "@" + token }

// standing lists the open instances, and the marks of those that are coming up.
func (s *shelf) standing() (open []guest.Instance, comingUp []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for inst, up := range s.live {
		if up {
			open = append(open, inst.Instance)
		} else {
			comingUp = append(comingUp, inst.mark(s.a.token))
		}
	}
	return open, comingUp
}

// all lists the open instances.
func (s *shelf) all() (open []*instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for inst, up := range s.live {
		if up {
			open = append(open, inst)
		}
	}
	return open
}

// remove removes the instance's folders, which are empty.
func (i *instance) remove() error {
	var errs []error
	for _, dir := range []string{i.dir, i.temp} {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// discard closes an instance and removes its folder.
func (s *shelf) discard(ctx context.Context, inst *instance, lane int) error {
	ev := &phases{a: s.a, id: inst.id, lane: lane, last: s.a.journal.Now()}
	if err := inst.Close(ctx); err != nil {
		return fmt.Errorf("closing instance %s: %w", inst.id, err)
	}
	s.forget(inst)
	if err := inst.remove(); err != nil {
		return fmt.Errorf("closing instance %s: %w", inst.id, err)
	}
	ev.Phase(job.PhaseDiscarded)
	return nil
}

// phases journals an instance's phases.
type phases struct {
	a    *agent
	id   string
	lane int
	last time.Duration // when the phase that is under way began
}

// Phase implements guest.Events.
func (p *phases) Phase(phase job.Phase) { p.record(phase, "", "") }

func (p *phases) failed(err error) { p.record(job.PhaseBooted, job.CauseBoot, err.Error()) }

func (p *phases) record(phase job.Phase, cause job.Cause, text string) {
	now := p.a.journal.Now()
	err := p.a.journal.Append(rundir.Record{Kind: rundir.KindInstance, At: now, Instance: &rundir.InstancePhase{
		ID: p.id, Lane: p.lane, Phase: phase, Began: p.last, Cause: cause, Text: text,
	}})
	if err != nil {
		p.a.Log.Error("writing a phase", "err", err)
	}
	p.last = now
}
