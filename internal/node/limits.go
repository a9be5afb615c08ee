package node

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Unlimited is a Limit's value for "no limit".
const Unlimited = unix.RLIM_INFINITY

// Limit is a resource limit: Soft holds, and may be raised to Hard.
type Limit struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// Limits are what bounds how much can be started here.
type Limits struct {
	Files        Limit  `json:"files"`              // descriptors of a process (RLIMIT_NOFILE)
	Processes    Limit  `json:"processes"`          // threads of this user on the whole machine (RLIMIT_NPROC); not for root
	AddressSpace Limit  `json:"address_space"`      // bytes of a process (RLIMIT_AS)
	FileSize     Limit  `json:"file_size"`          // bytes of a file (RLIMIT_FSIZE)
	PIDMax       int64  `json:"pid_max"`            // threads that can have a number
	ThreadsMax   int64  `json:"threads_max"`        // threads of the machine
	Tasks        int64  `json:"tasks,omitempty"`    // threads that the control groups allow further; −1: no limit
	TasksBy      string `json:"tasks_by,omitempty"` // the control group that says so
	Maps         int64  `json:"max_map_count"`      // mappings of a process
	OpenFiles    int64  `json:"file_max"`           // files that the machine can have open
}

// Threads is how many more threads can be started, by the tightest of the limits that
// is known: numbers, the machine, the control groups, and for ordinary users the
// limit per user. What runs already is only taken off the groups' limit.
func (l Limits) Threads(root bool) int64 {
	n := min(l.PIDMax, l.ThreadsMax)
	if l.Tasks >= 0 {
		n = min(n, l.Tasks)
	}
	if !root && l.Processes.Soft != Unlimited {
		n = min(n, int64(min(l.Processes.Soft, uint64(n))))
	}
	return n
}

func (h Host) limits(g groups) (Limits, error) {
	l := Limits{Tasks: -1}
	for resource, into := range map[int]*Limit{
		unix.RLIMIT_NOFILE: &l.Files, unix.RLIMIT_NPROC: &l.Processes,
		unix.RLIMIT_AS: &l.AddressSpace, unix.RLIMIT_FSIZE: &l.FileSize,
	} {
		var r unix.Rlimit
		if err := unix.Getrlimit(resource, &r); err != nil {
			return l, fmt.Errorf("reading resource limit %d: %w", resource, err)
		}
		*into = Limit{Soft: r.Cur, Hard: r.Max}
	}
	for name, into := range map[string]*int64{
		"sys/kernel/pid_max": &l.PIDMax, "sys/kernel/threads-max": &l.ThreadsMax,
		"sys/vm/max_map_count": &l.Maps, "sys/fs/file-max": &l.OpenFiles,
	} {
		text, err := h.line(name)
		if err != nil {
			return l, err
		}
		if *into, err = strconv.ParseInt(text, 10, 64); err != nil {
			return l, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, dir := range append(g.v2.up(), g.v1["pids"].up()...) {
		limit, ok := number(dir, "pids.max")
		if !ok {
			continue
		}
		now, _ := number(dir, "pids.current")
		if left := max(0, limit-now); l.Tasks < 0 || left < l.Tasks {
			l.Tasks, l.TasksBy = left, dir
		}
	}
	return l, nil
}
