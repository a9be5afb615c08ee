package gridengine

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"muster/internal/engine"
	"muster/internal/job"
)

// InAllocation reports whether a process with that environment is inside a parallel job of
// the user's own (qrsh or qsub with -pe). What muster has started itself, on any engine, is not.
func InAllocation(environ []string) bool {
	env := environment(environ)
	return env["PE_HOSTFILE"] != "" && isNumber(env["JOB_ID"]) && env["SGE_ROOT"] != "" && env[engine.EnvArray] == ""
}

// place is what a job has of one node.
type place struct {
	node  string
	slots int
}

// Allocation is the engine inside a parallel job: elements go to the nodes that the job
// has, those of the first node directly, the others by one qrsh -inherit each. Another engine, on
// the host that muster runs on, looks after them, and gives the arrays their IDs.
type Allocation struct {
	engine.Engine
	o      Options
	qrsh   string
	job    string
	places []place
}

var (
	_ engine.Engine = (*Allocation)(nil)
	_ engine.Shower = (*Allocation)(nil)
)

// NewAllocation makes the engine of the job that o.Environ tells of. inner is the engine of this
// host; o.Command leads to Node (nil: this program, "gridengine-node"). Errors: the environment is not that of a
// parallel job, ErrMissing.
func NewAllocation(inner engine.Engine, o Options) (*Allocation, error) {
	if o.Command == nil {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding this program's file: %w", err)
		}
		o.Command = []string{self, "gridengine-node"}
	}
	env := environment(o.Environ)
	text, err := os.ReadFile(env["PE_HOSTFILE"])
	if err != nil {
		return nil, fmt.Errorf("the nodes of Grid Engine job %s: %w", env["JOB_ID"], err)
	}
	a := &Allocation{Engine: inner, o: o, job: env["JOB_ID"], places: parsePlaces(string(text), env["HOSTNAME"])}
	if len(a.places) == 0 {
		return nil, fmt.Errorf("the nodes of Grid Engine job %s: %s names none", a.job, env["PE_HOSTFILE"])
	}
	a.qrsh, err = (&Engine{o: o}).find("qrsh")
	return a, err
}

// parsePlaces reads a PE_HOSTFILE: node, slots, queue, processors. This node comes first.
func parsePlaces(text, here string) []place {
	var out []place
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		slots, err := strconv.Atoi(f[1])
		if err != nil || slots < 1 {
			continue
		}
		// A node may be there with several queues.
		if i := slices.IndexFunc(out, func(p place) bool { return p.node == f[0] }); i >= 0 {
			out[i].slots += slots
			continue
		}
		out = append(out, place{f[0], slots})
	}
	slices.SortStableFunc(out, func(a, b place) int {
		switch {
		case short(a.node) == short(here):
			return -1
		case short(b.node) == short(here):
			return 1
		}
		return 0
	})
	return out
}

// slots is what the job has of the node with the fewest.
func (a *Allocation) slots() int {
	least := a.places[0].slots
	for _, p := range a.places {
		least = min(least, p.slots)
	}
	return least
}

// Info describes the job.
func (a *Allocation) Info(ctx context.Context, _ job.Resource) (engine.Info, error) {
	info, err := a.Engine.Info(ctx, job.Resource{})
	if err != nil {
		return info, err
	}
	info.Name, info.Version = "gridengine", "job "+a.job
	info.Nodes, info.CPUs = len(a.places), a.slots()
	all := make([]node, len(a.places))
	for i, p := range a.places {
		all[i].slots = p.slots
	}
	_, _, info.Mixed = smallest(all)
	info.Description = fmt.Sprintf("Grid Engine job %s: %d nodes with %d slots", a.job, info.Nodes, info.CPUs)
	return info, nil
}

// Status is the inner engine's, with the nodes on which the elements truly are.
func (a *Allocation) Status(ctx context.Context, ids ...engine.ID) ([]engine.Report, error) {
	reports, err := a.Engine.Status(ctx, ids...)
	for _, r := range reports {
		for i := range r.Elements {
			if e := &r.Elements[i]; e.Node != "" {
				e.Node = a.places[(e.Index-1)%len(a.places)].node
			}
		}
	}
	return reports, err
}

// Submit has the inner engine run a Node for each element.
func (a *Allocation) Submit(ctx context.Context, arr job.Array) (engine.ID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := engine.Check(arr); err != nil {
		return "", err
	}
	wrapped, err := a.wrap(arr)
	if err != nil {
		return "", fmt.Errorf("array %q: %w", arr.Tag, err)
	}
	return a.Engine.Submit(ctx, wrapped)
}

// Show returns the command that stands for an element on this host. There is no script.
func (a *Allocation) Show(arr job.Array) (argv []string, text string, err error) {
	wrapped, err := a.wrap(arr)
	if err != nil {
		return nil, "", err
	}
	return wrapped.Argv, "# Elements run inside job " + a.job + ": nothing is given to qsub.\n", nil
}

// wrap makes the array of Nodes.
func (a *Allocation) wrap(arr job.Array) (job.Array, error) {
	if arr.CPUs > a.slots() {
		return arr, no("an element asks for %d CPUs, and job %s has %d slots on its smallest node", arr.CPUs, a.job, a.slots())
	}
	if arr.Spread && arr.Elements > len(a.places) {
		return arr, no("%d elements ask for a node each, and job %s has %d", arr.Elements, a.job, len(a.places))
	}
	names := make([]string, len(a.places))
	for i, p := range a.places {
		names[i] = p.node
	}
	arr.Argv = slices.Concat(a.o.Command, []string{a.qrsh, strings.Join(names, ",")}, arr.Argv)
	// qrsh finds its job by these.
	var env []string
	for _, kv := range arr.Env {
		if name, _, _ := strings.Cut(kv, "="); !FromGridEngine(name) {
			env = append(env, kv)
		}
	}
	for _, kv := range a.o.Environ {
		if name, _, _ := strings.Cut(kv, "="); FromGridEngine(name) {
			env = append(env, kv)
		}
	}
	// The inner engine gives each element a task number of its own.
	arr.Env = append(env, taskVariable+"="+environment(a.o.Environ)["SGE_TASK_ID"])
	return arr, nil
}
