package crashtest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/job"
)

// repeat is n times the same content.
func repeat(content string, n int) []string { return slices.Repeat([]string{content}, n) }

// begun waits until so many executions have begun.
func (l *lab) begun(n int) {
	l.Helper()
	l.until(fmt.Sprintf("%d executions", n), patience, func() bool { return len(l.executions()) >= n })
}

// the finds the only process in a role.
func (l *lab) the(r role) process {
	l.Helper()
	ps := l.find(r)
	if len(ps) != 1 {
		l.Fatalf("there are %d processes in the role %s, not one; living:\n%s", len(ps), r, list(l.living()))
	}
	return ps[0]
}

// finish lets the programs come to their end, resumes the run, and checks
// everything.
func (l *lab) finish(want map[string]string) {
	l.Helper()
	l.write(l.quick, "")
	v := l.start("resume", "last", "--json", "--failed").judged()
	if v.State != string(job.Completed) || v.Completed != len(want) {
		l.Errorf("resumed: %+v", v)
	}
	l.gone(everything, settleLimit, nil)
	l.checkOutputs(want)
	l.checkHistory(l.last(), len(want), 0)
}

// What a killed process of muster's has started ends by itself, whatever it did
// with sessions, parents and its environment.
func TestKilledWithSleepers(t *testing.T) {
	for _, c := range []struct {
		victim  role
		tasks   int
		content string
		flags   []string
	}{
		{victim: inner, tasks: 200, content: "stubborn\n"},
		{victim: inner, tasks: 30, content: "stubborn\n", flags: []string{"--contain", "keeper"}},
		{victim: keeper, tasks: 30, content: "meek\n"},
		{victim: keeper, tasks: 30, content: "meek\n", flags: []string{"--contain", "keeper"}},
		{victim: supervisor, tasks: 30, content: "meek\n"},
		{victim: supervisor, tasks: 30, content: "meek\n", flags: []string{"--contain", "keeper"}},
	} {
		t.Run(fmt.Sprint(c.victim, c.flags), func(t *testing.T) {
			l := newLab(t)
			want := l.inputs(repeat(c.content, c.tasks)...)
			m := l.start(l.mapping("sleeper.sh", append(c.flags, "--lanes", fmt.Sprint(c.tasks))...)...)
			l.begun(c.tasks)
			l.the(c.victim).signal(t, syscall.SIGKILL)
			t.Logf("everything gone after %v", l.gone(everything, settleLimit, isCommand))
			if v := m.judged(); v.State != string(job.NodeFail) || v.Completed != 0 {
				t.Errorf("the run is %+v", v)
			}
			l.finish(want)
		})
	}
}

// When all of muster is killed at once, the kernel ends the programs where there
// is a PID namespace; else the next muster command does.
func TestAllKilledWithSleepers(t *testing.T) {
	for _, contain := range []string{"namespace", "keeper"} {
		t.Run(contain, func(t *testing.T) {
			l := newLab(t)
			want := l.inputs(repeat("stubborn\n", 20)...)
			l.start(l.mapping("sleeper.sh", "--lanes", "20", "--contain", contain)...)
			l.begun(20)
			for _, p := range l.find(command, supervisor, keeper, inner) {
				p.signal(t, syscall.SIGSTOP)
			}
			for _, p := range l.find(command, supervisor, keeper, inner) {
				p.signal(t, syscall.SIGKILL)
			}
			l.until("muster is dead", patience, func() bool { return len(l.find(command, supervisor, keeper, inner)) == 0 })
			if contain == "namespace" {
				l.gone(processes, settleLimit, nil)
			}
			l.finish(want)
		})
	}
}

// Cancelled programs that do not listen, with children that hide.
func TestCancelLeavesNothing(t *testing.T) {
	l := newLab(t)
	want := l.inputs(append(repeat("stubborn\n", 3), repeat("meek\n", 7)...)...)
	m := l.start(l.mapping("sleeper.sh", "--lanes", "8")...)
	l.begun(8)
	if code, _, errs := l.run("cancel", "last"); code != 0 {
		t.Errorf("cancel ended with %d: %s", code, errs)
	}
	if v := m.judged(); v.State != string(job.Cancelled) || v.Completed != 0 {
		t.Errorf("the run is %+v", v)
	}
	l.gone(everything, time.Second, nil)
	l.finish(want)
}

func TestTimeout(t *testing.T) {
	l := newLab(t)
	want := l.inputs("stubborn\n", "meek\n")
	m := l.start(l.mapping("sleeper.sh", "--timeout", "1s", "--lanes", "2")...)
	if v := m.judged(); v.State != string(job.Failed) || v.Failed != 2 {
		t.Errorf("the run is %+v", v)
	}
	l.gone(everything, time.Second, nil)
	l.finish(want)
}

// Processes that are never there when they are looked for.
func TestForkHappy(t *testing.T) {
	l := newLab(t)
	want := l.inputs(repeat("x\n", 4)...)
	if v := l.start(l.mapping("hopper.sh", "--lanes", "2")...).judged(); v.State != string(job.Completed) {
		t.Errorf("the run is %+v", v)
	}
	l.gone(everything, time.Second, nil)
	l.checkOutputs(want)
	l.checkHistory(l.last(), 4, 0)
	for _, log := range l.agentLogs() {
		if strings.Contains(log, "does not end") {
			t.Errorf("the agent did not get rid of what a task had left: %s", log)
		}
	}
}

// agentLogs are what the agents of the last run had to say.
func (l *lab) agentLogs() []string {
	l.Helper()
	var logs []string
	dir := l.last().LogsDir(1)
	names, err := os.ReadDir(dir)
	if err != nil {
		l.Fatal(err)
	}
	for _, n := range names {
		logs = append(logs, l.read(dir+"/"+n.Name()))
	}
	return logs
}
