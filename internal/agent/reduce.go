package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/rundir"
)

// reduceCall is the reducer as if it were a call: task 0, which no input has.
func reduceCall() *call { return &call{tasks: []int{0}, attempt: []int{1}} }

// reduce is the life of an agent whose array is the reduce step. It was started
// after the map's arrays had ended, however they ended: it reads the journals,
// writes the manifest, decides, and records what it did.
func reduce(ctx context.Context, c Config, table *proc.Table) (ending, error) {
	run, err := rundir.Open(c.RunDir)
	if err != nil {
		return endStopped, err
	}
	a := &agent{Config: c, run: run, table: table, token: filepath.Base(c.Scratch), running: map[int]context.CancelCauseFunc{}}
	if a.spec, err = run.Spec(); err != nil {
		return endStopped, err
	}
	if a.staged, err = readStaged(c.Scratch); err != nil {
		return endStopped, err
	}
	a.staged.settle(&a.spec)
	if a.tasks, err = run.Tasks(); err != nil {
		return endStopped, err
	}
	if a.machine, err = machineName(); err != nil {
		return endStopped, err
	}
	a.env = programEnv(c.Environ)
	a.share.Lanes = 1
	if err := a.begin(time.Now().Add(-a.staged.Took)); err != nil {
		return endStopped, err
	}
	a.tell(a.staged)
	results, why, err := a.reduceStep(ctx)
	a.publish.close()
	err = errors.Join(err, a.end(why))
	if results != nil {
		// Behind the record: until then what lies there tells that the result is ours.
		if err == nil {
			err = results.Release(a.resultDir())
		}
		err = errors.Join(err, results.Close())
	}
	if ctx.Err() != nil || a.superseded.Load() {
		return endStopped, err
	}
	return endDone, err
}

// reduceStep decides, and records what came of it. What is returned beside is to be
// closed behind the record; it may be nil.
func (a *agent) reduceStep(ctx context.Context) (results *rundir.Publisher, why string, err error) {
	snap, err := a.settled(ctx, func(rundir.AgentState) bool { return false })
	if err != nil {
		return nil, firstLine(err), err
	}
	if err := a.run.WriteManifest(a.spec.Output, Manifest(a.tasks, snap)); err != nil {
		return nil, firstLine(err), err
	}
	stopWatching := a.watch(ctx)
	defer stopWatching()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.enter(0, reduceCall(), cancel)
	end, results := a.decide(ctx, snap)
	a.leave(0, reduceCall())
	if end.Exit.Cause == job.CauseSuperseded {
		return results, a.queue.stopped(), nil // its twin tells
	}
	a.journal.Commit(rundir.Record{Kind: rundir.KindReduce, At: a.journal.Now(), Reduce: end}, func(error) {})
	return results, "done", nil
}

// decide runs the reducer if it is to run. What is returned beside its end is to
// be closed once that is recorded; it may be nil.
func (a *agent) decide(ctx context.Context, snap *rundir.Snapshot) (*rundir.ReduceEnd, *rundir.Publisher) {
	if len(snap.Damage) > 0 {
		return &rundir.ReduceEnd{State: job.Cancelled, Why: "a journal of this run cannot be read: " + firstLine(snap.Damage[0])}, nil
	}
	done := snap.Counts[job.Completed]
	if done < snap.Len() && !a.spec.ReduceAny {
		return &rundir.ReduceEnd{State: job.Cancelled, Why: fmt.Sprintf(
			"%d of %d tasks did not complete; muster resume %d --failed runs them again, and the reducer after them", snap.Len()-done, snap.Len(), a.run.Number)}, nil
	}
	end := &rundir.ReduceEnd{Ran: true, Began: a.journal.Now()}
	results, err := rundir.NewPublisher(filepath.Dir(a.spec.ReducerOut), a.run.Number, a.token, rundir.PublisherOptions{})
	if err != nil {
		end.Exit = job.Exit{Cause: job.CausePublish, Detail: firstLine(err)}
	} else {
		end.Output, end.Exit = a.reducer(ctx, results, snap.Reduce)
	}
	end.Ended = a.journal.Now()
	end.State = stateOf(end.Exit)
	return end, results
}

// reducer runs the reducer in an instance of its own. before is what an earlier
// reduce step of this run came to.
func (a *agent) reducer(ctx context.Context, results *rundir.Publisher, before *rundir.ReduceEnd) (*rundir.Output, job.Exit) {
	fail := func(cause job.Cause, err error) (*rundir.Output, job.Exit) {
		if ctx.Err() != nil {
			return nil, job.Exit{Cause: job.CauseCancelled, Detail: "cancelled before it was started"}
		}
		return nil, job.Exit{Cause: cause, Detail: firstLine(err)}
	}
	a.spec.Timeout = 0 // it is the tasks'
	if err := a.staged.unready(); err != nil {
		return fail(job.CauseBoot, err)
	}
	inst, cmd, err := a.openReducer(ctx, results)
	if err != nil {
		return fail(job.CauseBoot, err)
	}
	defer func() {
		if err := inst.Close(context.WithoutCancel(ctx)); err != nil {
			a.note("closing the reducer's instance: %v", err)
		}
	}()
	l := &lane{a: a}
	if l.out, err = newCapture(filepath.Join(a.Scratch, "reduce.out"), 1, a); err != nil {
		return fail(job.CauseStart, err)
	}
	defer l.out.close()
	if l.errs, err = newCapture(filepath.Join(a.Scratch, "reduce.err"), 2, a); err != nil {
		return fail(job.CauseStart, err)
	}
	defer l.errs.close()
	cmd.Stdout, cmd.Stderr = l.out.f, l.errs.f
	p, err := a.start(ctx, inst, cmd)
	if err != nil {
		return fail(job.CauseStart, err)
	}
	exit := l.await(ctx, p, reduceCall())
	if err := a.sweep(context.WithoutCancel(ctx), inst, a.taskMark(reduceCall()), p.PID()); err != nil {
		a.note("after the reducer: %v", err)
	}
	l.carry(reduceCall())
	if !exit.OK() {
		return nil, exit
	}
	return a.publishResult(results, before, exit)
}

// resultTask is the number under which the reducer's output is published: one
// that no task has.
func (a *agent) resultTask() int { return a.spec.Tasks + 1 }

func (a *agent) resultDir() string { return fmt.Sprintf("%d.1", a.resultTask()) }

// publishResult puts the reducer's output under its name. It may have none: then
// it worked in the output folder itself.
func (a *agent) publishResult(results *rundir.Publisher, before *rundir.ReduceEnd, exit job.Exit) (*rundir.Output, job.Exit) {
	name := filepath.Base(a.spec.ReducerOut)
	if _, err := os.Lstat(filepath.Join(results.Dir(), a.resultDir(), name)); errors.Is(err, os.ErrNotExist) {
		return nil, exit
	}
	if before != nil && before.Output != nil {
		// An earlier reduce step of this very run published it; resume made it stale.
		if err := os.Remove(a.spec.ReducerOut); err != nil && !errors.Is(err, os.ErrNotExist) {
			a.note("removing the earlier result: %v", err)
		}
	}
	out, err := results.Publish(a.resultDir()+"/"+name, name)
	if err != nil {
		exit.Cause, exit.Detail = publishCause(err), firstLine(err)
		return nil, exit
	}
	return &out, exit
}

// openReducer opens the instance and composes REDUCER OUTPUT REDOUT [ARGS…].
func (a *agent) openReducer(ctx context.Context, results *rundir.Publisher) (guest.Instance, guest.Command, error) {
	var cmd guest.Command
	g, err := a.Guest(a.spec.ReduceGuest, a.table)
	if err != nil {
		return nil, cmd, err
	}
	node := guest.Node{Scratch: a.Scratch, Image: a.spec.Image, ImageKey: a.spec.ImageKey, Boot: a.spec.Boot, Options: a.spec.GuestOpts}
	if err := g.Prepare(ctx, node); err != nil {
		return nil, cmd, err
	}
	temp, err := results.Attempt(a.resultTask(), 1)
	if err != nil {
		return nil, cmd, err
	}
	place := guest.Place{
		ID: "reduce", Dir: filepath.Join(a.Scratch, "r"), Node: node,
		Folders: guest.Folders{
			In: filepath.Join(a.Scratch, "in"), Out: a.spec.Output,
			Work: filepath.Join(a.Scratch, "work"), Program: filepath.Dir(a.spec.Reducer),
		},
		Drives: map[string]string{"r": temp},
		Env:    []string{guest.EnvInstance + "=reduce@" + a.token},
		Events: &phases{a: a, id: "reduce", last: a.journal.Now()},
	}
	for letter, dir := range a.spec.Drives {
		place.Drives[letter] = dir
	}
	for _, dir := range []string{place.Dir, place.Folders.In, place.Folders.Work} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, cmd, err
		}
	}
	link := filepath.Join(place.Folders.In, "manifest.json")
	if err := os.Symlink(a.run.ManifestPath(), link); err != nil {
		return nil, cmd, err
	}
	if !a.pause.wait(ctx) {
		return nil, cmd, ctx.Err()
	}
	inst, err := a.shelf.watched(&instance{id: place.ID}, func() (guest.Instance, error) { return g.Open(ctx, place) })
	if err != nil {
		return nil, cmd, err
	}
	cmd, err = a.reducerCommand(inst, filepath.Join(temp, filepath.Base(a.spec.ReducerOut)), link)
	if err != nil {
		return nil, cmd, errors.Join(err, inst.Close(context.WithoutCancel(ctx)))
	}
	cmd.Dir = a.spec.Dir
	if g.Traits().Folders {
		cmd.Dir = place.Folders.Work
	}
	return inst, cmd, nil
}

func (a *agent) reducerCommand(inst guest.Instance, redout, manifest string) (guest.Command, error) {
	var names [3]string
	for i, host := range []string{a.spec.Output, redout, manifest} {
		name, err := inst.Path(host)
		if err != nil {
			return guest.Command{}, err
		}
		names[i] = name
	}
	return guest.Command{
		Program: a.spec.Reducer,
		Args:    append([]string{names[0], names[1]}, a.spec.ReducerArgs...),
		Env: append(append(a.threads(), a.env...),
			"MUSTER_MANIFEST="+names[2], "MUSTER_RUN="+strconv.Itoa(a.run.Number), a.taskMark(reduceCall())),
	}, nil
}
