package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/rundir"
)

func TestOutputs(t *testing.T) {
	tests := []struct {
		name   string
		script string
		change func(*job.Spec)
		states string
		left   string
	}{
		{"an output and what goes with it", `cp $1 $2; echo x > $2.log`, nil,
			"COMPLETED COMPLETED", "1.out 1.out.log 2.out 2.out.log"},
		{"none", `exit 0`, nil, "FAILED[no-output] FAILED[no-output]", ""},
		{"a code", `cp $1 $2; exit 3`, nil, "FAILED[exit-code] FAILED[exit-code]", ""},
		{"two with one name beside the output: the second log is left out", `cp $1 $2; echo x > $(dirname $2)/log`, nil,
			"COMPLETED COMPLETED", "1.out 2.out log"},
		{"one that cannot be published", `cp $1 $2; echo x > $2.a; ln -s /etc $2.b`, nil, "FAILED[publish] FAILED[publish]", ""},
		{"on standard output", `cat $1`, func(s *job.Spec) { s.Stdout = true }, "COMPLETED COMPLETED", "1.out 2.out"},
		{"from standard input to nowhere", `cat > /dev/null`, func(s *job.Spec) { s.Stdin = true }, "FAILED[no-output] FAILED[no-output]", ""},
		{"collected", `echo a > a.dat; echo b > b`, func(s *job.Spec) { s.WorkDir, s.Collect = job.PrivateWork, []string{"*.dat"} },
			"COMPLETED COMPLETED", "1.out/a.dat 2.out/a.dat"},
		{"its folder is gone", `rm -r $(dirname $2)`, nil, "FAILED[no-output] FAILED[no-output]", ""},
		{"its folder is a link", `d=$(dirname $2); rm -r $d; ln -s /etc $d`, nil, "FAILED[publish] FAILED[publish]", ""},
		{"its folder is closed", `cp $1 $2; chmod 0 $(dirname $2)`, nil, "COMPLETED COMPLETED", "1.out 2.out"},
		{"the working folder is gone", `cp $1 $2; rm -r $PWD`, func(s *job.Spec) { s.WorkDir = job.PrivateWork }, "COMPLETED COMPLETED", "1.out 2.out"},
		{"an instance for each", `cp $1 $2; echo x > $TMPDIR/x`, func(s *job.Spec) { s.Isolation = job.IsolateTask }, "COMPLETED COMPLETED", "1.out 2.out"},
		{"one instance for all", `cp $1 $2; echo x > $TMPDIR/x`, func(s *job.Spec) { s.Isolation = job.IsolateNode }, "COMPLETED COMPLETED", "1.out 2.out"},
		{"too slow", `(trap '' TERM; exec sleep 1000) & wait`, func(s *job.Spec) { s.Timeout = 50 * time.Millisecond; s.Tasks = 1 }, "TIMEOUT[timeout]", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change == nil {
				tt.change = func(*job.Spec) {}
			}
			tasks := len(strings.Fields(tt.states))
			l := newLab(t, tasks, tt.script, tt.change)
			snap := l.done()
			same(t, "states", states(snap), tt.states)
			same(t, "outputs", l.outputs(), tt.left)
			same(t, "words", words(snap), "done")
			if names, err := os.ReadDir(l.out); err != nil || len(names) > 0 && strings.HasPrefix(names[0].Name(), ".muster") {
				t.Errorf("left in the output folder: %v, %v", names, err)
			}
			for i := 1; i <= snap.Len(); i++ {
				if outs := snap.Outputs(i); len(outs) > 0 && outs[0].Name != l.task(i).Out {
					t.Errorf("task %d: the first output told is %v", i, outs)
				}
			}
		})
	}
}

func (l *lab) task(i int) job.Task {
	l.t.Helper()
	task, err := l.run.Task(i)
	check(l.t, err)
	return task
}

func TestRetries(t *testing.T) {
	l := newLab(t, 3, `echo ${1##*/} >> ROOT/log; [ $(grep -c ^${1##*/}$ ROOT/log) -ge ${1##*/} ] && cp $1 $2`,
		func(s *job.Spec) { s.Retries = 1 })
	snap := l.done()
	same(t, "states", states(snap), "COMPLETED COMPLETED/2 FAILED[exit-code]/2")
	// Another generation goes on counting.
	same(t, "states", states(l.done([]int{3})), "COMPLETED COMPLETED/2 COMPLETED/3")
}

// In a MIMO call each task has an end of its own; what failed is called again.
func TestMIMO(t *testing.T) {
	l := newLab(t, 3, `while read in out; do echo ${in##*/} >> ROOT/log; [ $in = ROOT/in/2 ] && [ ! -e ROOT/once ] || cp $in $out; done < $1; : > ROOT/once`,
		func(s *job.Spec) { s.AppType, s.Retries = job.MIMO, 1 })
	same(t, "states", states(l.done([]int{1, 2, 3})), "COMPLETED COMPLETED/2 COMPLETED")
	if n := l.executions(); n["1"] != 1 || n["2"] != 2 || n["3"] != 1 {
		t.Errorf("executions: %v", n)
	}
}

func TestMaxFails(t *testing.T) {
	l := newLab(t, 20, `exit 1`, func(s *job.Spec) { s.MaxFails = 3 })
	l.lanes = 1
	snap := l.done()
	if failed := snap.Counts[job.Failed]; failed != 3 {
		t.Errorf("%d failed", failed)
	}
	same(t, "words", words(snap), "max-fails: 3 tasks have failed")
}

// A task is cancelled while it waits, while it runs, and while it waits to be
// tried again; another cannot be, since it is done.
func TestCancelTasks(t *testing.T) {
	l := newLab(t, 5, `echo ${1##*/} >> ROOT/log
case ${1##*/} in
1) cp $1 $2;;
2) exit 1;;
3) : > ROOT/three; trap 'exit 0' TERM; while :; do sleep 0.01; done;;
*) cp $1 $2;;
esac`, func(s *job.Spec) { s.Retries = 9 })
	l.lanes = 1
	snap := l.while(func() {
		l.until("three")
		l.cancel(1, 2, 4)
		l.cancel(3)
	})
	// Task 2 is behind all others when it is tried again.
	same(t, "states", states(snap), "COMPLETED CANCELLED[cancelled] CANCELLED[cancelled] CANCELLED[cancelled] COMPLETED")
	if n := l.executions(); n["2"] != 1 || n["4"] != 0 || n["5"] != 1 {
		t.Errorf("executions: %v", n)
	}
	same(t, "outputs", l.outputs(), "1.out 5.out")
	// They stay cancelled for another agent of this generation, and are run by the next.
	if _, err := l.work(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	same(t, "states", states(l.load()), "COMPLETED CANCELLED[cancelled] CANCELLED[cancelled] CANCELLED[cancelled] COMPLETED")
	same(t, "states", states(l.done([]int{4})), "COMPLETED CANCELLED[cancelled] CANCELLED[cancelled] COMPLETED COMPLETED")
}

// A call ends when one of its tasks is cancelled; the others are called again.
func TestCancelInCall(t *testing.T) {
	l := newLab(t, 3, `if grep -q /2 $1; then : > ROOT/runs; while :; do sleep 0.01; done; fi
while read in out; do cp $in $out; done < $1`, func(s *job.Spec) { s.AppType = job.MIMO })
	snap := l.while(func() {
		l.until("runs")
		l.cancel(2)
	}, []int{1, 2, 3})
	same(t, "states", states(snap), "COMPLETED/2 CANCELLED[cancelled] COMPLETED/2")
}

func TestCancelRun(t *testing.T) {
	l := newLab(t, 9, `: > ROOT/runs; while :; do sleep 0.01; done`, nil)
	snap := l.while(func() {
		l.until("runs")
		l.cancel()
	})
	same(t, "words", words(snap), "cancelled by ann")
	if n := snap.Counts[job.Cancelled]; n < 1 || n > 2 || snap.Counts[job.Pending] != 9-n {
		t.Errorf("%v", snap.Counts)
	}
}

// hooked is a guest that fails as it is told.
type hooked struct {
	guest.Guest
	open  func() error
	start func() error
}

type hookedInstance struct {
	guest.Instance
	h    *hooked
	dead atomic.Bool
}

func (h *hooked) Open(ctx context.Context, p guest.Place) (guest.Instance, error) {
	if h.open != nil {
		if err := h.open(); err != nil {
			return nil, err
		}
	}
	inst, err := h.Guest.Open(ctx, p)
	return &hookedInstance{Instance: inst, h: h}, err
}

func (i *hookedInstance) Alive() bool { return !i.dead.Load() && i.Instance.Alive() }

func (i *hookedInstance) Start(ctx context.Context, c guest.Command) (guest.Process, error) {
	if i.h.start != nil {
		if err := i.h.start(); err != nil {
			i.dead.Store(true)
			return nil, err
		}
	}
	return i.Instance.Start(ctx, c)
}

func TestInstancesThatDoNotStart(t *testing.T) {
	l := newLab(t, 9, `cp $1 $2`, nil)
	l.lanes = 1
	l.wrap = func(g guest.Guest) guest.Guest {
		return &hooked{Guest: g, open: func() error { return errors.Join(guest.ErrBoot, errors.New("second line")) }}
	}
	snap := l.done()
	if snap.Counts[job.BootFail] != maxBoots || snap.Counts[job.Pending] != 9-maxBoots {
		t.Errorf("%v", snap.Counts)
	}
	same(t, "words", words(snap), "instances do not start here: the instance did not start")
}

// What ends with its instance is lost, and tried again in another, three times.
func TestInstancesThatDie(t *testing.T) {
	l := newLab(t, 2, `cp $1 $2`, nil)
	l.lanes = 1
	starts := 0
	l.wrap = func(g guest.Guest) guest.Guest {
		return &hooked{Guest: g, start: func() error {
			if starts++; starts != 2 { // 1 dies, 2 does not, 1 dies, 1 dies
				return guest.ErrDead
			}
			return nil
		}}
	}
	same(t, "states", states(l.done()), "LOST[instance-died]/3 COMPLETED")
}

func TestInputGone(t *testing.T) {
	for _, stdin := range []bool{false, true} {
		l := newLab(t, 2, `: > $2`, func(s *job.Spec) { s.Stdin = stdin })
		check(t, os.Remove(filepath.Join(l.dir, "in", "1")))
		same(t, "states", strings.Fields(states(l.done()))[0], "FAILED[input-gone]")
	}
}

func TestNoOutputFolder(t *testing.T) {
	l := newLab(t, 2, `: > $2`, nil)
	check(t, os.Remove(l.out))
	_, err := l.work(t.Context(), l.begin())
	if err == nil {
		t.Fatal("it worked")
	}
	snap := l.load()
	same(t, "words", words(snap), "failed")
	if len(snap.Notes) != 1 || !strings.Contains(snap.Notes[0].Text, "open the output folder") {
		t.Errorf("notes: %v", snap.Notes)
	}
}

// An agent is told to stop at any moment; others go on; no task that has
// completed runs again, and all are complete in the end.
func TestStoppedAtAnyMoment(t *testing.T) {
	l := newLab(t, 12, `sleep 0.01; cp $1 $2; echo ${1##*/} >> ROOT/log`, nil)
	before := map[string]int{}
	for round := 0; ; round++ {
		// Longer and longer, so that a busy machine comes to an end as well.
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(60+4*round))*time.Millisecond)
		end, err := l.work(ctx, l.begin())
		cancel()
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		snap, now := l.load(), l.executions()
		for i := 1; i <= snap.Len(); i++ {
			name := l.task(i).Out[:len(l.task(i).Out)-len(".out")]
			if n, was := now[name], before[name]; was >= 0 && snap.State(i) == job.Completed {
				before[name] = -n // it completed with so many
			} else if was < 0 && n != -was {
				t.Errorf("task %d was run %d times, and completed with %d", i, n, -was)
			}
		}
		if snap.Counts[job.Completed] == snap.Len() {
			break
		}
		if end != endStopped {
			t.Fatalf("round %d: done, and yet %v", round, snap.Counts)
		}
		if round == 200 {
			t.Fatalf("it makes no progress: %v", snap.Counts)
		}
	}
	seen := map[[2]int]bool{}
	for _, a := range l.load().Attempts {
		if key := [2]int{a.Task, a.Attempt}; seen[key] {
			t.Errorf("attempt %d of task %d was made twice", a.Attempt, a.Task)
		} else {
			seen[key] = true
		}
	}
}

// What a program writes is kept up to a limit, and a flood fills no disk: the file that it writes
// to is emptied under its hands. How large it grows until then is the machine's affair.
func TestFlood(t *testing.T) {
	enough := filepath.Join(t.TempDir(), "enough")
	l := newLab(t, 1, `yes & until [ -e `+enough+` ]; do sleep 0.02; done; kill $!; :`, func(s *job.Spec) { s.MaxLog, s.Output = 64<<10, "" })
	l.lanes = 1
	name := filepath.Join(l.dir, "a1", "lane0.out")
	const tooMuch = 16 << 30
	emptied := 0
	l.while(func() {
		l.until("a1/lane0.out")
		defer os.WriteFile(enough, nil, 0o600)
		for before := int64(0); emptied < 3; {
			st, err := os.Stat(name)
			if err != nil || st.Size() > tooMuch {
				t.Errorf("emptied %d times before the agent's end, or %d bytes: %v", emptied, before, err)
				return
			}
			if st.Size() < before {
				emptied++
			}
			before = st.Size()
			time.Sleep(time.Millisecond)
		}
	})
	kept, cut := int64(0), int64(0)
	check(t, l.run.ReadOutput(1, 1, func(c rundir.Chunk) error {
		kept += int64(len(c.Data))
		cut += c.Cut
		return nil
	}))
	if kept != 64<<10 || cut == 0 {
		t.Errorf("kept %d, cut %d", kept, cut)
	}
}

// A program that empties its standard error, as "> /dev/stderr" does, is heard
// nevertheless.
func TestEmptiedStream(t *testing.T) {
	l := newLab(t, 1, `echo a long line, for a start >&2; sleep 1.2; echo b > /dev/stderr; echo c >&2; : > $2`, nil)
	l.done()
	var got strings.Builder
	check(t, l.run.ReadOutput(1, 1, func(c rundir.Chunk) error { got.Write(c.Data); return nil }))
	same(t, "its output", got.String(), "a long line, for a start\nb\nc\n")
}

func TestEnvironment(t *testing.T) {
	l := newLab(t, 1, `env > $2`, nil)
	l.lanes = 1
	l.environ = []string{"MUSTERENV_PATH=/usr/bin:/bin", "MUSTERENV_LLMR_RANK=99", "MUSTERENV_LD_LIBRARY_PATH=/x", "AGENTS_OWN=1"}
	l.done()
	data, err := os.ReadFile(filepath.Join(l.out, "1.out"))
	check(t, err)
	text := "\n" + string(data)
	for _, want := range []string{"\nLD_LIBRARY_PATH=/x\n", "\nLLMR_RANK=0\n", "\nMUSTER_INDEX=1\n", "\nMUSTER_RUN=1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
	for _, no := range []string{"MUSTERENV", "AGENTS_OWN", "=99"} {
		if strings.Contains(text, no) {
			t.Errorf("%q is in %s", no, text)
		}
	}
}

// What a task leaves running is ended with it, in its own session and without
// an environment, while another lane is at work; in a session of its own, once nobody else can have left it.
func TestSweep(t *testing.T) {
	l := newLab(t, 3, `case ${1##*/} in
1) while [ ! -e ROOT/two ]; do sleep 0.01; done
   env -i sleep 1000 & echo $! > ROOT/pid
   setsid sleep 1001 & env -i setsid sleep 1002 &
   sleep 0.05; cp $1 $2; mv ROOT/pid ROOT/gone;;
2) : > ROOT/two; until [ -e ROOT/gone ]; do sleep 0.01; done
   n=0; while kill -0 $(cat ROOT/gone) 2> /dev/null; do sleep 0.01; n=$((n+1)); [ $n -lt 500 ] || exit 9; done; cp $1 $2;;
3) cp $1 $2;;
esac`, nil)
	same(t, "states", states(l.done()), "COMPLETED COMPLETED COMPLETED")
}
