package agent

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	"muster/internal/job"
)

func TestWalltime(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	at := func(d time.Duration) time.Time { return began.Add(d) }
	slurm := func(d time.Duration) []string {
		return []string{"SLURM_JOB_END_TIME=" + strconv.FormatInt(at(d).Unix(), 10)}
	}
	const never = time.Duration(-1)
	for _, tt := range []struct {
		name    string
		spec    job.Spec
		environ []string
		warned  time.Duration // after it began
		leave   time.Duration
		task    [2]bool // one that is started a minute after it began fits, and one right after the warning
	}{
		{"nothing is known", job.Spec{}, nil, never, 0, [2]bool{true, true}},
		{"nothing is known but that it ends", job.Spec{}, nil, 3 * time.Minute, 3*time.Minute + 50*time.Second, [2]bool{true, false}},
		{"an hour", job.Spec{Time: time.Hour}, nil, 59 * time.Minute, 59*time.Minute + 50*time.Second, [2]bool{true, false}},
		{"an hour, and tasks of 20 minutes", job.Spec{Time: time.Hour, TaskTime: 20 * time.Minute}, nil, 59 * time.Minute, 59*time.Minute + 50*time.Second, [2]bool{true, false}},
		{"an hour, and tasks of a second", job.Spec{Time: time.Hour, TaskTime: time.Second}, nil, 59 * time.Minute, 59*time.Minute + 50*time.Second, [2]bool{true, true}},
		{"tasks that never fit", job.Spec{Time: time.Hour, TaskTime: time.Hour}, nil, never, 0, [2]bool{false, false}},
		{"the scheduler warns early, and says when the end is", job.Spec{Time: time.Hour}, slurm(time.Hour), 58*time.Minute + 10*time.Second, 59*time.Minute + 50*time.Second, [2]bool{true, false}},
		{"the scheduler warns early, and says nothing", job.Spec{Time: time.Hour}, nil, 58*time.Minute + 10*time.Second, 59*time.Minute + 50*time.Second, [2]bool{true, false}},
		{"the scheduler's clock is three minutes ahead", job.Spec{Time: time.Hour}, slurm(time.Hour + 3*time.Minute), 59 * time.Minute, 59*time.Minute + 50*time.Second, [2]bool{true, false}},
		{"its time was extended", job.Spec{Time: time.Hour}, slurm(time.Hour), 2*time.Hour + 59*time.Minute, 2*time.Hour + 59*time.Minute + 50*time.Second, [2]bool{true, false}},
		{"the site's own limit", job.Spec{TaskTime: 10 * time.Minute}, slurm(10 * time.Minute), never, 0, [2]bool{false, false}},
		{"a short time has a short warning", job.Spec{Time: 8 * time.Second}, nil, 6 * time.Second, 7 * time.Second, [2]bool{true, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWalltime(tt.spec, tt.environ, began)
			if got := w.fits(at(time.Minute), 1); got != tt.task[0] {
				t.Errorf("a task after a minute fits: %v", got)
			}
			if tt.warned == never {
				return
			}
			if got := w.warn(at(tt.warned)); !got.Equal(at(tt.leave)) {
				t.Errorf("it leaves after %v, want %v", got.Sub(began), tt.leave)
			}
			if got := w.fits(at(tt.warned), 1); got != tt.task[1] {
				t.Errorf("a task after the warning fits: %v", got)
			}
		})
	}
}

// What the scheduler says, and what comes of it: of a task that never ends, one that
// ends when it likes to, and ten that wait.
func TestSignals(t *testing.T) {
	const script = `echo ${1##*/} >> ROOT/log
case ${1##*/} in
1) : > ROOT/one; [ -e ROOT/second ] || while :; do sleep 0.01; done; cp $1 $2;;
2) : > ROOT/two; until [ -e ROOT/go ]; do sleep 0.01; done; cp $1 $2;;
*) cp $1 $2;;
esac`
	for _, tt := range []struct {
		name   string
		signal syscall.Signal
		change func(*job.Spec)
		code   int
		words  string
		first  string // state of task 1
		waited job.State
	}{
		{"warned, to go on elsewhere", syscall.SIGUSR1, func(s *job.Spec) { s.Requeue = true }, job.ExitRequeue, "out of time", "LOST[given-back]", job.Pending},
		{"warned by the other signal", syscall.SIGUSR2, func(s *job.Spec) { s.Requeue = true }, job.ExitRequeue, "out of time", "LOST[given-back]", job.Pending},
		{"warned, and nothing follows", syscall.SIGUSR1, nil, exitStopped, "out of time", "LOST[given-back]", job.Pending},
		{"warned, and the tasks that wait are short", syscall.SIGUSR1, func(s *job.Spec) { s.TaskTime = time.Millisecond }, exitStopped, "out of time", "LOST[given-back]", job.Completed},
		{"told to end", syscall.SIGTERM, nil, exitStopped, "stopped", "CANCELLED[cancelled]", job.Pending},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			l := newLab(t, 12, script, func(s *job.Spec) {
				s.Warn = 8 * time.Second // half of it is for leaving
				if tt.change != nil {
					tt.change(s)
				}
			})
			g := l.begin()
			e := l.start(g)
			l.until("one")
			l.until("two")
			e.signal(tt.signal)
			if tt.signal != syscall.SIGTERM {
				l.noted("the scheduler has warned")
				write(t, l.dir+"/go", "")
			}
			if code := e.wait(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			snap := l.load()
			same(t, "words", wordsOf(snap, 1), tt.words)
			same(t, "task 1", stateWord(snap, 1), tt.first)
			if got := snap.State(12); got != tt.waited {
				t.Errorf("task 12 is %s, want %s", got, tt.waited)
			}
			if tt.signal != syscall.SIGTERM && snap.State(2) != job.Completed {
				t.Errorf("the task that ended in time is %s", stateWord(snap, 2))
			}
			before := l.executions()
			// The same element, started again.
			write(t, l.dir+"/second", "")
			write(t, l.dir+"/go", "")
			if code := l.start(g).wait(); code != exitDone {
				t.Errorf("started again, exit code %d", code)
			}
			after := l.load()
			if after.Counts[job.Completed] != 12 {
				t.Errorf("started again: %v", after.Counts)
			}
			for i := 1; i <= 12; i++ {
				name := strconv.Itoa(i)
				if snap.State(i) == job.Completed && l.executions()[name] != before[name] {
					t.Errorf("task %d was run again, though it had completed", i)
				}
			}
		})
	}
}

// A task that was given back has made no attempt: --retries is for failures.
func TestGivenBackIsNoFailure(t *testing.T) {
	t.Parallel() // most of it is waiting
	l := newLab(t, 1, `: > ROOT/runs; [ -e ROOT/second ] || while :; do sleep 0.01; done; [ -e ROOT/failed ] || { : > ROOT/failed; exit 1; }; cp $1 $2`,
		func(s *job.Spec) { s.Warn, s.Requeue, s.Retries = 2*time.Second, true, 1 })
	g := l.begin()
	for range 2 {
		e := l.start(g)
		l.until("runs")
		e.signal(syscall.SIGUSR1)
		if code := e.wait(); code != job.ExitRequeue {
			t.Fatalf("exit code %d", code)
		}
		check(t, removed(l.dir+"/runs"))
	}
	write(t, l.dir+"/second", "")
	if code := l.start(g).wait(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	same(t, "states", states(l.load()), "COMPLETED/4")
}
