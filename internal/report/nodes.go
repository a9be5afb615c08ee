package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"muster/internal/clock"
	"muster/internal/job"
	"muster/internal/rundir"
	"muster/internal/timeline"
	"muster/internal/ui/human"
)

// Agent is what a run directory tells of an array element's work, over all its
// incarnations.
type Agent struct {
	Element     int
	Hosts       []string // where it ran, in order; one that it was requeued to follows the one that was lost
	Job         string   // what the scheduler calls it, or ""
	Starts      int      // incarnations
	Lost        []Loss   // incarnations that ended without a word
	StagedBytes int64
	StagedHow   string           // of its last incarnation, as rundir.AgentStart has it
	Clock       clock.Correction // of its last incarnation
	NoListener  string           // --timing socket: why it reached no listener
}

// Loss is an incarnation of an agent that ended without a word: its node was lost, or it was killed.
type Loss struct {
	Host    string
	Last    time.Duration // its last sign of life, since the submission
	Running int           // tasks that were under way
}

// agentsOf gathers the agents of a map, by element.
func agentsOf(s *rundir.Snapshot, origin time.Time) []Agent {
	running := map[int]int{}
	for i := range s.Attempts {
		if s.Attempts[i].State == job.Running {
			running[s.Attempts[i].Agent]++
		}
	}
	by := map[int]*Agent{}
	order := make([]int, len(s.Agents))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := s.Agents[i].ID, s.Agents[j].ID
		return cmp.Or(cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Element, b.Element), cmp.Compare(a.Incarnation, b.Incarnation))
	})
	for _, i := range order {
		st := &s.Agents[i]
		// Others journal too: what was there already, what the dead have left.
		if st.Began.IsZero() || st.Lanes == 0 || reduces(s, st) {
			continue
		}
		a := by[st.Element]
		if a == nil {
			a = &Agent{Element: st.Element}
			by[st.Element] = a
		}
		if !slices.Contains(a.Hosts, st.Host) {
			a.Hosts = append(a.Hosts, st.Host)
		}
		a.Job, a.Clock = st.Job, st.Clock
		a.Starts++
		a.StagedBytes += st.StagedBytes
		a.StagedHow = st.StagedHow
		a.NoListener = ""
		for _, r := range st.Readings {
			if r.Method == clock.Socket {
				a.NoListener = r.Why
			}
		}
		if !st.Finished && !st.Alive {
			a.Lost = append(a.Lost, Loss{Host: st.Host, Last: max(s.Clock(i, st.Last).Sub(origin), 0), Running: running[i]})
		}
	}
	var out []Agent
	for _, e := range slices.Sorted(maps.Keys(by)) {
		out = append(out, *by[e])
	}
	return out
}

// Nodes names the node of each agent, and all where it had several.
func (r *Run) Nodes() map[int]string {
	all := maps.Clone(r.Hosts)
	for _, a := range r.Agents {
		all[a.Element] = strings.Join(a.Hosts, ", ")
	}
	return all
}

// last is where the agent ran last.
func (a *Agent) last() string { return a.Hosts[len(a.Hosts)-1] }

// host names the node of an element.
func (r *Report) host(element int) string {
	if h := r.run.Hosts[element]; h != "" {
		return human.Line(h, 40)
	}
	return fmt.Sprintf("agent %d", element)
}

// noise is by how much figures of nodes differ for no reason worth a name.
const noise = 5 * time.Millisecond

// nodes tells how the nodes got going, where there are several.
func (t *textReport) nodes() {
	if len(t.run.Agents) < 2 && t.agents() < 2 {
		t.clocks()
		return
	}
	stats := timeline.NodeStats(t.launches)
	t.linef("")
	t.linef("%-14s %11s %11s %11s  %s", t.nodesText(), "median", "p95", "max", "slowest")
	for _, st := range stats {
		slowest := "-" // nobody stands out
		if st.Max > st.Median+max(st.Median/20, noise) {
			slowest = t.host(st.Slowest)
		}
		t.linef("%-14s %11s %11s %11s  %s", st.Name, human.Duration(st.Median), human.Duration(st.P95), human.Duration(st.Max), slowest)
	}
	t.prose("", "up, first program, every lane: after the submission; the others: how long they took on a node.")
	t.staged()
	t.clocks()
	t.troubles()
}

// nodesText counts nodes, and agents where a node has several.
func (t *textReport) nodesText() string {
	seen := map[string]bool{}
	for _, a := range t.run.Agents {
		for _, h := range a.Hosts {
			seen[h] = true
		}
	}
	agents, hosts := t.agents(), len(seen)
	if hosts == 0 || hosts >= agents {
		return human.Plural(max(hosts, agents), "node")
	}
	return fmt.Sprintf("%s/%s", human.Plural(agents, "agent"), human.Plural(hosts, "node"))
}

// staged says how much came to the nodes, and how.
func (t *textReport) staged() {
	var bytes int64
	by := map[string]int{}
	for _, a := range t.run.Agents {
		bytes += a.StagedBytes
		if a.StagedHow != "" {
			by[a.StagedHow]++
		}
	}
	if bytes == 0 && len(by) == 0 {
		return
	}
	ways := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b)) })
	for i, how := range ways {
		ways[i] = fmt.Sprintf("%s on %s", human.Escape(how), human.Plural(by[how], "node"))
	}
	s := human.Bytes(bytes) + " came to the nodes"
	if len(ways) > 0 {
		s += ": " + strings.Join(some(ways, 3), "; ")
	}
	t.prose("staged     ", s)
}

// troubles names elements that were started again, and nodes that were lost.
func (t *textReport) troubles() {
	var again, lost []string
	const most = 6
	for _, a := range t.run.Agents {
		if a.Starts > 1 {
			again = append(again, fmt.Sprintf("%d (now on %s)", a.Element, t.host(a.Element)))
		}
		for _, l := range a.Lost {
			lost = append(lost, fmt.Sprintf("%s, last heard of after %s with %s under way", human.Line(l.Host, 40), human.Duration(l.Last), human.Plural(l.Running, "task")))
		}
	}
	if len(again) > 0 {
		t.prose("requeued   ", plural(len(again), "element was", "elements were")+" started again: "+strings.Join(some(again, most), ", "))
	}
	if len(lost) > 0 {
		t.prose("lost       ", strings.Join(some(lost, most), "; "))
	}
}

// some is the beginning of a list, and how many more there are.
func some(list []string, most int) []string {
	if len(list) <= most+1 {
		return list
	}
	return append(slices.Clone(list[:most]), fmt.Sprintf("%d more", len(list)-most))
}
