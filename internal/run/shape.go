package run

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"muster/internal/admit"
	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/plan"
	"muster/internal/rundir"
	"muster/internal/ui/human"
)

// What an element takes beside its programs. An agent has been seen to take 50 to 70 MB with
// 100,000 tasks, most of it for these, and its keeper 12 MB.
const (
	AgentMemory = 128 << 20 // with up to agentTasks
	taskMemory  = 1 << 10   // for each task beyond
	agentTasks  = 100_000
)

func agentMemory(tasks int) int64 {
	return AgentMemory + int64(max(tasks-agentTasks, 0))*taskMemory
}

// warning settles how long before its time is over an agent is told.
func warning(r Request) time.Duration {
	if r.Warn > 0 {
		return r.Warn
	}
	return job.WarnAhead(r.Time)
}

// shape settles engine, lanes and plan.
func (c *Conductor) shape(ctx context.Context, p *Prepared, r Request) (err error) {
	s := &p.Spec
	p.engine, err = c.choose(ctx, wanted{engine: r.Engine, fallback: r.Fallback, fresh: r.New, resource: s.Scheduler})
	if err != nil {
		return err
	}
	s.Engine = p.engine.name
	if p.engine.why != "" {
		c.tell("engine %s: %s", c.schedulerOf(s.Engine), p.engine.why)
	}
	info := p.engine.info
	if left := info.MaxTime; c.schedulerOf(s.Engine) != s.Engine && left > 0 && (s.Time == 0 || s.Time > left) {
		s.Time = left // of the allocation
		s.Warn = min(s.Warn, job.WarnAhead(left))
	}
	if c.scheduled(s.Engine) {
		if err := withinLimits(*s, info); err != nil {
			return err
		}
	}
	if s.Launch != nil {
		p.Plan, err = plan.Launch(plan.Request{Spec: *s, Nodes: nodesOf(*s, info), CPUs: info.CPUs})
		return err
	}
	if s.Lanes, err = c.lanes(*s, r, info); err != nil {
		return err
	}
	var left *job.IndexSet
	if len(p.Present) > 0 && s.Existing == job.ExistingSkip {
		left = without(s.Tasks, p.Present)
	}
	p.Plan, err = plan.Make(plan.Request{Spec: *s, Tasks: s.Tasks, Nodes: nodesOf(*s, info), CPUs: info.CPUs, Left: left})
	return err
}

// nodesOf is how many nodes a run may take.
func nodesOf(s job.Spec, info engine.Info) int {
	n := max(info.Nodes, 1)
	if s.Nodes > 0 {
		n = min(n, s.Nodes)
	}
	return n
}

// withinLimits refuses what the scheduler would refuse, with the numbers.
func withinLimits(s job.Spec, info engine.Info) error {
	where := "engine " + s.Engine
	if s.Scheduler.Partition != "" {
		where = s.Scheduler.Partition
	}
	if info.MaxTime > 0 && s.Time > info.MaxTime {
		return job.BadInputf("--time %s is more than %s allows (%s)", job.FormatDuration(s.Time), where, job.FormatDuration(info.MaxTime))
	}
	if s.Time > 0 && s.Warn >= s.Time {
		return job.BadInputf("--warn %s leaves nothing of --time %s", job.FormatDuration(s.Warn), job.FormatDuration(s.Time))
	}
	return nil
}

// cpusPerLane is what a lane of the map takes of a node.
func cpusPerLane(s job.Spec) int { return max(s.Threads, s.Scheduler.Slots(false), 1) }

// lanes settles how many programs a node runs at once: as many as it has CPUs for, and
// no more than its memory holds.
func (c *Conductor) lanes(s job.Spec, r Request, info engine.Info) (int, error) {
	asked, cpus := r.Lanes, max(info.CPUs, 1)
	if s.NP.Triple {
		asked = s.NP.PerNode
	}
	lanes := asked
	switch {
	case s.NP.Triple: // the plan refuses what does not fit
	case lanes == 0:
		lanes = max(cpus/cpusPerLane(s), 1)
		if info.Mixed != "" {
			c.tell("%s: %s on a node, as the smallest has CPUs for; --lanes, --partition or --constraint say otherwise", info.Mixed, human.Plural(lanes, "lane"))
		}
	case lanes*cpusPerLane(s) > cpus && c.scheduled(s.Engine):
		c.tell("%s on nodes with %s: they share them", human.Plural(lanes, "lane"), human.Plural(cpus, "CPU"))
	}
	if s.Mem == 0 || info.Memory == 0 {
		return lanes, nil
	}
	each := int64(max(s.PerLane, 1)) * s.Mem
	fit := int((info.Memory - agentMemory(s.Tasks)) / each)
	switch {
	case fit >= lanes:
	case fit < 1, c.scheduled(s.Engine) && asked > 0:
		n := max(asked, 1)
		what := human.Plural(n, "lane")
		if s.PerLane > 1 {
			what += fmt.Sprintf(" of %d programs each", s.PerLane)
		}
		return 0, job.BadInputf("%s with --mem %s: that takes %s of a node, the agent's own %s included, and it has %s", what,
			job.FormatMemory(s.Mem), job.FormatMemory(int64(n)*each+agentMemory(s.Tasks)), job.FormatMemory(agentMemory(s.Tasks)), job.FormatMemory(info.Memory))
	case asked > 0: // this machine: whoever asks for it gets it
		c.tell("%s of --mem %s may need more than the %s here", human.Plural(lanes, "lane"), job.FormatMemory(s.Mem), job.FormatMemory(info.Memory))
	default:
		c.tell("%s instead of %d on a node: its %s hold no more of --mem %s", human.Plural(fit, "lane"), lanes, job.FormatMemory(info.Memory), job.FormatMemory(s.Mem))
		return fit, nil
	}
	return lanes, nil
}

// demand is what an array asks of its engine: as many nodes as the plan has
// elements, each with room for its lanes and the agent; one CPU for a reduce step.
func demand(s job.Spec, kind rundir.SubmissionKind, elements []plan.Element, cpus int) job.Array {
	a := job.Array{Elements: max(len(elements), 1), Resource: s.Scheduler, Time: s.Time, Requeue: s.Requeue}
	a.Resource.SlotsPer, a.Resource.SlotsType = 0, 0 // they are in the CPUs
	if kind == rundir.SubmitReduce {
		a.CPUs = s.Scheduler.Slots(true)
		a.Resource.Exclusive, a.Resource.GPUs = false, ""
		if s.Mem > 0 {
			a.Mem = s.Mem + agentMemory(s.Tasks)
		}
		return a
	}
	lanes, programs := 1, 1
	for _, e := range elements {
		lanes = max(lanes, e.Lanes)
		programs = max(programs, len(e.Calls))
	}
	if s.Launch == nil {
		programs = lanes // at a time
	}
	a.Warn = s.Warn
	groups := lanes
	if s.Launch == nil && s.PerLane > 1 {
		groups = (lanes-1)/s.PerLane + 1
	}
	a.CPUs = groups * cpusPerLane(s)
	if cpus > 0 {
		a.CPUs = min(a.CPUs, cpus) // more lanes than CPUs share them
	}
	if s.Mem > 0 {
		a.Mem = int64(programs)*s.Mem + agentMemory(s.Tasks)
		if s.Launch != nil { // of what is given so much stays free
			a.Mem += admit.FloorBeside(a.Mem, s.Launch.Floor)
		}
	}
	if s.Launch != nil {
		a.Spread = true // the plan counts on a node for each element
	}
	if s.NP.Triple { // whole nodes, as published
		a.Spread, a.Resource.Exclusive = true, true
	}
	return a
}

// Shown is what a scheduler would be given. That the reduce step waits for the map is not
// in it: an array is named when it is submitted.
type Shown struct {
	Step   string // map, reduce
	Argv   []string
	Script string
}

// Show tells what Submit would give to the engine: nothing where there is no
// scheduler. It writes nothing and asks nobody.
func (c *Conductor) Show(p *Prepared) ([]Shown, error) {
	shower, ok := p.engine.Engine.(engine.Shower)
	if !ok {
		return nil, nil
	}
	env, err := programEnv(c.Environ, p.Spec.EnvNames)
	if err != nil {
		return nil, err
	}
	number := 1
	if n, err := c.Store.Last(); err == nil {
		number = n + 1
	}
	r := &rundir.Run{Number: number, Dir: filepath.Join(c.Store.Dir(), strconv.Itoa(number))}
	var out []Shown
	show := func(gen int, kind rundir.SubmissionKind, elements []plan.Element) error {
		sub := rundir.Submission{Generation: gen, Kind: kind, Tag: "TAG"}
		argv, script, err := shower.Show(c.arrayOf(r, sub, p.Spec, elements, p.engine.info.CPUs, nil, p.hold && kind == rundir.SubmitMap, env))
		out = append(out, Shown{Step: string(kind), Argv: argv, Script: script})
		return err
	}
	if err := show(1, rundir.SubmitMap, p.Plan.Elements); err != nil || p.Spec.Reducer == "" {
		return out, err
	}
	// The map's array, which it waits for, has no name yet.
	return out, show(2, rundir.SubmitReduce, nil)
}
