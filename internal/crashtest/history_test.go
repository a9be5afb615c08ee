package crashtest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/job"
	"muster/internal/rundir"
)

// execution is a line that a program has left outside muster when it began.
type execution struct {
	task, attempt int    // attempt 0: it does not know
	mark          string // of the attempt; "": it does not know
	at            time.Time
}

// executions reads the lines. A native program writes "RUN_TASK.ATTEMPT@TOKEN NANOSECONDS",
// a Windows one "PID TICKS TASK".
func (l *lab) executions() []execution {
	l.Helper()
	names, err := filepath.Glob(l.nonces + "*")
	if err != nil {
		l.Fatal(err)
	}
	var b strings.Builder
	for _, name := range names {
		b.WriteString(l.read(name))
	}
	var out []execution
	for line := range strings.Lines(b.String()) {
		words := strings.Fields(line)
		var e execution
		var err error
		switch {
		case len(words) == 2:
			var ns int64
			if _, err = fmt.Sscanf(words[0], "%d_%d.%d@", new(int), &e.task, &e.attempt); err == nil {
				ns, err = strconv.ParseInt(words[1], 10, 64)
			}
			e.mark, e.at = words[0], time.Unix(0, ns)
		case len(words) == 3:
			var ticks int64
			if e.task, err = strconv.Atoi(words[2]); err == nil {
				ticks, err = strconv.ParseInt(words[1], 10, 64)
			}
			e.at = ofTicks(ticks)
		default:
			err = errors.New("torn")
		}
		if err != nil {
			l.Fatalf("line %q in %s: %v", line, l.nonces, err)
		}
		out = append(out, e)
	}
	return out
}

// ofTicks is the wall clock of Windows' performance counter, which Wine takes
// from CLOCK_MONOTONIC_RAW in steps of 100 ns.
func ofTicks(ticks int64) time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &ts); err != nil {
		panic(err)
	}
	return time.Now().Add(time.Duration(ticks*100 - ts.Nano()))
}

// completion is a committed record that a task is completed.
type completion struct {
	task, attempt int
	at            time.Time
	journal       rundir.AgentID
	outputs       []rundir.Output
}

// completions reads the run's journals.
func (l *lab) completions(r *rundir.Run) []completion {
	l.Helper()
	var out []completion
	var agents []int
	var since []time.Duration
	snap, err := r.Load(context.Background(), rundir.LoadOptions{Each: func(agent int, rec *rundir.Record) {
		if rec.Kind == rundir.KindEnd && rec.End.State == job.Completed {
			out = append(out, completion{task: rec.End.Task, attempt: rec.End.Attempt, outputs: append([]rundir.Output(nil), rec.End.Outputs...)})
			agents, since = append(agents, agent), append(since, rec.At)
		}
	}})
	if err != nil {
		l.Fatal(err)
	}
	for _, d := range snap.Damage {
		l.Errorf("a journal is damaged: %v", d)
	}
	for i := range out {
		out[i].at, out[i].journal = snap.Clock(agents[i], since[i]), snap.Agents[agents[i]].ID
	}
	return out
}

// checkHistory holds executions against journals: every task is completed, by one
// attempt; no mark of an attempt is used twice; and no execution begins after
// the task's completion was recorded. slack is how much the programs' clock may
// differ from ours.
func (l *lab) checkHistory(r *rundir.Run, tasks int, slack time.Duration) {
	l.Helper()
	first := l.checkCompleted(r, tasks)
	begun := map[int]int{}
	seen := map[string]bool{}
	for _, e := range l.executions() {
		begun[e.task]++
		if e.mark != "" && seen[e.mark] {
			l.Errorf("attempt %s was made twice", e.mark)
		}
		seen[e.mark] = true
		if c, ok := first[e.task]; ok && e.at.After(c.at.Add(slack)) {
			l.Errorf("task %d (attempt %d) began %v after its completion (attempt %d) was recorded in journal %v",
				e.task, e.attempt, e.at.Sub(c.at), c.attempt, c.journal)
		}
	}
	for t := 1; t <= tasks; t++ {
		c, ok := first[t]
		switch {
		case ok && begun[t] == 0:
			l.Errorf("task %d is completed, and no program has begun", t)
		case ok && c.attempt < 1:
			l.Errorf("task %d is completed by attempt %d", t, c.attempt)
		}
	}
}

// checkCompleted looks whether every task is completed, by one attempt, and returns the first record of each.
func (l *lab) checkCompleted(r *rundir.Run, tasks int) map[int]completion {
	l.Helper()
	first := map[int]completion{}
	for _, c := range l.completions(r) {
		f, ok := first[c.task]
		if ok && f.attempt != c.attempt {
			l.Errorf("task %d is completed twice: by attempt %d (journal %v) and attempt %d (journal %v)", c.task, f.attempt, f.journal, c.attempt, c.journal)
		}
		if !ok || c.at.Before(f.at) {
			first[c.task] = c
		}
	}
	for t := 1; t <= tasks; t++ {
		if _, ok := first[t]; !ok {
			l.Errorf("no journal says that task %d is completed", t)
		}
	}
	return first
}
