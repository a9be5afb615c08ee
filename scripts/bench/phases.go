package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"muster/internal/proc"
)

// A phase is a part of one start, as the kernel's trace shows it.
type phase struct {
	trips, calls, faults, switches int
	wall, client, server           time.Duration
}

// phaseNames are the parts of a start, in order. Each begins with a system call of the program's.
var phaseNames = []string{
	"exec, the C library, ntdll.so",                            // execve
	"the server, drives, the environment, the program's image", // connect, to the server
	"ntdll.dll, kernelbase and kernel32",                       // prctl, by which Wine gives the process the program's name
	"the program, and its end",                                 // its own write
}

// Numbers of system calls on x86-64, which is all that Wine runs on here.
const (
	callRead    = 0
	callWrite   = 1
	callConnect = 42
	callExecve  = 59
	callPrctl   = 157
	setName     = 0xf // PR_SET_NAME
)

// traced are the starts that a trace is made of, one after the other.
const traced = 20

// phases traces starts under one server with perf; nil where perf is missing or not allowed to.
func (s *starter) phases(ctx context.Context, cmd proc.Cmd, server int) ([]phase, error) {
	perf, err := exec.LookPath("perf")
	if err != nil {
		return nil, nil
	}
	data := filepath.Join(s.dir, "perf.data")
	recorder, err := s.table.Start(proc.Cmd{
		Path: perf, Dir: s.dir, Env: cmd.Env,
		Args: []string{perf, "record", "-q", "-a", "-c", "1", "-m", "32M", "-o", data, "-e", "raw_syscalls:sys_enter,sched:sched_switch,page-faults"},
	})
	if err != nil {
		return nil, err
	}
	select { // until it records, which it does not tell
	case <-recorder.Done():
		return nil, nil
	case <-time.After(2 * time.Second):
	}
	var pids []int
	for range traced {
		child, err := s.table.Start(cmd)
		if err != nil {
			return nil, err
		}
		pids = append(pids, child.PID())
		<-child.Done()
	}
	recorder.Signal(syscall.SIGINT)
	<-recorder.Done()
	events, err := s.events(ctx, cmd.Env, perf, data, append(pids, server))
	if err != nil {
		return nil, err
	}
	var all [][]phase
	for _, pid := range pids {
		if p, ok := phasesOf(events, pid, server); ok {
			all = append(all, p)
		}
	}
	if len(all) < traced/2 {
		return nil, fmt.Errorf("perf has lost too much: of %d starts, %d can be told apart", traced, len(all))
	}
	return middle(all), nil
}

// events are those of a trace that concern some processes.
func (s *starter) events(ctx context.Context, env []string, perf, data string, pids []int) (list []event, err error) {
	text, err := os.Create(filepath.Join(s.dir, "perf.txt"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, text.Close(), os.Remove(text.Name()), os.Remove(data)) }()
	child, err := s.table.Start(proc.Cmd{
		Path: perf, Dir: s.dir, Env: env, Stdout: text,
		Args: []string{perf, "script", "-i", data, "-F", "pid,tid,cpu,time,event,trace", "--ns"},
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if _, err := text.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		e, ok := parseEvent(lines.Text())
		if ok && (slices.Contains(pids, e.pid) || slices.Contains(pids, e.next) || slices.Contains(pids, e.previous)) {
			list = append(list, e)
		}
	}
	return list, lines.Err()
}

// phasesOf picks one start, of the program pid under the server, out of a trace; false when a part of it is missing.
func phasesOf(events []event, pid, server int) ([]phase, bool) {
	out := make([]phase, len(phaseNames))
	at, begun := -1, time.Duration(0)  // the phase that it is in, and since when
	running := map[int]time.Duration{} // of the two, since when
	spend := func(who int, until time.Duration) {
		since, ok := running[who]
		if !ok || at < 0 {
			return
		}
		running[who] = until
		spent := &out[at].client
		if who == server {
			spent = &out[at].server
		}
		*spent += until - max(since, begun)
	}
	enter := func(next int, now time.Duration) {
		if next != at+1 {
			return
		}
		spend(pid, now)
		spend(server, now)
		if at >= 0 {
			out[at].wall = now - begun
		}
		at, begun = next, now
	}
	for _, e := range events {
		switch e.name {
		case "sched:sched_switch":
			spend(e.previous, e.at)
			delete(running, e.previous)
			if e.previous == pid && at >= 0 {
				out[at].switches++
				out[at].wall = e.at - begun // so far
			}
			if e.previous == pid && e.ended {
				return out, at == len(out)-1
			}
			if e.next == pid || e.next == server {
				running[e.next] = e.at
			}
		case "page-faults":
			if e.pid == pid && at >= 0 {
				out[at].faults++
			}
		case "raw_syscalls:sys_enter":
			if e.pid != pid {
				continue
			}
			switch {
			case e.call == callExecve && at < 0:
				running[pid] = e.at
				enter(0, e.at)
			case e.call == callConnect:
				enter(1, e.at)
			case e.call == callPrctl && e.args[0] == setName:
				enter(2, e.at)
			case e.call == callWrite && e.args[2] == uint64(len("alive\n")):
				enter(3, e.at)
			}
			if at < 0 {
				continue
			}
			out[at].calls++
			// An answer of the server's begins with 64 bytes.
			if e.call == callRead && e.args[2] == 64 {
				out[at].trips++
			}
		}
	}
	return nil, false
}

// An event is a line of perf script's.
type event struct {
	pid            int
	at             time.Duration
	name           string
	call           int
	args           [3]uint64
	previous, next int // sched_switch
	ended          bool
}

// parseEvent reads " 123/123  [001]  1.000000001: EVENT: …".
func parseEvent(line string) (e event, ok bool) {
	f := strings.Fields(line)
	if len(f) < 4 {
		return e, false
	}
	pid, _, _ := strings.Cut(f[0], "/")
	e.pid, _ = strconv.Atoi(pid)
	at, err := time.ParseDuration(strings.TrimSuffix(f[2], ":") + "s")
	if err != nil {
		return e, false
	}
	e.at = at
	e.name = strings.TrimSuffix(f[3], ":")
	rest := f[4:]
	switch e.name {
	case "raw_syscalls:sys_enter": // NR 1 (2, 7ffe…, 6, …)
		if len(rest) < 5 {
			return e, false
		}
		e.call, err = strconv.Atoi(rest[1])
		for i := range e.args {
			e.args[i], _ = strconv.ParseUint(strings.Trim(rest[2+i], "(,)"), 16, 64)
		}
	case "sched:sched_switch": // prev_comm=… prev_pid=1 … prev_state=S ==> next_comm=… next_pid=2 …; names may hold blanks
		for _, word := range rest {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "prev_pid":
				e.previous, err = strconv.Atoi(value)
			case "next_pid":
				e.next, err = strconv.Atoi(value)
			case "prev_state":
				e.ended = strings.ContainsAny(value, "ZX")
			}
		}
	}
	return e, err == nil
}

// middle is the median of each figure over all starts.
func middle(all [][]phase) []phase {
	out := make([]phase, len(phaseNames))
	number := func(pick func(phase) int, i int) int {
		var list []int
		for _, p := range all {
			list = append(list, pick(p[i]))
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	span := func(pick func(phase) time.Duration, i int) time.Duration {
		return time.Duration(number(func(p phase) int { return int(pick(p)) }, i))
	}
	for i := range out {
		out[i] = phase{
			trips: number(func(p phase) int { return p.trips }, i), calls: number(func(p phase) int { return p.calls }, i),
			faults: number(func(p phase) int { return p.faults }, i), switches: number(func(p phase) int { return p.switches }, i),
			wall:   span(func(p phase) time.Duration { return p.wall }, i),
			client: span(func(p phase) time.Duration { return p.client }, i), server: span(func(p phase) time.Duration { return p.server }, i),
		}
	}
	return out
}

const phasesHead = "| phase of a start under a shared lean server | round trips | system calls | page faults | switches | CPU of the program | CPU of the server | wall |\n" +
	"| --- | --- | --- | --- | --- | --- | --- | --- |\n"

const phasesNote = "Phase by phase, by perf's trace of the kernel (system calls, page faults, switches): medians of 20 starts, one after the other. Tracing itself is\n" +
	"in the times, about a third. The program's file is mapped in the second phase; from the third on `muster launch` counts it as alive.\n"

// phaseTable is the rows of one variant.
func phaseTable(variant string, list []phase) string {
	var out strings.Builder
	for i, p := range list {
		fmt.Fprintf(&out, "| %s: %s | %s | %s | %d | %d | %s | %s | %s |\n", variant, phaseNames[i], thousands(p.trips), thousands(p.calls), p.faults, p.switches,
			millis(p.client), millis(p.server), millis(p.wall))
	}
	return out.String()
}
