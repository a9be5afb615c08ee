package local

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

func exist(dir string, names ...string) bool {
	for _, name := range names {
		if !exists(filepath.Join(dir, name)) {
			return false
		}
	}
	return true
}

// supervisorOf kills by the number in the array's head, as a stranger would.
func supervisorOf(t *testing.T, e *Engine, id engine.ID) process {
	t.Helper()
	h, err := readHead(dirOf(e.base(), numberOf(id)))
	if err != nil || h == nil {
		t.Fatalf("head of %s: %v, %v", id, h, err)
	}
	return h.Supervisor.process
}

func TestSupervisorKilled(t *testing.T) {
	table := newTable(t)
	dir := t.TempDir()
	o := testOptions(t.TempDir(), table)
	o.Parallel = 2
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	// The first element answers SIGTERM, the second ends only by force, the third
	// is never started; another has ended well before.
	a := array(t, dir, 4, `case $MUSTER_ELEMENT in
1) exit 0 ;;
2) trap ': > $D/told; exit 1' TERM; : > $D/began-2 ;;
3) trap '' TERM; : > $D/began-3 ;;
esac
while :; do sleep 0.02; done`)
	first := submit(t, e, a)
	after := array(t, dir, 1, `test -e $D/told && : > $D/went-on`)
	after.After = []string{string(first)}
	second := submit(t, e, after)
	// A program may be seen before its start is in the journal.
	var stubborn process
	until(t, "two elements run, by the journal too", func() bool {
		_, events, err := load(dirOf(e.base(), numberOf(first)))
		if err != nil {
			t.Fatal(err)
		}
		stubborn = orphans(events)[3]
		return exist(dir, "began-2", "began-3") && stubborn.alive() && status(t, e, first).Elements[0].State == job.Completed
	})

	if err := supervisorOf(t, e, first).signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := status(t, e, first); r.State.Ended() && stubborn.alive() {
		t.Errorf("an array has ended while an element of it is alive: %+v", r)
	}
	wait(t, e, first)
	r := status(t, e, first)
	want := []job.State{job.Completed, job.NodeFail, job.NodeFail, job.NodeFail}
	for i, el := range r.Elements {
		if el.State != want[i] {
			t.Errorf("element %d is %s, want %s", i+1, el.State, want[i])
		}
	}
	if r.State != job.NodeFail || r.Elements[3].Exit.Cause != job.CauseAgentLost || !r.Elements[3].Started.IsZero() {
		t.Errorf("an array whose supervisor was killed is %+v", r)
	}
	wait(t, e, second)
	if r := status(t, e, second); r.State != job.Completed || !exist(dir, "went-on") {
		t.Errorf("the array after it is %+v", r)
	}
	if stubborn.alive() {
		t.Error("the array after it began while an element of the one before was alive")
	}
	for _, op := range []job.Op{job.OpCancel, job.OpHold, job.OpRelease} {
		if err := e.Control(t.Context(), first, op); err != nil {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func TestSupervisorTerminated(t *testing.T) {
	table := newTable(t)
	dir := t.TempDir()
	e := newEngine(t, t.TempDir(), table)
	id := submit(t, e, array(t, dir, 1, `trap ': > $D/told; exit 1' TERM; : > $D/began; while :; do sleep 0.02; done`))
	until(t, "the element runs", func() bool { return exist(dir, "began") })
	if err := supervisorOf(t, e, id).signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wait(t, e, id)
	if r := status(t, e, id); r.State != job.Cancelled || !exist(dir, "told") {
		t.Errorf("an array whose supervisor was terminated is %+v", r)
	}
}

// The submitter is killed at any moment; the array then exists wholly, and
// runs, or not at all, and that is settled once the submitter is dead.
func TestSubmitterKilled(t *testing.T) {
	table := newTable(t)
	root, dir := t.TempDir(), t.TempDir()
	e := newEngine(t, root, table)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	there := 0
	const rounds = 30
	for round := range rounds {
		a := array(t, dir, 1, `echo x >> $D/ran-`+string(rune('A'+round)))
		child, _ := submitter(t, table, root, a)
		// With the race detector a submission takes some 50 ms from here.
		select {
		case <-child.Done():
		case <-time.After(time.Duration(random.Int64N(int64(80 * time.Millisecond)))):
			if err := child.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-child.Done()
		}
		ids, err := e.Find(t.Context(), a.Tag)
		if err != nil || len(ids) > 1 {
			t.Fatalf("Find: %v, %v", ids, err)
		}
		wait(t, e, ids...)
		until(t, "no process is left", func() bool {
			left, err := table.Descendants()
			return err == nil && len(left) == 0
		})
		again, err := e.Find(t.Context(), a.Tag)
		if err != nil || len(again) != len(ids) {
			t.Errorf("Find gave %v when the submitter was dead, and later %v, %v", ids, again, err)
		}
		there += len(ids)
		if len(ids) == 1 {
			if r := status(t, e, ids[0]); r.State != job.Completed {
				t.Errorf("the array is %+v", r)
			}
		}
		b, err := os.ReadFile(filepath.Join(dir, "ran-"+string(rune('A'+round))))
		if len(b) != 2*len(ids) {
			t.Errorf("the element of %d arrays has run %d times (%v)", len(ids), len(b)/2, err)
		}
	}
	t.Logf("%d of %d arrays came to be", there, rounds)
	names, err := readNames(e.base())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		// A supervisor that had not begun to read can leave its folder to the sweep.
		if number(name) == 0 && !strings.HasPrefix(name, newPrefix) {
			t.Errorf("left behind: %s", name)
		}
	}
}

// The two moments of a submission in which the submitter's death is felt by the
// supervisor alone.
func TestSupervisorLosesItsSubmitter(t *testing.T) {
	table := newTable(t)
	dir := t.TempDir()
	e := newEngine(t, t.TempDir(), table)
	if err := makeBase(e.base()); err != nil {
		t.Fatal(err)
	}
	errDeath := errors.New("the submitter dies")
	die := func(a job.Array, commit func(fresh string) (int, error)) (fresh string) {
		t.Helper()
		fresh, err := os.MkdirTemp(e.base(), newPrefix)
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.startSupervisor(fresh)
		if err != nil {
			t.Fatal(err)
		}
		o := order{Array: a, KillWait: testKillWait, Parallel: 1}
		_, err = s.agree(t.Context(), o, func() (int, error) {
			n, err := commit(fresh)
			if err != nil {
				return n, err
			}
			return n, errDeath
		})
		if !errors.Is(err, errDeath) {
			t.Fatal(err)
		}
		s.close()
		<-s.child.Done()
		return fresh
	}

	before := array(t, dir, 1, ": > $D/ran-before")
	fresh := die(before, func(string) (int, error) { return 0, nil })
	if exists(fresh) || exist(dir, "ran-before") {
		t.Errorf("before the array existed: %s is left, or its element has run", fresh)
	}
	after := array(t, dir, 1, ": > $D/ran-after")
	die(after, func(fresh string) (int, error) { return adopt(e.base(), fresh) })
	ids, err := e.Find(t.Context(), after.Tag)
	if err != nil || len(ids) != 1 {
		t.Fatalf("Find: %v, %v", ids, err)
	}
	if r := status(t, e, ids[0]); r.State != job.Completed || !exist(dir, "ran-after") {
		t.Errorf("after the array existed: it is %+v", r)
	}
}

func TestSubmitNeedsItsSupervisor(t *testing.T) {
	table := newTable(t)
	dir := t.TempDir()
	for _, tc := range []struct {
		name    string
		command []string
		words   string
	}{
		{"not there", []string{"/nonexistent/muster", "local-array"}, "/nonexistent/muster"},
		{"ends at once", []string{"/bin/sh", "-c", "echo no memory today >&2; exit 1"}, "no memory today"},
		{"says no", []string{"/bin/sh", "-c", "cat > /dev/null & echo the folder is full; exit 1"}, "the folder is full"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := testOptions(t.TempDir(), table)
			o.Command = tc.command
			e, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.Submit(t.Context(), array(t, dir, 1, "exit 0"))
			if err == nil || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("Submit: %v; want %q", err, tc.words)
			}
			if names, err := readNames(e.base()); err != nil || len(names) > 0 {
				t.Errorf("left behind: %v, %v", names, err)
			}
		})
	}
}

func TestSubmitGivesUpWithItsContext(t *testing.T) {
	table := newTable(t)
	dir := t.TempDir()
	o := testOptions(t.TempDir(), table)
	o.Command = []string{"/bin/sh", "-c", ": > " + dir + "/hangs; exec sleep 600"}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextWith(t, func() bool { return exist(dir, "hangs") })
	defer cancel()
	if _, err := e.Submit(ctx, array(t, dir, 1, "exit 0")); err == nil || ctx.Err() == nil {
		t.Errorf("Submit: %v", err)
	}
	if names, err := readNames(e.base()); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}
