package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Info is a living process below this one.
type Info struct {
	PID, PPID int
	Depth     int    // 1: child of this process
	Known     bool   // made by Start
	Started   uint64 // clock ticks after boot: with PID, the process's identity
	Session   int    // the process that made its session: Start makes one for each child
	Comm      string
	State     byte // as in /proc/PID/stat; 'Z': its first thread has ended

	threads int // that are left, with the first
}

// ended reports whether the process was over when it was looked at, though it may not have been
// collected. One whose first thread has ended runs on while it has others.
func (i Info) ended() bool { return i.State == 'X' || i.State == 'Z' && i.threads <= 1 }

// Env is the environment that the process was started with, nil when it is empty
// or cannot be read (the process has ended, or belongs to somebody else).
func (i Info) Env() []string {
	for until := time.Now().Add(execTime); ; time.Sleep(50 * time.Microsecond) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(i.PID) + "/environ")
		if i.State == 'Z' {
			b, err = i.threadEnv(), nil
		}
		if err != nil {
			return nil
		}
		if len(b) > 0 {
			return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
		}
		if !i.hasEnv() || time.Now().After(until) {
			return nil
		}
	}
}

// threadEnv asks the threads that are left when the first has ended, and has taken its
// view of the environment with it.
func (i Info) threadEnv() []byte {
	dir := "/proc/" + strconv.Itoa(i.PID) + "/task"
	threads, err := readNames(dir)
	if err != nil {
		return nil
	}
	for _, thread := range threads {
		if b, err := os.ReadFile(dir + "/" + thread + "/environ"); err == nil && len(b) > 0 {
			return b
		}
	}
	return nil
}

// execTime is how long Env waits for an execve(2) to come to its end: on a machine
// with far more to do than it can, that takes a tenth of a second now and then. One that takes
// longer hangs on a dead file server.
const execTime = 2 * time.Second

// hasEnv reports whether the process has an environment, though /proc showed
// none a moment ago. In the middle of an execve its new memory has none yet, and to
// take it for a process without marks would let it get away. The kernel fills in
// env_start and env_end before end_code (load_elf_binary in fs/binfmt_elf.c), all
// of them 0 until then; see proc_pid_stat(5).
func (i Info) hasEnv() bool {
	f, _ := statFields(i.PID)
	if len(f) <= 48 || f[0][0] == 'Z' || f[0][0] == 'X' || string(f[19]) != strconv.FormatUint(i.Started, 10) {
		return false
	}
	endCode, from, to := string(f[24]), string(f[47]), string(f[48])
	return endCode == "0" || from != to
}

// Descendants lists every living process below this one. A process that moves
// (its parent dies while the list is made) may be missed: callers that must
// catch all ask again until nothing is left.
func (t *Table) Descendants() ([]Info, error) {
	return t.walk(os.Getpid(), 1, -1)
}

// Strays lists this process's children that Start did not make: orphans of what
// it started. The kernel gives orphans to the first thread of their new parent
// (find_new_reaper in kernel/exit.c), which in a Go program lives as long as the
// process, so one file tells them all; without strays that is all it costs.
func (t *Table) Strays() ([]Info, error) {
	self := os.Getpid()
	kids, err := childrenOfThread(self, self)
	if err != nil {
		return nil, fmt.Errorf("listing this process's children: %w", err)
	}
	kids = slices.DeleteFunc(kids, t.known)
	if len(kids) == 0 {
		return nil, nil
	}
	// A child that is just being started is not known yet.
	t.settle()
	var out []Info
	for _, pid := range slices.DeleteFunc(kids, t.known) {
		if i, ok := stat(pid); ok && !i.ended() && i.PPID == os.Getpid() {
			i.Depth = 1
			out = append(out, i)
		}
	}
	return out, nil
}

func (t *Table) known(pid int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.children[pid] != nil
}

// settle waits until the Starts that are under way are over.
func (t *Table) settle() {
	t.mu.Lock()
	begun := t.begun
	t.mu.Unlock()
	for !t.settled(begun) {
		time.Sleep(100 * time.Microsecond)
	}
}

// settled reports whether the first n Starts are over.
func (t *Table) settled(n uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for number := range t.inflight {
		if number <= n {
			return false
		}
	}
	return true
}

func (t *Table) walk(pid, depth, max int) ([]Info, error) {
	kids, err := childrenOf(pid)
	if err != nil {
		return nil, err
	}
	var out []Info
	for _, k := range kids {
		i, ok := stat(k)
		if !ok || i.ended() {
			continue
		}
		i.Depth = depth
		i.Known = t.known(k)
		out = append(out, i)
		if max < 0 || depth < max {
			below, err := t.walk(k, depth+1, max)
			if err != nil {
				return nil, err
			}
			out = append(out, below...)
		}
	}
	return out, nil
}

// childrenOf reads the children of all threads of pid; none when it has ended.
// The kernel keeps children by thread (/proc/PID/task/TID/children, proc(5)).
func childrenOf(pid int) ([]int, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	tasks, err := readNames(dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			return nil, nil
		}
		return nil, fmt.Errorf("listing the children of process %d: %w", pid, err)
	}
	var out []int
	for _, name := range tasks {
		tid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		kids, err := childrenOfThread(pid, tid)
		if err != nil {
			continue // the thread has ended; its children have gone to a sibling
		}
		out = append(out, kids...)
	}
	return out, nil
}

// childrenOfThread reads /proc/PID/task/TID/children. It is asked after every
// task, and does without what os.File does for files that can be polled.
func childrenOfThread(pid, tid int) ([]int, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/task/"+strconv.Itoa(tid)+"/children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var b []byte
	for buf := [4096]byte{}; ; {
		n, err := unix.Read(fd, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		b = append(b, buf[:n]...)
	}
	var out []int
	for _, f := range bytes.Fields(b) {
		if n, err := strconv.Atoi(string(f)); err == nil {
			out = append(out, n)
		}
	}
	return out, nil
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// stat reads /proc/PID/stat. The command may hold blanks and brackets, so fields
// are counted from the last one.
func stat(pid int) (Info, bool) {
	f, comm := statFields(pid)
	if len(f) < 20 {
		return Info{}, false
	}
	ppid, _ := strconv.Atoi(string(f[1]))
	session, _ := strconv.Atoi(string(f[3]))
	threads, _ := strconv.Atoi(string(f[17]))
	started, _ := strconv.ParseUint(string(f[19]), 10, 64)
	return Info{PID: pid, PPID: ppid, Session: session, Comm: comm, State: f[0][0], Started: started, threads: threads}, true
}

// statFields splits /proc/PID/stat: the fields after the name, so that field n of
// proc_pid_stat(5) is at n-3, and the name. No fields when the process has gone.
func statFields(pid int) (fields [][]byte, comm string) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, ""
	}
	open, last := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || last < open {
		return nil, ""
	}
	return bytes.Fields(b[last+1:]), string(b[open+1 : last])
}

// SignalProcess sends sig to the process that i describes and to no other that
// took its number since: a pidfd holds it while its start time is compared.
func SignalProcess(i Info, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(i.PID, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", i.PID, err)
	}
	defer unix.Close(fd)
	now, ok := stat(i.PID)
	if !ok || now.Started != i.Started {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("sending %v to process %d: %w", sig, i.PID, err)
	}
	return nil
}

// Kill ends, by SIGKILL, every process below this one that match says yes to,
// again and again until none is left, so that what forks meanwhile is caught
// too. It returns how many it killed, and an error when some could not be
// brought to an end: before ctx was done (a process in an uninterruptible wait),
// or at all (another user's, such as a set-user-ID program).
func (t *Table) Kill(ctx context.Context, match func(Info) bool) (int, error) {
	return killAll(ctx, func() ([]Info, error) {
		all, err := t.Descendants()
		return slices.DeleteFunc(all, func(i Info) bool { return !match(i) }), err
	})
}

// generations is how many lists must be empty behind the first that is.
const generations = 2

// killAll kills what find finds until that is nothing more, and waits until all that it has killed
// is gone. A process that must not be signalled keeps no other from being killed. Where thousands die,
// dying takes the time: looking is not to take more of the processors than that.
func killAll(ctx context.Context, find func() ([]Info, error)) (int, error) {
	killed := map[[2]uint64]bool{}
	refused := map[[2]uint64]error{}
	dying := map[[2]uint64]Info{}
	wait := 200 * time.Microsecond
	for empty := 0; ; {
		began := time.Now()
		found, err := find()
		if err != nil {
			return len(killed), err
		}
		var refusal error
		for _, i := range found {
			key := i.key()
			err := refused[key]
			if err == nil && !killed[key] {
				err = SignalProcess(i, syscall.SIGKILL)
				killed[key], dying[key] = err == nil, i
			}
			if err != nil {
				refused[key], refusal = err, err
				delete(killed, key)
				delete(dying, key)
			}
		}
		maps.DeleteFunc(dying, func(_ [2]uint64, i Info) bool { return i.gone() })
		if len(dying) == 0 {
			// Who loses its parent while the list is made is not on it; so it is
			// with that one's own children, in the list after it.
			if empty++; empty > generations || refusal != nil {
				return len(killed), refusal
			}
			time.Sleep(200 * time.Microsecond)
			continue
		}
		empty = 0
		select {
		case <-ctx.Done():
			return len(killed), doNotEnd(dying, ctx.Err())
		case <-time.After(max(wait, 2*time.Since(began))):
		}
		wait = min(2*wait, 20*time.Millisecond)
	}
}

func doNotEnd(dying map[[2]uint64]Info, why error) error {
	for _, i := range dying {
		return fmt.Errorf("%d processes do not end (one is %d %s): %w", len(dying), i.PID, i.Comm, why)
	}
	return why
}

// gone reports whether the process has ended, collected or not.
func (i Info) gone() bool {
	now, ok := stat(i.PID)
	return !ok || now.Started != i.Started || now.ended()
}

// key is a process's identity.
func (i Info) key() [2]uint64 { return [2]uint64{uint64(i.PID), i.Started} }

// SignalAll sends sig to every process below this one that match says yes to.
// With SIGSTOP it repeats until it finds none that it has not told yet, so that what
// forks meanwhile is caught too: who has been told forks no more. A process that must not be
// signalled keeps no other from being told.
func (t *Table) SignalAll(match func(Info) bool, sig syscall.Signal) error {
	return t.signalAll(t.Descendants, match, sig)
}

func (t *Table) signalAll(find func() ([]Info, error), match func(Info) bool, sig syscall.Signal) error {
	told := map[[2]uint64]bool{}
	var refusal error
	for {
		found, err := find()
		if err != nil {
			return err
		}
		if sig == syscall.SIGSTOP {
			// A child that stops before its exec would stop the thread that waits for that.
			t.settle()
		}
		fresh := false
		for _, i := range found {
			if told[i.key()] || sig == syscall.SIGSTOP && (i.State == 'T' || i.State == 't') || !match(i) {
				continue
			}
			told[i.key()], fresh = true, true
			if err := SignalProcess(i, sig); err != nil {
				refusal = err
			}
		}
		if !fresh || sig != syscall.SIGSTOP {
			return refusal
		}
		time.Sleep(time.Millisecond)
	}
}

// Marked matches processes whose environment holds mark ("NAME=VALUE"). For
// children that Start made, the environment is the one given to Start, also
// before their exec.
func (t *Table) Marked(mark string) func(Info) bool {
	return func(i Info) bool {
		t.mu.Lock()
		c := t.children[i.PID]
		t.mu.Unlock()
		if c != nil {
			return slices.Contains(c.env, mark)
		}
		return slices.Contains(i.Env(), mark)
	}
}

// Below matches the processes that descend from the child pid, as long as it
// lives. Orphans are not below it any more; Marked finds those.
func (t *Table) Below(pid int) func(Info) bool {
	in := map[int]bool{pid: true}
	return func(i Info) bool {
		// Descendants lists parents before their children.
		if in[i.PID] || in[i.PPID] {
			in[i.PID] = true
			return true
		}
		return false
	}
}
