package agent

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/rundir"
)

// ask asks the lab's agents for something.
func (l *lab) ask(op job.Op) {
	l.t.Helper()
	_, err := l.run.Ask(rundir.Request{Op: op, At: time.Now(), By: "ann"})
	check(l.t, err)
}

// counting is a script whose task i makes the files count-i, and more with every process
// that it has started: one that left the session, and one without an environment.
const counting = `n=${1##*/}
count() { echo 'while [ ! -e ROOT/stop ]; do echo >> ROOT/count-'$n$1'; sleep 0.02; done'; }
setsid sh -c "$(count s)" & env -i PATH=$PATH sh -c "$(count e)" & sh -c "$(count p)"
wait; cp $1 $2`

// lengths are those of the files that counting programs write.
func (l *lab) lengths() string {
	l.t.Helper()
	var all []string
	for _, name := range list(l.t, l.dir) {
		if strings.HasPrefix(name, "count-") {
			st, err := os.Stat(filepath.Join(l.dir, name))
			check(l.t, err)
			all = append(all, name+":"+strconv.FormatInt(st.Size(), 10))
		}
	}
	return strings.Join(all, " ")
}

// counts waits until everything that counts goes on.
func (l *lab) counts(files int) {
	l.t.Helper()
	from := map[string]bool{}
	for _, f := range strings.Fields(l.lengths()) {
		from[f] = true
	}
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		moved := 0
		for _, f := range strings.Fields(l.lengths()) {
			if !from[f] {
				moved++
			}
		}
		if moved == files {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("%d of %d programs go on: %s", moved, files, l.lengths())
		}
	}
}

// standStill waits until the agent says that it is suspended, and looks whether that is so.
func (l *lab) standStill() {
	l.t.Helper()
	l.eventually("the agent is suspended", func(s *rundir.Snapshot) bool { return s.Counts[job.Suspended] > 0 && s.Counts[job.Running] == 0 })
	was := l.lengths()
	time.Sleep(300 * time.Millisecond) // in which each would write more than ten times
	same(l.t, "what suspended programs have written", l.lengths(), was)
}

// Suspended programs stand still with all that they have started, their time-outs too, and
// go on where they were.
func TestSuspend(t *testing.T) {
	l := newLab(t, 3, counting, func(s *job.Spec) { s.Timeout = limit })
	snap := l.while(func() {
		l.counts(6)
		for range 2 {
			l.ask(job.OpSuspend)
			l.standStill()
			l.ask(job.OpSuspend) // twice is once
			l.ask(job.OpContinue)
			l.counts(6)
			l.eventually("the agent goes on", func(s *rundir.Snapshot) bool { return s.Counts[job.Running] == 2 })
		}
		write(t, filepath.Join(l.dir, "stop"), "")
	})
	same(t, "states", states(snap), "COMPLETED COMPLETED COMPLETED")
}

func TestSuspendStopsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPause()
		looks := func(d time.Duration) { // as the agent does
			for range d / time.Second {
				time.Sleep(time.Second)
				p.running()
			}
		}
		looks(10 * time.Second)
		p.set(true)
		looks(time.Hour)
		p.set(false)
		looks(5 * time.Second)
		if got := p.running(); got != 15*time.Second {
			t.Errorf("programs could run for %v, want 15s", got)
		}
		time.Sleep(time.Hour) // the scheduler has stopped everything
		p.running()
		looks(5 * time.Second)
		if got := p.running(); got != 20*time.Second+mostGap {
			t.Errorf("programs could run for %v, want %v", got, 20*time.Second+mostGap)
		}
	})
}

// Nobody passes while it is on, and who had passed before is waited for.
func TestPauseGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPause()
		if !p.enter(t.Context()) {
			t.Fatal("an open gate lets nobody in")
		}
		var on atomic.Bool
		go func() {
			p.set(true)
			on.Store(true)
		}()
		synctest.Wait()
		if on.Load() || !p.isOn() {
			t.Error("it is on while a program is being started")
		}
		p.leave()
		synctest.Wait()
		if !on.Load() {
			t.Error("it is not on")
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan bool, 2)
		go func() { result <- p.enter(ctx) }()
		synctest.Wait()
		cancel()
		if <-result {
			t.Error("one whose context has ended passed")
		}
		go func() { result <- p.enter(t.Context()) }()
		synctest.Wait()
		p.set(false)
		if !<-result {
			t.Error("nobody passes when it is off")
		}
		p.leave()
	})
}

// An instance that is coming up does so, and nothing is started in it.
func TestSuspendWhileBooting(t *testing.T) {
	l := newLab(t, 1, `: > ROOT/started; cp $1 $2`, nil)
	booting, boot := make(chan struct{}), make(chan struct{})
	l.wrap = func(g guest.Guest) guest.Guest {
		return &hooked{Guest: g, open: func() error {
			close(booting)
			<-boot
			return nil
		}}
	}
	snap := l.while(func() {
		<-booting
		l.ask(job.OpSuspend)
		l.eventually("the agent is suspended", func(s *rundir.Snapshot) bool { return s.Agents[0].Stopped })
		close(boot)
		time.Sleep(300 * time.Millisecond) // in which the program would have started
		if _, err := os.Lstat(filepath.Join(l.dir, "started")); err == nil {
			t.Error("a program was started while the run was suspended")
		}
		l.ask(job.OpContinue)
	})
	same(t, "states", states(snap), "COMPLETED")
}

// What is suspended stays so for the next agent; what was asked for before a
// submission is not its agents' business.
func TestSuspendedForTheNextAgent(t *testing.T) {
	l := newLab(t, 2, counting, nil)
	g := l.begin()
	first := l.start(g)
	l.counts(6)
	l.ask(job.OpSuspend)
	l.standStill()
	first.signal(syscall.SIGTERM)
	if code := first.wait(); code != exitStopped {
		t.Errorf("exit code %d", code)
	}
	was := l.lengths()
	second := l.start(g)
	l.eventually("the second agent is suspended", func(s *rundir.Snapshot) bool {
		return len(s.Agents) == 2 && s.Agents[1].Stopped || s.Agents[0].Stopped && !s.Agents[0].Finished
	})
	same(t, "what the second agent's programs have written", l.lengths(), was)
	write(t, filepath.Join(l.dir, "stop"), "")
	l.ask(job.OpContinue)
	if code := second.wait(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	same(t, "states", states(l.load()), "COMPLETED/2 COMPLETED/2")

	l.ask(job.OpSuspend)
	same(t, "states of a new submission", states(l.done([]int{1})), "COMPLETED/2 COMPLETED/2")
}

func TestCancelWhileSuspended(t *testing.T) {
	for _, tt := range []struct {
		name   string
		tasks  []int
		states string
	}{
		{"the run", nil, "CANCELLED[cancelled] CANCELLED[cancelled]"},
		{"a task", []int{1}, "CANCELLED[cancelled] COMPLETED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, 2, counting, nil)
			snap := l.while(func() {
				l.counts(6)
				l.ask(job.OpSuspend)
				l.standStill()
				l.cancel(tt.tasks...)
				if tt.tasks == nil {
					return
				}
				l.eventually("the task is cancelled", func(s *rundir.Snapshot) bool { return s.State(1) == job.Cancelled })
				write(t, filepath.Join(l.dir, "stop"), "")
				l.ask(job.OpContinue)
			})
			same(t, "states", states(snap), tt.states)
		})
	}
}

// A scheduler stops everything of a job for a while: time-outs do not count that, and
// nobody is taken for dead.
func TestStoppedByTheScheduler(t *testing.T) {
	t.Parallel() // most of it is waiting
	l := newLab(t, 2, `: > ROOT/runs; sleep 0.5; until [ -e ROOT/go ]; do sleep 0.01; done; cp $1 $2`, func(s *job.Spec) { s.Timeout = 2 * mostGap })
	e := l.start(l.begin())
	l.until("runs")
	all := descendants(t, e.cmd.Process.Pid)
	for _, pid := range all {
		check(t, syscall.Kill(pid, syscall.SIGSTOP))
	}
	time.Sleep(2*mostGap + time.Second) // longer than the time-out
	write(t, filepath.Join(l.dir, "go"), "")
	for _, pid := range all {
		check(t, syscall.Kill(pid, syscall.SIGCONT))
	}
	if code := e.wait(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	same(t, "states", states(l.load()), "COMPLETED COMPLETED")
}

// descendants lists a process and those below it.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		tasks, err := os.ReadDir("/proc/" + strconv.Itoa(all[i]) + "/task")
		if err != nil {
			continue // it has ended
		}
		for _, task := range tasks {
			text, _ := os.ReadFile("/proc/" + strconv.Itoa(all[i]) + "/task/" + task.Name() + "/children")
			for word := range strings.FieldsSeq(string(text)) {
				n, err := strconv.Atoi(word)
				check(t, err)
				all = append(all, n)
			}
		}
	}
	return all
}
