package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"muster/internal/job"
)

// Pacer is an engine that is asked no more often for Status than Info.Poll
// says: in between it answers from memory. Callers may then ask as often as
// they like.
type Pacer struct {
	Engine
	now func() time.Time

	mu    sync.Mutex
	every time.Duration
	known map[ID]remembered
}

type remembered struct {
	report Report
	at     time.Time
}

// unsaidPoll is how often an engine is asked of which nobody has asked Info yet:
// that would be a question of its own.
const unsaidPoll = 5 * time.Second

// Pace makes a Pacer of an engine.
func Pace(e Engine) *Pacer {
	return &Pacer{Engine: e, now: time.Now, every: unsaidPoll, known: map[ID]remembered{}}
}

// Info asks the engine, and learns from the answer how often it may be asked.
func (p *Pacer) Info(ctx context.Context, want job.Resource) (Info, error) {
	info, err := p.Engine.Info(ctx, want)
	if err == nil {
		p.mu.Lock()
		p.every = info.Poll
		p.mu.Unlock()
	}
	return info, err
}

// Status answers from memory what was asked lately, if all of it was. Reports are
// not copied: nobody changes them.
func (p *Pacer) Status(ctx context.Context, ids ...ID) ([]Report, error) {
	p.mu.Lock()
	defer p.mu.Unlock() // one question at a time
	now := p.now()
	var out []Report
	for _, id := range ids {
		k, ok := p.known[id]
		if !ok || now.Sub(k.at) >= p.every {
			break
		}
		out = append(out, k.report)
	}
	if len(out) == len(ids) {
		return out, ctx.Err()
	}
	reports, err := p.Engine.Status(ctx, ids...)
	if err != nil {
		return nil, err
	}
	now = p.now()
	for i, id := range ids {
		p.known[id] = remembered{reports[i], now}
	}
	return slices.Clone(reports), nil
}

// Control asks the engine; what was known before does not count any more.
func (p *Pacer) Control(ctx context.Context, id ID, op job.Op) error {
	p.Forget()
	return p.Engine.Control(ctx, id, op)
}

// Forget makes the next Status ask the engine.
func (p *Pacer) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
}

// Show shows what the engine would show, if it can.
func (p *Pacer) Show(a job.Array) (argv []string, script string, err error) {
	s, ok := p.Engine.(Shower)
	if !ok {
		return nil, "", errors.New("this engine has nothing to show")
	}
	return s.Show(a)
}
