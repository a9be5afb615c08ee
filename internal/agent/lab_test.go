package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/internal/clock"
	"muster/internal/guest"
	"muster/internal/guest/native"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/rundir"
)

func verify(m *testing.M) { goleak.VerifyTestMain(m) }

const limit = 20 * time.Second

// lab is a run of a shell script, with a task for each input, and agents that
// live in the test's own process.
type lab struct {
	t       *testing.T
	dir     string
	out     string
	run     *rundir.Run
	spec    job.Spec
	lanes   int
	threads int
	bind    string // CPUs that agents in processes of their own are bound to; "": all
	environ []string
	wrap    func(guest.Guest) guest.Guest
	agents  int
	others  bool // several elements are alive at once
}

// newLab makes a run. The script gets its input as $1 and its output as $2; ROOT in it
// is a folder of its own.
func newLab(t *testing.T, tasks int, script string, change func(*job.Spec)) *lab {
	t.Helper()
	dir := t.TempDir()
	l := &lab{t: t, dir: dir, out: filepath.Join(dir, "out"), lanes: 2, environ: []string{"MUSTERENV_PATH=/usr/bin:/bin"}}
	write(t, filepath.Join(dir, "script"), "#!/bin/sh\n"+strings.ReplaceAll(script, "ROOT", dir))
	check(t, os.Chmod(filepath.Join(dir, "script"), 0o755))
	check(t, os.Mkdir(l.out, 0o755))
	l.spec = job.Spec{
		Program: filepath.Join(dir, "script"), AppType: job.SISO, Guest: "native", Isolation: job.IsolateLane,
		Output: l.out, WorkDir: dir, MaxLog: 1 << 20, Tasks: tasks,
	}
	if change != nil {
		change(&l.spec)
	}
	var list []job.Task
	for i := 1; i <= tasks; i++ {
		name := fmt.Sprintf("%d", i)
		write(t, filepath.Join(dir, "in", name), name)
		list = append(list, job.Task{Index: i, In: []job.Input{{Word: filepath.Join(dir, "in", name), File: true}}, Out: name + ".out"})
	}
	if l.spec.Output == "" {
		for i := range list {
			list[i].Out = ""
		}
	}
	store, err := rundir.OpenStore(filepath.Join(dir, "state"), rundir.Options{})
	check(t, err)
	l.run, err = store.Create(l.spec, list)
	check(t, err)
	return l
}

// begin submits a generation with these calls; without any, each task is one.
func (l *lab) begin(calls ...[]int) (generation int) {
	l.t.Helper()
	if calls == nil {
		for i := range l.spec.Tasks {
			calls = append(calls, []int{i + 1})
		}
	}
	last, err := l.run.LastRequest()
	check(l.t, err)
	sub, err := l.run.AddSubmission(rundir.Submission{Kind: rundir.SubmitMap, Engine: "none", Tag: "t", At: time.Now(), Elements: 1, LastRequest: last, Clock: clock.Host{Boot: clock.BootID()}})
	check(l.t, err)
	check(l.t, l.run.WriteShare(rundir.Share{Generation: sub.Generation, Element: 1, Calls: calls, Shape: rundir.Shape{Lanes: l.lanes, Threads: l.threads, PerNode: l.lanes}}))
	return sub.Generation
}

// work is the life of an agent, without the processes around it.
func (l *lab) work(ctx context.Context, generation int) (end ending, err error) {
	l.t.Helper()
	table, err := proc.NewTable()
	check(l.t, err)
	l.agents++
	scratch := filepath.Join(l.dir, fmt.Sprintf("a%d", l.agents))
	check(l.t, os.Mkdir(scratch, 0o700))
	end, err = work(ctx, Config{
		RunDir: l.run.Dir, Generation: generation, Element: 1, Scratch: scratch, HostPID: os.Getpid(), Environ: l.environ,
		Guest: func(string, *proc.Table) (guest.Guest, error) {
			if l.wrap != nil {
				return l.wrap(native.New(table)), nil
			}
			return native.New(table), nil
		},
		Log: slog.New(slog.NewTextHandler(l.t.Output(), nil)),
	}, table)
	left, killErr := table.Descendants()
	if killErr != nil || len(left) > 0 {
		l.t.Errorf("processes are left: %+v, %v", left, killErr)
		_, _ = table.Kill(context.Background(), func(proc.Info) bool { return true })
	}
	check(l.t, table.Close())
	if left := list(l.t, filepath.Join(scratch, instancesDir)); len(left) > 0 {
		l.t.Errorf("instances have left %v", left)
	}
	check(l.t, guest.RemoveAll(scratch))
	return end, err
}

// done runs a generation to its end.
func (l *lab) done(calls ...[]int) *rundir.Snapshot {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), limit)
	defer cancel()
	if end, err := l.work(ctx, l.begin(calls...)); end != endDone || err != nil {
		l.t.Fatalf("ended with %v, %v", end, err)
	}
	return l.load()
}

func (l *lab) load() *rundir.Snapshot {
	l.t.Helper()
	snap, err := l.run.Load(l.t.Context(), rundir.LoadOptions{Outputs: true, Attempts: true})
	check(l.t, err)
	return snap
}

// states tells the states of all tasks, with the causes of those that did not complete.
func states(snap *rundir.Snapshot) string {
	var all []string
	for i := 1; i <= snap.Len(); i++ {
		word := stateWord(snap, i)
		if n := snap.Task(i).Attempts; n > 1 {
			word += fmt.Sprintf("/%d", n)
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}

func stateWord(snap *rundir.Snapshot, task int) string {
	s := snap.Task(task)
	if s.Exit.Cause == "" {
		return string(s.State)
	}
	return string(s.State) + "[" + string(s.Exit.Cause) + "]"
}

// outputs lists the output folder, with what agents may have forgotten there.
func (l *lab) outputs() string { return strings.Join(list(l.t, l.out), " ") }

// until waits for a file that a script makes.
func (l *lab) until(name string) {
	l.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if _, err := os.Lstat(filepath.Join(l.dir, name)); err == nil {
			return
		}
	}
	l.t.Fatalf("%s does not come", name)
}

// noted waits for a note that holds a text.
func (l *lab) noted(text string) {
	l.t.Helper()
	l.eventually(text, func(snap *rundir.Snapshot) bool {
		return slices.ContainsFunc(snap.Notes, func(n rundir.Note) bool { return strings.Contains(n.Text, text) })
	})
}

// eventually waits until the journals say something.
func (l *lab) eventually(what string, is func(*rundir.Snapshot) bool) {
	l.t.Helper()
	for end := time.Now().Add(limit); !is(l.load()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// cancel asks for the end of tasks; nil: of the run.
func (l *lab) cancel(tasks ...int) {
	l.t.Helper()
	r := rundir.Request{Op: job.OpCancel, At: time.Now(), By: "ann"}
	if len(tasks) > 0 {
		set := job.NewIndexSet(tasks...)
		r.Tasks = &set
	}
	_, err := l.run.Ask(r)
	check(l.t, err)
}

// while runs a generation, and do meanwhile.
func (l *lab) while(do func(), calls ...[]int) *rundir.Snapshot {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), limit)
	defer cancel()
	generation := l.begin(calls...)
	ended := make(chan error)
	go func() {
		_, err := l.work(ctx, generation)
		ended <- err
	}()
	do()
	if err := <-ended; err != nil || ctx.Err() != nil {
		l.t.Fatalf("%v, %v", err, ctx.Err())
	}
	return l.load()
}

// executions counts how often each input was worked on, by the script's own word.
func (l *lab) executions() map[string]int {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		l.t.Fatal(err)
	}
	n := map[string]int{}
	for line := range strings.FieldsSeq(string(data)) {
		n[line]++
	}
	return n
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\ngot  %s\nwant %s", what, got, want)
	}
}

// words is what the newest agent has said at its end.
func words(snap *rundir.Snapshot) string {
	newest := slices.MaxFunc(snap.Agents, func(a, b rundir.AgentState) int {
		return (a.ID.Generation*1000 + a.ID.Incarnation) - (b.ID.Generation*1000 + b.ID.Incarnation)
	})
	return newest.Why
}
