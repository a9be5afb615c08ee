package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/plan"
	"muster/internal/rundir"
	"muster/internal/ui/human"
)

// Submit builds the image if need be, makes the run directory and hands the
// arrays to the engine. When it returns, the run goes on by itself. When it fails and
// the engine has surely taken nothing, nothing is left: the run returned is nil.
func (c *Conductor) Submit(ctx context.Context, p *Prepared) (_ *rundir.Run, err error) {
	env, err := programEnv(c.Environ, p.Spec.EnvNames)
	if err != nil {
		return nil, err
	}
	unmake, err := outputFolder(p.Spec.Output)
	if err != nil {
		return nil, err
	}
	if err := c.image(ctx, p); err != nil {
		return nil, errors.Join(err, unmake())
	}
	run, err := c.Store.Create(p.Spec, p.Tasks)
	if err != nil {
		return nil, errors.Join(err, unmake())
	}
	// Nobody takes the run for one that was never submitted meanwhile.
	heart, err := run.Conduct(ctx, hostname(), os.Getpid())
	if err != nil {
		return nil, errors.Join(err, c.Store.Remove(run), unmake())
	}
	moved, err := c.makeWay(run, p)
	if err == nil {
		err = c.submit(ctx, run, p.engine, p.Spec, p.Plan, p.hold, env)
	}
	heart.Close()
	if err != nil && !moved && untaken(run) {
		return nil, errors.Join(err, c.Store.Remove(run), unmake())
	}
	return run, err
}

// untaken reports whether no engine has anything of a run, for sure.
func untaken(run *rundir.Run) bool {
	subs, err := run.Submissions()
	return err == nil && !slices.ContainsFunc(subs, func(s rundir.Submission) bool { return s.Refused == "" })
}

// outputFolder makes the output folder, if there is to be one. unmake removes
// what was made, while it is empty.
func outputFolder(dir string) (unmake func() error, err error) {
	var made []string // the deepest first
	unmake = func() error {
		for _, d := range made {
			if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("removing the new output folder: %w", err)
			}
		}
		return nil
	}
	if dir == "" {
		return unmake, nil
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, d)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, errors.Join(job.BadInputf("the output folder %s cannot be made: %v; choose another", dir, reason(err)), unmake())
	}
	return unmake, nil
}

// reason is the system's own word of an error, without the call and the path.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// image makes sure that the image is there.
func (c *Conductor) image(ctx context.Context, p *Prepared) error {
	img, err := p.Front.Image(ctx, p.Request, c.step)
	if err != nil {
		return err
	}
	switch {
	case img.Damage != "":
		c.tell("%s; built again in %.1f s", img.Damage, img.Built.Seconds())
	case img.Built > 0:
		c.tell("image built in %.1f s", img.Built.Seconds())
	}
	p.Spec.Image, p.Spec.ImageKey, p.Spec.GuestOpts = img.Dir, img.Key, img.Options
	return nil
}

// makeWay sees to outputs that are there already: they count as done, or are
// moved aside. So is what a reducer has made of them, which is made again. moved tells
// whether anything was.
func (c *Conductor) makeWay(run *rundir.Run, p *Prepared) (moved bool, err error) {
	if moved, err = c.moveResult(run, p.Spec); err != nil || len(p.Present) == 0 {
		return moved, err
	}
	if p.Spec.Existing != job.ExistingReplace {
		c.tell("%s of %d there already; the tasks count as completed", human.Plural(len(p.Present), "output"), len(p.Tasks))
		return moved, c.recordPresent(run, p)
	}
	aside := filepath.Join(p.Spec.Output, fmt.Sprintf(".replaced-by-muster-%d", run.Number))
	for _, t := range p.Present {
		if err := moveAside(filepath.Join(p.Spec.Output, p.Tasks[t-1].Out), filepath.Join(aside, p.Tasks[t-1].Out)); err != nil {
			return true, err // those before it
		}
	}
	c.tell("moved %s aside, to %s", human.Plural(len(p.Present), "existing output"), aside)
	return true, nil
}

// moveResult moves aside what an earlier run's reducer has left under the name
// that this run's is to use.
func (c *Conductor) moveResult(run *rundir.Run, s job.Spec) (moved bool, err error) {
	if s.ReducerOut == "" {
		return false, nil
	}
	if _, err := os.Lstat(s.ReducerOut); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	aside := s.ReducerOut + fmt.Sprintf(".replaced-by-muster-%d", run.Number)
	if err := moveAside(s.ReducerOut, aside); err != nil {
		return false, err
	}
	c.tell("moved an earlier result aside, to %s", aside)
	return true, nil
}

func moveAside(from, to string) error {
	err := os.MkdirAll(filepath.Dir(to), 0o777)
	if err == nil {
		err = os.Rename(from, to)
	}
	if err != nil {
		return fmt.Errorf("moving an existing output aside: %w", err)
	}
	return nil
}

// recordPresent journals the tasks whose outputs are there as completed.
func (c *Conductor) recordPresent(run *rundir.Run, p *Prepared) error {
	j, err := run.NewJournal(1, 1, rundir.AgentStart{Run: run.Number, Element: 1, Host: hostname(), PID: os.Getpid(), Began: time.Now()}, rundir.JournalOptions{})
	if err != nil {
		return err
	}
	for _, t := range p.Present {
		end := &rundir.TaskEnd{Task: t, State: job.Completed, Final: true, Outputs: []rundir.Output{{Name: p.Tasks[t-1].Out}}}
		if st, err := os.Stat(filepath.Join(p.Spec.Output, p.Tasks[t-1].Out)); err == nil {
			end.Outputs[0].Size = st.Size()
		}
		j.Commit(rundir.Record{Kind: rundir.KindEnd, At: j.Now(), End: end}, func(error) {})
	}
	err = j.Append(rundir.Record{Kind: rundir.KindFinish, At: j.Now(), Note: "recorded outputs that were there already"})
	return errors.Join(err, j.Close())
}

// submit hands a plan, and the reduce step behind it, to the engine.
func (c *Conductor) submit(ctx context.Context, run *rundir.Run, e chosen, spec job.Spec, p *plan.Plan, hold bool, env []string) error {
	var after []string
	if len(p.Elements) > 0 {
		id, err := c.array(ctx, run, e, spec, rundir.SubmitMap, p, nil, hold, env)
		if err != nil {
			return err
		}
		after = []string{string(id)}
	}
	if spec.Reducer == "" {
		return nil
	}
	_, err := c.array(ctx, run, e, spec, rundir.SubmitReduce, &plan.Plan{}, after, hold && after == nil, env)
	return err
}

// array submits one array: first the intent with its tag, then what became of
// it, so that a lost answer can be found.
func (c *Conductor) array(ctx context.Context, run *rundir.Run, e chosen, spec job.Spec, kind rundir.SubmissionKind, p *plan.Plan, after []string, hold bool, env []string) (engine.ID, error) {
	last, err := run.LastRequest()
	if err != nil {
		return "", err
	}
	sub, err := run.AddSubmission(rundir.Submission{
		Kind: kind, Engine: e.name, Tag: fmt.Sprintf("muster-%d-%s", run.Number, rand.Text()),
		At: time.Now(), Elements: max(len(p.Elements), 1), Host: hostname(), LastRequest: last, Clock: hostClock(ctx, run, e.name),
	})
	if err != nil {
		return "", err
	}
	if err := writeShares(run, sub.Generation, p); err != nil {
		return "", errors.Join(err, run.Refused(sub.Generation, "it was not asked: "+err.Error()))
	}
	if err := c.describe(ctx, run, spec, sub); err != nil {
		return "", errors.Join(err, run.Refused(sub.Generation, "it was not asked: "+err.Error()))
	}
	a := c.arrayOf(run, sub, spec, p.Elements, e.info.CPUs, after, hold, env)
	if err := os.MkdirAll(a.LogDir, 0o700); err != nil {
		err = fmt.Errorf("making the folder of logs: %w", err)
		return "", errors.Join(err, run.Refused(sub.Generation, "it was not asked: "+err.Error()))
	}
	id, err := e.Submit(ctx, a)
	if errors.Is(err, engine.ErrUnavailable) {
		id, err = c.recover(ctx, e, a.Tag, err)
	}
	switch {
	case err == nil:
		return id, run.Taken(sub.Generation, string(id))
	case errors.Is(err, engine.ErrUnavailable):
		// It may have been taken: the intent stays open, and its tag tells later.
		return "", engineError(e.name, "submitting", err)
	}
	return "", errors.Join(engineError(e.name, "submitting", err), run.Refused(sub.Generation, err.Error()))
}

// lostFor is how long the answer to a submission is looked for.
const lostFor = 20 * time.Second

// recover finds out what became of a submission whose answer was lost. What the
// engine does not know yet, it may learn still: then the error stays ErrUnavailable,
// and nothing is submitted a second time here.
func (c *Conductor) recover(ctx context.Context, e engine.Engine, tag string, lost error) (engine.ID, error) {
	c.tell("the scheduler has not answered; looking for what it may have taken")
	ctx, stop := context.WithTimeout(ctx, lostFor)
	defer stop()
	for {
		if ids, err := e.Find(ctx, tag); err == nil && len(ids) > 0 {
			return ids[0], nil
		}
		select {
		case <-ctx.Done():
			return "", lost
		case <-time.After(pollEvery):
		}
	}
}

// arrayOf is a submission as its engine is given it.
func (c *Conductor) arrayOf(run *rundir.Run, sub rundir.Submission, spec job.Spec, elements []plan.Element, cpus int, after []string, hold bool, env []string) job.Array {
	a := demand(spec, sub.Kind, elements, cpus)
	a.Tag, a.Name = sub.Tag, fmt.Sprintf("%s (run %d)", spec.Name, run.Number)
	a.Argv = append(slices.Clone(c.Agent), "--run-dir", run.Dir, "--generation", strconv.Itoa(sub.Generation), "--guest", spec.Guest)
	if sub.Kind == rundir.SubmitReduce {
		a.Argv = append(a.Argv, "--reduce")
	}
	a.Env = append(agentEnv(c.Environ), job.PackEnv(env)...)
	a.Dir, a.LogDir, a.Scripts = run.Dir, run.LogsDir(sub.Generation), run.ScriptsDir()
	a.Token = run.IntentPath(sub.Generation)
	a.After, a.Hold = after, hold
	return a
}

// writeShares writes what each element is to do, or the pool that they share.
func writeShares(run *rundir.Run, generation int, p *plan.Plan) error {
	if p.Pool != nil {
		pool := rundir.Pool{Generation: generation, Calls: p.Pool.Calls, Chunks: p.Pool.Chunks}
		for _, e := range p.Elements {
			pool.Shapes = append(pool.Shapes, shape(e))
		}
		return run.WritePool(pool)
	}
	for _, e := range p.Elements {
		share := rundir.Share{Generation: generation, Element: e.Index, Calls: e.Calls, Shape: shape(e)}
		if err := run.WriteShare(share); err != nil {
			return err
		}
	}
	return nil
}

func shape(e plan.Element) rundir.Shape {
	return rundir.Shape{
		Node: e.Node, Lanes: e.Lanes, PerLane: e.PerLane, Threads: e.Threads,
		PerNode: e.PerNode, FirstRank: e.FirstRank, Ranks: e.Ranks,
	}
}

// agentEnv is what agents get of the user's environment: nothing that changes
// how a program is loaded or a shell starts.
func agentEnv(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR",
			"XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR":
			return false
		}
		return !strings.HasPrefix(name, "LC_") && !strings.HasPrefix(name, "MUSTER_")
	})
}
