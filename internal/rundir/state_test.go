package rundir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/job"
)

// writeJournal writes a journal with these records as it is, for tests.
func writeJournal(t testing.TB, r *Run, id AgentID, recs ...Record) {
	t.Helper()
	began := time.Date(2026, 11, 21, 6, 0, id.Incarnation, 0, time.UTC)
	recs = append([]Record{{Kind: KindAgent, Agent: &AgentStart{Version: JournalVersion, Element: id.Element, Host: "n001", Began: began}}}, recs...)
	var b []byte
	for i := range recs {
		var err error
		if b, err = appendLine(b, uint64(i+1), &recs[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(r.journalPath(id, 1), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func finish() Record { return Record{Kind: KindFinish, At: 9 * time.Second, Note: "done"} }

func suspendOf(note string) Record {
	return Record{Kind: KindSuspend, At: 5 * time.Second, Note: note}
}

func TestStateOfATask(t *testing.T) {
	for _, c := range []struct {
		name   string
		first  []Record // of agent 1.1.1, which is gone
		second []Record // of agent 1.1.2, which lives
		want   TaskStatus
		again  [2]bool // what resume does, without and with --failed
	}{
		{"never started", nil, nil, TaskStatus{State: job.Pending, Agent: -1}, [2]bool{true, true}},
		{"running", nil, []Record{startOf(1, 1)}, TaskStatus{State: job.Running, Attempts: 1, Agent: 1}, [2]bool{}},
		{"standing still", nil, []Record{startOf(1, 1), suspendOf(Suspended)}, TaskStatus{State: job.Suspended, Attempts: 1, Agent: 1}, [2]bool{}},
		{"going on", nil, []Record{startOf(1, 1), suspendOf(Suspended), suspendOf(Continued)}, TaskStatus{State: job.Running, Attempts: 1, Agent: 1}, [2]bool{}},
		{"standing still when its agent went", []Record{startOf(1, 1), suspendOf(Suspended)}, nil, TaskStatus{State: job.Lost, Attempts: 1}, [2]bool{true, true}},
		{"its agent is gone", []Record{startOf(1, 1)}, nil, TaskStatus{State: job.Lost, Attempts: 1}, [2]bool{true, true}},
		{"its agent has finished", nil, []Record{startOf(1, 1), finish()}, TaskStatus{State: job.Lost, Attempts: 1, Agent: 1}, [2]bool{true, true}},
		{"completed", []Record{startOf(1, 1), endOf(1, 1, job.Completed, true)}, nil, TaskStatus{State: job.Completed, Attempts: 1, Final: true}, [2]bool{}},
		{"completed without a start", []Record{endOf(1, 1, job.Completed, true)}, nil, TaskStatus{State: job.Completed, Attempts: 1, Final: true}, [2]bool{}},
		{"failed", []Record{startOf(1, 1), endOf(1, 1, job.Failed, true)}, nil, TaskStatus{State: job.Failed, Attempts: 1, Final: true}, [2]bool{false, true}},
		{"failed, to be tried again", nil, []Record{startOf(1, 1), endOf(1, 1, job.Failed, false)}, TaskStatus{State: job.Pending, Attempts: 1, Agent: 1}, [2]bool{true, true}},
		{"failed, nobody left to try again", []Record{startOf(1, 1), endOf(1, 1, job.Failed, false)}, nil, TaskStatus{State: job.Failed, Attempts: 1}, [2]bool{true, true}},
		{"failed and running again", nil, []Record{startOf(1, 1), endOf(1, 1, job.Failed, false), startOf(1, 2)}, TaskStatus{State: job.Running, Attempts: 2, Agent: 1}, [2]bool{}},
		{"lost and completed by the next agent", []Record{startOf(1, 1)}, []Record{startOf(1, 2), endOf(1, 2, job.Completed, true)}, TaskStatus{State: job.Completed, Attempts: 2, Agent: 1, Final: true}, [2]bool{}},
		{"completed, and started by a twin", []Record{startOf(1, 1), endOf(1, 1, job.Completed, true)}, []Record{startOf(1, 2)}, TaskStatus{State: job.Completed, Attempts: 2, Final: true}, [2]bool{}},
		{"completed, and failed for a twin", []Record{endOf(1, 1, job.Completed, true)}, []Record{startOf(1, 2), endOf(1, 2, job.Failed, true)}, TaskStatus{State: job.Completed, Attempts: 2, Final: true}, [2]bool{}},
		{"cancelled", []Record{endOf(1, 1, job.Cancelled, true)}, nil, TaskStatus{State: job.Cancelled, Attempts: 1, Final: true}, [2]bool{true, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTestRun(t, 2)
			writeJournal(t, r, AgentID{1, 1, 1}, c.first...)
			writeJournal(t, r, AgentID{1, 1, 2}, c.second...)
			s := load(t, r, LoadOptions{Alive: func(a AgentState) bool { return a.ID.Incarnation == 2 }})
			got := s.Task(1)
			if got.Agent >= 0 {
				got.Agent = s.Agents[got.Agent].ID.Incarnation - 1
			}
			short := TaskStatus{State: got.State, Attempts: got.Attempts, Agent: got.Agent, Final: got.Final}
			if short != c.want {
				t.Errorf("got  %+v\nwant %+v", short, c.want)
			}
			if again := [2]bool{got.Again(false), got.Again(true)}; again != c.again {
				t.Errorf("resume: %v, want %v", again, c.again)
			}
			counts := map[job.State]int{job.Pending: 1}
			counts[c.want.State]++
			if !reflect.DeepEqual(s.Counts, counts) || s.State(1) != c.want.State || s.Task(3).State != job.Pending {
				t.Errorf("counts %v, want %v", s.Counts, counts)
			}
		})
	}
}

func TestSnapshotKeepsWhatItIsAskedFor(t *testing.T) {
	r := newTestRun(t, 2)
	failed := endOf(2, 1, job.Failed, false)
	failed.End.Exit = job.Exit{Code: 7, Cause: job.CauseExit, Detail: "seven", User: 5, System: 6, MaxRSS: 70}
	writeJournal(t, r, AgentID{1, 1, 1},
		Record{Kind: KindInstance, At: 2, Instance: &InstancePhase{ID: "lane0", Phase: job.PhaseBooted, Began: 1}},
		startOf(1, 1), endOf(1, 1, job.Completed, true), startOf(2, 1), failed, startOf(2, 2),
		Record{Kind: KindNote, At: 4, Note: "slow"},
		Record{Kind: KindReduce, At: 5, Reduce: &ReduceEnd{Ran: true, State: job.Completed, Output: &Output{Name: "sum", Size: 3}}},
		finish())
	records := 0
	s := load(t, r, LoadOptions{Outputs: true, Instances: true, Attempts: true, Each: func(agent int, rec *Record) { records++ }})
	if records != 10 || s.Agents[0].Records != 10 || !s.Agents[0].Finished || s.Agents[0].Why != "done" || s.Agents[0].Last != 9*time.Second {
		t.Errorf("%d records; %+v", records, s.Agents[0])
	}
	if want := []InstanceSpan{{Ended: 2, InstancePhase: InstancePhase{ID: "lane0", Phase: job.PhaseBooted, Began: 1}}}; !reflect.DeepEqual(s.Instances, want) {
		t.Errorf("%+v", s.Instances)
	}
	if want := []Note{{At: 4, Text: "slow"}}; !reflect.DeepEqual(s.Notes, want) {
		t.Errorf("%+v", s.Notes)
	}
	if s.Reduce == nil || !s.Reduce.Ran || s.Reduce.Output.Name != "sum" || s.ReduceAgent != 0 {
		t.Errorf("%+v", s.Reduce)
	}
	if want := []Output{{Name: "1.out", Size: 7, Hash: "sha256:00"}}; !reflect.DeepEqual(s.Outputs(1), want) || len(s.Outputs(2)) > 0 {
		t.Errorf("%+v, %+v", s.Outputs(1), s.Outputs(2))
	}
	at := Attempt{Task: 1, Attempt: 1, Instance: "lane0", Began: time.Second, Ended: 2 * time.Second, Published: 3 * time.Second, State: job.Completed}
	two := at
	two.Task, two.State, two.Cause = 2, job.Failed, job.CauseExit
	three := Attempt{Task: 2, Attempt: 2, Instance: "lane0", Began: time.Second, State: job.Running}
	if want := []Attempt{at, two, three}; !slices.Equal(s.Attempts, want) {
		t.Errorf("%+v\nwant %+v", s.Attempts, want)
	}
	if got := s.Clock(0, time.Second); !got.Equal(time.Date(2026, 11, 21, 6, 0, 2, 0, time.UTC)) {
		t.Error(got)
	}
	bare := load(t, r, LoadOptions{})
	if bare.Instances != nil || bare.Attempts != nil || len(bare.Outputs(1)) > 0 {
		t.Error("kept without being asked to")
	}
}

func TestExitComesBack(t *testing.T) {
	r := newTestRun(t, 1)
	rec := endOf(1, 1, job.Failed, true)
	rec.End.Exit = job.Exit{Code: 7, Signal: 2, Cause: job.CauseCrash, Detail: "access violation", User: 5, System: 6, MaxRSS: 70}
	writeJournal(t, r, AgentID{1, 1, 1}, rec)
	if got := load(t, r, LoadOptions{}).Task(1); got.Exit != rec.End.Exit || got.Published != rec.At {
		t.Errorf("%+v", got)
	}
}

// The same records give the same state in whatever order journals are read.
func TestOrderOfJournalsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const tasks, agents = 3, 3
		var all [agents][]Record
		for i := range all {
			for range rapid.IntRange(0, 8).Draw(t, "records") {
				task, attempt := rapid.IntRange(1, tasks).Draw(t, "task"), rapid.IntRange(1, 3).Draw(t, "attempt")
				switch rapid.IntRange(0, 3).Draw(t, "kind") {
				case 0, 1:
					all[i] = append(all[i], startOf(task, attempt))
				case 2:
					all[i] = append(all[i], endOf(task, attempt, job.Failed, rapid.Bool().Draw(t, "final")))
				case 3:
					all[i] = append(all[i], endOf(task, attempt, job.Completed, true))
				}
			}
		}
		alive := rapid.SliceOfN(rapid.Bool(), agents, agents).Draw(t, "alive")
		outcome := func(order []int) (states string) {
			f := newFold(tasks, LoadOptions{Alive: func(a AgentState) bool { return alive[a.ID.Element-1] }})
			for _, i := range order {
				agent := f.addAgent(AgentID{1, i + 1, 1})
				for k := range all[i] {
					f.add(agent, &all[i][k])
				}
			}
			f.judge()
			counted := map[job.State]int{}
			for task := 1; task <= tasks; task++ {
				s := f.status(task)
				counted[s.State]++
				if s.Agent >= 0 {
					s.Agent = f.agents[s.Agent].ID.Element
				}
				states += fmt.Sprintf("%+v\n", s)
			}
			if total := f.total(); !reflect.DeepEqual(total, counted) {
				t.Fatalf("counts %v, counted %v", total, counted)
			}
			return states
		}
		first := outcome([]int{0, 1, 2})
		if other := outcome(rapid.Permutation([]int{0, 1, 2}).Draw(t, "order")); other != first {
			t.Fatalf("%s\nin another order\n%s", first, other)
		}
	})
}

func TestRecordsOfUnknownTasksAreTold(t *testing.T) {
	r := newTestRun(t, 2)
	writeJournal(t, r, AgentID{1, 1, 1}, startOf(3, 1), startOf(0, 1), endOf(1, 1, job.Completed, true))
	s := load(t, r, LoadOptions{})
	if len(s.Damage) != 1 || s.Counts[job.Completed] != 1 {
		t.Error(s.Damage, s.Counts)
	}
}

func TestDamagedJournalLeavesTheOthersServing(t *testing.T) {
	r := newTestRun(t, 4)
	for element := 1; element <= 3; element++ {
		writeJournal(t, r, AgentID{1, element, 1}, startOf(element, 1), endOf(element, 1, job.Completed, true))
	}
	path := r.journalPath(AgentID{1, 2, 1}, 1)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	middle := bytes.IndexByte(data, '\n') + 30
	data[middle] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s := load(t, r, LoadOptions{})
	if s.Counts[job.Completed] != 3 || len(s.Damage) != 1 || len(s.Torn) > 0 {
		t.Error(s.Counts, s.Damage, s.Torn)
	}
	// So does one that cannot be read at all.
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	s = load(t, r, LoadOptions{})
	if s.Counts[job.Completed] != 2 || len(s.Damage) != 1 || !errors.Is(s.Damage[0], syscall.EISDIR) {
		t.Error(s.Counts, s.Damage)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	r := newTestRun(t, 1)
	writeJournal(t, r, AgentID{1, 1, 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Load(ctx, LoadOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNewerJournalStopsLoad(t *testing.T) {
	r := newTestRun(t, 1)
	line, err := appendLine(nil, 1, &Record{Kind: KindAgent, Agent: &AgentStart{Version: JournalVersion + 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.journalPath(AgentID{1, 1, 1}, 1), line, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(t.Context(), LoadOptions{}); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
}

func TestTornEndIsToldWhenTheAgentIsGone(t *testing.T) {
	r := newTestRun(t, 1)
	id := AgentID{1, 1, 1}
	writeJournal(t, r, id, startOf(1, 1))
	whole, err := os.ReadFile(r.journalPath(id, 1))
	if err != nil {
		t.Fatal(err)
	}
	rec := endOf(1, 1, job.Completed, true)
	more, err := appendLine(nil, 3, &rec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.journalPath(id, 1), append(whole, more[:40]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := load(t, r, LoadOptions{}); s.State(1) != job.Running || len(s.Torn) > 0 {
		t.Error("while it lives:", s.State(1), s.Torn)
	}
	s := load(t, r, LoadOptions{Alive: nobody})
	if s.State(1) != job.Lost || len(s.Torn) != 1 || s.Torn[0].Offset != int64(len(whole)) || !s.Agents[0].Torn || len(s.Damage) > 0 {
		t.Error(s.State(1), s.Torn, s.Damage)
	}
}

func TestTailSeesEveryRecordOnce(t *testing.T) {
	r := newTestRun(t, 40)
	var seen []int
	tail, err := r.Tail(LoadOptions{Each: func(_ int, rec *Record) {
		if rec.End != nil {
			seen = append(seen, rec.End.Task)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	poll := func() *Snapshot {
		s, err := tail.Poll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := poll(); s.Counts[job.Pending] != 40 {
		t.Error(s.Counts)
	}
	id := AgentID{1, 1, 1}
	writeJournal(t, r, id)
	f, err := os.OpenFile(r.journalPath(id, 1), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := 1; i <= 40; i++ {
		rec := endOf(i, 1, job.Completed, true)
		line, err := appendLine(nil, uint64(i+1), &rec)
		if err != nil {
			t.Fatal(err)
		}
		cut := i * len(line) / 41 // polls see lines in all stages of being written
		for k, part := range [][]byte{line[:cut], line[cut:]} {
			if _, err := f.Write(part); err != nil {
				t.Fatal(err)
			}
			if s := poll(); s.Counts[job.Completed] != i-1+k || len(s.Damage)+len(s.Torn) > 0 {
				t.Fatalf("after part %d of record %d: %v, %v, %v", k, i, s.Counts, s.Damage, s.Torn)
			}
		}
	}
	// Another agent appears, with a smaller number of its own.
	writeJournal(t, r, AgentID{1, 1, 2}, startOf(1, 2))
	if s := poll(); len(s.Agents) != 2 || s.Counts[job.Completed] != 40 {
		t.Error(s.Agents, s.Counts)
	}
	if len(seen) != 40 || !slices.IsSorted(seen) {
		t.Error(seen)
	}
}

// Another host's page may become visible before the one in front of it.
func TestTailWaitsForAHoleToFill(t *testing.T) {
	r := newTestRun(t, 3)
	id := AgentID{1, 1, 1}
	writeJournal(t, r, id, endOf(1, 1, job.Completed, true), endOf(2, 1, job.Completed, true), endOf(3, 1, job.Completed, true))
	whole, err := os.ReadFile(r.journalPath(id, 1))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	hole := bytes.Join([][]byte{lines[0], lines[1], make([]byte, len(lines[2])), lines[3]}, nil)
	show := func(data []byte) {
		if err := os.WriteFile(r.journalPath(id, 1), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tail, err := r.Tail(LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		data []byte
		want int
	}{{hole, 1}, {hole, 1}, {whole, 3}} {
		show(c.data)
		s, err := tail.Poll(t.Context())
		if err != nil || s.Counts[job.Completed] != c.want || len(s.Damage) > 0 {
			t.Errorf("%v, %v, %v", s.Counts, s.Damage, err)
		}
	}
	// Whoever looks once takes it as it is.
	show(hole)
	if s := load(t, r, LoadOptions{}); s.Counts[job.Completed] != 2 || len(s.Damage) != 1 {
		t.Error(s.Counts, s.Damage)
	}
}

func BenchmarkLoad100000(b *testing.B) {
	r := newTestRun(b, 100_000)
	j := newTestJournal(b, r, JournalOptions{})
	for i := 1; i <= 100_000; i++ {
		end := endOf(i, 1, job.Completed, true)
		end.End.Exit = job.Exit{User: 1234567, System: 7654321, MaxRSS: 44 << 20}
		end.End.Outputs[0] = Output{Name: fmt.Sprintf("case-%06d.txt.out", i), Size: 1234, Hash: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
		if err := j.Append(startOf(i, 1)); err != nil {
			b.Fatal(err)
		}
		if err := j.Append(end); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	for name, opt := range map[string]LoadOptions{"status": {}, "all": {Outputs: true, Instances: true, Attempts: true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				load(b, r, opt)
			}
		})
	}
	b.Run("tasks", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Tasks(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("records", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ReadJournal(r.journalPath(j.ID(), 1), func(Record) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCommit(b *testing.B) {
	r := newTestRun(b, 1)
	j := newTestJournal(b, r, JournalOptions{Limit: 1 << 40})
	rec := endOf(1, 1, job.Completed, true)
	b.ReportAllocs()
	for b.Loop() {
		j.Commit(rec, func(error) {})
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}
