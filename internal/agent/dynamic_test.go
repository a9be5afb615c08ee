package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/native"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/rundir"
)

// envSharer makes the test's own program an agent without a keeper: as JSON, what it is to be.
const envSharer = "AGENT_TEST_SHARER"

// childAgent is the life of an agent in a process of its own: several agents in one
// would collect each other's children.
func childAgent(config string) int {
	var in childConfig
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := json.Unmarshal([]byte(config), &in); err != nil {
		log.Error("no config", "err", err)
		return exitFailed
	}
	table, err := proc.NewTable()
	if err != nil {
		log.Error("no table", "err", err)
		return exitFailed
	}
	c := Config{
		RunDir: in.RunDir, Generation: in.Generation, Element: in.Element, Scratch: in.Scratch, Machine: in.Machine,
		Patience: in.Patience, Environ: in.Environ, HostPID: os.Getpid(), Log: log,
		Guest: func(string, *proc.Table) (guest.Guest, error) { return native.New(table), nil },
	}
	if _, err := work(context.Background(), c, table); err != nil {
		log.Error("work", "err", err)
		return exitFailed
	}
	return 0
}

// childConfig is the part of a Config that travels.
type childConfig struct {
	RunDir              string
	Generation, Element int
	Scratch, Machine    string
	Patience            time.Duration
	Environ             []string
}

// agentProcess is an agent in a process of its own.
type agentProcess struct {
	l     *lab
	cmd   *exec.Cmd
	ended chan error
	log   string
}

// agent starts an agent.
func (l *lab) agent(generation, element int, machine string) *agentProcess {
	l.t.Helper()
	l.agents++
	scratch := filepath.Join(l.dir, fmt.Sprintf("a%d", l.agents))
	check(l.t, os.Mkdir(scratch, 0o700))
	config, err := json.Marshal(childConfig{
		RunDir: l.run.Dir, Generation: generation, Element: element, Scratch: scratch, Machine: machine, Patience: patience, Environ: l.environ,
	})
	check(l.t, err)
	p := &agentProcess{l: l, cmd: exec.Command(os.Args[0]), ended: make(chan error, 1), log: scratch + ".log"}
	log, err := os.Create(p.log)
	check(l.t, err)
	defer log.Close()
	p.cmd.Env = append(os.Environ(), envSharer+"="+string(config))
	p.cmd.Stderr = log
	check(l.t, p.cmd.Start())
	go func() { p.ended <- p.cmd.Wait() }()
	l.t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		if l.t.Failed() {
			text, _ := os.ReadFile(p.log)
			l.t.Logf("%s:\n%s", filepath.Base(p.log), text)
		}
	})
	return p
}

// patience is more than the time between two heartbeats.
const patience = 8 * time.Second

// wait waits for the agent's end.
func (p *agentProcess) wait() {
	p.l.t.Helper()
	select {
	case err := <-p.ended:
		check(p.l.t, err)
	case <-time.After(2 * limit):
		p.l.t.Fatalf("%s does not end", filepath.Base(p.log))
	}
}

func (p *agentProcess) signal(s syscall.Signal) {
	p.l.t.Helper()
	check(p.l.t, p.cmd.Process.Signal(s))
}

// kill kills the agent, and waits until it is gone.
func (p *agentProcess) kill() {
	p.l.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// newPoolLab makes a run whose tasks are dealt dynamically.
func newPoolLab(t *testing.T, tasks int, script string, change func(*job.Spec)) *lab {
	t.Helper()
	t.Parallel() // with others of this kind only: agents in this process would take these for strays
	return newLab(t, tasks, script, func(s *job.Spec) {
		s.Distribution = job.Dynamic
		if change != nil {
			change(s)
		}
	})
}

// pool submits a generation of so many elements. Each chunk has size calls, each
// call a task, but for the calls that are given.
func (l *lab) pool(elements, size int, calls ...[]int) (generation int) {
	l.t.Helper()
	if calls == nil {
		for i := range l.spec.Tasks {
			calls = append(calls, []int{i + 1})
		}
	}
	sub, err := l.run.AddSubmission(rundir.Submission{Kind: rundir.SubmitMap, Engine: "none", Tag: "t", At: time.Now(), Elements: elements})
	check(l.t, err)
	p := rundir.Pool{Generation: sub.Generation, Calls: calls}
	for left := len(calls); left > 0; left -= size {
		p.Chunks = append(p.Chunks, min(size, left))
	}
	for e := range elements {
		p.Shapes = append(p.Shapes, rundir.Shape{Node: e, Lanes: l.lanes, PerNode: l.lanes, FirstRank: e * l.lanes})
	}
	check(l.t, l.run.WritePool(p))
	return sub.Generation
}

// claims tells by how many attempts each chunk was claimed.
func (l *lab) claims(generation int) map[int]int {
	l.t.Helper()
	got, err := l.run.NewClaims(rundir.AgentID{Generation: generation, Element: 1, Incarnation: 1}, rundir.ClaimOptions{}).List()
	check(l.t, err)
	return got
}

// ends counts the final ends that journals tell of each task, in one state.
func (l *lab) ends(state job.State) map[int]int {
	l.t.Helper()
	n := map[int]int{}
	_, err := l.run.Load(l.t.Context(), rundir.LoadOptions{Each: func(_ int, r *rundir.Record) {
		if r.Kind == rundir.KindEnd && r.End.State == state {
			n[r.End.Task]++
		}
	}})
	check(l.t, err)
	return n
}

// once checks that each of these tasks, and no other, is counted once.
func once(t *testing.T, what string, got map[int]int, tasks ...int) {
	t.Helper()
	want := map[int]int{}
	for _, i := range tasks {
		want[i] = 1
	}
	if !maps.Equal(got, want) {
		t.Errorf("%s: %v, want each of %v once", what, got, tasks)
	}
}

func upTo(n int) (all []int) {
	for i := 1; i <= n; i++ {
		all = append(all, i)
	}
	return all
}

// Three agents share the tasks: each is run once, each chunk is claimed once, and all take part.
func TestPool(t *testing.T) {
	const tasks = 60
	// The first tasks wait until each agent has one.
	l := newPoolLab(t, tasks, `echo ${1##*/} >> ROOT/log; : > ROOT/by.$LLMR_NODE_ID
until [ -e ROOT/by.0 ] && [ -e ROOT/by.1 ] && [ -e ROOT/by.2 ]; do sleep 0.01; done; cp $1 $2`, nil)
	gen := l.pool(3, 3)
	var agents []*agentProcess
	for e := 1; e <= 3; e++ {
		agents = append(agents, l.agent(gen, e, ""))
	}
	for _, a := range agents {
		a.wait()
	}
	once(t, "completed", l.ends(job.Completed), upTo(tasks)...)
	for i, n := range l.executions() {
		if n != 1 {
			t.Errorf("task %s was run %d times", i, n)
		}
	}
	once(t, "claims", l.claims(gen), upTo(tasks/3)...)
	if n := len(list(t, l.out)); n != tasks {
		t.Errorf("%d outputs", n)
	}
	snap := l.load()
	for _, a := range snap.Agents {
		same(t, "words", a.Why, "done")
	}
	if len(snap.Agents) != 3 {
		t.Errorf("%d agents", len(snap.Agents))
	}
}

// A list is a call, as ever; a resumed generation has what is left.
func TestPoolOfLists(t *testing.T) {
	l := newPoolLab(t, 12, `while read in out; do echo ${in##*/} >> ROOT/log; cp $in $out; done < $1`, func(s *job.Spec) { s.AppType = job.MIMO })
	gen := l.pool(2, 1, []int{1, 2, 3}, []int{4, 5}, []int{6, 7, 8})
	a, b := l.agent(gen, 1, ""), l.agent(gen, 2, "")
	a.wait()
	b.wait()
	once(t, "completed", l.ends(job.Completed), upTo(8)...)
	l.agent(l.pool(2, 2, []int{9}, []int{10, 11}, []int{12}), 2, "").wait()
	once(t, "completed", l.ends(job.Completed), upTo(12)...)
	for i, n := range l.executions() {
		if n != 1 {
			t.Errorf("task %s was run %d times", i, n)
		}
	}
}

// An agent is killed at work. Another takes what it has not done, at once, since its lock
// on this machine is free; what it has done is not run again.
func TestOrphans(t *testing.T) {
	l := newPoolLab(t, 9, `echo ${1##*/} >> ROOT/log
if [ ${1##*/} = 3 ] && mkdir ROOT/first; then : > ROOT/three; while [ ! -e ROOT/gone ]; do sleep 0.01; done; exit 1; fi; cp $1 $2`, nil)
	l.lanes = 1
	gen := l.pool(2, 6)
	a := l.agent(gen, 1, "")
	l.until("three")
	l.becomes(3, job.Running) // a start that nobody has seen has no number
	a.kill()
	write(t, filepath.Join(l.dir, "gone"), "") // its program ends, too, as keepers see to
	l.agent(gen, 2, "").wait()
	same(t, "states", states(l.load()), "COMPLETED COMPLETED COMPLETED/2 COMPLETED COMPLETED COMPLETED COMPLETED COMPLETED COMPLETED")
	if n := l.executions(); n["1"] != 1 || n["2"] != 1 || n["3"] != 2 || n["4"] != 1 || n["9"] != 1 {
		t.Errorf("executions: %v", n)
	}
	if got := l.claims(gen); got[1] != 2 || got[2] == 0 { // the second may have been claimed ahead
		t.Errorf("claims: %v", got)
	}
	same(t, "outputs", l.outputs(), "1.out 2.out 3.out 4.out 5.out 6.out 7.out 8.out 9.out")
}

// The next incarnation of an element takes the chunks of the one before, once that is gone.
func TestOrphansOfOneself(t *testing.T) {
	l := newPoolLab(t, 4, `echo ${1##*/} >> ROOT/log
if mkdir ROOT/first; then : > ROOT/one; while [ ! -e ROOT/gone ]; do sleep 0.01; done; exit 1; fi; cp $1 $2`, nil)
	l.lanes = 1
	gen := l.pool(2, 2)
	a := l.agent(gen, 2, "")
	l.until("one")
	l.becomes(3, job.Running)
	a.signal(syscall.SIGSTOP) // it is alive, and cannot see that there is another
	l.agent(gen, 2, "").wait()
	same(t, "states", states(l.load()), "COMPLETED COMPLETED RUNNING PENDING")
	a.kill()
	write(t, filepath.Join(l.dir, "gone"), "")
	l.agent(gen, 2, "").wait()
	same(t, "states", states(l.load()), "COMPLETED COMPLETED COMPLETED/2 COMPLETED")
}

// dead makes an agent that was killed long ago, on this machine: it has claimed a chunk.
func (l *lab) dead(generation, element, chunk int, records ...rundir.Record) (token string) {
	l.t.Helper()
	host, err := os.Hostname()
	check(l.t, err)
	token = fmt.Sprintf("dead%d", element)
	j, err := l.run.NewJournal(generation, element, rundir.AgentStart{Token: token, Lanes: 1, Host: host, Began: time.Now().Add(-time.Hour)}, rundir.JournalOptions{})
	check(l.t, err)
	for _, r := range records {
		check(l.t, j.Append(r))
	}
	check(l.t, j.Close())
	mine, err := l.run.NewClaims(j.ID(), rundir.ClaimOptions{}).Take(chunk, 1)
	check(l.t, err)
	if !mine {
		l.t.Fatalf("chunk %d is not free", chunk)
	}
	return token
}

// publish puts an output under its name, as an agent does before it tells of it.
func (l *lab) publish(token string, task, attempt int) {
	l.t.Helper()
	p, err := rundir.NewPublisher(l.out, l.run.Number, token, rundir.PublisherOptions{})
	check(l.t, err)
	dir, err := p.Attempt(task, attempt)
	check(l.t, err)
	name := fmt.Sprintf("%d.out", task)
	write(l.t, filepath.Join(dir, name), "by "+token)
	_, err = p.Publish(filepath.Join(filepath.Base(dir), name), name)
	check(l.t, err)
	check(l.t, p.Close())
}

// What the dead had published, and not told of, is found before its chunk is gone on with.
func TestOrphanPublished(t *testing.T) {
	l := newPoolLab(t, 3, `echo ${1##*/} >> ROOT/log; cp $1 $2`, nil)
	gen := l.pool(2, 3)
	token := l.dead(gen, 1, 1, rundir.Record{Kind: rundir.KindStart, Start: &rundir.TaskStart{Task: 2, Attempt: 1}})
	l.publish(token, 2, 1)
	l.agent(gen, 2, "").wait()
	same(t, "states", states(l.load()), "COMPLETED COMPLETED COMPLETED")
	if n := l.executions(); n["1"] != 1 || n["2"] != 0 || n["3"] != 1 {
		t.Errorf("executions: %v", n)
	}
	once(t, "completed", l.ends(job.Completed), 1, 2, 3)
	same(t, "outputs", l.outputs(), "1.out 2.out 3.out")
}

// A claim whose owner's files never come to be seen is given up after the patience;
// so is one that says nothing. One in the agent's own name is its own.
func TestClaimsWithoutAnOwner(t *testing.T) {
	l := newPoolLab(t, 3, `cp $1 $2`, nil)
	gen := l.pool(4, 1)
	next := l.run.NewClaims(rundir.AgentID{Generation: gen, Element: 1, Incarnation: 1}, rundir.ClaimOptions{})
	for chunk, id := range map[int]rundir.AgentID{1: {Generation: gen, Element: 4, Incarnation: 1}, 3: {Generation: gen, Element: 1, Incarnation: 1}} {
		if mine, err := l.run.NewClaims(id, rundir.ClaimOptions{}).Take(chunk, 1); !mine || err != nil {
			t.Fatal(mine, err)
		}
	}
	write(t, filepath.Join(l.run.Dir, "claims", "1", "claim.2.1"), "")
	l.agent(gen, 1, "").wait()
	same(t, "states", states(l.load()), "COMPLETED COMPLETED COMPLETED")
	got, err := next.List()
	check(t, err)
	if want := map[int]int{1: 2, 2: 2, 3: 1}; !maps.Equal(got, want) {
		t.Errorf("claims: %v, want %v", got, want)
	}
}

// An agent is stopped for longer than its patience, and goes on when another has
// done its work: it publishes nothing, tells nothing of tasks, and ends.
func TestStopped(t *testing.T) {
	l := newPoolLab(t, 4, `echo ${1##*/} >> ROOT/log
if [ ${1##*/} = 1 ] && mkdir ROOT/first; then : > ROOT/one; while [ ! -e ROOT/go ]; do sleep 0.01; done; echo stale > $2; : > ROOT/stale; exit 0; fi; cp $1 $2`, nil)
	l.lanes = 1
	gen := l.pool(2, 2)
	a := l.agent(gen, 1, "one")
	l.until("one")
	l.becomes(1, job.Running)
	a.signal(syscall.SIGSTOP)
	b := l.agent(gen, 2, "two")
	b.wait()
	same(t, "states", states(l.load()), "COMPLETED/2 COMPLETED COMPLETED COMPLETED")
	write(t, filepath.Join(l.dir, "go"), "")
	l.until("stale")
	a.signal(syscall.SIGCONT)
	a.wait()
	snap := l.load()
	same(t, "states", states(snap), "COMPLETED/2 COMPLETED COMPLETED COMPLETED")
	once(t, "completed", l.ends(job.Completed), 1, 2, 3, 4)
	same(t, "outputs", l.outputs(), "1.out 2.out 3.out 4.out")
	if text, err := os.ReadFile(filepath.Join(l.out, "1.out")); err != nil || string(text) != "1" {
		t.Errorf("output 1 is %q, %v", text, err)
	}
	if n := l.executions(); n["1"] != 2 || n["2"] != 1 {
		t.Errorf("executions: %v", n)
	}
	for _, s := range snap.Agents {
		if s.ID.Element == 1 && !strings.HasPrefix(s.Why, "it gave no sign of life") {
			t.Errorf("the stopped one's words: %q", s.Why)
		}
	}
}

// A stopped agent's output came first after all: the other's attempt is none that failed.
func TestStalePublishedFirst(t *testing.T) {
	l := newPoolLab(t, 1, `echo x >> ROOT/log; : > ROOT/runs; while [ ! -e ROOT/go ]; do sleep 0.01; done; cp $1 $2`, nil)
	l.lanes = 1
	gen := l.pool(2, 1)
	token := l.dead(gen, 1, 1)
	b := l.agent(gen, 2, "")
	l.until("runs")
	// It lives, and says so late.
	l.publish(token, 1, 1)
	j, err := l.run.NewJournal(gen, 1, rundir.AgentStart{Token: token + "x"}, rundir.JournalOptions{})
	check(t, err)
	write(t, filepath.Join(l.dir, "go"), "")
	check(t, j.Append(rundir.Record{Kind: rundir.KindEnd, End: &rundir.TaskEnd{Task: 1, Attempt: 1, State: job.Completed, Final: true, Outputs: []rundir.Output{{Name: "1.out"}}}}))
	check(t, j.Close())
	b.wait()
	same(t, "states", strings.TrimSuffix(states(l.load()), "/2"), "COMPLETED")
	if n := l.ends(job.Failed); len(n) > 0 {
		t.Errorf("failed: %v", n)
	}
	if text, err := os.ReadFile(filepath.Join(l.out, "1.out")); err != nil || string(text) != "by "+token {
		t.Errorf("the output is %q, %v", text, err)
	}
}

// An agent without work does not wait for those that have some.
func TestIdleLeaves(t *testing.T) {
	l := newPoolLab(t, 4, `if [ ${1##*/} = 1 ]; then : > ROOT/one; while [ ! -e ROOT/go ]; do sleep 0.01; done; fi; cp $1 $2`, nil)
	l.lanes = 1
	gen := l.pool(2, 1)
	a := l.agent(gen, 1, "elsewhere") // judged by its heartbeat
	l.until("one")
	l.becomes(1, job.Running)
	l.agent(gen, 2, "").wait()
	same(t, "states", states(l.load()), "RUNNING COMPLETED COMPLETED COMPLETED")
	write(t, filepath.Join(l.dir, "go"), "")
	a.wait()
	same(t, "states", states(l.load()), "COMPLETED COMPLETED COMPLETED COMPLETED")
}

// Tasks are cancelled while they wait in an agent, and in the pool: each is told of once, and none is run.
func TestCancelInPool(t *testing.T) {
	l := newPoolLab(t, 12, `echo ${1##*/} >> ROOT/log; : > ROOT/by.$LLMR_NODE_ID; while [ ! -e ROOT/go ]; do sleep 0.01; done; cp $1 $2`, nil)
	l.lanes = 1
	gen := l.pool(2, 3)
	a, b := l.agent(gen, 1, ""), l.agent(gen, 2, "")
	l.until("by.0")
	l.until("by.1")
	cancelled := []int{2, 3, 5, 6, 8, 9, 11, 12}
	l.cancel(cancelled...)
	l.waitFor("both agents to cancel what they hold", func(s *rundir.Snapshot) bool { return s.Counts[job.Cancelled] == 4 })
	write(t, filepath.Join(l.dir, "go"), "")
	a.wait()
	b.wait()
	once(t, "cancelled", l.ends(job.Cancelled), cancelled...)
	once(t, "completed", l.ends(job.Completed), 1, 4, 7, 10)
	if n := l.executions(); len(n) != 4 {
		t.Errorf("executions: %v", n)
	}
}

// becomes waits until the journals tell that a task is in a state.
func (l *lab) becomes(task int, state job.State) {
	l.t.Helper()
	l.waitFor(fmt.Sprintf("task %d to become %s", task, state), func(s *rundir.Snapshot) bool { return s.State(task) == state })
}

// waitFor waits until the journals tell what is wanted.
func (l *lab) waitFor(what string, is func(*rundir.Snapshot) bool) {
	l.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is(l.load()) {
			return
		}
	}
	l.t.Fatalf("waited in vain for %s", what)
}

// Failures of all agents count together.
func TestMaxFailsOfAll(t *testing.T) {
	l := newPoolLab(t, 20, `exit 1`, func(s *job.Spec) { s.MaxFails = 3 })
	l.lanes = 1
	gen := l.pool(2, 2)
	l.agent(gen, 1, "").wait()
	l.agent(gen, 2, "").wait()
	snap := l.load()
	if n := snap.Counts[job.Failed]; n != 3 {
		t.Errorf("%d failed", n)
	}
	for _, a := range snap.Agents {
		same(t, "words", a.Why, "max-fails: 3 tasks have failed")
	}
}

// While nothing can be claimed an agent waits, and says so once.
func TestClaimsFail(t *testing.T) {
	l := newPoolLab(t, 4, `cp $1 $2`, nil)
	gen := l.pool(2, 2)
	claims := filepath.Join(l.run.Dir, "claims", "1")
	check(t, os.Rename(claims, claims+"-away"))
	a := l.agent(gen, 1, "")
	l.waitFor("a note", func(s *rundir.Snapshot) bool {
		return len(s.Notes) == 1 && strings.HasPrefix(s.Notes[0].Text, "no work can be claimed, and is tried again: ")
	})
	check(t, os.Rename(claims+"-away", claims))
	a.wait()
	same(t, "states", states(l.load()), "COMPLETED COMPLETED COMPLETED COMPLETED")
	if n := len(l.load().Notes); n != 1 {
		t.Errorf("%d notes", n)
	}
}

// How many calls wait when the next chunk is claimed.
func TestReserve(t *testing.T) {
	for _, tt := range []struct {
		claim, call time.Duration
		lanes, want int
	}{
		{0, 0, 8, 0},
		{5 * time.Millisecond, 0, 8, 0}, // nothing is known of calls yet
		{5 * time.Millisecond, time.Minute, 8, 0},
		{5 * time.Millisecond, 10 * time.Millisecond, 8, 8},
		{5 * time.Millisecond, 40 * time.Millisecond, 8, 2},
		{time.Second, time.Millisecond, 8, 32},
		{time.Hour, time.Nanosecond, 64, 256},
	} {
		var p pace
		p.claimed(tt.claim)
		p.called(tt.call)
		if got := p.reserve(tt.lanes); got != tt.want {
			t.Errorf("%v for a claim, %v for a call, %d lanes: %d, want %d", tt.claim, tt.call, tt.lanes, got, tt.want)
		}
	}
}
