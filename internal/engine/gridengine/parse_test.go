package gridengine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

func TestParseQstat(t *testing.T) {
	tasks, err := parseQstat(read(t, "qstat.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var running, waiting, held int
	for _, task := range tasks {
		switch {
		case task.state == "r" && task.node != "" && !task.since.IsZero() && task.standing() == job.Running:
			running++
		case task.state == "qw" && task.node == "" && task.standing() == job.Pending:
			waiting++
		case task.state == "hqw" && task.standing() == job.Pending:
			held++
		}
	}
	if running == 0 || waiting == 0 || held == 0 {
		t.Errorf("%d run, %d wait, %d are held: %+v", running, waiting, held, tasks)
	}
}

func TestParseSpans(t *testing.T) {
	for text, want := range map[string][]int{
		"":            {1},
		"3":           {3},
		"1-7:2":       {1, 3, 5, 7},
		"1-2:1,5,8-9": {1, 2, 5, 8, 9},
	} {
		spans, err := parseSpans(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		q := snapshot{"12": {{job: "12", tasks: spans}}}
		var got []int
		for n := 1; n <= 10; n++ {
			if _, there := q.of("12", n); there {
				got = append(got, n)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q has the tasks %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"x", "1-", "0", "1-3:0", "-1", "1,,2"} {
		if spans, err := parseSpans(text); err == nil {
			t.Errorf("%q is read as %v", text, spans)
		}
	}
}

func TestParseReasons(t *testing.T) {
	got := parseReasons(read(t, "qstat-j-error.txt"))
	want := "error: 11/21/2026 11:29:21 [999:1913]: error: can't chdir to /nonexistent: No such file or directory"
	if got["208"] != want || len(got) != 2 || !strings.HasPrefix(got["209"], "error: ") {
		t.Errorf("reasons are %q", got)
	}
	tasks, err := parseQstat(read(t, "qstat-error.xml"))
	if err != nil || len(tasks) != 2 || tasks[0].state != "Eqw" || tasks[0].standing() != job.Pending {
		t.Errorf("jobs in an error state are %+v, %v", tasks, err)
	}
}

func TestParseSite(t *testing.T) {
	s := testSite(t)
	nodes := s.hostsOf(s.queues)
	slots, memory, mixed := smallest(nodes)
	if len(nodes) != 8 || slots != 4 || memory < 20<<30 || mixed != "" {
		t.Errorf("%d nodes of %d slots and %d bytes (%s)", len(nodes), slots, memory, mixed)
	}
	_, _, mixed = smallest(append(nodes, node{64, 1 << 40}))
	if mixed != "8 nodes have 4 slots, 1 nodes have 64 slots" {
		t.Errorf("mixed nodes are %q", mixed)
	}
	if s.exclusive() != "exclusive" {
		t.Errorf("the resource for whole nodes is %q", s.exclusive())
	}
	if name, _ := s.onOneHost(s.queues); name != "smp" {
		t.Errorf("the parallel environment on one node is %q", name)
	}
	if c, ok := s.memory(); !ok || c.name != "h_vmem" || c.consumable != "YES" || c.dflt != "4G" {
		t.Errorf("memory is asked for by %+v", c)
	}
}

func TestParseQacct(t *testing.T) {
	r := parseQacct(read(t, "qacct-j.txt"))
	if r == nil || r.host == "" || r.ended.IsZero() {
		t.Fatalf("the record is %+v", r)
	}
	if r := parseQacct("error: job id 999999 not found\n"); r != nil {
		t.Errorf("no record is %+v", r)
	}
	for failed, want := range map[string]job.State{
		"0": job.Failed, "100 : assumedly after job": job.Failed, "37 : qmaster enforced h_rt, h_cpu, or h_vmem limit": job.Failed,
		"25 : rescheduling": job.NodeFail, "19 : before writing exit_status": job.NodeFail,
	} {
		el := engine.Element{State: job.NodeFail}
		(&record{failed: failed, code: 137}).tell(&el)
		if el.State != want || (want == job.Failed && el.Exit.Signal != 9) || el.Exit.Detail == "" {
			t.Errorf("failed %s: %+v", failed, el)
		}
	}
}

func TestTimesAndSizes(t *testing.T) {
	for text, want := range map[string]time.Duration{"00:00:05": 5 * time.Second, "1:0:0": time.Hour, "90": 90 * time.Second, "INFINITY": 0, "": 0} {
		if got := parseTime(text); got != want {
			t.Errorf("parseTime(%q) = %v", text, got)
		}
	}
	for text, want := range map[string]int64{"23.5G": 47 << 29, "4g": 4e9, "512": 512, "-": 0, "": 0} {
		if got := parseSize(text); got != want {
			t.Errorf("parseSize(%q) = %d", text, got)
		}
	}
}

func TestUnavailable(t *testing.T) {
	for words, want := range map[string]bool{
		`error: commlib error: got select error (Connection refused) error: unable to send message to qmaster using port 20202 on host "vm": got send error`: true,
		`Unable to run job: job rejected: the requested project "x" does not exist. Exiting.`:                                                                false,
	} {
		if unavailable(words) != want {
			t.Errorf("%q: unavailable is %v", words, !want)
		}
	}
}

func TestJobNames(t *testing.T) {
	token := token("tag")
	for name, want := range map[string]string{
		"sim.exe": "sim.exe", "": "m", "7zip": "m7zip", "a b/c": "a_b_c", "größe": "gr__e", strings.Repeat("x", 99): strings.Repeat("x", 40),
	} {
		if got := jobName(name, token); got != want+"."+token {
			t.Errorf("jobName(%q) = %q", name, got)
		}
	}
	if tokenOf(idOf(token)) != token {
		t.Errorf("an ID %s is not its array's", idOf(token))
	}
	for _, id := range []engine.ID{"", "ge-", "ge-../x", "local-1", "ge-A"} {
		if tokenOf(id) != "" {
			t.Errorf("%q is taken for one of ours", id)
		}
	}
}

// TestElementStands goes through what the queue and the notes can say together.
func TestElementStands(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.Local)
	begun := note{Begun: at, Node: "n1", Job: "12.1"}
	ended, asked, skipped := begun, begun, begun
	ended.Ended, ended.State = at.Add(time.Minute), job.Completed
	asked.Ended, asked.State, asked.Requeue = at.Add(time.Minute), job.Failed, true
	skipped.Ended, skipped.State, skipped.Skipped = at.Add(time.Minute), job.NodeFail, true
	queue := map[string]task{
		"waits":           {state: "qw"},
		"waits again":     {state: "Rq"},
		"runs":            {state: "r", node: "n1", since: at},
		"runs elsewhere":  {state: "Rr", node: "n2", since: at.Add(2 * time.Minute)},
		"runs there anew": {state: "Rr", node: "n1", since: at.Add(2 * time.Minute)},
		"runs nowhere":    {state: "r", since: at},
		"suspended":       {state: "S", node: "n1", since: at},
		"error":           {state: "Eqw"},
	}
	for _, c := range []struct {
		notes   []note
		queue   string // "" when it is not there
		requeue bool
		state   job.State
		restart int
		fresh   bool // the last note is younger than what the queue says
	}{
		{nil, "waits", false, job.Pending, 0, false},
		{nil, "error", false, job.Pending, 0, false},
		{nil, "runs", false, job.Pending, 0, false}, // nothing of it has been seen
		{nil, "", false, "", 0, false},
		{[]note{begun}, "runs", false, job.Running, 0, false},
		{[]note{begun}, "suspended", false, job.Suspended, 0, false},
		{[]note{begun}, "", false, "", 0, false},
		{[]note{ended}, "runs", false, job.Running, 0, false}, // Grid Engine has not noticed yet
		{[]note{ended}, "", false, job.Completed, 0, false},
		{[]note{ended}, "runs elsewhere", false, job.Completed, 0, false}, // its node was lost after its end
		{[]note{begun}, "waits again", false, job.NodeFail, 0, false},
		{[]note{begun}, "runs elsewhere", false, job.NodeFail, 0, false},
		{[]note{begun, skipped}, "", false, job.NodeFail, 0, false},
		{[]note{begun}, "waits again", true, job.Pending, 1, false},
		{[]note{begun}, "runs elsewhere", true, job.Pending, 1, false},
		{[]note{begun}, "runs there anew", true, job.Pending, 1, false},
		{[]note{begun, begun}, "runs", true, job.Running, 1, false},
		{[]note{asked}, "runs", true, job.Pending, 1, false},
		{[]note{asked}, "waits again", true, job.Pending, 1, false},
		{[]note{asked}, "", true, "", 0, false},
		{[]note{asked, ended}, "", true, job.Completed, 1, false},
		{[]note{begun}, "waits", false, job.Running, 0, true},
		{[]note{begun}, "waits", false, job.Running, 0, false}, // the qmaster has forgotten its start
		{[]note{begun, begun}, "waits", true, job.Running, 1, false},
		{[]note{ended}, "waits", false, job.Running, 0, true}, // the next look sees that it has gone
		{[]note{begun, begun}, "waits again", true, job.Running, 1, true},
		{[]note{begun}, "runs nowhere", false, job.Running, 0, false},
	} {
		a := &array{head: head{Elements: 1, Requeue: c.requeue}, notes: map[int][]note{}}
		if c.notes != nil {
			a.notes[1] = c.notes
		}
		if c.fresh {
			a.fresh = map[int]bool{1: true}
		}
		q, there := queue[c.queue]
		got := a.element(1, q, there)
		if got.State != c.state || got.Restart != c.restart {
			t.Errorf("%d notes, the queue says %q, requeue %v: %+v; want %q, restarted %d", len(c.notes), c.queue, c.requeue, got, c.state, c.restart)
		}
	}
}
