package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	"muster/internal/proc"
)

// sweepLimit bounds the wait for a killed process to go.
const sweepLimit = 5 * time.Second

// sweep ends what a task has left running: children that outlived it, whatever
// they did with sessions and parents. Every orphan below this agent falls to it,
// so what is not a stray here is nowhere. session is that of the task's program.
func (a *agent) sweep(ctx context.Context, inst guest.Instance, mark string, session int) error {
	ctx, done := context.WithTimeout(ctx, sweepLimit)
	defer done()
	var refusal error // of a process that must not be signalled, such as another user's
	for {
		strays, err := a.table.Strays()
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(strays, func(i proc.Info) bool { return !a.leftover(i, inst, mark, session) })
		left = slices.DeleteFunc(left, func(i proc.Info) bool {
			err := proc.SignalProcess(i, syscall.SIGKILL)
			if err != nil {
				refusal = err
			}
			return err != nil
		})
		if len(left) == 0 {
			return refusal
		}
		// Its children, now orphans, show up in the next round.
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d (%s) does not end", left[0].PID, left[0].Comm)
		case <-time.After(time.Millisecond):
		}
	}
}

// leftover tells whether a stray is what the attempt with that mark has left.
func (a *agent) leftover(i proc.Info, inst guest.Instance, mark string, session int) bool {
	env := i.Env()
	if slices.Contains(env, mark) {
		return !inst.Owns(i.PID, env)
	}
	for _, kv := range env {
		if strings.HasPrefix(kv, guest.EnvTask+"=") || strings.HasPrefix(kv, guest.EnvInstance+"=") {
			return false // another's, or an instance's own
		}
	}
	// It has wiped its environment, but may be in the program's session still.
	if i.Session == session {
		return true
	}
	// It belongs to nobody's task but one that was running when it was born; when
	// no other such task is left, it is ours.
	return !a.othersSince(i.Started)
}

// othersSince reports whether a call of another lane was running already when
// the process that started at so many clock ticks after boot was born.
func (a *agent) othersSince(ticks uint64) bool {
	born := bootTime().Add(time.Duration(ticks) * (time.Second / clockTicks))
	a.mu.Lock()
	defer a.mu.Unlock()
	busy := 0
	for _, began := range a.calls {
		// A tick is 10 ms: in doubt the other call was there first.
		if !began.IsZero() && began.Before(born.Add(20*time.Millisecond)) {
			busy++
		}
	}
	return busy > 1 // the caller's own is one of them
}

// clockTicks is USER_HZ, 100 on every Linux platform that Go runs on (sysconf(3)).
const clockTicks = 100

func bootTime() time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Now()
	}
	return time.Now().Add(-time.Duration(ts.Nano()))
}

// cpusAllowed lists the CPUs that this process may run on.
func cpusAllowed() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	var cpus []int
	for n := range len(set) * 64 {
		if set.IsSet(n) {
			cpus = append(cpus, n)
		}
	}
	return cpus
}
