package run

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"muster/internal/engine"
	"muster/internal/rundir"
)

// loadAtOnce is how many run directories Overview reads at the same time: they
// are many small files, and a shared file system answers each slowly.
const loadAtOnce = 8

// Overview tells how several runs stand, with one query an engine for all of
// them. tell is called once for each run, one call at a time, in no order; a run that
// cannot be read has an error there, and the others are told nevertheless. The
// standing is not kept.
func (c *Conductor) Overview(ctx context.Context, runs []*rundir.Run, tell func(r *rundir.Run, s *Standing, err error)) error {
	subs := make([][]rundir.Submission, len(runs))
	bad := make([]error, len(runs))
	for i, r := range runs {
		subs[i], bad[i] = c.submissions(ctx, r)
	}
	reports, failed := c.askAll(ctx, subs)
	type told struct {
		i   int
		s   *Standing
		err error
	}
	results := make(chan told)
	var load errgroup.Group
	load.SetLimit(loadAtOnce)
	go func() {
		for i, r := range runs {
			load.Go(func() error {
				if bad[i] != nil && !silent(bad[i]) {
					results <- told{i: i, err: bad[i]}
					return nil
				}
				a := &arrays{subs: subs[i], reports: map[int]engine.Report{}, deaf: bad[i], cancel: cancelAsked(r, subs[i])}
				for _, s := range subs[i] {
					switch err := failed[s.Engine]; {
					case len(s.IDs) == 0:
					case silent(err):
						a.deaf = err
					case err != nil:
						results <- told{i: i, err: err}
						return nil
					default:
						a.reports[s.Generation] = reports[s.Engine][engine.ID(s.IDs[0])]
					}
				}
				snap, err := r.Load(ctx, rundir.LoadOptions{Alive: a.alive})
				if err != nil {
					results <- told{i: i, err: err}
					return nil
				}
				results <- told{i: i, s: a.judge(snap)}
				return nil
			})
		}
		_ = load.Wait() // errors travel with the results
		close(results)
	}()
	for t := range results {
		tell(runs[t.i], t.s, t.err)
	}
	return ctx.Err()
}

// askAll asks each engine once about all its arrays. An engine that does not
// answer is in failed.
func (c *Conductor) askAll(ctx context.Context, subs [][]rundir.Submission) (reports map[string]map[engine.ID]engine.Report, failed map[string]error) {
	ids := map[string][]engine.ID{}
	for _, s := range slices.Concat(subs...) {
		if len(s.IDs) > 0 {
			ids[s.Engine] = append(ids[s.Engine], engine.ID(s.IDs[0]))
		}
	}
	reports, failed = map[string]map[engine.ID]engine.Report{}, map[string]error{}
	for name, list := range ids {
		e, err := c.engineOf(name)
		var answers []engine.Report
		if err == nil {
			answers, err = e.Status(ctx, list...)
		}
		if err != nil {
			failed[name] = engineError(name, "asking how arrays stand", err)
			continue
		}
		reports[name] = map[engine.ID]engine.Report{}
		for i, id := range list {
			reports[name][id] = answers[i]
		}
	}
	return reports, failed
}
