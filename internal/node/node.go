// Package node says what this machine is, as far as this process may use it:
// CPUs, memory, limits, folders, and what the kernel lets an ordinary user do. It
// only reads, needs no rights, and starts nothing.
//
// What a container or a scheduler has given to this process counts, not what
// the machine has: everything is the least of the machine and of the control
// groups above this process.
package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/utils/cpuset"
)

// Node is what was found. What cannot be found out is zero, and named in Unknown.
type Node struct {
	Host   string `json:"host"`
	Kernel string `json:"kernel"`
	BootID string `json:"boot_id,omitempty"` // changes with every start of the machine

	CPUs     []int   `json:"cpus"`                // that this process may run on
	CPUQuota float64 `json:"cpu_quota,omitempty"` // CPUs' worth of time that the control groups allow; 0: no limit
	Memory   Memory  `json:"memory"`
	Limits   Limits  `json:"limits"`

	Cgroup     Cgroup  `json:"cgroup"`
	Namespaces Ability `json:"namespaces"` // user and PID namespaces, for this user

	Unknown []string `json:"unknown,omitempty"` // what could not be found out, and why
}

// Lanes is how many programs can compute at once: the CPUs, or what the quota
// allows of them, at least 1.
func (n Node) Lanes() int {
	lanes := len(n.CPUs)
	if n.CPUQuota > 0 {
		// Half a CPU more is worth a lane, less is not.
		lanes = min(lanes, int(n.CPUQuota+0.5))
	}
	return max(lanes, 1)
}

// Host is where to read: the machine itself (This), or a copy of a machine's
// files in a test.
type Host struct {
	Proc string // where /proc is
	Sys  string // where /sys is
	UID  int    // whom the answers are for

	// Outside is what holds beyond this PID namespace; zero: nothing is known of it.
	Outside Outside

	// Probe tries whether a child can be started in a PID namespace of its own;
	// nil: not tried, and judged by the kernel's settings. This package starts no
	// processes: whoever may hands the probe in.
	Probe func(ctx context.Context) error
}

// This is the machine that the process runs on.
func This() Host { return Host{Proc: "/proc", Sys: "/sys", UID: os.Geteuid()} }

// Describe says what this machine is. The error is ctx's alone: what cannot be
// found out is in Node.Unknown.
func Describe(ctx context.Context) (Node, error) { return This().Describe(ctx) }

// Describe says what the machine is.
func (h Host) Describe(ctx context.Context) (Node, error) {
	var n Node
	note := func(what string, err error) {
		if err != nil {
			n.Unknown = append(n.Unknown, what+": "+err.Error())
		}
	}
	var err error
	n.Host, err = os.Hostname()
	note("host name", err)
	n.Kernel, err = h.line("sys/kernel/osrelease")
	note("kernel", err)
	n.BootID, err = h.line("sys/kernel/random/boot_id")
	note("boot id", err)
	n.CPUs, err = CPUs()
	note("CPUs", err)

	groups, err := h.groups()
	note("control groups", err)
	n.CPUQuota = groups.cpuQuota()
	n.Memory, err = h.memory(groups)
	note("memory", err)
	n.Limits, err = h.limits(groups)
	note("limits", err)
	n.Cgroup = h.cgroup(groups)
	n.Namespaces = h.namespaces(ctx)
	return n, ctx.Err()
}

// CPUs are the CPUs that this process may run on, rising.
func CPUs() ([]int, error) {
	var set unix.CPUSet
	err := unix.SchedGetaffinity(0, &set)
	if errors.Is(err, unix.EINVAL) { // the machine has more CPUs than a CPUSet has bits
		return This().allowed()
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the CPUs of this process: %w", err)
	}
	count := set.Count()
	cpus := make([]int, 0, count)
	for i := 0; len(cpus) < count; i++ {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus, nil
}

// allowed reads the CPUs from /proc, where there can be any number of them.
func (h Host) allowed() ([]int, error) {
	text, err := os.ReadFile(h.Proc + "/self/status")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			set, err := cpuset.Parse(strings.TrimSpace(list))
			if err != nil {
				return nil, fmt.Errorf("reading the CPUs of this process: %w", err)
			}
			return set.List(), nil
		}
	}
	return nil, errors.New("/proc does not say which CPUs this process may use")
}

// line reads a file of one line below /proc.
func (h Host) line(name string) (string, error) {
	b, err := os.ReadFile(h.Proc + "/" + name)
	return strings.TrimSpace(string(b)), err
}

// Ability is whether something can be done here.
type Ability struct {
	OK    bool   `json:"ok"`
	Tried bool   `json:"tried"`         // false: judged by the kernel's settings
	Why   string `json:"why,omitempty"` // why not, or what it rests on
}
