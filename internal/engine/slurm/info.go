package slurm

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// poll is how often Slurm may be asked: with one query for everything, sites do not mind that.
const poll = 3 * time.Second

// Info asks slurmctld for its configuration, and for the nodes of the partition (the
// default one unless want names one).
func (e *Engine) Info(ctx context.Context, want job.Resource) (engine.Info, error) {
	c, err := e.askConfig(ctx)
	if err != nil {
		return engine.Info{}, fmt.Errorf("asking Slurm for its configuration: %w", err)
	}
	p, err := e.partition(ctx, want.Partition)
	if err != nil {
		return engine.Info{}, err
	}
	info := engine.Info{
		Name: "slurm", Version: c.version,
		Nodes: p.nodes, CPUs: p.cpus, Memory: p.memory,
		MaxArray: c.maxArray, MaxTime: p.maxTime, KillWait: c.killWait, Poll: poll,
		Survives: true,
	}
	down := ""
	if p.down > 0 {
		down = fmt.Sprintf(", %d more are down", p.down)
	}
	info.Description = fmt.Sprintf("Slurm %s on %s, partition %s: %d nodes of %d CPUs and %d GiB%s",
		c.version, c.cluster, p.name, p.nodes, p.cpus, p.memory>>30, down)
	return info, nil
}

// A config is what muster needs of slurm.conf.
type config struct {
	version, cluster string
	maxArray         int // elements of one array
	killWait         time.Duration
	binds            bool // tasks to CPUs
}

// config returns the configuration as it was when first asked for: a submission should
// not cost two calls.
func (e *Engine) config(ctx context.Context) (config, error) {
	e.mu.Lock()
	known := e.known
	e.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	return e.askConfig(ctx)
}

func (e *Engine) askConfig(ctx context.Context) (config, error) {
	out, err := e.run(ctx, call{program: "scontrol", args: []string{"show", "config"}})
	if err != nil {
		return config{}, err
	}
	c, err := parseConfig(out)
	if err != nil {
		return config{}, err
	}
	if e.o.MaxArray > 0 {
		c.maxArray = min(c.maxArray, e.o.MaxArray)
	}
	e.mu.Lock()
	e.known = &c
	e.mu.Unlock()
	return c, nil
}

// parseConfig reads what scontrol show config prints.
func parseConfig(out string) (config, error) {
	value := map[string]string{}
	for line := range strings.Lines(out) {
		name, v, _ := strings.Cut(line, "=")
		value[strings.TrimSpace(name)] = strings.TrimSpace(v)
	}
	c := config{version: value["SLURM_VERSION"], cluster: value["ClusterName"]}
	c.binds = strings.Contains(value["TaskPlugin"], "affinity") || strings.Contains(value["TaskPlugin"], "cgroup")
	size, err := strconv.Atoi(value["MaxArraySize"])
	if err != nil || size < 2 {
		return c, fmt.Errorf("%w: its MaxArraySize is %q, so it takes no arrays", engine.ErrRefused, value["MaxArraySize"])
	}
	c.maxArray = size - 1 // indexes begin at 0
	word, _, _ := strings.Cut(value["KillWait"], " ")
	seconds, err := strconv.Atoi(word)
	if err != nil {
		return c, fmt.Errorf("scontrol show config gives KillWait as %q, not in seconds", value["KillWait"])
	}
	c.killWait = time.Duration(seconds) * time.Second
	return c, nil
}

// A partition is what can be had in one.
type partition struct {
	name    string
	nodes   int   // with at least cpus and memory; those that are down do not count while others are up
	down    int   // nodes that are not up
	cpus    int   // per node
	memory  int64 // per node, bytes
	maxTime time.Duration

	largestCPUs   int // on any node, down or not
	largestMemory int64
	gpus          map[string]int // kind → most on any node; "" for all kinds together
}

// nodeFields: name (the default one's with a *), time limit, number, CPUs, MiB, state, GRES.
// sinfo puts nodes together that are alike in all of them.
const nodeFields = "%P|%l|%D|%c|%m|%T|%G"

func (e *Engine) partition(ctx context.Context, name string) (partition, error) {
	args := []string{"--noheader", "--exact", "--format=" + nodeFields}
	if name != "" {
		args = append(args, "--partition="+name)
	}
	out, err := e.run(ctx, call{program: "sinfo", args: args})
	if err != nil {
		return partition{}, fmt.Errorf("asking Slurm for its nodes: %w", err)
	}
	return parsePartition(out, name)
}

// parsePartition reads what sinfo prints for nodeFields. Of several kinds of nodes it chooses
// the one that brings the most CPUs, together with all larger nodes. name "" is the default partition.
func parsePartition(out, name string) (partition, error) {
	type kind struct {
		nodes, cpus int
		memory      int64
		up          bool
	}
	var kinds []kind
	p := partition{name: name, gpus: map[string]int{}}
	for line := range strings.Lines(out) {
		field := strings.Split(strings.TrimSpace(line), "|")
		if len(field) != 7 {
			return p, fmt.Errorf("sinfo printed %q, which does not have 7 fields", line)
		}
		called, byDefault := strings.CutSuffix(field[0], "*")
		if name == "" && !byDefault {
			continue
		}
		n, err := numbers(field[2], field[3], field[4])
		if err != nil {
			return p, fmt.Errorf("sinfo printed %q: %w", line, err)
		}
		limit, err := parseLimit(field[1])
		if err != nil {
			return p, err
		}
		if name == "" {
			p.name = called
		}
		p.maxTime = max(p.maxTime, limit)
		k := kind{n[0], n[1], int64(n[2]) << 20, usable(field[5])}
		if !k.up {
			p.down += k.nodes
		}
		p.largestCPUs, p.largestMemory = max(p.largestCPUs, k.cpus), max(p.largestMemory, k.memory)
		for name, n := range parseGPUs(field[6]) {
			p.gpus[name] = max(p.gpus[name], n)
		}
		kinds = append(kinds, k)
	}
	if len(kinds) == 0 {
		if name == "" {
			return p, fmt.Errorf("%w: Slurm has no default partition; name one with --partition", engine.ErrRefused)
		}
		return p, fmt.Errorf("%w: Slurm has no partition %s (sinfo lists those that there are)", engine.ErrRefused, name)
	}
	anyUp := false
	for _, k := range kinds {
		anyUp = anyUp || k.up
	}
	for _, k := range kinds {
		nodes := 0
		for _, other := range kinds {
			if (other.up || !anyUp) && other.cpus >= k.cpus && other.memory >= k.memory {
				nodes += other.nodes
			}
		}
		if nodes*k.cpus > p.nodes*p.cpus || (nodes*k.cpus == p.nodes*p.cpus && k.memory > p.memory) {
			p.nodes, p.cpus, p.memory = nodes, k.cpus, k.memory
		}
	}
	return p, nil
}

// parseGPUs reads a node's GRES, "gpu:a100:4(S:0-1),gpu:t4:2,nvme:1". A kind "" counts all.
func parseGPUs(gres string) map[string]int {
	out := map[string]int{}
	for part := range strings.SplitSeq(gres, ",") {
		part, _, _ = strings.Cut(part, "(")
		field := strings.Split(part, ":")
		n, err := strconv.Atoi(field[len(field)-1])
		if field[0] != "gpu" || len(field) < 2 || err != nil {
			continue
		}
		if out[""] += n; len(field) == 3 {
			out[field[1]] += n
		}
	}
	return out
}

// usable reports whether a node in that state takes jobs now or after those that it has. A * behind the
// state says that the node does not answer; other signs are about power and maintenance.
func usable(state string) bool {
	if strings.HasSuffix(state, "*") {
		return false
	}
	switch strings.TrimRight(state, "~#!%$@^-+") {
	case "idle", "mixed", "allocated", "completing", "planned", "reserved", "powering_up", "powered_down", "power_up":
		return true
	}
	return false
}

// parseLimit reads Slurm's form of a partition's time limit; 0 is none.
func parseLimit(word string) (time.Duration, error) {
	if word == "infinite" || word == "n/a" {
		return 0, nil
	}
	rest, days := word, 0
	if d, clock, ok := strings.Cut(word, "-"); ok {
		n, err := strconv.Atoi(d)
		if err != nil {
			return 0, fmt.Errorf("sinfo gives a time limit as %q", word)
		}
		rest, days = clock, n
	}
	seconds := 0
	for part := range strings.SplitSeq(rest, ":") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return 0, fmt.Errorf("sinfo gives a time limit as %q", word)
		}
		seconds = seconds*60 + n
	}
	return time.Duration(days)*24*time.Hour + time.Duration(seconds)*time.Second, nil
}

// fits refuses what Slurm would accept and keep pending for ever: more than any node of the partition has,
// or a time beyond its limit. Raw options may change all that, and are Slurm's to judge.
func (e *Engine) fits(ctx context.Context, a job.Array) error {
	if len(a.Resource.Options) > 0 || strings.Contains(a.Resource.Partition, ",") {
		return nil
	}
	p, err := e.partition(ctx, a.Resource.Partition)
	if err != nil {
		return err
	}
	return p.fits(a)
}

func (p partition) fits(a job.Array) error {
	// Slurm takes an array that asks for too many GPUs, other than a single job.
	if want, err := gres(a.Resource.GPUs); err == nil && want != "" {
		for kind, n := range parseGPUs(want) {
			if p.gpus[kind] < n {
				return fmt.Errorf("%w: an element asks for %s, and no node of partition %s has more than %d of these", engine.ErrRefused, want, p.name, p.gpus[kind])
			}
		}
	}
	switch {
	case a.CPUs > p.largestCPUs:
		return fmt.Errorf("%w: an element asks for %d CPUs, and the largest node of partition %s has %d", engine.ErrRefused, a.CPUs, p.name, p.largestCPUs)
	case a.Mem > p.largestMemory:
		return fmt.Errorf("%w: an element asks for %d MiB of memory, and the largest node of partition %s has %d", engine.ErrRefused, a.Mem>>20, p.name, p.largestMemory>>20)
	case p.maxTime > 0 && a.Time > p.maxTime:
		return fmt.Errorf("%w: an element asks for %v, and partition %s gives %v at most", engine.ErrRefused, a.Time, p.name, p.maxTime)
	}
	return nil
}
