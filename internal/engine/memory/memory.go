// Package memory is an engine for tests: arrays are kept in memory and end with
// the process. Elements are real processes, or calls of a Go function.
package memory

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// Options says how elements are run: by Table, or by Run when that is given.
type Options struct {
	Table *proc.Table // runs Array.Argv as a process

	// Run stands for an element's program. Its ctx ends when the element is
	// cancelled or has run for Array.Time; what it returns is the element's Exit.
	Run func(ctx context.Context, c Call) job.Exit

	KillWait time.Duration // between SIGTERM and SIGKILL; 0: 1 s
	MaxArray int           // told in Info; nothing is really split
}

// Call is an element for Options.Run.
type Call struct {
	ID      engine.ID
	Element int       // from 1
	Array   job.Array // its Env includes what the engine adds
}

// Engine keeps arrays in memory. Close it.
type Engine struct {
	o     Options
	ctx   context.Context // ends with Close
	close context.CancelFunc
	work  sync.WaitGroup

	mu     sync.Mutex
	arrays []*array // array ID n is arrays[n−1]
}

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Waiter = (*Engine)(nil)
)

// New returns an engine without arrays.
func New(o Options) *Engine {
	if o.KillWait == 0 {
		o.KillWait = time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Engine{o: o, ctx: ctx, close: cancel}
}

// Close cancels every array and returns when nothing runs any more.
func (e *Engine) Close() error {
	e.close()
	e.work.Wait()
	return nil
}

// Info tells that arrays do not survive this process.
func (e *Engine) Info(ctx context.Context, _ job.Resource) (engine.Info, error) {
	return engine.Info{
		Name:        "memory",
		Version:     "1",
		Nodes:       1,
		CPUs:        1,
		Memory:      1 << 30,
		MaxArray:    e.o.MaxArray,
		KillWait:    e.o.KillWait,
		Description: "arrays in this process's memory",
	}, ctx.Err()
}

const idPrefix = "memory-"

func (e *Engine) find(id engine.ID) *array {
	digits, ok := strings.CutPrefix(string(id), idPrefix)
	n, err := strconv.Atoi(digits)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !ok || err != nil || n < 1 || n > len(e.arrays) {
		return nil
	}
	return e.arrays[n-1]
}

// Submit starts the array's goroutines.
func (e *Engine) Submit(ctx context.Context, a job.Array) (engine.ID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := engine.Check(a); err != nil {
		return "", err
	}
	var after []*array
	for _, id := range a.After {
		before := e.find(engine.ID(id))
		if before == nil {
			return "", fmt.Errorf("array %q: %w: it is to wait for %q, which is no array of this engine", a.Tag, engine.ErrRefused, id)
		}
		after = append(after, before)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	id := engine.ID(idPrefix + strconv.Itoa(len(e.arrays)+1))
	x := newArray(e, id, a)
	e.arrays = append(e.arrays, x)
	e.work.Go(func() { x.conduct(after) })
	return id, nil
}

// Find looks through all arrays.
func (e *Engine) Find(ctx context.Context, tag string) ([]engine.ID, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []engine.ID
	for _, x := range e.arrays {
		if x.spec.Tag == tag {
			out = append(out, x.id)
		}
	}
	return out, ctx.Err()
}

// Status tells how the arrays stand.
func (e *Engine) Status(ctx context.Context, ids ...engine.ID) ([]engine.Report, error) {
	out := make([]engine.Report, len(ids))
	for i, id := range ids {
		out[i] = engine.Report{ID: id, State: job.Gone}
		if x := e.find(id); x != nil {
			out[i] = x.report()
		}
	}
	return out, ctx.Err()
}

// Wait returns when the arrays have ended or ctx has.
func (e *Engine) Wait(ctx context.Context, ids ...engine.ID) error {
	for _, id := range ids {
		x := e.find(id)
		if x == nil {
			continue
		}
		select {
		case <-x.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// Control cancels, holds and releases; suspending is refused.
func (e *Engine) Control(ctx context.Context, id engine.ID, op job.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if op != job.OpCancel && op != job.OpHold && op != job.OpRelease {
		return fmt.Errorf("%s of %s: %w: the memory engine only cancels, holds and releases", op, id, engine.ErrRefused)
	}
	if x := e.find(id); x != nil {
		x.control(op)
	}
	return nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}
