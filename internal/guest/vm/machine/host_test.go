package machine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	contract "muster/internal/guest"
	"muster/internal/guest/vm/machine"
	"muster/internal/guest/vm/machine/machinetest"
	"muster/internal/proc/proctest"
)

// TestFind: what is lacking is named, with the package that brings it.
func TestFind(t *testing.T) {
	table := proctest.Table(t)
	for _, c := range []struct {
		name, script, want string
	}{
		{"new", "echo 'QEMU emulator version 9.1.0'", ""},
		{"debian", "echo 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b2)'", ""},
		{"old", "echo 'QEMU emulator version 5.2.0 (Debian 1:5.2)'", "version 5.2.0"},
		{"nearly new", "echo 'QEMU emulator version 7.1.0'", "version 7.1.0"},
		{"later", "echo 'QEMU emulator version 10.0.2'", ""},
		{"stranger", "echo hello; exit 3", "hello"},
		{"absent", "", "in no folder of PATH"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.script != "" {
				if err := os.WriteFile(filepath.Join(dir, "qemu-system-x86_64"), []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			q, err := machine.Find(t.Context(), table, "/nonexistent:"+dir)
			if c.want == "" {
				if err != nil || q.Version == "" || filepath.Dir(q.Path) != dir {
					t.Errorf("got %+v, %v", q, err)
				}
				return
			}
			if !errors.Is(err, contract.ErrLacking) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "qemu-system-x86") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestProbe: whatever this host's KVM is worth, there is an answer in time, it comes with a reason, and is kept.
func TestProbe(t *testing.T) {
	l := newLab(t)
	cache := filepath.Join(t.TempDir(), "cache")
	first, err := l.host.Probe(t.Context(), l.config.Kernel, cache)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", first)
	if first.Reason == "" || first.Remembered || (first.Accel != machine.KVM && first.Accel != machine.TCG) {
		t.Errorf("got %+v", first)
	}
	second, err := l.host.Probe(t.Context(), l.config.Kernel, cache)
	if err != nil {
		t.Fatal(err)
	}
	_, tried := os.Stat(cache) // without a /dev/kvm there was nothing to try, and nothing to remember
	if second.Accel != first.Accel || second.Reason != first.Reason || second.Remembered != (tried == nil) {
		t.Errorf("the second time: %+v", second)
	}
	// It is true: a guest boots with it.
	l.config.Accel = first.Accel
	m, err := l.host.Boot(t.Context(), l.config)
	g := with(t, m, err)
	if got := g.hears(); got != "ready" {
		t.Errorf("the guest said %q", got)
	}
	g.tell("off")
	if end := g.ends(); end.How != machine.PoweredOff {
		t.Error(end)
	}
}

// TestPC: a machine with a PC's devices and two vCPUs boots, is saved and resumed; its vCPUs are on CPUs of their own.
func TestPC(t *testing.T) {
	l := newLab(t)
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if mine.IsSet(cpu) {
			l.config.CPUs = append(l.config.CPUs, cpu)
		}
	}
	if len(l.config.CPUs) < 2 {
		t.Skip("there is one CPU only")
	}
	l.config.CPUs = l.config.CPUs[:2]
	l.config.Board, l.config.VCPUs = machine.Q35, 2
	dir := t.TempDir()
	l.save(dir)
	g := l.resume(t, dir)
	if got, want := g.ask("disks"), "vda:root:ro vdb:scratch vdc:payload:ro "; got != want {
		t.Errorf("the guest has %q, want %q", got, want)
	}
	if err := g.Pinned(t.Context()); err != nil {
		t.Error(err)
	}
	for _, cpu := range l.config.CPUs {
		if threads := threadsOn(t, g.PID(), cpu); threads != 1 {
			t.Errorf("%d threads are kept to CPU %d, want one vCPU", threads, cpu)
		}
	}
}

// threadsOn counts the threads of a process that may run on that CPU alone.
func threadsOn(t *testing.T, pid, cpu int) (n int) {
	t.Helper()
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(names) == 0 {
		t.Fatal("no threads", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), fmt.Sprintf("\nCpus_allowed_list:\t%d\n", cpu)) {
			n++
		}
	}
	return n
}

// TestNet: QEMU takes every kind of network, and a guest that has one can be saved and resumed.
func TestNet(t *testing.T) {
	l := newLab(t)
	ours, theirs, err := segment()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	l.config.VCPUs = 2 // which microvms can have, too
	l.config.Net = machine.Net{Socket: theirs}
	for _, board := range []machine.Board{machine.Q35, machine.Micro} {
		for _, n := range []machine.Net{{User: true, MAC: "52:54:00:00:00:07"}, {Socket: theirs}} {
			config := l.config
			config.Board, config.Net = board, n
			m, err := l.host.Boot(t.Context(), config)
			g := with(t, m, err)
			if err := g.Suspend(t.Context()); err != nil { // it is up, and obeys
				g.Close()
				t.Errorf("%s, %+v: %v; %v", board, n, err, g.ends())
			}
		}
	}
	dir := t.TempDir()
	l.save(dir)
	if got := l.resume(t, dir).ask("echo here"); got != "here" {
		t.Errorf("the guest said %q", got)
	}
}

// segment is a pair of sockets that carry frames.
func segment() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "segment"), os.NewFile(uintptr(fds[1]), "segment"), nil
}

// TestNothingToBoot: what QEMU can do nothing with is told in its own words.
func TestNothingToBoot(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		name, want string
		change     func(*machine.Config)
	}{
		{"no kernel", "could not open kernel file", func(c *machine.Config) { c.Kernel = "/nonexistent" }},
		{"no disk", "No such file", func(c *machine.Config) { c.Disks = []machine.Disk{{Name: "a", Path: "/nonexistent"}} }},
		{"no such CPU", "unable to find CPU model", func(c *machine.Config) { c.CPU = "z80" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := l.config
			c.change(&config)
			m, err := l.host.Boot(t.Context(), config)
			end := with(t, m, err).ends()
			if end.How != machine.Died || !strings.Contains(end.String(), c.want) {
				t.Errorf("got %q, want %q", end, c.want)
			}
		})
	}
	l.host.QEMU.Path = machinetest.NeedKernel(t)
	if _, err := l.host.Boot(t.Context(), l.config); err == nil {
		t.Error("what is no program was started")
	}
}
