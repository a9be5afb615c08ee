package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"muster/internal/job"
)

// Group is a set of tasks that ended in the same way.
type Group struct {
	Cause   job.Cause
	State   job.State // of the first of its tasks
	Tasks   []int     // in order
	Detail  string    // the commonest one, or ""
	Details int       // how many different ones there are
	Codes   []int     // exit codes that occur, for CauseExit
	Signals []int     // signals that occur, for CauseSignal
	Hosts   []Tally   // where they ran, the most frequent first
	Example Failure   // the first of its tasks that has something in its log, else the first
}

// Tally is a name with how often it occurs.
type Tally struct {
	Name  string
	Count int
}

// severalDetails is how many different details or codes of one cause are told
// apart. With more, the detail is about the task (a path, an address) and not
// about the cause, and they stand in one group.
const severalDetails = 3

type groupKey struct {
	cause        job.Cause
	failure      bool
	code, signal int
	detail       string
}

// groupFailures groups by cause, and within a cause by code, signal and detail
// as long as these are few.
func groupFailures(r *Run) []Group {
	kinds := map[groupKey]map[groupKey]bool{}
	keys := make([]groupKey, len(r.Failures))
	for i := range r.Failures {
		f := &r.Failures[i]
		k := keyOf(f)
		keys[i] = k
		coarse := groupKey{cause: k.cause, failure: k.failure}
		if kinds[coarse] == nil {
			kinds[coarse] = map[groupKey]bool{}
		}
		kinds[coarse][k] = true
	}
	members := map[groupKey][]int{}
	for i, k := range keys {
		if coarse := (groupKey{cause: k.cause, failure: k.failure}); len(kinds[coarse]) > severalDetails {
			k = coarse
		}
		members[k] = append(members[k], i)
	}
	groups := make([]Group, 0, len(members))
	for _, m := range members {
		groups = append(groups, newGroup(r.Failures, m))
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(compareBool(b.State.Failure(), a.State.Failure()), cmp.Compare(len(b.Tasks), len(a.Tasks)), cmp.Compare(a.Tasks[0], b.Tasks[0]))
	})
	return groups
}

func keyOf(f *Failure) groupKey {
	k := groupKey{cause: f.Exit.Cause, failure: f.State.Failure(), detail: f.Exit.Detail}
	if k.cause == "" {
		k.cause = causeOf(f.State)
	}
	switch k.cause {
	case job.CauseExit:
		k.code = f.Exit.Code
	case job.CauseSignal:
		k.signal = f.Exit.Signal
	}
	return k
}

// causeOf names the cause of an end that has none of its own.
func causeOf(s job.State) job.Cause {
	switch s {
	case job.Timeout:
		return job.CauseTimeout
	case job.OutOfMemory:
		return job.CauseOOM
	case job.BootFail:
		return job.CauseBoot
	case job.Cancelled:
		return job.CauseCancelled
	case job.Lost, job.NodeFail, job.Gone:
		return job.CauseAgentLost
	}
	return job.CauseInternal
}

// newGroup makes the group of the failures with these indexes.
func newGroup(all []Failure, members []int) Group {
	first := &all[members[0]]
	g := Group{Cause: keyOf(first).cause, State: first.State, Example: *first}
	details, hosts := map[string]int{}, map[string]int{}
	codes, signals := map[int]bool{}, map[int]bool{}
	for _, i := range members {
		f := &all[i]
		g.Tasks = append(g.Tasks, f.Task)
		if f.Exit.Detail != "" {
			details[f.Exit.Detail]++
		}
		if f.Host != "" {
			hosts[f.Host]++
		}
		switch g.Cause {
		case job.CauseExit:
			codes[f.Exit.Code] = true
		case job.CauseSignal:
			signals[f.Exit.Signal] = true
		}
		if strings.TrimSpace(g.Example.LogTail) == "" && strings.TrimSpace(f.LogTail) != "" {
			g.Example = *f
		}
	}
	slices.Sort(g.Tasks)
	g.Codes, g.Signals = slices.Sorted(maps.Keys(codes)), slices.Sorted(maps.Keys(signals))
	g.Details = len(details)
	if d := byCount(details); len(d) > 0 {
		g.Detail = d[0].Name
	}
	g.Hosts = byCount(hosts)
	return g
}

// byCount orders by count, the largest first, then by name.
func byCount(m map[string]int) []Tally {
	out := make([]Tally, 0, len(m))
	for name, n := range m {
		out = append(out, Tally{name, n})
	}
	slices.SortFunc(out, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
