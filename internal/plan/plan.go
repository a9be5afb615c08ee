// Package plan decides which process takes which tasks, and on which node. It
// is pure: the same request gives the same plan, and nothing is read or written.
//
// Tasks are dealt to shares, one for each process that was asked for, and
// shares to nodes. A MIMO share is one call of the program with the share's list.
// A SISO share is a call for each of its tasks; all of a node's calls stand in
// one queue, from which the node's lanes draw, so that no lane waits for a slow one.
// With the dynamic distribution all calls are one pool, cut into chunks, which nodes
// take as they go.
package plan

import (
	"muster/internal/job"
)

// Request is what a plan is made from.
type Request struct {
	// Spec is the settled specification. Read are AppType, NP, NData,
	// Distribution, Lanes, PerLane and Threads.
	Spec  job.Spec
	Tasks int // how many tasks the run has; their indexes are 1…Tasks
	Nodes int // nodes that the engine can give, at least 1
	CPUs  int // of each node, at least 1
	// Left restricts the plan to these tasks, without moving them to other
	// shares; nil: all of them. For resume.
	Left *job.IndexSet
}

// Plan says what every node does.
type Plan struct {
	AppType      job.AppType
	Distribution job.Distribution
	NP           job.NP
	NData        int
	Tasks        int         // of the whole run
	Left         int         // of these, how many are in this plan
	Processes    int         // shares; SISO without --np or --ndata: one for each task
	Nodes        int         // that the whole run uses
	Elements     []Element   // those with something left to do
	Launch       *job.Launch // it is a launch; nil: a map
	Pool         *Pool       // dynamic, with several elements: their Calls are here; else nil
	Notes        []string    // what a person should know: a line each
}

// Element is what one node does: one element of the array that is submitted.
// Its JSON form is what the node's agent reads.
type Element struct {
	Index     int     `json:"index"`              // in the array, from 1
	Node      int     `json:"node"`               // in the run, from 0; a resume keeps it, but for dynamic
	Lanes     int     `json:"lanes"`              // calls at once, at least 1
	PerLane   int     `json:"per_lane,omitempty"` // so many of these share the CPUs of one; 0: none does
	Threads   int     `json:"threads,omitempty"`  // per process; 0: not asked for
	PerNode   int     `json:"per_node"`           // processes on this node
	FirstRank int     `json:"first_rank"`         // rank of the node's first process
	Calls     [][]int `json:"calls"`              // the task indexes of each call, in the order of the queue
	Ranks     []int   `json:"ranks,omitempty"`    // MIMO: rank of each call; SISO, dynamic: nil, lane i has rank FirstRank+i
	Servers   int     `json:"-"`                  // of a launch, for Print: how many the guest's instances will have here; 0: not known, or none
}

// Tasks returns how many tasks the element has.
func (e Element) Tasks() int {
	n := 0
	for _, c := range e.Calls {
		n += len(c)
	}
	return n
}

// Make plans. The error is job.ErrBadInput, one line, when what was asked for
// contradicts itself or does not fit the nodes.
func Make(r Request) (*Plan, error) {
	s, err := settle(r)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		AppType: s.app, Distribution: s.distribution, NP: r.Spec.NP, NData: r.Spec.NData,
		Tasks: r.Tasks, Left: r.Tasks, Processes: s.processes, Nodes: s.nodes, Notes: s.notes,
	}
	if s.app == job.SISO && s.free {
		p.Elements = s.freeElements(r.Tasks)
	} else {
		p.Elements = s.sharedElements(r.Tasks)
	}
	if r.Left != nil && r.Left.Max() > p.Tasks {
		return nil, job.BadInputf("task %d is none of this run's: they are 1 to %d", r.Left.Max(), p.Tasks)
	}
	switch {
	case s.distribution == job.Dynamic:
		p.share(r.Left)
	case r.Left != nil:
		p.restrict(*r.Left)
	}
	for i := range p.Elements {
		e := &p.Elements[i]
		e.Index = i + 1
		if p.Pool == nil {
			e.Lanes = min(e.Lanes, len(e.Calls))
		}
	}
	return p, nil
}

// freeElements makes the elements of a SISO run without a number of processes:
// every task is a process of its own, in order, and each node has its part of them.
func (s settled) freeElements(tasks int) []Element {
	elements := make([]Element, 0, s.nodes)
	for node, part := range deal(tasks, s.nodes, s.distribution) {
		elements = append(elements, Element{
			Node: node, Lanes: s.lanes, PerLane: s.perLane, Threads: s.threads,
			PerNode: s.lanes, FirstRank: node * s.lanes,
			Calls: singles(part),
		})
	}
	return elements
}

// sharedElements makes the elements of a run with a number of processes.
func (s settled) sharedElements(tasks int) []Element {
	shares := deal(tasks, s.processes, s.distribution)
	var elements []Element
	for node := range s.nodes {
		first, end := s.sharesOf(node)
		if first >= end {
			break // the nodes behind have none either
		}
		e := Element{
			Node: node, Lanes: min(s.lanes, end-first), PerLane: s.perLane, Threads: s.threads,
			PerNode: end - first, FirstRank: first,
		}
		if s.triple {
			e.PerNode = s.perNode
		}
		if s.app == job.MIMO {
			e.Calls = shares[first:end:end]
			for rank := first; rank < end; rank++ {
				e.Ranks = append(e.Ranks, rank)
			}
		} else {
			e.Calls = singles(inTurn(shares[first:end]))
			if !s.triple {
				e.PerNode = e.Lanes
			}
		}
		elements = append(elements, e)
	}
	return elements
}

// sharesOf returns the shares of a node: first up to, without, end.
func (s settled) sharesOf(node int) (first, end int) {
	if s.triple {
		return min(node*s.perNode, s.processes), min((node+1)*s.perNode, s.processes)
	}
	return blockPart(s.processes, s.nodes, node)
}

// restrict leaves only the tasks of left, each in its call, and drops the calls
// and elements that have none.
func (p *Plan) restrict(left job.IndexSet) {
	p.Left = left.Len()
	kept := p.Elements[:0]
	for _, e := range p.Elements {
		calls, ranks := [][]int{}, []int(nil)
		for k, call := range e.Calls {
			tasks := only(call, left)
			if len(tasks) == 0 {
				continue
			}
			calls = append(calls, tasks)
			if e.Ranks != nil {
				ranks = append(ranks, e.Ranks[k])
			}
		}
		if len(calls) > 0 {
			e.Calls, e.Ranks = calls, ranks
			kept = append(kept, e)
		}
	}
	p.Elements = kept
}

// only returns the tasks of a call that are left.
func only(call []int, left job.IndexSet) (tasks []int) {
	for _, t := range call {
		if left.Contains(t) {
			tasks = append(tasks, t)
		}
	}
	return tasks
}
