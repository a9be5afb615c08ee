package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Prey says which processes are counted: those whose name the kernel has as
// Name, and that have Word among their arguments.
type Prey struct {
	Name string // of the program's file
	Word string
}

// commLength is how many bytes the kernel keeps of a name.
const commLength = 15

// A counter counts the living from /proc. That a process is meant is found out
// once, its state is read every time. That one is not meant is no lasting truth: in
// the midst of an exec a process has its new name and no arguments yet.
type counter struct {
	root  string // /proc
	comm  []byte
	word  []byte
	meant map[int]bool // by process number
}

func newCounter(p Prey) *counter {
	return &counter{root: "/proc", comm: []byte(p.Name[:min(len(p.Name), commLength)]), word: []byte(p.Word), meant: map[int]bool{}}
}

// count is how many live: are there and no zombies.
func (c *counter) count() (int, error) {
	pids, err := numbers(c.root)
	if err != nil {
		return 0, fmt.Errorf("listing processes: %w", err)
	}
	meant := make(map[int]bool, len(c.meant))
	for _, pid := range pids {
		s, ok := readStat(c.root, pid)
		if !ok || !bytes.Equal(s.comm, c.comm) {
			continue // also one that is about to become another program
		}
		if s.state == 'Z' || s.state == 'X' {
			continue
		}
		if c.meant[pid] || c.means(pid) {
			meant[pid] = true
		}
	}
	c.meant = meant
	return len(meant), nil
}

// means reports whether the process has the word among its arguments.
func (c *counter) means(pid int) bool {
	line, err := os.ReadFile(c.root + "/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return false // gone
	}
	for arg := range bytes.SplitSeq(line, []byte{0}) {
		if bytes.Equal(arg, c.word) {
			return true
		}
	}
	return false
}

// stat is what /proc/PID/stat tells of a process.
type stat struct {
	comm    []byte
	state   byte
	parent  int
	used    time.Duration // CPU, in steps of a clock tick
	reaped  time.Duration // CPU of children that have ended
	threads int
}

// readStat reads it; false when the process has gone.
func readStat(root string, pid int) (s stat, ok bool) {
	text, err := os.ReadFile(root + "/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return s, false
	}
	return parseStat(text)
}

func parseStat(text []byte) (s stat, ok bool) {
	// The name is in brackets, and may hold any.
	from, to := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if from < 0 || to < from {
		return s, false
	}
	s.comm = text[from+1 : to]
	f := bytes.Fields(text[to+1:])
	if len(f) < 18 || len(f[0]) != 1 {
		return s, false
	}
	ticks := func(i int) time.Duration {
		n, _ := strconv.ParseInt(string(f[i]), 10, 64) // the kernel writes numbers
		return time.Duration(n) * (time.Second / ticksPerSecond)
	}
	s.state = f[0][0]
	s.parent, _ = strconv.Atoi(string(f[1]))
	s.used, s.reaped = ticks(11)+ticks(12), ticks(13)+ticks(14)
	s.threads, _ = strconv.Atoi(string(f[17]))
	return s, true
}

// ticksPerSecond is what the kernel tells user programs, whatever its own clock.
const ticksPerSecond = 100

// cpuBelow is the CPU time that this process's descendants have used so far,
// those included that have ended and been waited for.
func cpuBelow(root string, self int) (time.Duration, error) {
	pids, err := numbers(root)
	if err != nil {
		return 0, fmt.Errorf("listing processes: %w", err)
	}
	all := make(map[int]stat, len(pids))
	for _, pid := range pids {
		if s, ok := readStat(root, pid); ok {
			all[pid] = s
		}
	}
	below := map[int]bool{self: true}
	var under func(pid int) bool
	under = func(pid int) bool {
		yes, asked := below[pid]
		if !asked {
			s, there := all[pid]
			yes = there && pid != s.parent && under(s.parent)
			below[pid] = yes
		}
		return yes
	}
	total := all[self].reaped
	for pid, s := range all {
		if pid == self || !under(pid) {
			continue
		}
		total += s.reaped + exact(root, pid, s)
	}
	return total, nil
}

// exact is the CPU time of a process: of one thread to the nanosecond, else in
// ticks. Thousands of programs that have used half a tick each would be nothing.
func exact(root string, pid int, s stat) time.Duration {
	if s.threads == 1 {
		text, err := os.ReadFile(root + "/" + strconv.Itoa(pid) + "/schedstat")
		if f := bytes.Fields(text); err == nil && len(f) > 0 {
			if n, err := strconv.ParseInt(string(f[0]), 10, 64); err == nil {
				return time.Duration(n)
			}
		}
	}
	return s.used
}

// numbers lists the processes.
func numbers(root string) ([]int, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			out = append(out, pid)
		}
	}
	return out, nil
}

// threads is how many threads the machine has: one system call, where counting
// the living reads thousands of files.
func threads() int {
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) != nil {
		return 0
	}
	return int(s.Procs)
}

// Load is how many processes ran or wanted to over the last minute: how quiet the
// machine was. 0: not known.
func Load() float64 {
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) != nil {
		return 0
	}
	return float64(s.Loads[0]) / (1 << loadShift)
}

// loadShift is where the kernel puts the point in its loads (SI_LOAD_SHIFT).
const loadShift = 16

// available is the memory that programs can have, in bytes; 0: not known.
func available(root string) int64 {
	text, err := os.ReadFile(root + "/meminfo")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("MemAvailable:")); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				kib, _ := strconv.ParseInt(string(f[0]), 10, 64) // 0 when the kernel writes something else
				return kib << 10
			}
		}
	}
	return 0
}
