package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"muster/internal/engine"
	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/plan"
	"muster/internal/rundir"
	"muster/internal/salvage"
	"muster/internal/scratch"
)

// Cancel asks for the end of a run, or of the tasks named. It is in force some
// time after the return; Watch tells.
func (c *Conductor) Cancel(ctx context.Context, r *rundir.Run, tasks *job.IndexSet) error {
	if _, err := r.Ask(rundir.Request{Op: job.OpCancel, Tasks: tasks, At: time.Now(), By: caller()}); err != nil {
		return err
	}
	if tasks != nil {
		return nil
	}
	if err := c.control(ctx, r, job.OpCancel); errors.Is(err, engine.ErrUnavailable) {
		// Who works has been asked through the run directory, and who begins later will look there.
		return fmt.Errorf("%w; what runs is ending nevertheless, and what is queued will end as soon as it is started", err)
	} else if err != nil {
		return err
	}
	return nil
}

// Hold keeps what of a run has not been started from being started; what runs goes
// on. Release undoes that. Both are ErrBadInput for a run that has ended.
func (c *Conductor) Hold(ctx context.Context, r *rundir.Run) error {
	return c.control(ctx, r, job.OpHold)
}

// Release lets the engine start what Hold, or --hold, has kept back.
func (c *Conductor) Release(ctx context.Context, r *rundir.Run) error {
	return c.control(ctx, r, job.OpRelease)
}

// control asks the engines for op on all of a run's arrays that have not ended.
func (c *Conductor) control(ctx context.Context, r *rundir.Run, op job.Op) error {
	a, err := c.arrays(ctx, r)
	if err != nil {
		return err
	}
	if a.deaf != nil {
		return a.deaf
	}
	live := a.live()
	if len(live) == 0 && op != job.OpCancel {
		return job.BadInputf("run %d has ended; muster resume %d runs what is left of it", r.Number, r.Number)
	}
	var errs []error
	for _, s := range live {
		e, err := c.engineOf(s.Engine)
		if err == nil {
			err = engineError(s.Engine, string(op), e.Control(ctx, engine.ID(s.IDs[0]), op))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// caller names who calls muster, for records.
func caller() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "somebody"
}

// Pause asks the run's agents, those that are to come as well, for op: OpSuspend or
// OpContinue. It is in force some time after the return; Stand tells. Schedulers are not asked: they refuse that to
// ordinary users.
func (c *Conductor) Pause(r *rundir.Run, op job.Op) error {
	_, err := r.Ask(rundir.Request{Op: op, At: time.Now(), By: caller()})
	return err
}

// ErrNothingToDo is Resume's answer when every task is done.
var ErrNothingToDo = errors.New("there is nothing to resume")

// Resume submits what is lost, cancelled or was never started, and with failed
// also what failed. A completed task is never run again. The error is ErrNothingToDo, or
// job.ErrBadInput while something of the run is still queued or running.
func (c *Conductor) Resume(ctx context.Context, r *rundir.Run, failed bool) (*Prepared, error) {
	heart, err := r.Conduct(ctx, hostname(), os.Getpid())
	if errors.Is(err, rundir.ErrBusy) {
		return nil, job.BadInputf("%w; muster wait %d follows it, muster cancel %d ends it", err, r.Number, r.Number)
	}
	if err != nil {
		return nil, err
	}
	defer heart.Close()
	stand, err := c.Stand(ctx, r, rundir.LoadOptions{})
	if err != nil {
		return nil, err
	}
	if stand.Deaf != nil {
		return nil, stand.Deaf
	}
	if spec := stand.Snapshot.Spec; spec.Launch != nil {
		return nil, job.BadInputf("run %d is a launch, whose programs are to be alive together: it is begun anew, with %s", r.Number, job.QuoteWords(spec.Argv))
	}
	if !stand.Ended {
		return nil, job.BadInputf("run %d is %s; muster wait %d follows it, muster cancel %d ends it", r.Number, stand.State, r.Number, r.Number)
	}
	if len(stand.Snapshot.Damage) > 0 {
		return nil, job.BadInputf("run %d: %w; tasks that it says are completed would run again: restore the file, or move it away to accept that", r.Number, stand.Snapshot.Damage[0])
	}
	// What the killed have left is settled first: it may hold finished work.
	scratch.Sweep(c.Scratch)
	last := rundir.AgentID{Generation: 1, Element: 1}
	for _, a := range stand.Snapshot.Agents {
		last = a.ID
	}
	if err := salvage.Run(ctx, r, last.Generation, last.Element, ""); err != nil {
		return nil, err
	}
	if stand, err = c.Stand(ctx, r, rundir.LoadOptions{}); err != nil {
		return nil, err
	}
	return c.again(ctx, r, stand, failed)
}

// again plans and submits what is left of a run.
func (c *Conductor) again(ctx context.Context, r *rundir.Run, stand *Standing, failed bool) (*Prepared, error) {
	snap := stand.Snapshot
	spec := snap.Spec
	var left []int
	for i := 1; i <= snap.Len(); i++ {
		if snap.Task(i).Again(failed) {
			left = append(left, i)
		}
	}
	reduceAgain := spec.Reducer != "" && (snap.Reduce == nil || !snap.Reduce.Ran || snap.Reduce.State != job.Completed || len(left) > 0)
	if len(left) == 0 && !reduceAgain {
		return nil, fmt.Errorf("run %d: %w", r.Number, ErrNothingToDo)
	}
	if len(left) == 0 && stand.Failed() > 0 && !spec.ReduceAny {
		return nil, fmt.Errorf("run %d: %d tasks failed, and the reducer waits for them: %w without --failed", r.Number, stand.Failed(), ErrNothingToDo)
	}
	p := &Prepared{Spec: spec, Plan: &plan.Plan{}}
	var err error
	if p.engine, err = c.choose(ctx, wanted{engine: c.schedulerOf(spec.Engine), resource: spec.Scheduler}); err != nil {
		return nil, err
	}
	if p.engine.name != spec.Engine {
		c.tell("engine %s instead of %s: %s", p.engine.name, spec.Engine, p.engine.why)
	}
	if p.Front, err = c.front(spec.Guest); err != nil {
		return nil, err
	}
	p.Request = guest.Request{Program: spec.Program, Dirs: []string{spec.ProgramDir}, Image: spec.ImageName, Boot: spec.Boot, Wine: spec.WineTree, Mem: spec.Mem, Options: spec.GuestOpts}
	if len(left) > 0 {
		set := job.NewIndexSet(left...)
		if p.Plan, err = plan.Make(plan.Request{Spec: spec, Tasks: snap.Len(), Nodes: nodesOf(spec, p.engine.info), CPUs: p.engine.info.CPUs, Left: &set}); err != nil {
			return nil, err
		}
	}
	if err := c.sameImage(ctx, p); err != nil {
		return nil, err
	}
	env, err := programEnv(c.Environ, spec.EnvNames)
	if err != nil {
		return nil, err
	}
	return p, c.submit(ctx, r, p.engine, spec, p.Plan, false, env)
}

// sameImage makes sure that the run's image is still there, as it was.
func (c *Conductor) sameImage(ctx context.Context, p *Prepared) error {
	was := p.Spec.ImageKey
	if err := c.image(ctx, p); err != nil {
		return err
	}
	if p.Spec.ImageKey != was {
		return job.BadInputf("the image that the run began with is gone, and what stands in its place is another (%s, not %s); start a new run", p.Spec.ImageKey, was)
	}
	return nil
}
