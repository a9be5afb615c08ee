package gridengine

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// Status asks for all of the user's jobs at once, and reads the arrays' folders after that: what
// has left the queue has left its notes before. What begins in between has a note, and waits as far as the
// queue was asked: so the names of the notes are looked at beforehand as well.
func (e *Engine) Status(ctx context.Context, ids ...engine.ID) ([]engine.Report, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, nil
	}
	before := make(map[engine.ID]map[string]bool, len(ids))
	for _, id := range ids {
		if t := tokenOf(id); t != "" {
			before[id] = noteNames(filepath.Join(e.base(), t))
		}
	}
	q, err := e.snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking Grid Engine for the queue: %w", err)
	}
	now := time.Now()
	out := make([]engine.Report, len(ids))
	for i, id := range ids {
		out[i] = engine.Report{ID: id, State: job.Gone}
		a, err := e.array(id)
		if err != nil {
			return nil, err
		}
		if a == nil || (len(a.jobs) == 0 && !a.files[submittedFile]) {
			continue
		}
		a.knownBefore(before[id])
		if out[i], err = e.report(ctx, a, q, now); err != nil {
			return nil, err
		}
	}
	return out, e.explain(ctx, out, q)
}

// array reads the folder of an ID; nil when there is none.
func (e *Engine) array(id engine.ID) (*array, error) {
	t := tokenOf(id)
	if t == "" {
		return nil, nil
	}
	return load(e.base(), t)
}

func (e *Engine) report(ctx context.Context, a *array, q snapshot, now time.Time) (engine.Report, error) {
	r := engine.Report{ID: idOf(a.token), Elements: make([]engine.Element, a.Elements)}
	for _, p := range a.pieces() {
		for n := 1; n <= p.size; n++ {
			i := p.first + n - 1
			el, err := e.elementOf(ctx, a, q, i, a.jobs[p.number], n, now)
			if err != nil {
				return r, err
			}
			r.Elements[i-1] = el
		}
	}
	r.State = engine.Overall(r.Elements)
	if r.State == job.Pending {
		r.Reason = a.reason(q)
	}
	return r, nil
}

// elementOf tells how element i, a job's n-th task, stands.
func (e *Engine) elementOf(ctx context.Context, a *array, q snapshot, i int, number string, n int, now time.Time) (engine.Element, error) {
	settled := settledPrefix + strconv.Itoa(i)
	t, there := q.of(number, n)
	var el engine.Element
	var err error
	if a.files[settled] {
		el, err = a.settled(settled)
	} else {
		switch el = a.element(i, t, there); el.State {
		case "":
			el, err = e.dropped(ctx, a, i, fmt.Sprintf("%s.%d", number, n), now)
		case job.NodeFail:
			err = a.keep(settled, el) // its second start may look like a life
		}
	}
	if err == nil && el.State == job.NodeFail && there && t.queued() {
		// Nobody needs its second start; where all nodes are taken it would be in the queue for long. Should that be
		// refused, the second start ends by itself.
		if err = e.tellJob(ctx, "qdel", number, "-t", strconv.Itoa(n)); isRefused(err) {
			err = nil
		}
	}
	return el, err
}

// element tells how element i stands. Its State is "" when Grid Engine has it no more, and no
// note says how it ended.
func (a *array) element(i int, t task, there bool) engine.Element {
	notes := a.notes[i]
	e := engine.Element{Index: i, State: job.Pending}
	started := len(notes) > 0
	last := note{}
	if started {
		last = notes[len(notes)-1]
	}
	over := started && last.ended() && !last.Requeue
	// The queue may speak of a time before this start, also since its qmaster was killed before it had
	// written the start down: what it starts again, it calls so ("Rq").
	fresh := started && (a.fresh[i] || there && !last.ended() && t.unstarted())
	waits := there && t.standing() == job.Pending && !fresh
	again := there && started && !fresh && (last.Requeue || t.laterThan(last)) // a start of which nothing has been seen yet
	switch {
	case started && last.Skipped, started && !over && !a.Requeue && (waits || again):
		// It was lost with its node, and its second start is only for leaving the queue.
		return a.lost(i, last)
	case over && (!there || waits || again):
		return engine.Element{
			Index: i, State: last.State, Exit: last.Exit, Node: last.Node, Restart: len(notes) - 1,
			Started: last.Begun, Ended: latest(last.Ended, last.Begun),
		}
	case !there:
		e.State = ""
	case waits || again || !started:
		e.Restart = len(notes)
	default:
		e.State, e.Node, e.Started, e.Restart = t.standing(), last.Node, last.Begun, len(notes)-1
		if fresh && e.State == job.Pending {
			e.State = job.Running
		}
	}
	return e
}

// lost is an element that a node took with it.
func (a *array) lost(i int, last note) engine.Element {
	first := a.notes[i][0]
	end := last.Begun
	if !last.Skipped {
		end = time.Now()
	}
	return engine.Element{
		Index: i, State: job.NodeFail, Node: first.Node, Started: first.Begun, Ended: latest(end, first.Begun),
		Exit: job.Exit{Cause: job.CauseAgentLost, Detail: "Grid Engine lost the node " + first.Node},
	}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// reason is why an array waits, as far as its folder and its job's state tell.
func (a *array) reason(q snapshot) string {
	var states []string
	for _, p := range a.pieces() {
		for _, t := range q[a.jobs[p.number]] {
			if !slices.Contains(states, t.state) {
				states = append(states, t.state)
			}
		}
	}
	state := strings.Join(states, ", ")
	switch {
	case len(states) == 0:
		return "it is being submitted"
	case strings.Contains(state, "E"):
		return "it is in an error state (" + state + ")"
	case strings.Contains(state, "h") && a.files[holdFile]:
		return "it is held (" + state + "); release lets it go on"
	case strings.Contains(state, "h") && len(a.After) > 0:
		return "it waits for the end of " + strings.Join(a.After, ", ") + " (" + state + ")"
	case strings.Contains(state, "h"):
		return "it is held (" + state + ")"
	case strings.Contains(state, "w"):
		return "it waits for its turn (" + state + ")"
	}
	return "it is being started (" + state + ")"
}

// patient is how long an array waits before the scheduler is asked why.
const patient = 20 * time.Second

// explain adds Grid Engine's own words to the arrays that are in an error state or have
// waited for a while; one question for all.
func (e *Engine) explain(ctx context.Context, reports []engine.Report, q snapshot) error {
	var numbers []string
	why := map[engine.ID]string{}
	for _, r := range reports {
		if r.State.Ended() {
			continue
		}
		a, err := e.array(r.ID)
		if err != nil || a == nil {
			return err
		}
		for _, p := range a.pieces() {
			for _, t := range q[a.jobs[p.number]] {
				waits := r.State == job.Pending && t.state == "qw" && time.Since(a.Created) > patient
				if _, known := why[r.ID]; !known && (strings.Contains(t.state, "E") || waits) {
					why[r.ID] = t.job
					numbers = append(numbers, t.job)
				}
			}
		}
	}
	words, err := e.reasons(ctx, numbers)
	if err != nil {
		return err
	}
	for i, r := range reports {
		number := why[r.ID]
		if w := words[number]; w != "" && number != "" {
			reports[i].Reason = w
			if unseen(w) {
				if err := e.couldNotBegin(ctx, &reports[i], q); err != nil {
					return err
				}
			}
			if strings.HasPrefix(w, "error: ") {
				reports[i].Reason = fmt.Sprintf("job %s is in an error state, %s; muster cancel ends it, qmod -cj %s tries again", number, strings.TrimPrefix(w, "error: "), number)
			}
		}
	}
	return nil
}

// unseen reports whether a job is in an error state since its node does not see the array's
// folders. Nothing that muster starts there could tell: Grid Engine does not get as far.
func unseen(words string) bool {
	return strings.Contains(words, "can't chdir to ") || strings.Contains(words, "can't open output file") || strings.Contains(words, "can't stat() ")
}

// couldNotBegin ends the elements that are in an error state since their node sees
// nothing of the run. They would stay in the queue for ever.
func (e *Engine) couldNotBegin(ctx context.Context, r *engine.Report, q snapshot) error {
	a, err := e.array(r.ID)
	if err != nil || a == nil {
		return err
	}
	for _, p := range a.pieces() {
		number := a.jobs[p.number]
		for n := 1; n <= p.size; n++ {
			el := &r.Elements[p.first+n-2]
			if t, there := q.of(number, n); !there || !strings.Contains(t.state, "E") || el.State != job.Pending {
				continue
			}
			el.State, el.Ended = job.Failed, time.Now()
			el.Exit = job.Exit{Code: job.ExitUnseen, Cause: job.CauseExit}
			if err := a.keep(settledPrefix+strconv.Itoa(el.Index), *el); err != nil {
				return err
			}
			if err := e.tellJob(ctx, "qdel", number, "-t", strconv.Itoa(n)); err != nil {
				return err
			}
		}
	}
	r.State = engine.Overall(r.Elements)
	return nil
}

// Find looks for the array with that tag. Where a submission has not come to its end, it asks the queue
// what became of it.
func (e *Engine) Find(ctx context.Context, tag string) ([]engine.ID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q, err := e.snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking Grid Engine for the queue: %w", err)
	}
	a, err := load(e.base(), token(tag))
	if err != nil || a == nil || a.Tag != tag {
		return nil, err
	}
	if a.files[submittedFile] {
		return []engine.ID{idOf(a.token)}, nil
	}
	there, err := e.recover(ctx, a, q)
	if err != nil || !there {
		return nil, err
	}
	return []engine.ID{idOf(a.token)}, nil
}
