package run

import (
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/rundir"
)

// agentTale is what one incarnation of an agent has left behind.
type agentTale struct {
	generation int
	ends       []rundir.TaskEnd
	starts     []int // that have not ended
	reduce     *rundir.ReduceEnd
	words      string // of its goodbye; "": killed
	salvage    bool   // no agent: somebody who recorded what one had published
}

func ended(task int, state job.State) rundir.TaskEnd {
	e := rundir.TaskEnd{Task: task, Attempt: 1, State: state, Final: true}
	if state != job.Completed {
		e.Exit = job.Exit{Code: 1, Cause: job.CauseExit}
	}
	return e
}

func all(n int, state job.State) (ends []rundir.TaskEnd) {
	for i := 1; i <= n; i++ {
		ends = append(ends, ended(i, state))
	}
	return ends
}

// taken is a submission that an engine has; its report says state.
type taken struct {
	kind    rundir.SubmissionKind
	state   job.State // of the array; "": the engine never had it
	refused string
}

func TestVerdict(t *testing.T) {
	const m, r = rundir.SubmitMap, rundir.SubmitReduce
	ran := func(state job.State, exit job.Exit) *rundir.ReduceEnd {
		return &rundir.ReduceEnd{Ran: true, State: state, Exit: exit}
	}
	tests := []struct {
		name    string
		subs    []taken
		agents  []agentTale
		reducer bool
		failOn  string
		state   job.State
		reason  string
	}{
		{"nothing submitted", nil, nil, false, "", job.NodeFail, "it was never submitted"},
		{"intent only", []taken{{kind: m}}, nil, false, "", job.NodeFail, "it was never submitted"},
		{"refused", []taken{{kind: m, refused: "no room"}}, nil, false, "", job.NodeFail, "the engine refused it: no room"},
		{"every output was there", nil, []agentTale{{generation: 1, ends: all(4, job.Completed), words: "x", salvage: true}},
			false, "", job.Completed, ""},
		{"completed", []taken{{m, job.Completed, ""}}, []agentTale{{generation: 1, ends: all(4, job.Completed), words: "done"}},
			false, "", job.Completed, ""},
		{"completed, killed while saying goodbye", []taken{{m, job.NodeFail, ""}}, []agentTale{{generation: 1, ends: all(4, job.Completed)}},
			false, "", job.Completed, ""},
		{"all failed", []taken{{m, job.Completed, ""}}, []agentTale{{generation: 1, ends: all(4, job.Failed), words: "done"}},
			false, "", job.Failed, "4 of 4 tasks failed"},
		{"allowed failures", []taken{{m, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: append(all(3, job.Completed), ended(4, job.Timeout)), words: "done"}},
			false, "50%", job.Completed, ""},
		{"too many failures", []taken{{m, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: append(all(2, job.Completed), ended(3, job.Failed), ended(4, job.OutOfMemory)), words: "done"}},
			false, "2", job.Failed, "2 of 4 tasks failed"},
		{"a launch without room", []taken{{m, job.Completed, ""}},
			[]agentTale{{generation: 1, words: rundir.NoRoom + "9 programs × 1 GiB\nask for more"}},
			false, "", job.NodeFail, ": 9 programs × 1 GiB; ask for more"},
		{"max-fails", []taken{{m, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: all(2, job.Failed), words: "max-fails: 2 tasks have failed"}},
			false, "", job.Failed, "max-fails: 2 tasks have failed"},
		{"max-fails, one cancelled", []taken{{m, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: append(all(2, job.Failed), ended(3, job.Cancelled)), words: "max-fails: 2 tasks have failed"}},
			false, "", job.Failed, "max-fails: 2 tasks have failed"},
		{"no instance starts", []taken{{m, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: all(3, job.BootFail), words: "instances do not start here: no"}},
			false, "", job.Failed, "instances do not start here: no"},
		{"single tasks cancelled", []taken{{m, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: append(all(3, job.Completed), ended(4, job.Cancelled)), words: "done"}},
			false, "", job.Cancelled, "cancelled with 1 of 4 tasks not done"},
		{"cancelled tasks only", []taken{{m, job.Completed, ""}}, []agentTale{{generation: 1, ends: all(4, job.Cancelled), words: "done"}},
			false, "", job.Cancelled, "cancelled with 4 of 4 tasks not done"},
		{"cancelled by its control file", []taken{{m, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: all(1, job.Completed), words: "cancelled by ann"}},
			false, "", job.Cancelled, "cancelled with 3 of 4 tasks not done"},
		{"cancelled through the engine", []taken{{m, job.Cancelled, ""}}, []agentTale{{generation: 1, ends: all(1, job.Completed), words: "stopped"}},
			false, "", job.Cancelled, "cancelled with 3 of 4 tasks not done"},
		{"cancelled before its agent began", []taken{{m, job.Cancelled, ""}}, nil, false, "", job.Cancelled, "cancelled with 4 of 4 tasks not done"},
		{"stopped, and the engine has forgotten why", []taken{{m, job.Gone, ""}}, []agentTale{{generation: 1, ends: all(1, job.Completed), words: "stopped"}},
			false, "", job.Cancelled, "cancelled with 3 of 4 tasks not done"},
		{"stopped by a stranger's signal", []taken{{m, job.Failed, ""}}, []agentTale{{generation: 1, ends: all(1, job.Completed), words: "stopped"}},
			false, "", job.NodeFail, "its agent was stopped with 3 of 4 tasks not done"},
		{"out of time", []taken{{m, job.Failed, ""}}, []agentTale{{generation: 1, ends: append(all(1, job.Completed), ended(2, job.Lost)), words: "out of time"}},
			false, "", job.Timeout, "its time was over with 3 of 4 tasks not done; muster resume 1 goes on with them"},
		{"out of time, killed by the scheduler", []taken{{m, job.Timeout, ""}}, []agentTale{{generation: 1, ends: append(all(1, job.Completed), ended(2, job.Cancelled)), words: "stopped"}},
			false, "", job.Timeout, "its time was over with 3 of 4 tasks not done; muster resume 1 goes on with them"},
		{"agent killed", []taken{{m, job.Failed, ""}}, []agentTale{{generation: 1, ends: all(1, job.Completed), starts: []int{2}}},
			false, "", job.NodeFail, "its agent ended with 3 of 4 tasks not done"},
		{"agent killed, a task had been cancelled", []taken{{m, job.NodeFail, ""}}, []agentTale{{generation: 1, ends: all(1, job.Cancelled), starts: []int{2}}},
			false, "", job.NodeFail, "its agent ended with 4 of 4 tasks not done"},
		{"agent killed, some had failed", []taken{{m, job.Failed, ""}}, []agentTale{{generation: 1, ends: all(1, job.Failed), starts: []int{2}}},
			false, "", job.NodeFail, "its agent ended with 3 of 4 tasks not done"},
		{"agent killed, its outputs recorded by another", []taken{{m, job.Failed, ""}},
			[]agentTale{{generation: 1, starts: []int{1}}, {generation: 1, ends: all(1, job.Completed), words: "recorded", salvage: true}},
			false, "", job.NodeFail, "its agent ended with 3 of 4 tasks not done"},
		{"instances died", []taken{{m, job.Completed, ""}}, []agentTale{{generation: 1, ends: append(all(2, job.Completed), ended(3, job.Failed), ended(4, job.Lost)), words: "done"}},
			false, "", job.NodeFail, "1 of 4 tasks lost the instances that they ran in, again and again"},
		{"agent failed", []taken{{m, job.Failed, ""}}, []agentTale{{generation: 1, words: "failed"}},
			false, "", job.Failed, "the agent failed; its log is in the run's logs folder"},
		{"resumed after a cancel, then killed at once", []taken{{m, job.Cancelled, ""}, {m, job.NodeFail, ""}},
			[]agentTale{{generation: 1, ends: all(1, job.Completed), words: "cancelled by ann"}},
			false, "", job.NodeFail, "its agent ended with 3 of 4 tasks not done"},
		{"resumed to its end", []taken{{m, job.Cancelled, ""}, {m, job.Completed, ""}},
			[]agentTale{{generation: 1, words: "cancelled by ann"}, {generation: 2, ends: all(4, job.Completed), words: "done"}},
			false, "", job.Completed, ""},

		{"reduced", []taken{{m, job.Completed, ""}, {r, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: all(4, job.Completed), words: "done"}, {generation: 2, reduce: ran(job.Completed, job.Exit{}), words: "done"}},
			true, "", job.Completed, ""},
		{"reducer lost", []taken{{m, job.Completed, ""}, {r, job.NodeFail, ""}},
			[]agentTale{{generation: 1, ends: all(4, job.Completed), words: "done"}, {generation: 2}},
			true, "", job.NodeFail, "the reducer was not run"},
		{"reducer cancelled while it waited", []taken{{m, job.Completed, ""}, {r, job.Cancelled, ""}},
			[]agentTale{{generation: 1, ends: all(4, job.Completed), words: "done"}},
			true, "", job.Cancelled, "cancelled before the reducer had run"},
		{"reducer cancelled while it ran", []taken{{m, job.Completed, ""}, {r, job.Cancelled, ""}},
			[]agentTale{{generation: 1, ends: all(4, job.Completed), words: "done"}, {generation: 2, reduce: ran(job.Cancelled, job.Exit{Cause: job.CauseCancelled}), words: "done"}},
			true, "", job.Cancelled, "cancelled while the reducer ran"},
		{"reducer failed", []taken{{m, job.Completed, ""}, {r, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: all(4, job.Completed), words: "done"}, {generation: 2, reduce: ran(job.Failed, job.Exit{Code: 3, Cause: job.CauseExit}), words: "done"}},
			true, "", job.Failed, "the reducer failed: exit code 3"},
		{"reducer not run", []taken{{m, job.Completed, ""}, {r, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: append(all(3, job.Completed), ended(4, job.Failed)), words: "done"}, {generation: 2, reduce: &rundir.ReduceEnd{Why: "1 of 4"}, words: "done"}},
			true, "2", job.Failed, "the reducer was not run: 1 of 4"},
		{"what an earlier reducer did counts no more", []taken{{m, job.Completed, ""}, {r, job.Completed, ""}, {m, job.Completed, ""}, {r, job.NodeFail, ""}},
			[]agentTale{{generation: 1, ends: append(all(3, job.Completed), ended(4, job.Failed)), words: "done"}, {generation: 2, reduce: ran(job.Completed, job.Exit{}), words: "done"},
				{generation: 3, ends: []rundir.TaskEnd{{Task: 4, Attempt: 2, State: job.Completed, Final: true}}, words: "done"}},
			true, "", job.NodeFail, "the reducer was not run"},
		{"reducer alone submitted again", []taken{{m, job.Completed, ""}, {r, job.NodeFail, ""}, {r, job.Completed, ""}},
			[]agentTale{{generation: 1, ends: all(4, job.Completed), words: "done"}, {generation: 3, reduce: ran(job.Completed, job.Exit{}), words: "done"}},
			true, "", job.Completed, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := job.Spec{Name: "sim", FailOn: tt.failOn}
			if tt.reducer {
				spec.Reducer = "/bin/sum"
			}
			tasks := []job.Task{{Index: 1}, {Index: 2}, {Index: 3}, {Index: 4}}
			run := newRun(t, spec, tasks)
			a := &arrays{reports: map[int]engine.Report{}}
			for _, s := range tt.subs {
				sub, err := run.AddSubmission(rundir.Submission{Kind: s.kind, Engine: "x", Tag: "t", At: time.Now(), Elements: 1})
				if err != nil {
					t.Fatal(err)
				}
				if sub.Refused = s.refused; s.state != "" {
					sub.IDs = []string{"1"}
					a.reports[sub.Generation] = engine.Report{State: s.state}
				}
				a.subs = append(a.subs, sub)
			}
			for _, ag := range tt.agents {
				tell(t, run, ag)
			}
			snap, err := run.Load(t.Context(), rundir.LoadOptions{Alive: a.alive})
			if err != nil {
				t.Fatal(err)
			}
			got := a.judge(snap)
			if got.State != tt.state || got.Reason != tt.reason || !got.Ended {
				t.Errorf("%s %q, ended %v; want %s %q", got.State, got.Reason, got.Ended, tt.state, tt.reason)
			}
		})
	}
}

func newRun(t *testing.T, spec job.Spec, tasks []job.Task) *rundir.Run {
	t.Helper()
	store, err := rundir.OpenStore(t.TempDir(), rundir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	run, err := store.Create(spec, tasks)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// tell writes an agent's journal.
func tell(t *testing.T, run *rundir.Run, ag agentTale) {
	t.Helper()
	start := rundir.AgentStart{Run: run.Number, Element: 1, Lanes: 1}
	if ag.salvage {
		start.Lanes = 0
	}
	j, err := run.NewJournal(ag.generation, 1, start, rundir.JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	add := func(rec rundir.Record) {
		if err := j.Append(rec); err != nil {
			t.Fatal(err)
		}
	}
	for _, task := range ag.starts {
		add(rundir.Record{Kind: rundir.KindStart, Start: &rundir.TaskStart{Task: task, Attempt: 1}})
	}
	for _, e := range ag.ends {
		add(rundir.Record{Kind: rundir.KindEnd, End: &e})
	}
	if ag.reduce != nil {
		add(rundir.Record{Kind: rundir.KindReduce, Reduce: ag.reduce})
	}
	if ag.words != "" {
		add(rundir.Record{Kind: rundir.KindFinish, Note: ag.words})
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}
