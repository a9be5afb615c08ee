package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest/vm/wire"
)

// system is the guest's system.
type system struct {
	first bool // this is the first process: nothing else runs here
	own   own
	hello wire.Hello

	mu   sync.Mutex
	kept []string // where disks are mounted that outlive the guest
}

// hello tells of the machine that this process runs on.
func hello() wire.Hello {
	h := wire.Hello{CPUs: runtime.NumCPU()}
	if b, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		h.Boot = strings.TrimSpace(string(b))
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		h.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		h.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	return h
}

// Hello implements inside.System. Of what it tells only the time is another in each clone.
func (s *system) Hello() wire.Hello {
	h := s.hello
	h.UpTime = upTime()
	return h
}

// upTime is how long the kernel has been running, in nanoseconds.
func upTime() int64 {
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return 0
	}
	return up.Nano()
}

// Quit writes out what outlives the guest. Of what this process has mounted at boot nothing does: the root is read-only,
// and the layer over it is thrown away.
func (s *system) Quit() error {
	if !s.first {
		unix.Sync()
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range slices.Backward(s.kept) {
		if err := unix.Unmount(at, 0); err != nil {
			return fmt.Errorf("unmounting %s: %w", at, err)
		}
	}
	s.kept = nil
	return nil
}

// Off takes the power away; a system's own first process is asked to, after it has ended its services.
func (s *system) Off() error {
	if s.first {
		return cutPower()
	}
	// systemd's signal for it (systemd(1): SIGRTMIN+4, and glibc's first real-time signal is 34).
	if err := syscall.Kill(1, 34+4); err != nil {
		return fmt.Errorf("asking the system to power off: %w", err)
	}
	time.Sleep(time.Hour) // the system ends this process
	return errors.New("the system does not power off")
}

// cutPower returns only when that fails.
func cutPower() error {
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		return fmt.Errorf("powering off: %w", err)
	}
	return errors.New("the machine does not power off")
}

// bystander is the system of a process that is to change nothing.
type bystander struct{}

func (bystander) Hello() wire.Hello          { return hello() }
func (bystander) Settle(wire.Settings) error { return nil }
func (bystander) Quit() error                { return nil }
func (bystander) Off() error                 { return nil }
