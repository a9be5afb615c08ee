package plan

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"muster/internal/job"
)

// startsPerCPU is how many starts are in flight for each CPU, unless it was said: a start
// waits for its Wine server and for the disk as much as it computes.
const startsPerCPU = 4

// Launch plans a launch: all programs are to be alive at the same time, so they are dealt to
// the nodes in blocks, as even as can be, and no lane limits them. Element.Lanes is how many
// starts of a node may be in flight. Read of Spec are Launch, NP and Nodes. The error is
// job.ErrBadInput.
func Launch(r Request) (*Plan, error) {
	l, np := r.Spec.Launch, r.Spec.NP
	nodes, cpus := max(r.Nodes, 1), max(r.CPUs, 1)
	if l.Programs < 1 {
		return nil, job.BadInputf("there is nothing to do: --programs %d", l.Programs)
	}
	p := &Plan{AppType: job.SISO, Distribution: job.Block, NP: np, Tasks: l.Programs, Left: l.Programs, Processes: l.Programs, Launch: l}
	threads := 0
	switch {
	case np.Triple && np.Nodes > nodes:
		return nil, job.BadInputf("--np=%v needs %s, and there %s", np, count(np.Nodes, "node", "nodes"), isAre(nodes))
	case np.Triple:
		nodes, threads = np.Nodes, np.Threads
	case r.Spec.Nodes == 0: // a CPU for each program is as much as a launch can use
		nodes = min(nodes, (l.Programs-1)/cpus+1)
	}
	if r.Spec.Nodes > nodes {
		p.Notes = append(p.Notes, fmt.Sprintf("%s were asked for, and there %s", count(r.Spec.Nodes, "node", "nodes"), isAre(nodes)))
	}
	p.Nodes = min(nodes, l.Programs)
	starts := l.InFlight
	if starts == 0 {
		starts = startsPerCPU * cpus
	}
	first := 0
	for node, part := range deal(l.Programs, p.Nodes, job.Block) {
		p.Elements = append(p.Elements, Element{
			Index: node + 1, Node: node, Lanes: min(starts, len(part)), Threads: threads,
			PerNode: len(part), FirstRank: first, Calls: singles(part),
		})
		first += len(part)
	}
	return p, nil
}

// servers reports whether it is known how many servers the programs will share.
func (p *Plan) servers() bool {
	return slices.ContainsFunc(p.Elements, func(e Element) bool { return e.Servers > 0 })
}

// crowd is how many programs a server of the element carries: each gets the next one while it has the fewest.
func (e Element) crowd() string {
	if e.Servers == 0 {
		return "–"
	}
	small, rest := len(e.Calls)/e.Servers, len(e.Calls)%e.Servers
	if rest == 0 {
		return strconv.Itoa(small)
	}
	return fmt.Sprintf("%d to %d", small, small+1)
}

// printLaunch writes what Print writes above the nodes.
func (p *Plan) printLaunch(w io.Writer) {
	l := p.Launch
	waves := ""
	if l.Waves {
		waves = ", or in waves of as many as fit"
	}
	fmt.Fprintf(w, "Plan: %s on %s, all alive at the same time%s.\n", count(l.Programs, "program", "programs"), count(len(p.Elements), "node", "nodes"), waves)
	fmt.Fprintf(w, "  alive      %s\n", map[job.ReadyHow]string{
		job.ReadyExec:   "as soon as a program's own image runs",
		job.ReadyOutput: fmt.Sprintf("as soon as a line of a program's output matches %s", l.Ready.What),
		job.ReadyFile:   fmt.Sprintf("as soon as a program's work folder has the file %s", l.Ready.What),
	}[l.Ready.How])
	if l.Hold == nil {
		fmt.Fprintln(w, "  held       until the programs end by themselves")
	} else {
		fmt.Fprintf(w, "  held       %v, then taken down\n", *l.Hold)
	}
	for _, n := range p.Notes {
		fmt.Fprintln(w, "  note       "+n)
	}
}
