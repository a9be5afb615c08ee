package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// killLimit bounds how long killing may take; what is in an uninterruptible wait
// cannot be ended.
const killLimit = 10 * time.Second

// exitCannotStart is the code that shells give for a program that is not there.
const exitCannotStart = 127

// start starts element i, on the thread of run; again says that it has run before.
func (s *supervisor) start(i int, again bool) {
	at := time.Now()
	child, err := s.spawn(i, again)
	if err != nil {
		s.ended++
		exit := job.Exit{Code: exitCannotStart, Cause: job.CauseStart, Detail: err.Error()}
		s.record(event{Element: i, State: job.Failed, Exit: exit, At: at})
		return
	}
	s.running++
	p, _ := look(child.PID()) // zero when it has ended already
	s.record(event{Element: i, State: job.Running, Process: p, At: at})
	go s.attend(i, child)
}

func (s *supervisor) spawn(i int, again bool) (*proc.Child, error) {
	a := s.order.Array
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if !again {
		flags |= os.O_TRUNC
	}
	log, err := os.OpenFile(filepath.Join(a.LogDir, strconv.Itoa(i)+".log"), flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("its log: %w", err)
	}
	defer log.Close()
	return s.table.Start(proc.Cmd{
		Path:        a.Argv[0],
		Args:        a.Argv,
		Dir:         a.Dir,
		Env:         elementEnv(a, s.number, i, s.order.MaxArray),
		Stdout:      log,
		Stderr:      log,
		DeathSignal: syscall.SIGTERM,
	})
}

// attend waits for the element's end, or brings it about, and clears away what
// it leaves.
func (s *supervisor) attend(i int, child *proc.Child) {
	var limit <-chan time.Time
	if s.order.Array.Time > 0 {
		t := time.NewTimer(s.order.Array.Time)
		defer t.Stop()
		limit = t.C
	}
	if a := s.order.Array; a.Warn > 0 && a.Time > a.Warn {
		// One that has ended meanwhile is not signalled, and needs no warning.
		warning := time.AfterFunc(a.Time-a.Warn, func() { s.say(child.Signal(syscall.SIGUSR1)) })
		defer warning.Stop()
	}
	var forced job.State
	select {
	case <-child.Done():
	case <-s.stop:
		forced = job.Cancelled
	case <-limit:
		forced = job.Timeout
	}
	select {
	case <-child.Done():
		forced = "" // it was faster
	default:
	}
	mark := s.table.Marked(engine.Mark(s.id, i))
	if forced != "" {
		s.say(s.terminate(child, mark))
	}
	exit, err := child.Wait(context.Background())
	s.say(err)
	if strays, err := s.table.Strays(); err != nil || len(strays) > 0 {
		s.say(err)
		if forced == "" {
			s.ask(mark)
		}
		s.kill(mark)
	}
	e := ending{index: i, state: job.Completed, exit: exit, at: child.EndedAt()}
	switch {
	case forced == job.Cancelled:
		e.state, e.exit.Cause = forced, job.CauseCancelled
	case forced == job.Timeout:
		e.state, e.exit.Cause = forced, job.CauseTimeout
	case !exit.OK():
		e.state = job.Failed
	}
	s.ends <- e
}

// terminate sends SIGTERM to the element's process group, and, when the element
// lives on for KillWait, SIGKILL to everything that it has started.
func (s *supervisor) terminate(child *proc.Child, mark func(proc.Info) bool) error {
	if err := child.SignalGroup(syscall.SIGTERM); err != nil {
		return err
	}
	if err := child.SignalGroup(syscall.SIGCONT); err != nil { // one that is stopped would not see it
		return err
	}
	wait := time.NewTimer(s.order.KillWait)
	defer wait.Stop()
	select {
	case <-child.Done():
	case <-wait.C:
		below := s.table.Below(child.PID())
		s.kill(func(p proc.Info) bool { return below(p) || mark(p) })
	}
	return nil
}

// ask tells what an element has left to end, and waits for that, KillWait at
// most: an agent whose keeper was killed has cleaning up to do.
func (s *supervisor) ask(match func(proc.Info) bool) {
	s.say(s.table.SignalAll(match, syscall.SIGTERM))
	for end := time.Now().Add(s.order.KillWait); time.Now().Before(end); time.Sleep(askEvery) {
		all, err := s.table.Descendants()
		s.say(err)
		if err != nil || !slices.ContainsFunc(all, match) {
			return
		}
	}
}

// askEvery is how often it is looked whether what was told to end has.
const askEvery = 10 * time.Millisecond

func (s *supervisor) kill(match func(proc.Info) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), killLimit)
	defer cancel()
	_, err := s.table.Kill(ctx, match)
	s.say(err)
}

// elementEnv is the environment of element i: the array's, and over it the index
// variables of the schedulers that this engine stands for. With max, the array
// counts as several, as a scheduler with that limit would make of it. A
// SLURM_JOB_ID that is there already is that of an allocation in which all this
// happens, and stays.
func elementEnv(a job.Array, array, i, max int) []string {
	first, size := 1, a.Elements // of the scheduler's array that i is in
	if max > 0 {
		first = (i-1)/max*max + 1
		size = min(max, a.Elements-first+1)
	}
	index := strconv.Itoa(i - first + 1)
	last := strconv.Itoa(size)
	own := []string{
		engine.EnvElement + "=" + strconv.Itoa(i),
		engine.Mark(idOf(array), i),
		"SLURM_ARRAY_JOB_ID=" + strconv.Itoa(array+first-1),
		"SLURM_ARRAY_TASK_ID=" + index,
		"SLURM_ARRAY_TASK_COUNT=" + last,
		"SLURM_ARRAY_TASK_MIN=1",
		"SLURM_ARRAY_TASK_MAX=" + last,
		"SGE_TASK_ID=" + index,
		"SGE_TASK_FIRST=1",
		"SGE_TASK_LAST=" + last,
		"SGE_TASK_STEPSIZE=1",
	}
	taken := map[string]bool{}
	for _, kv := range own {
		name, _, _ := strings.Cut(kv, "=")
		taken[name] = true
	}
	env := make([]string, 0, len(a.Env)+len(own)+1)
	allocated := false
	for _, kv := range a.Env {
		name, _, _ := strings.Cut(kv, "=")
		allocated = allocated || name == "SLURM_JOB_ID"
		if !taken[name] {
			env = append(env, kv)
		}
	}
	if !allocated {
		env = append(env, "SLURM_JOB_ID="+strconv.Itoa(array+i-1))
	}
	return append(env, own...)
}
