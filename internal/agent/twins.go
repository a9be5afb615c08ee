package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"muster/internal/rundir"
)

// A scheduler that has lost sight of a node starts its element again, while the
// agent there, the elder twin, may well be alive. The younger one's heartbeat tells
// the elder that it is superseded: it ends what it runs, publishes nothing more and
// leaves. The younger one waits for that, so that nothing which the elder has
// brought to its end in the last moment is done twice; it does not wait for the dead.

const (
	twinsEvery    = 4 * time.Second  // how often an agent looks for a younger twin
	elderPatience = 12 * time.Second // without a beat of an elder twin, after which it counts as dead
	elderLimit    = time.Minute      // after which it is not waited for any more
	eldersEvery   = 200 * time.Millisecond
)

// watchTwins looks for a younger twin until ctx ends.
func (a *agent) watchTwins(ctx context.Context) {
	tick := time.NewTicker(twinsEvery)
	defer tick.Stop()
	for {
		newer, by, found, err := a.run.Newer(a.journal.ID())
		switch {
		case err != nil:
			a.Log.Warn("looking for a newer incarnation", "err", err)
		case found:
			a.supersede(newer, by.Host)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// supersede makes the agent leave everything to a younger twin.
func (a *agent) supersede(newer rundir.AgentID, host string) {
	why := fmt.Sprintf("superseded by incarnation %d", newer.Incarnation)
	if host != "" {
		why += " on " + host
	}
	a.note("%s", why)
	a.superseded.Store(true)
	a.queue.cancel(why, errSuperseded)
	a.endCalls(errSuperseded)
}

// settled waits until the elder twins of this agent have left or are dead, and
// returns what is done by then. others tells of all other agents whether they are alive.
func (a *agent) settled(ctx context.Context, others func(rundir.AgentState) bool) (*rundir.Snapshot, error) {
	watch := a.run.NewWatch(a.machine, elderPatience)
	for began := time.Now(); ; {
		snap, err := a.run.Load(ctx, rundir.LoadOptions{Outputs: a.Reduce, Alive: func(s rundir.AgentState) bool {
			if a.isElder(s) {
				return watch.Alive(s)
			}
			return others(s)
		}})
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(snap.Agents, func(s rundir.AgentState) bool { return s.Alive && a.isElder(s) })
		if at < 0 {
			return snap, nil
		}
		if time.Since(began) > elderLimit {
			a.note("incarnation %d on %s is still at work; going on beside it: each output appears once", snap.Agents[at].ID.Incarnation, snap.Agents[at].Host)
			return snap, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(eldersEvery):
		}
	}
}

// isElder reports whether s is an earlier incarnation of this very agent. Who has no
// lanes has recorded something behind the dead, and is no agent.
func (a *agent) isElder(s rundir.AgentState) bool {
	me := a.journal.ID()
	return s.Lanes > 0 && s.ID.Generation == me.Generation && s.ID.Element == me.Element && s.ID.Incarnation < me.Incarnation
}
