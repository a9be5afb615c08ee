package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/guest"
	wineguest "muster/internal/guest/wine"
	"muster/internal/proc"
)

// A starter starts the program in one variant.
type starter struct {
	variant variant
	table   *proc.Table
	guest   *wineguest.Guest
	node    guest.Node
	exe     string
	dir     string // of the place
	opened  int
}

// place opens an instance.
func (s *starter) open(ctx context.Context) (guest.Instance, func() error, error) {
	s.opened++
	id := "start" + strconv.Itoa(s.opened)
	place := guest.Place{
		ID: id, Dir: s.dir, Node: s.node, Folders: guest.Folders{Program: filepath.Dir(s.exe)}, Programs: 1,
		Env: []string{guest.EnvInstance + "=" + id + "@bench"},
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, nil, err
	}
	i, err := s.guest.Open(ctx, place)
	if err != nil {
		return nil, nil, err
	}
	return i, func() error { return i.Close(context.WithoutCancel(ctx)) }, nil
}

// ownServers measures instances that live for one program.
func (s *starter) ownServers(ctx context.Context, c *cost) error {
	return c.series(30, func() time.Duration { return 0 }, func() (err error) {
		i, done, err := s.open(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done()) }()
		p, err := i.Start(ctx, guest.Command{Program: s.exe, Dir: s.dir})
		if err != nil {
			return err
		}
		e, err := p.Wait(ctx)
		if err == nil && !e.OK() {
			err = fmt.Errorf("the program ended with %s %s", e, e.Detail)
		}
		return err
	})
}

// shared measures starts under one server.
func (s *starter) shared(ctx context.Context, c *cost) (err error) {
	i, done, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	cmd, err := s.command(ctx, i)
	if err != nil {
		return err
	}
	server, err := s.server()
	if err != nil {
		return err
	}
	run := func() error {
		out, err := s.table.Run(ctx, cmd)
		if err == nil && (!out.Exit.OK() || !strings.HasPrefix(string(out.Stdout), "alive")) {
			err = fmt.Errorf("the program ended with %s and said %q", out.Exit, out.Stdout)
		}
		return err
	}
	if err := run(); err != nil { // the first one warms everything up
		return err
	}
	if err := c.series(60, func() time.Duration { return cpuOf(server) }, run); err != nil {
		return err
	}
	if err := s.count(ctx, cmd, c); err != nil {
		return err
	}
	if s.variant.phases != "" {
		if c.phases, err = s.phases(ctx, cmd, server); err != nil {
			return err
		}
	}
	return s.living(ctx, cmd, c)
}

// command is what starts the program in an instance, with the variant's levers.
// A native program in the instance is told all that it takes.
func (s *starter) command(ctx context.Context, i guest.Instance) (proc.Cmd, error) {
	out, err := os.Create(filepath.Join(s.dir, "environ"))
	if err != nil {
		return proc.Cmd{}, err
	}
	defer out.Close()
	env, err := exec.LookPath("env")
	if err != nil {
		return proc.Cmd{}, err
	}
	p, err := i.Start(ctx, guest.Command{Program: env, Args: []string{"-0"}, Dir: s.dir, Stdout: out})
	if err != nil {
		return proc.Cmd{}, err
	}
	if _, err := p.Wait(ctx); err != nil {
		return proc.Cmd{}, err
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		return proc.Cmd{}, err
	}
	in, ok, err := wineguest.FindInside(strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"))
	if err != nil || !ok {
		return proc.Cmd{}, fmt.Errorf("the instance tells nothing of itself: %w", err)
	}
	path, argv, environ, err := in.Command(s.exe, nil)
	if err != nil {
		return proc.Cmd{}, err
	}
	if s.variant.twice {
		environ = slices.DeleteFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, "WINELOADERNOEXEC=") })
	}
	if s.variant.locales {
		environ = append(slices.DeleteFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, "LC_CTYPE=") }), "LC_ALL=C.UTF-8")
	}
	return proc.Cmd{Path: path, Args: argv, Env: environ, Dir: s.dir, FixedLayout: true}, nil
}

// server is the number of the instance's wineserver.
func (s *starter) server() (int, error) {
	all, err := s.table.Descendants()
	if err != nil {
		return 0, err
	}
	for _, p := range all {
		if exe, err := os.Readlink("/proc/" + strconv.Itoa(p.PID) + "/exe"); err == nil && strings.HasPrefix(filepath.Base(exe), "wineserver") {
			return p.PID, nil
		}
	}
	return 0, errors.New("no wineserver is running")
}

// cpuOf is the CPU time that a process of one thread has used.
func cpuOf(pid int) time.Duration {
	first, _, _ := strings.Cut(process{pid}.file("schedstat"), " ")
	n, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n)
}

// A request to the server begins with 64 bytes.
var request = regexp.MustCompile(`(?m) (write\(\d+, .*, 64\)|writev\(\d+, \[\{iov_base=.*?, iov_len=64\}.*) += \d+$`)

// count counts what strace sees of one start; nothing where there is no strace.
func (s *starter) count(ctx context.Context, cmd proc.Cmd, c *cost) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return nil
	}
	name := filepath.Join(s.dir, "calls")
	cmd.Args = append([]string{strace, "-f", "-s", "4", "-o", name, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = strace
	if out, err := s.table.Run(ctx, cmd); err != nil || !out.Exit.OK() {
		return fmt.Errorf("strace: %w %s", err, out.Stderr)
	}
	text, err := os.ReadFile(name)
	c.calls, c.trips = bytes.Count(text, []byte("\n")), len(request.FindAll(text, -1))
	return err
}

// living is what a living program takes of memory.
func (s *starter) living(ctx context.Context, cmd proc.Cmd, c *cost) error {
	const programs = 10
	cmd.Args = append(cmd.Args, "+")
	var pids []int
	for n := range programs {
		name := filepath.Join(s.dir, "out"+strconv.Itoa(n))
		out, err := os.Create(name)
		if err != nil {
			return err
		}
		cmd.Stdout = out
		child, err := s.table.Start(cmd)
		out.Close()
		if err != nil {
			return err
		}
		defer child.Signal(9) // what does not end so, ends with the instance
		pids = append(pids, child.PID())
		for {
			if st, err := os.Stat(name); err != nil || st.Size() > 0 {
				break
			}
			select {
			case <-child.Done():
				return errors.New("a program that was to stay has ended")
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
	one := process{pids[programs/2]}
	c.private, c.tables = kibOf(one.file("smaps_rollup"), "Private_Dirty:"), kibOf(one.file("status"), "VmPTE:")
	return nil
}

// kibOf is a number of KiB in one of /proc's tables, in bytes.
func kibOf(text, key string) int64 {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == key {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err == nil {
				return n << 10
			}
		}
	}
	return 0
}
