package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"muster/internal/job"
)

// A blow is what happens to a run in a round.
type blow struct {
	name  string
	roles []role         // who is hit: one of them, chosen at random; all: all of them
	all   bool           //
	sig   syscall.Signal //
	ends  bool           // the run ends by it, and with everything of it
	wine  bool           // happens under Wine only
}

var blows = []blow{
	{name: "agent", roles: []role{inner}, sig: syscall.SIGKILL, ends: true},
	{name: "keeper", roles: []role{keeper}, sig: syscall.SIGKILL, ends: true},
	{name: "supervisor", roles: []role{supervisor}, sig: syscall.SIGKILL, ends: true},
	{name: "command", roles: []role{command}, sig: syscall.SIGKILL},
	{name: "all", roles: []role{command, supervisor, keeper, inner}, all: true, sig: syscall.SIGKILL, ends: true},
	{name: "wineserver", roles: []role{wineserver}, sig: syscall.SIGKILL, wine: true},
	{name: "program", roles: []role{task}, sig: syscall.SIGKILL},
	{name: "command-TERM", roles: []role{command}, sig: syscall.SIGTERM, ends: true},
	{name: "command-INT", roles: []role{command}, sig: syscall.SIGINT, ends: true},
	{name: "command-HUP", roles: []role{command}, sig: syscall.SIGHUP},
}

// TestCrash hits a run at a random moment, now and then its resumption too, and
// resumes until everything is done. Each kind of blow comes once in ten rounds.
func TestCrash(t *testing.T) {
	seed, rounds := fromEnv(t, "MUSTER_TEST_SEED", 1), fromEnv(t, "MUSTER_TEST_ROUNDS", 10)
	var order []blow
	shuffle := rand.New(rand.NewPCG(uint64(seed), 0))
	for len(order) < rounds {
		for _, i := range shuffle.Perm(len(blows)) {
			order = append(order, blows[i])
		}
	}
	for i, b := range order[:rounds] {
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(i)+1))
		guest := "native"
		if b.wine || rng.IntN(5) < 2 {
			guest = "wine"
		}
		isolation := []job.Isolation{job.IsolateTask, job.IsolateLane, job.IsolateNode}[rng.IntN(3)]
		t.Run(fmt.Sprintf("%d-%s-%s-%s", i+1, b.name, guest, isolation), func(t *testing.T) {
			t.Logf("MUSTER_TEST_SEED=%d", seed)
			crash(newLab(t), rng, b, guest, isolation)
		})
	}
}

func fromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// crash is one round.
func crash(l *lab, rng *rand.Rand, b blow, guest string, isolation job.Isolation) {
	w := l.load(rng, guest, isolation)
	c := l.start(w.args...)
	l.moment(rng, c, w.tasks)
	l.strike(rng, b, c, guest)
	for resumes := 0; ; resumes++ {
		if resumes > 8 {
			l.Fatalf("not done after %d resumes", resumes)
		}
		r := l.last()
		if r == nil { // it did not come to be a run
			l.start(w.args...).wait()
			continue
		}
		v := l.start("wait", number(r), "--json").judged()
		l.Logf("run %d: %+v", r.Number, v)
		if v.State == string(job.Completed) {
			break
		}
		c := l.start("resume", number(r), "--failed", "--json")
		if again := blows[rng.IntN(len(blows))]; resumes < 2 && rng.IntN(2) == 0 && (guest == "wine" || !again.wine) {
			l.moment(rng, c, w.tasks)
			l.strike(rng, again, c, guest)
		}
		c.wait()
	}
	l.gone(everything, settleLimit, nil)
	l.checkOutputs(w.want)
	l.checkHistory(l.last(), w.tasks, w.slack)
}

// moment waits for a moment in the life of the run that c has to do with.
func (l *lab) moment(rng *rand.Rand, c *call, tasks int) {
	l.Helper()
	have := len(l.executions())
	// Mostly while there is something left to do.
	until := have + rng.IntN(max(1, (tasks-have)*3/4)+3) - 2
	for end := time.Now().Add(patience); len(l.executions()) < until; {
		select {
		case <-c.done:
			l.Logf("muster %s has ended before the moment had come", c.args[0])
			return
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(end) {
			l.Fatalf("only %d executions after %v; living:\n%s", len(l.executions()), patience, list(l.living()))
		}
	}
	// From nothing at all to some tasks later.
	time.Sleep(time.Duration(rng.Int64N(int64(30 * time.Millisecond))))
}

// strike deals the blow, and looks at what it leaves.
func (l *lab) strike(rng *rand.Rand, b blow, c *call, guest string) {
	l.Helper()
	there := l.find(b.roles...)
	for ; len(there) == 0; there = l.find(b.roles...) {
		select {
		case <-c.done:
			l.Logf("%s: nobody was there any more", b.name)
			return
		case <-time.After(time.Millisecond):
		}
	}
	agents := l.find(inner)
	// Before there is an agent, nobody but the next command cleans up behind a keeper.
	settled := len(agents) > 0 && agents[0].age(l.T) > 200*time.Millisecond
	if b.all {
		// Those that come to be while the others die are hit too.
		for ; len(there) > 0; there = l.find(b.roles...) {
			rng.Shuffle(len(there), func(i, j int) { there[i], there[j] = there[j], there[i] })
			for _, p := range there {
				p.signal(l.T, b.sig)
			}
		}
	} else {
		p := there[rng.IntN(len(there))]
		l.Logf("%v to %v after %d executions", b.sig, p, len(l.executions()))
		p.signal(l.T, b.sig)
	}
	switch {
	case b.all && (os.Geteuid() == 0 || guest == "wine"):
		took := l.gone(processes, settleLimit, nil)
		l.Logf("all processes gone after %v", took)
	case b.all:
		// Without a namespace nobody is left to end the programs: the next command is to.
	case b.roles[0] == keeper && !settled:
		l.gone(processes, settleLimit, isCommand)
	case b.ends:
		took := l.gone(everything, settleLimit, isCommand)
		l.Logf("everything gone after %v", took)
	}
	c.wait()
}
