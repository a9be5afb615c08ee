package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/proc"
)

// process names one process among all that ever had its number.
type process struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // clock ticks after boot, /proc/PID/stat
}

// identity names one process on all hosts that may share the state folder.
type identity struct {
	Host  string `json:"host"`
	Boot  string `json:"boot"`  // this boot of the machine
	Space string `json:"space"` // the PID namespace that PID counts in
	process
}

// self is the identity of this process.
func self() (identity, error) {
	id, err := here()
	if err != nil {
		return identity{}, err
	}
	p, ok := look(os.Getpid())
	if !ok {
		return identity{}, errors.New("reading this process's start time from /proc/self/stat failed")
	}
	id.process = p
	return id, nil
}

// here is an identity without a process: this host, boot and PID namespace.
func here() (identity, error) {
	host, err := os.Hostname()
	if err != nil {
		return identity{}, fmt.Errorf("asking for the host's name: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, fmt.Errorf("asking for the boot's number: %w", err)
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return identity{}, fmt.Errorf("asking for the PID namespace: %w", err)
	}
	return identity{Host: host, Boot: strings.TrimSpace(string(boot)), Space: space}, nil
}

// near reports whether the processes of other can be seen from here.
func (i identity) near(other identity) bool {
	return i.Boot == other.Boot && i.Space == other.Space
}

// look reads when the process of that number started; false when there is none,
// or only its zombie: PID 1 does not reap everywhere.
func look(pid int) (process, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	// The command may hold blanks and brackets: fields count from the last one.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 || f[0][0] == 'Z' || f[0][0] == 'X' {
		return process{}, false
	}
	started, err := strconv.ParseUint(string(f[19]), 10, 64)
	return process{PID: pid, Started: started}, err == nil
}

func (p process) alive() bool {
	now, ok := look(p.PID)
	return ok && now == p
}

// signal reaches p or nothing.
func (p process) signal(sig syscall.Signal) error {
	return proc.SignalProcess(proc.Info{PID: p.PID, Started: p.Started}, sig)
}

// wait returns when p has ended, with ctx.Err() when ctx ends first. It holds a
// descriptor, no thread.
func (p process) wait(ctx context.Context) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("watching process %d: %w", p.PID, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return fmt.Errorf("watching process %d: %w", p.PID, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	if !p.alive() { // the descriptor is somebody else's, or there is nothing to wait for
		return ctx.Err()
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("watching process %d: %w", p.PID, err)
	}
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = conn.Read(func(fd uintptr) bool {
		// A pidfd becomes readable when its process has ended (pidfd_open(2)).
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(set, 0)
		return n > 0 || (err != nil && !errors.Is(err, unix.EINTR))
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("watching process %d: %w", p.PID, err)
	}
	return nil
}
