package gridengine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// Exit codes that mean something to Grid Engine: queue_conf(5), "rescheduled" and "error state".
const (
	exitRequeue = job.ExitRequeue
	exitError   = 100
	// exitOther stands for a program's own 99 and 100, for which nothing but that may happen.
	exitOther = 1
	// exitCannotStart is the code that shells give for a program that is not there.
	exitCannotStart = 127
)

// An element's supervisor is what Grid Engine starts for each task. It ends the element
// in time, or when it is asked to: SIGTERM, and SIGKILL to everything below it after
// KillWait. Of Grid Engine's own signals none will do. It sends them to every process that
// the job has started, whatever its session (ENABLE_ADDGRP_KILL, sge_conf(5)): SIGUSR1
// and SIGUSR2, the notices ahead of limits and deletion, would end programs that know
// nothing of them. So qsub is not asked for notices, and Grid Engine kills only
// what the supervisor has failed to end.
type supervisor struct {
	head
	table   *proc.Table
	dir     string
	id      engine.ID
	element int
	begun   time.Time
	note    note
	file    *os.File // of the note
}

// Element runs one element of an array on a node, as Grid Engine's job. args are the
// array's folder, the job's first element, and the command; environ is what Grid Engine has
// given. It returns what this process must exit with; an error is for the element's log.
func Element(ctx context.Context, args, environ []string) (code int, err error) {
	if len(args) < 3 {
		return exitOther, errors.New("the arguments are the array's folder, the first element, and a command")
	}
	dir, argv := args[0], args[2:]
	env, ours, err := unpackEnv(environ)
	if err != nil {
		return exitOther, err
	}
	given := environment(ours)
	task, err1 := strconv.Atoi(given["SGE_TASK_ID"])
	first, err2 := strconv.Atoi(args[1])
	if err := errors.Join(err1, err2); err != nil || first < 1 || task < 1 {
		return exitOther, fmt.Errorf("which element this is, %q from %q on, is not to be understood", given["SGE_TASK_ID"], args[1])
	}
	a, err := load(filepath.Dir(dir), filepath.Base(dir))
	if err == nil && a == nil {
		err = fmt.Errorf("%s is not to be seen on %s: muster's state folder must be on a file system that submit host and nodes share", dir, given["HOSTNAME"])
	}
	if err != nil {
		return exitOther, err
	}
	s := &supervisor{head: a.head, dir: dir, id: idOf(a.token), element: first + task - 1, begun: time.Now()}
	before := a.notes[s.element]
	if n := len(before); n > 0 && before[n-1].ended() && !before[n-1].Requeue {
		return exitOther, fmt.Errorf("element %d has ended before, on %s: it is not run again", s.element, before[n-1].Node)
	}
	if err := s.openLog(given["SGE_STDOUT_PATH"]); err != nil {
		return exitOther, err
	}
	s.note = note{Begun: s.begun, Node: given["HOSTNAME"], Job: given["JOB_ID"] + "." + given["SGE_TASK_ID"]}
	if err := s.openNote(len(before) + 1); err != nil {
		return exitOther, err
	}
	defer s.file.Close()
	switch {
	case a.files[cancelFile]:
		return exitOther, s.end(job.Cancelled, job.Exit{Cause: job.CauseCancelled})
	case len(before) > 0 && !a.Requeue:
		s.note.Skipped = true
		return exitOther, s.end(job.NodeFail, job.Exit{Cause: job.CauseAgentLost})
	}
	return s.run(ctx, argv, elementEnv(env, ours, s.id, s.element))
}

// openLog gives the element the log of its number where Grid Engine had to use another name.
func (s *supervisor) openLog(given string) error {
	want := filepath.Join(s.LogDir, strconv.Itoa(s.element)+".log")
	if given == want {
		return os.Chmod(want, 0o600)
	}
	f, err := os.OpenFile(want, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("the element's log: %w", err)
	}
	defer f.Close()
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			return fmt.Errorf("the element's log: %w", err)
		}
	}
	if filepath.Dir(given) == s.LogDir {
		if err := os.Remove(given); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// openNote takes the next number that no other start of the element has, and says that
// it has begun.
func (s *supervisor) openNote(start int) error {
	for ; ; start++ {
		f, err := os.OpenFile(filepath.Join(s.dir, noteName(s.element, start)), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue // of its twin
		}
		if err != nil {
			return fmt.Errorf("taking notes of element %d: %w", s.element, err)
		}
		s.file = f
		return s.write()
	}
}

func (s *supervisor) write() error {
	b, err := json.Marshal(s.note)
	if err == nil {
		_, err = s.file.Write(append(b, '\n'))
	}
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("taking notes of element %d: %w", s.element, err)
	}
	return nil
}

// end notes how the element has ended.
func (s *supervisor) end(state job.State, exit job.Exit) error {
	s.note.Ended, s.note.State, s.note.Exit = time.Now(), state, exit
	return s.write()
}

// elementEnv is the array's environment, and over it what Grid Engine says of the job.
func elementEnv(env, given []string, id engine.ID, element int) []string {
	own := []string{engine.EnvElement + "=" + strconv.Itoa(element), engine.Mark(id, element)}
	for _, kv := range given {
		if name, _, _ := strings.Cut(kv, "="); FromGridEngine(name) {
			own = append(own, kv)
		}
	}
	taken := map[string]bool{}
	for _, kv := range own {
		name, _, _ := strings.Cut(kv, "=")
		taken[name] = true
	}
	out := slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return taken[name]
	})
	return append(out, own...)
}

// FromGridEngine reports whether an element has a variable of that name from Grid
// Engine, whatever the array's environment says (submit(1)).
func FromGridEngine(name string) bool {
	switch name {
	case "ARC", "ENVIRONMENT", "HOSTNAME", "JOB_ID", "JOB_NAME", "JOB_SCRIPT", "NHOSTS", "NQUEUES", "NSLOTS", "PE", "PE_HOSTFILE",
		"QUEUE", "REQNAME", "REQUEST", "RESTARTED", "TMP", "TMPDIR", "CUDA_VISIBLE_DEVICES":
		return true
	}
	return strings.HasPrefix(name, "SGE_") && name != "SGE_ND"
}

// run starts the command, and stays until nothing of it is left.
func (s *supervisor) run(ctx context.Context, argv, env []string) (int, error) {
	var err error
	if s.table, err = proc.NewTable(); err != nil {
		return exitOther, err
	}
	defer s.table.Close()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGXCPU)
	defer signal.Stop(signals)

	runtime.LockOSThread() // the death signal is tied to the thread that starts the child
	child, err := s.table.Start(proc.Cmd{
		Path: argv[0], Args: argv, Env: env,
		Stdout: os.Stdout, Stderr: os.Stderr,
		DeathSignal: syscall.SIGTERM,
	})
	if err != nil {
		exit := job.Exit{Code: exitCannotStart, Cause: job.CauseStart, Detail: err.Error()}
		return exitCannotStart, errors.Join(err, s.end(job.Failed, exit))
	}
	forced := s.attend(ctx, child, signals)
	exit, err := child.Wait(context.Background())
	if err != nil {
		return exitOther, err
	}
	s.clear(forced != "")
	state := job.Completed
	switch {
	case forced == job.Cancelled:
		state, exit.Cause = forced, job.CauseCancelled
	case forced == job.Timeout:
		state, exit.Cause = forced, job.CauseTimeout
	case !exit.OK():
		state = job.Failed
	}
	s.note.Requeue = s.Requeue && exit.Code == exitRequeue && forced != job.Cancelled
	code := toGridEngine(exit)
	if exit.Code == exitRequeue && s.note.Requeue {
		code = exitRequeue
	}
	return code, s.end(state, exit)
}

// toGridEngine is the code by which Grid Engine learns of an end, without the codes by
// which it would do something about it.
func toGridEngine(exit job.Exit) int {
	switch {
	case exit.Signal != 0:
		return 128 + exit.Signal
	case exit.Code == exitRequeue, exit.Code == exitError:
		return exitOther
	}
	return exit.Code
}

// attend waits for the element's end, or brings it about. It returns why it did.
func (s *supervisor) attend(ctx context.Context, child *proc.Child, signals <-chan os.Signal) job.State {
	var forced job.State
	var kill <-chan time.Time
	look := time.NewTicker(s.lookEvery())
	defer look.Stop()
	warn, limit := timer(s.Time-s.Warn, s.Time > 0 && s.Warn > 0), timer(s.Time, s.Time > 0)
	done := ctx.Done()
	stop := func(why job.State) {
		if forced != "" {
			return
		}
		forced = why
		s.say(child.SignalGroup(syscall.SIGTERM))
		s.say(child.SignalGroup(syscall.SIGCONT)) // one that is stopped would not see it
		kill = time.After(s.KillWait)
	}
	for {
		select {
		case <-child.Done():
			return forced
		case <-look.C:
			if cancel, _, err := asked(s.dir); err == nil && cancel { // an error may pass
				stop(job.Cancelled)
			}
		case <-done:
			done = nil
			stop(job.Cancelled)
		case <-signals:
			stop(job.Cancelled) // the site's terminate_method, or a person
		case <-warn:
			s.say(child.Signal(syscall.SIGUSR1))
		case <-limit:
			stop(job.Timeout)
		case <-kill:
			below := s.table.Below(child.PID())
			s.kill(func(p proc.Info) bool { return p.PID == child.PID() || below(p) })
			s.say(child.SignalGroup(syscall.SIGKILL))
		}
	}
}

// timer fires after d, or never.
func timer(d time.Duration, when bool) <-chan time.Time {
	if !when {
		return nil
	}
	return time.After(d)
}

// lookEvery is how often it is looked for requests: a second, and more in large arrays
// so that a file server has not more than 200 such questions a second of one.
func (s *supervisor) lookEvery() time.Duration {
	return min(max(time.Second, time.Duration(s.Elements)*time.Second/200), 10*time.Second)
}

// killLimit bounds how long killing may take; what is in an uninterruptible wait cannot be ended.
const killLimit = 10 * time.Second

func (s *supervisor) kill(match func(proc.Info) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), killLimit)
	defer cancel()
	_, err := s.table.Kill(ctx, match)
	s.say(err)
}

// clear ends what the element has left. Agents whose keeper was killed have cleaning up
// to do, and are asked first, unless the time for that is over.
func (s *supervisor) clear(over bool) {
	left, err := s.table.Descendants()
	s.say(err)
	if len(left) == 0 {
		return
	}
	all := func(proc.Info) bool { return true }
	if !over {
		s.say(s.table.SignalAll(all, syscall.SIGTERM))
		for end := time.Now().Add(s.KillWait); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if left, err := s.table.Descendants(); err != nil || len(left) == 0 {
				s.say(err)
				return
			}
		}
	}
	s.kill(all)
}

// say puts trouble into the element's log.
func (s *supervisor) say(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "muster:", err)
	}
}
