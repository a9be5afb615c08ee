package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"muster/internal/job"
	"muster/internal/rundir"
)

// publishing judges outcomes, publishes outputs, journals ends and gives calls
// back to the queue, so that lanes never wait for a disk.
//
//	hand ─▶ judge ─▶ link outputs ─▶ Commit(End) ─▶ (group is durable) ─▶ Release
//	                      │
//	                      └─ failed: Discard, Commit(End), retry or finish
type publishing struct {
	a       *agent
	todo    chan *outcome
	workers sync.WaitGroup
	durable chan struct{} // a group has become durable; never closed, since the journal outlives this
	quit    chan struct{} // tells the tidier to end
	tidier  sync.WaitGroup
	leftOut sync.Once // a person has been told of files that could not be published beside an output

	mu      sync.Mutex
	release []string // attempts whose records are durable
	fails   int      // tasks that failed for good
}

// publishers work side by side, so that their fsyncs share a commit of the file
// system's own journal.
const publishers = 4

func newPublishing(a *agent) *publishing {
	p := &publishing{a: a, todo: make(chan *outcome, 256), durable: make(chan struct{}, 1), quit: make(chan struct{})}
	for range publishers {
		p.workers.Go(func() {
			for o := range p.todo {
				p.conclude(o)
			}
		})
	}
	p.tidier.Go(func() {
		for {
			select {
			case <-p.durable:
				if err := p.tidy(); err != nil {
					p.a.note("%v", err)
				}
			case <-p.quit:
				return
			}
		}
	})
	return p
}

// hand takes an outcome over. What has failed already, whatever its outputs, counts
// at once: the lane that hands it over shall not start another task beyond --max-fails.
func (p *publishing) hand(o *outcome) {
	if s := stateOf(o.exit); !o.never && s.Failure() && !p.mayRetry(o.call, s) {
		o.counted = true
		p.count(len(o.call.tasks))
	}
	p.todo <- o
}

// count counts tasks that failed for good.
func (p *publishing) count(tasks int) {
	p.mu.Lock()
	p.fails += tasks
	fails := p.fails
	p.mu.Unlock()
	if most := p.a.spec.MaxFails; most > 0 && fails >= most {
		p.a.queue.stop(maxFails(fails))
	}
}

func maxFails(fails int) string { return fmt.Sprintf("max-fails: %d tasks have failed", fails) }

// afterGroup is told, by the journal, that records have become durable.
func (p *publishing) afterGroup() {
	select {
	case p.durable <- struct{}{}:
	default: // it will look anyway
	}
}

// close waits until everything handed over is published and journalled. The
// journal stays open; what it has yet to say is durable is for a last tidy.
func (p *publishing) close() {
	close(p.todo)
	p.workers.Wait()
	if err := p.a.journal.Flush(context.Background()); err != nil {
		p.a.Log.Error("making the journal durable", "err", err)
	}
	close(p.quit)
	p.tidier.Wait()
}

// tidy removes the temporaries of what is recorded.
func (p *publishing) tidy() error {
	p.mu.Lock()
	done := p.release
	p.release = nil
	p.mu.Unlock()
	if len(done) == 0 {
		return nil
	}
	if err := p.a.outputs.Release(done...); err != nil {
		return fmt.Errorf("tidying up behind published outputs: %w", err)
	}
	return nil
}

// conclude brings an outcome to its end. Tasks of one call that fare alike share
// a fate; in a MIMO call each has its own output.
func (p *publishing) conclude(o *outcome) {
	a, c := p.a, o.call
	again := &call{number: c.number, tries: c.tries, lost: c.lost}
	if !a.dealer.confirm() {
		o.stopped = true
		o.exit.Cause, o.exit.Detail = job.CauseSuperseded, errTaken.Error()
	}
	if o.never {
		p.never(o, again)
		p.giveBack(again)
		return
	}
	for i, t := range c.tasks {
		end := &rundir.TaskEnd{
			Task: t, Attempt: c.attempt[i], Lane: o.lane, Instance: o.instance,
			Began: o.began, Ended: o.ended, Exit: o.exit, Final: true,
		}
		if o.exit.OK() && a.superseded.Load() {
			end.Exit.Cause, end.Exit.Detail = job.CauseSuperseded, errSuperseded.Error()
		} else if o.exit.OK() {
			end.Outputs, end.Exit = p.outputs(o, i)
		}
		if end.Exit.Cause == job.CauseOutputExists && a.dealer.elsewhere(context.Background(), t) {
			p.discard(t, c.attempt[i]) // its earlier owner tells of it
			continue
		}
		end.State = stateOf(end.Exit)
		swept := o.single && o.exit.Cause == job.CauseCancelled && !a.queue.isDropped(t)
		if swept {
			end.State = job.Lost
			end.Exit.Cause, end.Exit.Detail = job.CauseBatch, "another task of its call was cancelled"
		}
		if (swept || p.mayRetry(c, end.State)) && a.queue.stopped() == "" {
			end.Final = false
			again.tasks = append(again.tasks, t)
			again.attempt = append(again.attempt, c.attempt[i])
			switch {
			case swept: // each time there is one task less in the call
			case end.State == job.Lost:
				again.lost = c.lost + 1
			default:
				again.tries = c.tries + 1
			}
		}
		cut := o.stopped && (end.State == job.Lost || end.State == job.Cancelled)
		if cut || a.queue.stopped() == outOfTime && p.mayRetry(c, end.State) {
			end.Final = false // whoever goes on with the share runs it again
			a.unfinished.Store(true)
		}
		p.commit(end)
		if end.Final && end.State.Failure() && !o.counted {
			p.count(1)
		}
	}
	if o.work != "" {
		if err := a.works.give(o.work); err != nil {
			a.note("removing a work folder: %v", err)
		}
	}
	if a.traits.Folders {
		p.unlinkInputs(c)
	}
	p.giveBack(again)
}

// never concludes a call of which no attempt was made. Where one of its tasks
// was the reason, the others are to be tried.
func (p *publishing) never(o *outcome, again *call) {
	for i, t := range o.call.tasks {
		switch {
		case p.a.queue.isDropped(t):
			p.a.tellCancelled(t)
		case o.stopped:
			p.a.unfinished.Store(true)
		case o.single:
			again.tasks = append(again.tasks, t)
			again.attempt = append(again.attempt, o.call.attempt[i]-1) // this one was not used
		}
	}
}

// giveBack gives a call back to the queue, with what is to be tried again.
func (p *publishing) giveBack(again *call) {
	if len(again.tasks) == 0 {
		p.a.queue.finish()
		return
	}
	for _, t := range p.a.queue.retry(again) {
		p.a.tellCancelled(t)
	}
}

func (p *publishing) mayRetry(c *call, s job.State) bool {
	if s == job.Lost {
		return c.lost+1 < maxLost
	}
	return s.Failure() && c.tries < p.a.spec.Retries
}

// stateOf is the state of a task whose attempt ended so.
func stateOf(e job.Exit) job.State {
	switch e.Cause {
	case "":
		return job.Completed
	case job.CauseTimeout:
		return job.Timeout
	case job.CauseCancelled:
		return job.Cancelled
	case job.CauseBoot:
		return job.BootFail
	case job.CauseOOM:
		return job.OutOfMemory
	case job.CauseInstance, job.CauseGivenBack, job.CauseSuperseded:
		return job.Lost
	}
	return job.Failed
}

// outputs publishes what the call's task i has left, and says how that went.
func (p *publishing) outputs(o *outcome, i int) ([]rundir.Output, job.Exit) {
	a := p.a
	exit := o.exit
	if a.outputs == nil {
		return nil, exit
	}
	t := &a.tasks[o.call.tasks[i]-1]
	attempt := attemptName(o.call, i)
	names, err := a.outputs.Left(t.Index, o.call.attempt[i])
	if err == nil && len(a.spec.Collect) > 0 {
		n, err := collect(o.work, filepath.Join(a.outputs.Dir(), attempt), t.OutName(), a.spec.Collect)
		if err != nil {
			exit.Cause, exit.Detail = job.CausePublish, firstLine(err)
			return nil, exit
		}
		if n == 0 {
			exit.Cause, exit.Detail = job.CauseNoOutput, "exit code 0, but it left nothing that matches "+strings.Join(a.spec.Collect, " ")
			return nil, exit
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		exit.Cause, exit.Detail = job.CausePublish, firstLine(err)
		return nil, exit
	}
	main := t.OutName()
	if !slices.ContainsFunc(names, func(n fs.DirEntry) bool { return n.Name() == main }) {
		exit.Cause, exit.Detail = job.CauseNoOutput, "exit code 0, but it did not write its output"
		return nil, exit
	}
	// What lies beside the output goes with it: first, so that nothing is missing
	// once the output itself is there, and all or none, but for names that are taken.
	var outs []rundir.Output
	var files [][2]string // temporary and final name
	for _, n := range names {
		if n.Name() != main {
			files = append(files, [2]string{attempt + "/" + n.Name(), path.Join(path.Dir(t.Out), n.Name())})
		}
	}
	files = append(files, [2]string{attempt + "/" + main, t.Out})
	var done [][2]string
	for k, f := range files {
		out, err := a.outputs.Publish(f[0], f[1])
		if err == nil {
			outs = append(outs, out)
			done = append(done, f)
			continue
		}
		if k < len(files)-1 && errors.Is(err, rundir.ErrExists) {
			// A log of one fixed name, say: the task has done its work all the same.
			p.leftOut.Do(func() {
				a.note("%s was left out: an output of that name is there already (task %d, and perhaps others; --collect keeps such files apart)", f[1], t.Index)
			})
			continue
		}
		exit.Cause, exit.Detail = publishCause(err), firstLine(err)
		for _, f := range done {
			if err := a.outputs.Retract(f[0], f[1]); err != nil {
				a.note("%v", err)
			}
		}
		return nil, exit
	}
	// The output itself is told first.
	last := len(outs) - 1
	return slices.Concat(outs[last:], outs[:last]), exit
}

func publishCause(err error) job.Cause {
	if errors.Is(err, rundir.ErrExists) {
		return job.CauseOutputExists
	}
	return job.CausePublish
}

// commit journals an end; what follows from it waits until it is durable.
func (p *publishing) commit(end *rundir.TaskEnd) {
	a := p.a
	attempt := fmt.Sprintf("%d.%d", end.Task, end.Attempt)
	if end.State != job.Completed {
		p.discard(end.Task, end.Attempt)
	}
	a.journal.Commit(rundir.Record{Kind: rundir.KindEnd, At: a.journal.Now(), End: end}, func(err error) {
		if err != nil {
			a.Log.Error("the end of a task could not be recorded; resume will find its output", "task", end.Task, "err", err)
			return
		}
		if a.outputs != nil && end.State == job.Completed {
			p.mu.Lock()
			p.release = append(p.release, attempt)
			p.mu.Unlock()
		}
	})
}

// discard removes what an attempt has left that is not to be published.
func (p *publishing) discard(task, attempt int) {
	if p.a.outputs == nil {
		return
	}
	if err := p.a.outputs.Discard(task, attempt); err != nil {
		p.a.note("removing what task %d left: %v", task, err)
	}
}

// unlinkInputs removes the folders with links to a call's inputs.
func (p *publishing) unlinkInputs(c *call) {
	for i := range c.tasks {
		if err := p.a.inputs.give(filepath.Join(p.a.folders.In, attemptName(c, i))); err != nil {
			p.a.note("removing links to inputs: %v", err)
		}
	}
}

// firstLine is an error in one line, for a record.
func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
