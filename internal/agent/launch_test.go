package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/clock"
	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/rundir"
)

// newLaunchLab is a launch of so many programs: a script that gets its number as $1.
func newLaunchLab(t *testing.T, programs int, script string, change func(*job.Spec)) *lab {
	hold := time.Duration(0)
	return newLab(t, programs, script, func(s *job.Spec) {
		s.Output, s.Isolation, s.Template, s.Args = "", job.IsolateNode, true, []string{"{index}"}
		s.Launch = &job.Launch{Programs: programs, Hold: &hold, Ready: job.Ready{How: job.ReadyExec}, ReadyTimeout: time.Minute, Floor: 1}
		if change != nil {
			change(s)
		}
	})
}

const sleeps = `: >ROOT/came.$1; exec sleep 1000`

func (l *lab) steps(snap *rundir.Snapshot) string {
	var words []string
	for _, s := range snap.Agents[0].Steps {
		words = append(words, string(s.Step))
	}
	return strings.Join(words, " ")
}

// TestLaunch: two starters bring up far more programs than they are, for each isolation.
func TestLaunch(t *testing.T) {
	for _, isolation := range []job.Isolation{job.IsolateNode, job.IsolateLane, job.IsolateTask} {
		t.Run(string(isolation), func(t *testing.T) {
			l := newLaunchLab(t, 12, sleeps, func(s *job.Spec) { s.Isolation = isolation })
			snap := l.done()
			if n := snap.Counts[job.Completed]; n != 12 || snap.Agents[0].MostUp != 12 {
				t.Errorf("%d completed, at most %d alive: %s", n, snap.Agents[0].MostUp, states(snap))
			}
			same(t, "steps", l.steps(snap), "up hold down gone")
			same(t, "last words", words(snap), "done")
			if d := snap.Task(3).Exit.Detail; d != "alive until it was taken down" {
				t.Errorf("the exit says %q", d)
			}
		})
	}
}

// TestLaunchEndsByItself: without a hold, each program's own end counts.
func TestLaunchEndsByItself(t *testing.T) {
	l := newLaunchLab(t, 4, `echo out $1; [ $1 != 3 ] || exit 9`, func(s *job.Spec) { s.Launch.Hold = nil })
	snap := l.done()
	same(t, "states", states(snap), "COMPLETED COMPLETED FAILED[exit-code] COMPLETED")
	got := map[int]string{}
	check(t, l.run.Streams(nil).Next(func(c rundir.Chunk) error { got[c.Task] += string(c.Data); return nil }))
	same(t, "output of 2", got[2], "out 2\n")
}

// TestLaunchCancelled: one program, then all.
func TestLaunchCancelled(t *testing.T) {
	l := newLaunchLab(t, 4, sleeps, func(s *job.Spec) { s.Launch.Hold = nil })
	snap := l.while(func() {
		l.eventually("all are alive", func(s *rundir.Snapshot) bool { return s.Alive() == 4 })
		l.cancel(2)
		l.eventually("one is cancelled", func(s *rundir.Snapshot) bool { return s.State(2) == job.Cancelled })
		if n := l.load().Alive(); n != 3 {
			t.Errorf("%d are alive beside the cancelled one", n)
		}
		l.cancel()
	})
	same(t, "states", states(snap), "CANCELLED[cancelled] CANCELLED[cancelled] CANCELLED[cancelled] CANCELLED[cancelled]")
	same(t, "last words", words(snap), "cancelled by ann")
}

// TestLaunchStopped: an agent that is told to end leaves its programs to whoever goes on.
func TestLaunchStopped(t *testing.T) {
	l := newLaunchLab(t, 3, sleeps, func(s *job.Spec) { s.Launch.Hold = nil })
	generation := l.begin()
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		l.eventually("all are alive", func(s *rundir.Snapshot) bool { return s.Alive() == 3 })
		stop()
	}()
	if end, err := l.work(ctx, generation); end != endStopped || err != nil {
		t.Errorf("ended with %v, %v", end, err)
	}
	if s := l.load().Task(1); s.Final {
		t.Errorf("the end of a program is final: %+v", s)
	}
}

// mortal is a guest whose first program of each task loses its instance, when what it runs instead ends.
type mortal struct {
	guest.Guest
	instead string // a shell command
}

type mortalInstance struct {
	guest.Instance
	g *mortal
}

type mortalProcess struct{ guest.Process }

func (g *mortal) Open(ctx context.Context, p guest.Place) (guest.Instance, error) {
	i, err := g.Guest.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	return &mortalInstance{i, g}, nil
}

func (i *mortalInstance) Start(ctx context.Context, c guest.Command) (guest.Process, error) {
	dies := strings.HasSuffix(mark(c.Env), ".1")
	if dies {
		c.Args = []string{"-c", i.g.instead}
		c.Program = "/bin/sh"
	}
	p, err := i.Instance.Start(ctx, c)
	if dies && err == nil {
		return mortalProcess{p}, nil
	}
	return p, err
}

// mark is the task and attempt in an environment: RUN_TASK.ATTEMPT.
func mark(env []string) string {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, guest.EnvTask+"="); ok {
			v, _, _ = strings.Cut(v, "@")
			return v
		}
	}
	return ""
}

func (p mortalProcess) Wait(ctx context.Context) (job.Exit, error) {
	e, err := p.Process.Wait(ctx)
	e.Cause = job.CauseInstance
	return e, err
}

// TestLaunchRestarts: a program whose instance has died is started again, if that was asked for.
func TestLaunchRestarts(t *testing.T) {
	for restart, want := range []string{"LOST[instance-died] LOST[instance-died] LOST[instance-died]", "COMPLETED/2 COMPLETED/2 COMPLETED/2"} {
		l := newLaunchLab(t, 3, `echo up; exec sleep 1000`, func(s *job.Spec) {
			s.Launch.Restart, s.Launch.Ready = restart, job.Ready{How: job.ReadyOutput, What: "^up$"} // or the hold may be over first
		})
		l.wrap = func(g guest.Guest) guest.Guest { return &mortal{g, "exit 0"} }
		same(t, "states", states(l.done()), want)
	}
}

// TestLaunchRestartsInHold: a program whose instance has died while all were held, and that has not come up again when the hold
// is over, is waited for: all are to be alive in the end.
func TestLaunchRestartsInHold(t *testing.T) {
	hold := 2 * time.Second
	l := newLaunchLab(t, 2, `until [ -e ROOT/again ]; do sleep 0.01; done; echo up; exec sleep 1000`, func(s *job.Spec) {
		s.Launch.Hold, s.Launch.Restart, s.Launch.Ready = &hold, 1, job.Ready{How: job.ReadyOutput, What: "^up$"}
	})
	l.wrap = func(g guest.Guest) guest.Guest {
		return &mortal{g, "echo up; until [ -e " + l.dir + "/die ]; do sleep 0.01; done"}
	}
	snap := l.while(func() {
		l.eventually("the hold begins", held)
		began := time.Now()
		write(t, filepath.Join(l.dir, "die"), "")
		l.eventually("both are started again", func(s *rundir.Snapshot) bool { return s.Task(1).Attempts == 2 && s.Task(2).Attempts == 2 })
		time.Sleep(time.Until(began.Add(hold + 200*time.Millisecond)))
		if _, down := l.load().Agents[0].Step(rundir.StepDown); down {
			t.Error("the launch was taken down while programs were being started again")
		}
		write(t, filepath.Join(l.dir, "again"), "")
	})
	same(t, "states", states(snap), "COMPLETED/2 COMPLETED/2")
	same(t, "steps", l.steps(snap), "up hold down gone")
}

// TestLaunchNotReady: whoever shows no sign of life in time has failed, and the hold begins
// without it.
func TestLaunchNotReady(t *testing.T) {
	l := newLaunchLab(t, 3, `[ $1 = 2 ] || echo is up; exec sleep 1000`, func(s *job.Spec) {
		s.Launch.Ready, s.Launch.ReadyTimeout = job.Ready{How: job.ReadyOutput, What: "^is up$"}, 500*time.Millisecond
	})
	snap := l.done()
	same(t, "states", states(snap), "COMPLETED FAILED[not-ready] COMPLETED")
	if n := snap.Agents[0].MostUp; n != 2 {
		t.Errorf("%d were alive", n)
	}
}

// held reports whether the first agent's programs are held.
func held(s *rundir.Snapshot) bool {
	if len(s.Agents) == 0 {
		return false
	}
	_, is := s.Agents[0].Step(rundir.StepHold)
	return is
}

// TestLaunchSuspended: while a launch is suspended in its hold, the hold's clock stands, and so do the programs; then all
// go on to its end.
func TestLaunchSuspended(t *testing.T) {
	hold := 3 * time.Second
	l := newLaunchLab(t, 3, `while :; do echo >>ROOT/count-$1; sleep 0.02; done`, func(s *job.Spec) { s.Launch.Hold = &hold })
	var stood time.Duration // at least
	snap := l.while(func() {
		l.eventually("the hold begins", held)
		l.ask(job.OpSuspend)
		l.standStill()
		began := time.Now()
		time.Sleep(hold)
		same(t, "steps after the hold's time", l.steps(l.load()), "up hold")
		l.standStill()
		stood = time.Since(began)
		l.ask(job.OpContinue)
		l.counts(3)
	})
	same(t, "states", states(snap), "COMPLETED COMPLETED COMPLETED")
	same(t, "steps", l.steps(snap), "up hold down gone")
	up, _ := snap.Agents[0].Step(rundir.StepHold)
	down, _ := snap.Agents[0].Step(rundir.StepDown)
	if lasted := down - up; lasted < hold+stood {
		t.Errorf("held for %v, of which it stood %v; asked for were %v", lasted, stood, hold)
	}
}

// TestLaunchOverNodes: the hold begins when the programs of all elements are up.
func TestLaunchOverNodes(t *testing.T) {
	l := newLaunchLab(t, 4, sleeps, nil)
	sub, err := l.run.AddSubmission(rundir.Submission{Kind: rundir.SubmitMap, Engine: "none", Tag: "t", At: time.Now(), Elements: 2, Clock: clock.Host{Boot: clock.BootID()}})
	check(t, err)
	for e := 1; e <= 2; e++ {
		check(t, l.run.WriteShare(rundir.Share{Generation: sub.Generation, Element: e, Calls: [][]int{{2*e - 1}, {2 * e}}, Shape: rundir.Shape{Lanes: 2, PerNode: 2}}))
	}
	first := l.agent(sub.Generation, 1, "node1")
	l.eventually("the first node's are up", func(s *rundir.Snapshot) bool {
		up, err := l.run.UpElements(sub.Generation)
		check(t, err)
		return s.Alive() == 2 && up[1]
	})
	if _, held := l.load().Agents[0].Step(rundir.StepHold); held {
		t.Error("the hold has begun before the second node's are up")
	}
	second := l.agent(sub.Generation, 2, "node2")
	first.wait()
	second.wait()
	same(t, "states", states(l.load()), "COMPLETED COMPLETED COMPLETED COMPLETED")
	for i := 1; i <= 4; i++ {
		if _, err := os.Stat(filepath.Join(l.dir, "came."+string(rune('0'+i)))); err != nil {
			t.Error(err)
		}
	}
}

// TestLaunchWavesOverNodes: the first wave of one node and all programs of another are held together; then the one goes on
// through its waves, and the other does not wait for them.
func TestLaunchWavesOverNodes(t *testing.T) {
	const programs = 122 // two of them where there is room
	l := newLaunchLab(t, programs, sleeps, func(s *job.Spec) { s.Launch.Waves = true })
	sub, err := l.run.AddSubmission(rundir.Submission{Kind: rundir.SubmitMap, Engine: "none", Tag: "t", At: time.Now(), Elements: 2, Clock: clock.Host{Boot: clock.BootID()}})
	check(t, err)
	var many [][]int
	for i := 3; i <= programs; i++ {
		many = append(many, []int{i})
	}
	check(t, l.run.WriteShare(rundir.Share{Generation: sub.Generation, Element: 1, Calls: [][]int{{1}, {2}}, Shape: rundir.Shape{Lanes: 2, PerNode: 2}}))
	check(t, l.run.WriteShare(rundir.Share{Generation: sub.Generation, Element: 2, Calls: many, Shape: rundir.Shape{Lanes: 4, PerNode: 4}}))
	roomy := l.agent(sub.Generation, 1, "node1")
	l.eventually("the first node's are up", func(s *rundir.Snapshot) bool {
		up, err := l.run.UpElements(sub.Generation)
		check(t, err)
		return s.Alive() == 2 && up[1]
	})
	if _, held := l.load().Agents[0].Step(rundir.StepHold); held {
		t.Error("the hold has begun before the second node's first wave is up")
	}
	l.environ = append(l.environ, "SLURM_MEM_PER_NODE=8") // MiB: less than so many need, and more than one
	small := l.agent(sub.Generation, 2, "node2")
	roomy.wait()
	small.wait()
	snap := l.load()
	if n := snap.Counts[job.Completed]; n != programs {
		t.Errorf("%d completed: %s", n, states(snap))
	}
	for _, a := range snap.Agents {
		waves := 0
		for _, s := range a.Steps {
			if s.Step == rundir.StepUp {
				waves++
			}
		}
		if (waves > 1) != (a.ID.Element == 2) {
			t.Errorf("node %d has gone through %d waves", a.ID.Element, waves)
		}
	}
	for _, n := range snap.Notes {
		if strings.Contains(n.Text, "are lost") {
			t.Error(n.Text)
		}
	}
}
