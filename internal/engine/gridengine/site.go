package gridengine

import (
	"context"
	"encoding/xml"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
)

// site is what is known of a Grid Engine.
type site struct {
	version   string
	maxTasks  int // elements of one job; 0: no limit
	complexes []complex_
	queues    []queue
	parallels []parallel
	hosts     []host
}

// complex_ is a resource that can be asked for with -l (complex(5)).
type complex_ struct {
	name, shortcut, kind, relop string
	requestable, consumable     string
	dflt                        string
}

// queue is a cluster queue, as far as it matters here.
type queue struct {
	name      string
	batch     bool
	limit     time.Duration // h_rt; 0: none
	parallels []string
}

// parallel is a parallel environment (sge_pe(5)).
type parallel struct{ name, rule string }

// host is an execution host.
type host struct {
	name   string
	memory int64
	slots  map[string]int // by queue, of queue instances that can run something
}

// askSite asks for everything, in a handful of commands.
func (e *Engine) askSite(ctx context.Context) (*site, error) {
	s := &site{version: "Grid Engine"}
	help, err := e.ask(ctx, nil, nil, "qstat", "-help")
	if err != nil {
		return nil, err
	}
	if line, _, _ := strings.Cut(help.stdout, "\n"); strings.TrimSpace(line) != "" {
		s.version = strings.TrimSpace(line)
	}
	var out string
	tell := func(name string, args ...string) string {
		if err == nil {
			out, err = e.asTold(ctx, name, args...)
			return out
		}
		return ""
	}
	conf := attributes(tell("qconf", "-sconf"))
	s.maxTasks, _ = strconv.Atoi(conf["max_aj_tasks"]) // 0, no limit, where it is not said
	s.complexes = parseComplexes(tell("qconf", "-sc"))
	for _, name := range strings.Fields(tell("qconf", "-sql")) {
		s.queues = append(s.queues, parseQueue(attributes(tell("qconf", "-sq", name))))
	}
	hosts := tell("qhost", "-xml")
	instances := tell("qstat", "-f", "-xml")
	if err != nil {
		return nil, err
	}
	s.parallels, err = e.askParallels(ctx)
	if err != nil {
		return nil, err
	}
	s.hosts, err = parseHosts(hosts, instances)
	return s, err
}

// askParallels: a site need not have any, and then qconf answers no.
func (e *Engine) askParallels(ctx context.Context) ([]parallel, error) {
	names, err := e.asTold(ctx, "qconf", "-spl")
	if isRefused(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []parallel
	for _, name := range strings.Fields(names) {
		text, err := e.asTold(ctx, "qconf", "-sp", name)
		if isRefused(err) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, parallel{name, attributes(text)["allocation_rule"]})
	}
	return all, nil
}

// attributes reads what qconf shows: a name and its value a line, lines that end with a
// backslash go on.
func attributes(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "" && !strings.HasPrefix(name, "#") {
			out[name] = strings.Join(strings.Fields(value), " ")
		}
	}
	return out
}

func parseComplexes(text string) []complex_ {
	var out []complex_
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || strings.HasPrefix(f[0], "#") {
			continue
		}
		out = append(out, complex_{f[0], f[1], f[2], f[3], f[4], f[5], f[6]})
	}
	return out
}

func parseQueue(a map[string]string) queue {
	return queue{
		name:      a["qname"],
		batch:     strings.Contains(a["qtype"], "BATCH") || !slices.Contains([]string{"", "NONE"}, a["pe_list"]),
		limit:     parseTime(first(a["h_rt"])),
		parallels: strings.FieldsFunc(a["pe_list"], func(r rune) bool { return strings.ContainsRune(" ,[]=@", r) }),
	}
}

// first is an attribute's value for hosts of which nothing else is said: queues
// write "24:00:00,[n1=48:00:00]".
func first(value string) string {
	v, _, _ := strings.Cut(value, ",")
	return strings.TrimSpace(v)
}

// parseTime reads h:m:s, or seconds; anything else (INFINITY, NONE) is 0.
func parseTime(s string) time.Duration {
	total := 0
	for part := range strings.SplitSeq(s, ":") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return 0
		}
		total = total*60 + n
	}
	return time.Duration(total) * time.Second
}

// parseSize reads an amount of memory as Grid Engine writes it: 23.5G, 4g, 512.
// K, M, G, T are binary in capitals, decimal in small letters (sge_types(5)).
func parseSize(s string) int64 {
	units := map[byte]float64{'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40, 'k': 1e3, 'm': 1e6, 'g': 1e9, 't': 1e12}
	if s == "" {
		return 0
	}
	unit := 1.0
	if u, ok := units[s[len(s)-1]]; ok {
		unit, s = u, s[:len(s)-1]
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n < 0 {
		return 0
	}
	return int64(n * unit)
}

// hostsXML and instancesXML are what qhost -xml and qstat -f -xml write.
type hostsXML struct {
	Hosts []struct {
		Name   string `xml:"name,attr"`
		Values []struct {
			Name string `xml:"name,attr"`
			Text string `xml:",chardata"`
		} `xml:"hostvalue"`
	} `xml:"host"`
}

type instancesXML struct {
	Queues []struct {
		Name  string `xml:"name"`
		Slots int    `xml:"slots_total"`
		State string `xml:"state"`
	} `xml:"queue_info>Queue-List"`
}

// down are the states of a queue instance in which it takes no job for longer than a
// moment: unknown, error, disabled, orphaned, configuration ambiguous.
const down = "uEdoc"

func parseHosts(hostsText, instancesText string) ([]host, error) {
	var hs hostsXML
	if err := xml.Unmarshal([]byte(hostsText), &hs); err != nil {
		return nil, fmt.Errorf("reading qhost -xml: %w", err)
	}
	var qs instancesXML
	if err := xml.Unmarshal([]byte(instancesText), &qs); err != nil {
		return nil, fmt.Errorf("reading qstat -f -xml: %w", err)
	}
	var out []host
	for _, h := range hs.Hosts {
		if h.Name == "global" {
			continue
		}
		n := host{name: h.Name, slots: map[string]int{}}
		for _, v := range h.Values {
			if v.Name == "mem_total" {
				n.memory = parseSize(v.Text)
			}
		}
		for _, q := range qs.Queues {
			name, on, _ := strings.Cut(q.Name, "@")
			if on == h.Name && q.Slots > 0 && !strings.ContainsAny(q.State, down) {
				n.slots[name] = q.Slots
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// queuesFor are the queues that a job can get into: the one asked for, or all.
func (s *site) queuesFor(name string) ([]queue, error) {
	var out []queue
	var all []string
	plain, _, _ := strings.Cut(name, "@")
	for _, q := range s.queues {
		all = append(all, q.name)
		if (name == "" && q.batch) || q.name == plain {
			out = append(out, q)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: there is no queue %q; this Grid Engine has %s", engine.ErrRefused, name, strings.Join(all, ", "))
	}
	return out, nil
}

// maxTime is the longest h_rt of the queues; 0 when one has no limit.
func (s *site) maxTime(queues []queue) time.Duration {
	var longest time.Duration
	for _, q := range queues {
		if q.limit == 0 {
			return 0
		}
		longest = max(longest, q.limit)
	}
	return longest
}

// node is what a host offers to the queues in question.
type node struct {
	slots  int
	memory int64
}

func (s *site) hostsOf(queues []queue) []node {
	var out []node
	for _, h := range s.hosts {
		slots := 0
		for _, q := range queues {
			slots = max(slots, h.slots[q.name])
		}
		if slots > 0 {
			out = append(out, node{slots, h.memory})
		}
	}
	return out
}

// smallest tells what the smallest of the nodes has, and, for a person, how they differ.
func smallest(nodes []node) (slots int, memory int64, mixed string) {
	count := map[int]int{}
	for i, n := range nodes {
		count[n.slots]++
		if i == 0 || n.slots < slots {
			slots = n.slots
		}
		if i == 0 || n.memory < memory {
			memory = n.memory
		}
	}
	if len(count) < 2 {
		return slots, memory, ""
	}
	var sizes []int
	for size := range count {
		sizes = append(sizes, size)
	}
	slices.Sort(sizes)
	words := make([]string, len(sizes))
	for i, size := range sizes {
		words[i] = fmt.Sprintf("%d nodes have %d slots", count[size], size)
	}
	return slots, memory, strings.Join(words, ", ")
}

// onOneHost is the parallel environment that gives an element all its CPUs on
// one node, and the others' names where there is none.
func (s *site) onOneHost(queues []queue) (name string, others []string) {
	for _, p := range s.parallels {
		offered := slices.ContainsFunc(queues, func(q queue) bool { return slices.Contains(q.parallels, p.name) })
		if offered && p.rule == "$pe_slots" {
			return p.name, nil
		}
		others = append(others, p.name+" ("+p.rule+")")
	}
	return "", others
}

// find returns the resource of that name.
func (s *site) find(name string) (complex_, bool) {
	for _, c := range s.complexes {
		if (c.name == name || c.shortcut == name) && c.requestable != "NO" {
			return c, true
		}
	}
	return complex_{}, false
}

// exclusive is the resource that gives a job a whole node; "" where there is none.
func (s *site) exclusive() string {
	for _, c := range s.complexes {
		if c.relop == "EXCL" && c.requestable != "NO" {
			return c.name
		}
	}
	return ""
}

// memoryNames are the names that sites give to the memory that jobs share out among
// them, those first that do not limit address space.
func memoryNames() []string {
	return []string{"m_mem_free", "mem_free", "virtual_free", "h_rss", "memory", "mem", "ram", "mem_requested", "h_vmem"}
}

// memory is the consumable by which memory is asked for.
func (s *site) memory() (complex_, bool) {
	for _, name := range memoryNames() {
		if c, ok := s.find(name); ok && c.kind == "MEMORY" && c.consumable != "NO" {
			return c, true
		}
	}
	return complex_{}, false
}

// plainName is what the names of queues, projects and resources look like.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@*+-]*$`)
