package crashtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	"muster/internal/proc"
)

// process is what /proc tells of one.
type process struct {
	pid, ppid int
	started   uint64 // with pid: its identity
	state     byte
	comm      string
	argv, env []string
	cwd       string
}

// role is what a process is to a run.
type role string

const (
	command    role = "command"    // muster map, resume, wait, …
	supervisor role = "supervisor" // muster local-array
	keeper     role = "keeper"     // muster agent
	inner      role = "agent"      // muster agent, below the keeper
	wineserver role = "wineserver"
	qemu       role = "qemu" // the machine of a guest
	task       role = "task" // carries the mark of a task
	other      role = "other"
)

func (p process) role() role {
	muster := len(p.argv) > 1 && filepath.Base(p.argv[0]) == "muster"
	switch {
	case muster && p.argv[1] == "local-array":
		return supervisor
	case muster && p.argv[1] == "agent" && slices.Contains(p.argv, "--scratch-dir"):
		return inner
	case muster && p.argv[1] == "agent":
		return keeper
	case muster:
		return command
	case strings.HasPrefix(p.comm, "wineserver"):
		return wineserver
	case strings.HasPrefix(p.comm, "qemu-system"):
		return qemu
	case p.getenv(guest.EnvTask) != "":
		return task
	}
	return other
}

func (p process) getenv(name string) string {
	for _, kv := range p.env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

func (p process) String() string {
	return fmt.Sprintf("%d (parent %d, %s, %c) %.200q task %q instance %q",
		p.pid, p.ppid, p.role(), p.state, strings.Join(p.argv, " "), p.getenv(guest.EnvTask), p.getenv(guest.EnvInstance))
}

// signal reaches this process or none.
func (p process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := proc.SignalProcess(proc.Info{PID: p.pid, Started: p.started}, sig); err != nil {
		t.Fatal(err)
	}
}

// age is for how long a process has been there, to a hundredth of a second.
func (p process) age(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		t.Fatal(err)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 (sysconf(3))
	return time.Duration(ts.Nano()) - time.Duration(p.started)*tick
}

// of reports whether a process has to do with what is below dir: its
// environment, its arguments or its folder say so.
func (p process) of(dir string) bool {
	names := func(s string) bool { return strings.Contains(s, dir+"/") }
	return slices.ContainsFunc(p.env, names) || slices.ContainsFunc(p.argv, names) || names(p.cwd+"/")
}

// allProcesses lists every process of the machine, zombies too.
func allProcesses() []process {
	names, err := os.ReadDir("/proc")
	if err != nil {
		panic(err) // there is no testing without it
	}
	var out []process
	for _, n := range names {
		if pid, err := strconv.Atoi(n.Name()); err == nil {
			if p, ok := readProcess(pid); ok {
				out = append(out, p)
			}
		}
	}
	return out
}

func readProcess(pid int) (p process, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return p, false
	}
	// The name may hold blanks and brackets.
	open, last := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	f := bytes.Fields(stat[last+1:])
	if open < 0 || len(f) < 20 {
		return p, false
	}
	p = process{pid: pid, state: f[0][0], comm: string(stat[open+1 : last])}
	p.ppid, _ = strconv.Atoi(string(f[1]))
	p.started, _ = strconv.ParseUint(string(f[19]), 10, 64)
	p.argv, p.env = nulls(dir+"/cmdline"), nulls(dir+"/environ")
	p.cwd, _ = os.Readlink(dir + "/cwd")
	return p, true
}

// nulls reads a list of strings that end with NUL; none when it cannot.
func nulls(name string) []string {
	b, err := os.ReadFile(name)
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}
