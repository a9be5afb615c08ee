package memory

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// array is one submitted array. Its goroutine, conduct, starts the elements in
// order once nothing stands in the way; each element has a goroutine.
type array struct {
	engine *Engine
	id     engine.ID
	spec   job.Array
	ctx    context.Context // ends when the array is cancelled
	cancel context.CancelFunc
	done   chan struct{} // closed when all elements have ended

	mu       sync.Mutex
	elements []engine.Element
	held     bool
	waiting  bool          // for the arrays before it
	changed  chan struct{} // closed and made anew when held changes
}

func newArray(e *Engine, id engine.ID, spec job.Array) *array {
	x := &array{engine: e, id: id, spec: spec, held: spec.Hold, waiting: len(spec.After) > 0}
	x.ctx, x.cancel = context.WithCancel(e.ctx)
	x.done = make(chan struct{})
	x.changed = make(chan struct{})
	x.elements = make([]engine.Element, spec.Elements)
	for i := range x.elements {
		x.elements[i] = engine.Element{Index: i + 1, State: job.Pending}
	}
	return x
}

func (x *array) report() engine.Report {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := engine.Report{ID: x.id, Elements: slices.Clone(x.elements), State: engine.Overall(x.elements)}
	switch {
	case r.State != job.Pending:
	case x.held:
		r.Reason = "it is held"
	case x.waiting:
		r.Reason = "it waits for the end of " + strings.Join(x.spec.After, ", ")
	}
	return r
}

func (x *array) control(op job.Op) {
	if op == job.OpCancel {
		x.cancel()
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.held = op == job.OpHold
	close(x.changed)
	x.changed = make(chan struct{})
}

func (x *array) conduct(after []*array) {
	defer x.cancel()
	defer close(x.done)
	for _, before := range after {
		select {
		case <-before.done:
		case <-x.ctx.Done():
		}
	}
	x.mu.Lock()
	x.waiting = false
	x.mu.Unlock()
	var running sync.WaitGroup
	for i := 1; i <= x.spec.Elements; i++ {
		if x.mayStart() {
			running.Go(func() { x.run(i) })
		} else {
			x.end(i, job.Cancelled, job.Exit{Cause: job.CauseCancelled})
		}
	}
	running.Wait()
}

// mayStart waits while the array is held; false when it is cancelled.
func (x *array) mayStart() bool {
	for {
		x.mu.Lock()
		held, changed := x.held, x.changed
		x.mu.Unlock()
		if x.ctx.Err() != nil {
			return false
		}
		if !held {
			return true
		}
		select {
		case <-changed:
		case <-x.ctx.Done():
		}
	}
}

func (x *array) begin(i int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	el := &x.elements[i-1]
	if !el.Started.IsZero() {
		el.Restart++
	}
	el.State, el.Started, el.Node = job.Running, time.Now(), hostname()
}

func (x *array) end(i int, s job.State, exit job.Exit) {
	x.mu.Lock()
	defer x.mu.Unlock()
	el := &x.elements[i-1]
	el.State, el.Ended, el.Exit = s, time.Now(), exit
}

// run runs element i, as often as it asks to be started again.
func (x *array) run(i int) {
	for x.once(i) {
	}
}

// once runs element i and reports whether it is to run again.
func (x *array) once(i int) (again bool) {
	ctx, cancel := x.ctx, context.CancelFunc(func() {})
	if x.spec.Time > 0 {
		ctx, cancel = context.WithTimeout(ctx, x.spec.Time)
	}
	defer cancel()
	x.begin(i)
	exit := x.call(ctx, i)
	switch {
	case x.ctx.Err() != nil:
		exit.Cause = job.CauseCancelled
		x.end(i, job.Cancelled, exit)
	case ctx.Err() != nil:
		exit.Cause = job.CauseTimeout
		x.end(i, job.Timeout, exit)
	case exit.Code == job.ExitRequeue && x.spec.Requeue:
		return true
	case !exit.OK():
		x.end(i, job.Failed, exit)
	default:
		x.end(i, job.Completed, exit)
	}
	return false
}

func (x *array) call(ctx context.Context, i int) job.Exit {
	spec := x.spec
	spec.Env = elementEnv(spec.Env, x.id, i)
	if x.engine.o.Run != nil {
		return x.engine.o.Run(ctx, Call{ID: x.id, Element: i, Array: spec})
	}
	exit, err := x.process(ctx, i, spec)
	if err != nil {
		return job.Exit{Code: 127, Cause: job.CauseStart, Detail: err.Error()}
	}
	return exit
}

// process runs the element's command, ends it with ctx, and clears away what it
// leaves.
func (x *array) process(ctx context.Context, i int, spec job.Array) (job.Exit, error) {
	log, err := os.Create(filepath.Join(spec.LogDir, strconv.Itoa(i)+".log"))
	if err != nil {
		return job.Exit{}, fmt.Errorf("its log: %w", err)
	}
	defer log.Close()
	table := x.engine.o.Table
	child, err := table.Start(proc.Cmd{
		Path: spec.Argv[0], Args: spec.Argv, Dir: spec.Dir, Env: spec.Env, Stdout: log, Stderr: log,
	})
	if err != nil {
		return job.Exit{}, err
	}
	mark := table.Marked(engine.Mark(x.id, i))
	if spec.Warn > 0 && spec.Time > spec.Warn {
		warning := time.AfterFunc(spec.Time-spec.Warn, func() { child.Signal(syscall.SIGUSR1) })
		defer warning.Stop()
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		if err := child.SignalGroup(syscall.SIGTERM); err != nil {
			return job.Exit{}, err
		}
		select {
		case <-child.Done():
		case <-time.After(x.engine.o.KillWait):
			below := table.Below(child.PID())
			if err := kill(table, func(p proc.Info) bool { return below(p) || mark(p) }); err != nil {
				return job.Exit{}, err
			}
		}
	}
	exit, err := child.Wait(context.Background())
	if err != nil {
		return exit, err
	}
	return exit, kill(table, mark)
}

func kill(table *proc.Table, match func(proc.Info) bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := table.Kill(ctx, match)
	return err
}

// elementEnv is env with the element's own variables in place of any others of
// their names.
func elementEnv(env []string, id engine.ID, i int) []string {
	var out []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if name != engine.EnvElement && name != engine.EnvArray {
			out = append(out, kv)
		}
	}
	return append(out, engine.EnvElement+"="+strconv.Itoa(i), engine.Mark(id, i))
}
