package agent

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"muster/internal/job"
	"muster/internal/rundir"
	"muster/internal/salvage"
)

// An agent that finds no free chunk looks for orphans: chunks with unfinished
// tasks whose owner is gone. It does not wait for owners that live: a node is dear, and an owner
// holds little by then, since chunks have shrunk to one call. So it leaves when
// each owner of unfinished work has been seen to live since it has nothing to do. Should
// one be lost after that, its requeued element takes its chunks, or resume.

// How often an agent without work looks, while its own last calls still run or an
// owner cannot be judged yet.
const (
	lookEvery  = 5 * time.Second
	lookAtMost = time.Minute
)

// lookout is what an agent knows of the chunks of others.
type lookout struct {
	d     *dealer
	watch *rundir.Watch

	mu   sync.Mutex // guards tail and snap, which publishers look at too
	tail *rundir.Tail

	finished  map[int]bool            // chunks of which every task has ended
	owners    map[[2]int]owner        // by chunk and attempt
	lived     map[rundir.AgentID]bool // owners that were seen to live since this agent has nothing to do
	buried    map[string]bool         // tokens of agents whose leavings are settled
	inherited map[int]bool            // tasks of chunks that were another's before; guarded by mu
	blind     bool                    // a person has been told that journals are damaged
}

// owner is whose claim it is.
type owner struct {
	id    rundir.AgentID
	known bool
	since time.Time // not known: since when
}

func (o *lookout) init(d *dealer) {
	o.d = d
	o.watch = d.a.run.NewWatch(d.a.machine, d.patience)
	o.finished, o.owners, o.buried, o.inherited = map[int]bool{}, map[[2]int]owner{}, map[string]bool{}, map[int]bool{}
}

// adopt waits for work that others leave. found: there may be some to do; over: there
// never will be; neither: the agent is to end.
func (d *dealer) adopt(ctx context.Context) (found, over bool) {
	d.look.lived = map[rundir.AgentID]bool{}
	for wait := lookEvery; ; wait = min(2*wait, lookAtMost) {
		_, out, _ := d.a.queue.stock()
		found, alone, err := d.look.around(ctx)
		switch {
		case err != nil:
			d.a.Log.Warn("looking for work that others have left", "err", err)
		case found:
			return true, false
		case alone && out == 0:
			return false, d.a.queue.stopped() == ""
		}
		if !d.pause(ctx, wait, out > 0) {
			return false, false
		}
	}
}

// pause waits until it is time to look again, or the last call of a busy agent has
// ended. It reports false when there is no more to be done here.
func (d *dealer) pause(ctx context.Context, wait time.Duration, busy bool) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		if d.a.queue.stopped() != "" {
			return false
		}
		if _, out, hungry := d.a.queue.stock(); busy && out == 0 && hungry {
			return true
		}
		select {
		case <-timer.C:
			return true
		case <-d.a.queue.hunger:
		case <-ctx.Done():
			return false
		}
	}
}

// poll reads what the journals say by now. The run's failures count together
// for --max-fails.
func (o *lookout) poll(ctx context.Context) (*rundir.Snapshot, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.read(ctx)
}

// read is poll for those who hold mu.
func (o *lookout) read(ctx context.Context) (snap *rundir.Snapshot, err error) {
	a := o.d.a
	if o.tail == nil {
		if o.tail, err = a.run.Tail(rundir.LoadOptions{}); err != nil {
			return nil, err
		}
	}
	if snap, err = o.tail.Poll(ctx); err != nil {
		return nil, err
	}
	fails := 0
	for state, n := range snap.Counts {
		if state.Failure() {
			fails += n
		}
	}
	if most := a.spec.MaxFails; most > 0 && fails >= most {
		a.queue.stop(maxFails(fails))
	}
	return snap, nil
}

// around looks at all chunks that are not finished. It claims one that is orphaned,
// and deals it. alone: nothing is left that this agent could ever have to do, as far as one can see.
func (o *lookout) around(ctx context.Context) (found, alone bool, err error) {
	d := o.d
	attempts, err := d.claims.List()
	if err != nil {
		return false, false, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	snap, err := o.read(ctx)
	if err != nil {
		return false, false, err
	}
	if d.a.queue.stopped() != "" {
		return false, true, nil
	}
	if len(snap.Damage) > 0 {
		if !o.blind {
			o.blind = true
			d.a.note("what others have left is not taken over: %v", snap.Damage[0])
		}
		return false, true, nil
	}
	agents := map[rundir.AgentID]rundir.AgentState{}
	for _, s := range snap.Agents {
		agents[s.ID] = s
	}
	status := d.a.needs(snap)
	alone = true
	for i := range d.chunks {
		// Agents begin at different places, so that they seldom want the same.
		k := (i+d.a.Element*len(d.chunks)/max(d.a.share.Elements, 1))%len(d.chunks) + 1
		attempt := attempts[k]
		if attempt == 0 { // a claim that could not be finished was taken back
			d.used = false
			return true, false, nil
		}
		if o.finished[k] || d.lease.has(k) == attempt {
			continue
		}
		if d.done(k, status) {
			o.finished[k] = true
			continue
		}
		switch o.fate(k, attempt, agents) {
		case fateOurs: // it was claimed, and the answer was lost
			d.deal(k, attempt, status)
			return true, false, nil
		case fateLives:
		case fateUnsure:
			alone = false
		case fateGone:
			alone = false
			mine, err := d.claims.Take(k, attempt+1)
			if err != nil {
				return false, false, err
			}
			if mine {
				return true, false, o.inherit(ctx, k, attempt, agents)
			}
		}
	}
	return false, alone, nil
}

// done reports whether every task of a chunk has ended.
func (d *dealer) done(chunk int, status func(task int) (bool, int)) bool {
	s := d.chunks[chunk-1]
	for _, call := range d.a.share.Calls[s.first:s.end] {
		for _, t := range call {
			if done, _ := status(t); !done {
				return false
			}
		}
	}
	return true
}

type fate int

const (
	fateUnsure fate = iota // its owner may be gone
	fateOurs
	fateLives // its owner lives, or nobody is to go on with it
	fateGone
)

// fate judges a chunk by its owner.
func (o *lookout) fate(chunk, attempt int, agents map[rundir.AgentID]rundir.AgentState) fate {
	d := o.d
	key := [2]int{chunk, attempt}
	own := o.owners[key]
	if !own.known {
		id, err := d.claims.Owner(chunk, attempt)
		if err == nil {
			own = owner{id: id, known: true, since: own.since}
		} else if own.since.IsZero() {
			d.a.Log.Warn("reading a claim", "err", err)
		}
		if own.since.IsZero() {
			own.since = time.Now()
		}
		o.owners[key] = own
	}
	if own.known && own.id == d.a.journal.ID() {
		return fateOurs
	}
	state, seen := agents[own.id]
	switch {
	case !own.known || !seen: // its files are not to be seen here yet, or never were
		if time.Since(own.since) > d.patience {
			return fateGone
		}
		return fateUnsure
	case state.Finished && strings.HasPrefix(state.Why, cancelledBy):
		return fateLives // the run is cancelled: that counts for everybody
	case state.Finished:
		return fateGone
	}
	alive, sure := o.watch.Judge(state)
	if !alive {
		return fateGone
	}
	if sure {
		o.lived[own.id] = true
	}
	if o.lived[own.id] {
		return fateLives
	}
	return fateUnsure
}

// inherit deals a chunk that was claimed after its owner was gone. First what the
// owner has published without a record is settled, or it would look like another's output.
func (o *lookout) inherit(ctx context.Context, chunk, before int, agents map[rundir.AgentID]rundir.AgentState) error {
	d := o.d
	was := o.owners[[2]int{chunk, before}].id
	d.a.Log.Info("taking over a chunk", "chunk", chunk, "of", was.String())
	if state, ok := agents[was]; ok && !state.Finished && !o.buried[state.Token] {
		o.buried[state.Token] = true
		if err := salvage.Run(ctx, d.a.run, was.Generation, was.Element, state.Token); err != nil {
			d.a.note("settling what agent %v has left: %v", was, err)
		}
	}
	for _, call := range d.a.share.Calls[d.chunks[chunk-1].first:d.chunks[chunk-1].end] {
		for _, t := range call {
			o.inherited[t] = true
		}
	}
	snap, err := o.read(ctx)
	if err != nil {
		// The claim is ours, and is found so at the next look.
		return fmt.Errorf("reading what was done of chunk %d: %w", chunk, err)
	}
	d.deal(chunk, before+1, d.a.needs(snap))
	return nil
}

// elsewhere reports whether a task that this agent has taken over was completed by
// its earlier owner after all, whose output stands there. The record may come a
// moment later than the output.
func (d *dealer) elsewhere(ctx context.Context, task int) bool {
	if d == nil {
		return false
	}
	o := &d.look
	o.mu.Lock()
	defer o.mu.Unlock()
	for range 10 {
		if !o.inherited[task] {
			return false
		}
		snap, err := o.read(ctx)
		if err != nil {
			return false
		}
		if snap.State(task) == job.Completed {
			return true
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return false
		}
	}
	return false
}
