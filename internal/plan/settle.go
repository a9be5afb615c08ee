package plan

import (
	"fmt"

	"muster/internal/job"
)

// settled is the shape of a run after everything asked for has been weighed.
type settled struct {
	app          job.AppType
	distribution job.Distribution
	triple       bool
	free         bool // neither --np nor --ndata was given
	processes    int  // shares
	nodes        int
	lanes        int // calls at once, per node
	perLane      int // of these, how many share a lane's CPUs; 0: none
	perNode      int // of a triple
	threads      int
	notes        []string
}

func settle(r Request) (settled, error) {
	np, tasks := r.Spec.NP, r.Tasks
	nodes, cpus := max(r.Nodes, 1), max(r.CPUs, 1)
	s := settled{
		app: r.Spec.AppType, distribution: r.Spec.Distribution,
		lanes: r.Spec.Lanes, threads: r.Spec.Threads,
	}
	if s.app == "" {
		s.app = job.SISO
	}
	if s.distribution == "" {
		s.distribution = job.Block
	}
	if s.lanes < 1 {
		s.lanes = cpus
	}
	if r.Spec.PerLane > 1 {
		s.perLane = r.Spec.PerLane
		s.lanes *= s.perLane
	}
	asked := np.Triple || np.Processes != 0
	switch {
	case tasks < 1:
		return s, job.BadInputf("there is nothing to do: no input")
	case np.Triple && s.perLane > 0:
		return s, job.BadInputf("--np=%v and --per-lane %d contradict each other: the triple says how many processes a node has", np, s.perLane)
	case np.Processes < 0:
		return s, job.BadInputf("--np=%d: a run needs at least 1 process", np.Processes)
	case r.Spec.NData < 0:
		return s, job.BadInputf("--ndata=%d: a process takes at least 1 input", r.Spec.NData)
	case asked && r.Spec.NData > 0:
		return s, bothGiven(np, r.Spec.NData, tasks)
	case np.Triple:
		return s.fromTriple(np, tasks, nodes, cpus)
	}
	switch {
	case np.Processes > 0:
		s.processes = min(np.Processes, tasks)
		if np.Processes > tasks {
			s.note("--np=%d asks for more processes than there are inputs: %s", np.Processes, oneEach(s.processes))
		}
	case r.Spec.NData > 0:
		s.processes = (tasks-1)/r.Spec.NData + 1
	case s.app == job.MIMO:
		s.free = true
		s.processes = min(tasks, nodes*s.lanes)
		if s.distribution == job.Dynamic && nodes > 1 && tasks > s.processes {
			s.note("there is one list for each lane, so nothing is left to be dealt as nodes finish: --ndata N makes more and shorter lists")
		}
	default:
		s.free = true
		s.processes = tasks
	}
	// No more nodes than have something to do when all their lanes are busy.
	s.nodes = min(nodes, (s.processes-1)/s.lanes+1)
	return s, nil
}

// fromTriple settles [nodes, processes per node, threads per process].
func (s settled) fromTriple(np job.NP, tasks, nodes, cpus int) (settled, error) {
	if np.Nodes < 1 || np.PerNode < 1 || np.Threads < 1 {
		return s, job.BadInputf("--np=%v: nodes, processes per node and threads per process are each at least 1", np)
	}
	if np.Nodes > nodes {
		return s, job.BadInputf("--np=%v needs %s, and there %s", np, count(np.Nodes, "node", "nodes"), isAre(nodes))
	}
	// Divided, not multiplied: the product of large numbers would overflow.
	if np.PerNode > cpus/np.Threads {
		return s, job.BadInputf("--np=%v needs %s on a node (%d × %d), and a node has %d",
			np, cpusNeeded(np), np.PerNode, np.Threads, cpus)
	}
	s.triple = true
	s.nodes, s.perNode, s.lanes, s.threads = np.Nodes, np.PerNode, np.PerNode, np.Threads
	all := np.Nodes * np.PerNode
	s.processes = min(all, tasks)
	if all > tasks {
		s.note("--np=%v asks for more processes (%d) than there are inputs: %s", np, all, oneEach(s.processes))
		s.nodes = (s.processes-1)/s.perNode + 1
	}
	return s, nil
}

func (s *settled) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func bothGiven(np job.NP, ndata, tasks int) error {
	processes := int64(np.Processes)
	if np.Triple {
		processes = int64(np.Nodes) * int64(np.PerNode)
	}
	if processes < 1 {
		return job.BadInputf("--np=%v and --ndata=%d contradict each other; give one of them", np, ndata)
	}
	each := (int64(tasks)-1)/processes + 1
	return job.BadInputf("--np=%v and --ndata=%d contradict each other: %s in %s %s up to %d each, and %d each %s %s; give one of them",
		np, ndata, count(tasks, "input", "inputs"), count(int(processes), "process", "processes"), verb(tasks), each,
		ndata, verb((tasks-1)/ndata+1), count((tasks-1)/ndata+1, "process", "processes"))
}

func cpusNeeded(np job.NP) string {
	if n := int64(np.PerNode) * int64(np.Threads); n/int64(np.Threads) == int64(np.PerNode) {
		return fmt.Sprintf("%d CPUs", n)
	}
	return "far too many CPUs"
}

func oneEach(n int) string {
	if n == 1 {
		return "1 is started"
	}
	return fmt.Sprintf("%d are started, an input each", n)
}

func verb(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func isAre(n int) string { return fmt.Sprintf("%s %d", verb(n), n) }

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
