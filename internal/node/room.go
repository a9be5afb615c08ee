package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Bound is one limit on a resource, and how much of it is taken by now.
type Bound struct {
	By    string `json:"by"`              // who says so: "kernel.pid_max", "memory cgroup /user.slice"
	Limit int64  `json:"limit"`           //
	Used  int64  `json:"used"`            // what would be given back when it is needed is not counted
	Raise string `json:"raise,omitempty"` // how the limit is raised, for a person
}

// Free is what is left of it.
func (b Bound) Free() int64 { return max(0, b.Limit-b.Used) }

// Room is what this process and its children can still have here, resource by
// resource: every limit that is known counts, so the tightest of them holds. No
// bound means that nothing limits the resource.
type Room struct {
	Memory      []Bound `json:"memory"`      // bytes
	Tasks       []Bound `json:"tasks"`       // processes and threads
	Descriptors []Bound `json:"descriptors"` // of this process
	Files       []Bound `json:"files"`       // open in the whole machine
	Disk        []Bound `json:"disk"`        // bytes of the scratch folder
	Inodes      []Bound `json:"inodes"`      // files that the scratch folder can hold

	Unknown []string `json:"unknown,omitempty"` // what could not be found out, and why
}

// RoomFor reads what is free now, for programs whose files are made below scratch ("":
// nothing is said of disk and inodes). For an ordinary user it walks /proc once.
func (h Host) RoomFor(scratch string) Room {
	var r Room
	note := func(what string, err error) {
		if err != nil {
			r.Unknown = append(r.Unknown, what+": "+err.Error())
		}
	}
	g, err := h.groups()
	note("control groups", err)
	r.Memory, err = h.memoryBounds(g)
	note("memory", err)
	r.Tasks, err = h.taskBounds(g)
	note("processes", err)
	r.Descriptors, err = h.descriptorBounds()
	note("descriptors", err)
	r.Files, err = h.fileBounds()
	note("open files", err)
	if scratch != "" {
		f, err := h.Stat(scratch)
		note("scratch folder", err)
		if err == nil {
			r.Disk, r.Inodes = diskBounds(f)
		}
	}
	return r
}

// memoryBounds: the machine, and every memory group above this process.
func (h Host) memoryBounds(g groups) ([]Bound, error) {
	total, ok := field(h.Proc+"/meminfo", "MemTotal")
	if !ok {
		return nil, fmt.Errorf("%s does not say how much there is", h.Proc+"/meminfo")
	}
	available, ok := field(h.Proc+"/meminfo", "MemAvailable")
	if !ok { // before Linux 3.14
		available, _ = field(h.Proc+"/meminfo", "MemFree")
	}
	bounds := []Bound{{By: "this machine's memory", Limit: total * 1024, Used: (total - available) * 1024}}
	add := func(g group, dir, note, file, usage, prefix, mapped string) {
		limit, ok := number(dir, file)
		if !ok || limit <= 0 || limit >= total*1024 { // version 1 says "no limit" with a number beyond all memory
			return
		}
		used, _ := number(dir, usage)
		cache := reclaimable(filepath.Join(dir, "memory.stat"), prefix, mapped)
		bounds = append(bounds, Bound{By: "memory cgroup " + g.name(dir) + note, Limit: limit, Used: max(0, used-cache), Raise: "whoever made the group can raise it, in " + file})
	}
	for _, dir := range g.v2.up() {
		add(g.v2, dir, "", "memory.max", "memory.current", "", "file_mapped")
		// Above memory.high nothing is killed, but everything is slowed down to a crawl.
		add(g.v2, dir, " (memory.high)", "memory.high", "memory.current", "", "file_mapped")
	}
	v1 := g.v1["memory"]
	for _, dir := range v1.up() {
		add(v1, dir, "", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_", "total_mapped_file")
	}
	return bounds, nil
}

// reclaimable is how much of a group's memory holds files that no process has mapped, and
// those that have not been used for a while: it is given back when memory is short.
func reclaimable(stat, prefix, mapped string) int64 {
	inactive, _ := field(stat, prefix+"inactive_file")
	active, _ := field(stat, prefix+"active_file")
	used, _ := field(stat, mapped)
	return max(inactive, inactive+active-used)
}

// name is what a group is called, as the machine sees it from here.
func (g group) name(dir string) string {
	if name := strings.TrimPrefix(dir, g.top); name != "" {
		return name
	}
	return "/"
}

// taskBounds: numbers for processes, the machine's threads, the user's, the groups'.
func (h Host) taskBounds(g groups) ([]Bound, error) {
	threads, err := h.threads()
	if err != nil {
		return nil, err
	}
	var bounds []Bound
	for _, name := range []string{"pid_max", "threads-max"} {
		text, err := h.line("sys/kernel/" + name)
		if err != nil {
			return bounds, err
		}
		limit, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return bounds, fmt.Errorf("kernel.%s: %w", name, err)
		}
		if name == "pid_max" && h.Outside.PIDMax > 0 {
			limit = min(limit, h.Outside.PIDMax)
		}
		bounds = append(bounds, Bound{By: "kernel." + name, Limit: limit, Used: threads, Raise: "root raises it with sysctl -w kernel." + name + "=N"})
	}
	groups := []struct {
		group
		dirs []string
	}{{g.v2, g.v2.up()}, {g.v1["pids"], g.v1["pids"].up()}}
	for _, g := range groups {
		for _, dir := range g.dirs {
			if limit, ok := number(dir, "pids.max"); ok {
				now, _ := number(dir, "pids.current")
				bounds = append(bounds, Bound{By: "pids cgroup " + g.name(dir), Limit: limit, Used: now, Raise: "whoever made the group can raise it, in pids.max"})
			}
		}
	}
	if h.UID == 0 { // the kernel does not hold root to it
		return bounds, nil
	}
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &r); err != nil {
		return bounds, fmt.Errorf("reading RLIMIT_NPROC: %w", err)
	}
	if r.Cur >= uint64(threadsBeyond) {
		return bounds, nil
	}
	own, err := h.threadsOf(h.UID)
	if err != nil {
		return bounds, err
	}
	raise := "root raises it in /etc/security/limits.conf (nproc)"
	if r.Max > r.Cur {
		raise = "ulimit -u raises it for this shell"
	}
	return append(bounds, Bound{By: "RLIMIT_NPROC of user " + strconv.Itoa(h.UID), Limit: int64(r.Cur), Used: own + h.Outside.Threads, Raise: raise}), nil
}

// Outside is what a process in a PID namespace cannot see, and what holds there
// nevertheless. Since Linux 6.14 kernel.pid_max is each namespace's own, 4194304 at first.
type Outside struct {
	PIDMax  int64 `json:"pid_max"`           // the number that holds outside
	Threads int64 `json:"threads,omitempty"` // the user's there; not counted for root
}

// LookOutside is for who starts a namespace, to tell the processes in it.
func (h Host) LookOutside() (o Outside, err error) {
	text, err := h.line("sys/kernel/pid_max")
	if err != nil {
		return o, err
	}
	if o.PIDMax, err = strconv.ParseInt(text, 10, 64); err != nil {
		return o, fmt.Errorf("kernel.pid_max: %w", err)
	}
	if h.UID != 0 {
		o.Threads, err = h.threadsOf(h.UID)
	}
	return o, err
}

// threadsBeyond is more than any machine has threads (PID_MAX_LIMIT of 64-bit kernels).
const threadsBeyond = 4 << 20

// threads counts those of the whole machine, whatever is hidden in /proc: loadavg
// has them behind the slash ("0.3 0.2 0.1 2/358 4711").
func (h Host) threads() (int64, error) {
	text, err := h.line("loadavg")
	if err != nil {
		return 0, err
	}
	f := strings.Fields(text)
	if len(f) < 4 {
		return 0, fmt.Errorf("loadavg says %q", text)
	}
	_, total, _ := strings.Cut(f[3], "/")
	n, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("loadavg: %w", err)
	}
	return n, nil
}

// threadsOf counts the threads of a user by the real user ID, which is what the
// kernel charges. It sees those of its own PID namespace.
func (h Host) threadsOf(uid int) (int64, error) {
	dirs, err := os.ReadDir(h.Proc)
	if err != nil {
		return 0, err
	}
	want := strconv.Itoa(uid)
	var sum int64
	for _, d := range dirs {
		if name := d.Name(); name[0] < '0' || name[0] > '9' {
			continue
		}
		b, err := os.ReadFile(filepath.Join(h.Proc, d.Name(), "status"))
		if err != nil { // has ended, or is hidden: then it is another user's
			continue
		}
		mine := false
		for line := range strings.Lines(string(b)) {
			if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
				f := strings.Fields(ids)
				mine = len(f) > 0 && f[0] == want
			} else if count, ok := strings.CutPrefix(line, "Threads:"); ok && mine {
				n, _ := strconv.ParseInt(strings.TrimSpace(count), 10, 64)
				sum += n
				break
			}
		}
	}
	return sum, nil
}

// descriptorBounds: those of this process. The soft limit can be raised to the hard
// one by the process itself, so the hard one counts.
func (h Host) descriptorBounds() ([]Bound, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return nil, fmt.Errorf("reading RLIMIT_NOFILE: %w", err)
	}
	open, err := os.ReadDir(h.Proc + "/self/fd")
	if err != nil {
		return nil, err
	}
	return []Bound{{By: "RLIMIT_NOFILE", Limit: int64(min(r.Max, 1<<30)), Used: int64(len(open)), Raise: "root raises the hard limit in /etc/security/limits.conf (nofile)"}}, nil
}

// fileBounds: files that the machine can have open. file-nr has those in use
// first, then free ones, then the limit.
func (h Host) fileBounds() ([]Bound, error) {
	text, err := h.line("sys/fs/file-nr")
	if err != nil {
		return nil, err
	}
	f := strings.Fields(text)
	if len(f) != 3 {
		return nil, fmt.Errorf("file-nr says %q", text)
	}
	used, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("file-nr: %w", err)
	}
	limit, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("file-nr: %w", err)
	}
	return []Bound{{By: "fs.file-max", Limit: limit, Used: used, Raise: "root raises it with sysctl -w fs.file-max=N"}}, nil
}

func diskBounds(f Folder) (disk, inodes []Bound) {
	const other = "another folder: --scratch, or MUSTER_SCRATCH"
	disk = []Bound{{By: "the disk of " + f.Path, Limit: f.Total, Used: f.Total - f.Free, Raise: other}}
	if f.Inodes >= 0 {
		inodes = []Bound{{By: "the inodes of " + f.Path, Limit: f.Inodes, Raise: other}}
	}
	return disk, inodes
}

// Pulse is what changes while many programs start, read cheaply enough for many
// times a second.
type Pulse struct {
	Memory   []Bound // as Room's
	Pressure float64 // percent of the last 10 s in which everything waited for memory; 0 where the kernel does not say
}

// Pulse reads it.
func (h Host) Pulse() (Pulse, error) {
	g, err := h.groups()
	if err != nil { // without control groups the machine is the limit
		g = groups{}
	}
	m, err := h.memoryBounds(g)
	if err != nil {
		return Pulse{}, err
	}
	p := Pulse{Memory: m, Pressure: pressure(h.Proc + "/pressure/memory")}
	for _, dir := range g.v2.up() {
		p.Pressure = max(p.Pressure, pressure(filepath.Join(dir, "memory.pressure")))
	}
	return p, nil
}

// pressure reads the share of "full" over 10 s from a file of pressure stall
// information; 0 when there is none.
func pressure(path string) float64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "full" {
			share, _ := strconv.ParseFloat(strings.TrimPrefix(f[1], "avg10="), 64)
			return share
		}
	}
	return 0
}

// Footprint is what a process takes of the memory, by its own pages (shared ones by
// share) and page tables. It walks the whole address space: dear for many.
func (h Host) Footprint(pid int) (int64, error) {
	dir := filepath.Join(h.Proc, strconv.Itoa(pid))
	pages, ok := field(filepath.Join(dir, "smaps_rollup"), "Pss")
	if !ok {
		return 0, fmt.Errorf("process %d does not show what memory it takes", pid)
	}
	tables, _ := field(filepath.Join(dir, "status"), "VmPTE")
	return (pages + tables) * 1024, nil
}

// Tree is what the processes below one take together.
type Tree struct {
	Memory    int64 // bytes: their own pages and page tables, nothing that they share
	Tasks     int64 // processes and threads
	Processes int64
}

// TreeBelow sums up what the descendants of a process take. It walks /proc once.
func (h Host) TreeBelow(root int) (Tree, error) {
	dirs, err := os.ReadDir(h.Proc)
	if err != nil {
		return Tree{}, err
	}
	type process struct{ parent, threads, bytes int64 }
	all := map[int64]process{}
	for _, d := range dirs {
		pid, err := strconv.ParseInt(d.Name(), 10, 64)
		if err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join(h.Proc, d.Name(), "status"))
		if err != nil { // has ended, or is hidden: then it is another user's
			continue
		}
		var p process
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			into, factor := &p.bytes, int64(1024)
			switch name {
			case "PPid":
				into, factor = &p.parent, 1
			case "Threads":
				into, factor = &p.threads, 1
			case "RssAnon", "VmPTE":
			default:
				continue
			}
			if f := strings.Fields(value); len(f) > 0 {
				n, _ := strconv.ParseInt(f[0], 10, 64)
				*into += n * factor
			}
		}
		all[pid] = p
	}
	var t Tree
	for _, p := range all {
		up := p.parent
		for steps := 0; up != int64(root) && up > 0 && steps < len(all); steps++ {
			up = all[up].parent
		}
		if up == int64(root) {
			t.Memory, t.Tasks, t.Processes = t.Memory+p.bytes, t.Tasks+p.threads, t.Processes+1
		}
	}
	return t, nil
}

// Allocation is the memory that a scheduler has given to this element on this node,
// from what it puts into the environment; ok is false when it says nothing. What
// is used of it is not known here.
func Allocation(getenv func(string) string) (b Bound, ok bool) {
	mib := func(name string) int64 {
		n, err := strconv.ParseInt(getenv(name), 10, 64)
		if err != nil || n < 0 {
			return 0
		}
		return n << 20
	}
	limit := mib("SLURM_MEM_PER_NODE") // 0 is Slurm's word for the whole node
	if cpus, err := strconv.ParseInt(getenv("SLURM_CPUS_ON_NODE"), 10, 64); limit == 0 && err == nil {
		limit = mib("SLURM_MEM_PER_CPU") * cpus
	}
	if limit <= 0 {
		return Bound{}, false
	}
	return Bound{By: "the scheduler's allocation", Limit: limit, Raise: "ask for more with --mem"}, true
}
