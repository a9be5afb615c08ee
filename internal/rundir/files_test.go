package rundir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/job"
)

func TestSubmissionInTwoSteps(t *testing.T) {
	r := newTestRun(t, 1)
	at := time.Unix(1e9, 0).UTC()
	s, err := r.AddSubmission(Submission{Kind: SubmitMap, Engine: "local", Tag: "t1", At: at, Elements: 3, Host: "h", IDs: []string{"not yet"}})
	if err != nil || s.Generation != 1 || !s.Open() {
		t.Fatal(s, err)
	}
	second, err := r.AddSubmission(Submission{Kind: SubmitReduce, Tag: "t2", At: at})
	if err != nil || second.Generation != 2 {
		t.Fatal(second, err)
	}
	if all, err := r.Submissions(); err != nil || !reflect.DeepEqual(all, []Submission{s, second}) {
		t.Errorf("%+v, %v", all, err)
	}
	if err := errors.Join(r.Taken(1, "77", "78"), r.Refused(2, "no such partition")); err != nil {
		t.Fatal(err)
	}
	s.IDs, second.Refused = []string{"77", "78"}, "no such partition"
	if all, err := r.Submissions(); err != nil || !reflect.DeepEqual(all, []Submission{s, second}) || all[0].Open() || all[1].Open() {
		t.Errorf("%+v, %v", all, err)
	}
	if err := r.Taken(3, "1"); err == nil {
		t.Error("an array that nobody meant to submit was taken")
	}
}

func TestSubmittersAtOnce(t *testing.T) {
	r := newTestRun(t, 1)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if _, err := r.AddSubmission(Submission{Tag: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := r.Submissions()
	tags := map[string]bool{}
	for i, s := range all {
		tags[s.Tag] = true
		if s.Generation != i+1 {
			t.Errorf("%d. has generation %d", i+1, s.Generation)
		}
	}
	if err != nil || len(tags) != 10 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestSharesComeBack(t *testing.T) {
	r := newTestRun(t, 300)
	element := 0
	rapid.Check(t, func(t *rapid.T) {
		element++
		tasks := rapid.Permutation(numbers(rapid.IntRange(0, 300).Draw(t, "n"))).Draw(t, "tasks")
		if rapid.Bool().Draw(t, "sorted") {
			slices.Sort(tasks)
		}
		s := Share{Generation: 1, Element: element}
		for len(tasks) > 0 {
			n := 1
			if rapid.Bool().Draw(t, "several") {
				n = rapid.IntRange(1, len(tasks)).Draw(t, "call")
			}
			s.Calls = append(s.Calls, tasks[:n])
			tasks = tasks[n:]
		}
		if err := r.WriteShare(s); err != nil {
			t.Fatal(err)
		}
		if got, err := r.ReadShare(1, element); err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%v, want %v; %v", got, s, err)
		}
	})
	if err := r.WriteShare(Share{Generation: 1, Element: 1}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a share was written twice: %v", err)
	}
}

func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i + 1
	}
	return list
}

func TestSharesAreShort(t *testing.T) {
	for want, list := range map[string][]int{"1-100000": numbers(100000), "1-9:2": {1, 3, 5, 7, 9}, "5,9": {5, 9}, "3,2,1": {3, 2, 1}, "1-2": {1, 2}, "": {}} {
		if got := packSequence(list); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, bad := range []string{"0", "-1", "2-1", "x", "1-", "1-5:0", "1-11", "1,,2", "1-9,1-9", "9223372036854775807"} {
		if list, err := unpackSequence(bad, 10, 10); err == nil {
			t.Errorf("%q gives %v", bad, list)
		}
	}
}

func TestRequestsComeInOrder(t *testing.T) {
	r := newTestRun(t, 9)
	q := r.Requests(0)
	set := job.NewIndexSet(2, 3, 4)
	if reqs, err := q.Poll(); err != nil || len(reqs) > 0 {
		t.Error(reqs, err)
	}
	at := time.Unix(1e9, 0).UTC()
	for i, req := range []Request{{Op: job.OpSuspend, At: at, By: "ann@h"}, {Op: job.OpContinue, At: at.Add(-time.Hour)}, {Op: job.OpCancel, Tasks: &set, At: at}} {
		if got, err := r.Ask(req); err != nil || got.Seq != i+1 {
			t.Error(got, err)
		}
	}
	reqs, err := q.Poll()
	if err != nil || len(reqs) != 3 || reqs[0].By != "ann@h" || reqs[1].Op != job.OpContinue || reqs[2].Seq != 3 {
		t.Fatalf("%+v, %v", reqs, err)
	}
	if !reqs[0].Concerns(7) || reqs[2].Concerns(1) || !reqs[2].Concerns(3) {
		t.Errorf("%+v", reqs[2])
	}
	if reqs, err := q.Poll(); err != nil || len(reqs) > 0 {
		t.Error(reqs, err)
	}
	// An empty file is one that is not written yet; a damaged one is passed over.
	if err := os.WriteFile(r.requestPath(4), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Ask(Request{Op: job.OpHold}); err != nil {
		t.Fatal(err)
	}
	if reqs, err := q.Poll(); err != nil || len(reqs) > 0 {
		t.Error(reqs, err)
	}
	if err := os.WriteFile(r.requestPath(4), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var damage *DamageError
	if reqs, err := q.Poll(); !errors.As(err, &damage) || len(reqs) != 1 || reqs[0].Op != job.OpHold {
		t.Error(reqs, err)
	}
}

// Who was submitted later has nothing to do with what was asked before, whatever
// the clocks say.
func TestRequestsBehindANumber(t *testing.T) {
	r := newTestRun(t, 9)
	for n, op := range []job.Op{job.OpCancel, job.OpSuspend, job.OpContinue} {
		if last, err := r.LastRequest(); last != n || err != nil {
			t.Errorf("the last request is %d (%v), want %d", last, err, n)
		}
		if _, err := r.Ask(Request{Op: op, At: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	reqs, err := r.Requests(1).Poll()
	if err != nil || len(reqs) != 2 || reqs[0].Op != job.OpSuspend || reqs[1].Op != job.OpContinue {
		t.Errorf("%+v, %v", reqs, err)
	}
}

// A newer incarnation is known by its heartbeat; a journal alone is that of a keeper.
func TestNewerIncarnation(t *testing.T) {
	r := newTestRun(t, 1)
	beat := func(id AgentID) {
		h, err := r.NewHeart(id, "n00"+id.String()[len(id.String())-1:], 5)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
	}
	me := AgentID{1, 2, 3}
	for _, id := range []AgentID{me, {1, 2, 2}, {1, 1, 9}, {2, 2, 9}} {
		beat(id)
	}
	writeJournal(t, r, AgentID{1, 2, 4})
	if newer, _, found, err := r.Newer(me); found || err != nil {
		t.Errorf("%v is newer than %v (%v)", newer, me, err)
	}
	beat(AgentID{1, 2, 5})
	if newer, by, found, err := r.Newer(me); !found || newer != (AgentID{1, 2, 5}) || by.Host != "n005" || err != nil {
		t.Errorf("%v on %s, %v, %v", newer, by.Host, found, err)
	}
}

func TestAskersAtOnce(t *testing.T) {
	r := newTestRun(t, 1)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := r.Ask(Request{Op: job.OpCancel, By: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	reqs, err := r.Requests(0).Poll()
	by := map[string]bool{}
	for _, q := range reqs {
		by[q.By] = true
	}
	if err != nil || len(by) != 20 {
		t.Error(reqs, err)
	}
}

func TestManifest(t *testing.T) {
	r := newTestRun(t, 2)
	want := []ManifestTask{
		{Index: 1, Inputs: []string{"/in/a\xff", "word"}, Outputs: []Output{{Name: "a \"b\"\n", Size: 5, Hash: "sha256:1"}}, State: job.Completed, Exit: "0:0"},
		{Index: 2, Inputs: []string{}, Outputs: []Output{}, State: job.Failed, Exit: "3:0", Cause: job.CauseExit},
	}
	for n := range len(want) + 1 {
		if err := r.WriteManifest("/out\xfe", slices.Values(want[:n])); err != nil {
			t.Fatal(err)
		}
		got := []ManifestTask{}
		m, err := r.ReadManifest(func(task ManifestTask) error { got = append(got, task); return nil })
		if err != nil || !reflect.DeepEqual(got, want[:n]) || m != (Manifest{ManifestVersion, r.Number, "/out\xfe"}) {
			t.Errorf("%+v %+v, %v", m, got, err)
		}
		data, err := os.ReadFile(r.ManifestPath())
		if err != nil || !json.Valid(data) {
			t.Errorf("no JSON (%v):\n%s", err, data)
		}
	}
	data, err := os.ReadFile(r.ManifestPath())
	if err != nil {
		t.Fatal(err)
	}
	const golden = `{"version":1,"run":1,"output":"/out\udcfe","tasks":[
{"index":1,"inputs":["/in/a\udcff","word"],"outputs":[{"name":"a \"b\"\n","size":5,"hash":"sha256:1"}],"state":"COMPLETED","exit":"0:0"},
{"index":2,"inputs":[],"outputs":[],"state":"FAILED","exit":"3:0","cause":"exit-code"}
]}
`
	if string(data) != golden {
		t.Errorf("got\n%s\nwant\n%s", data, golden)
	}
	for _, bad := range []string{"", "{}", strings.TrimSuffix(golden, "]}\n"), strings.Replace(golden, `"index":2`, `"index":"2"`, 1)} {
		if err := os.WriteFile(r.ManifestPath(), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		var damage *DamageError
		if _, err := r.ReadManifest(func(ManifestTask) error { return nil }); !errors.As(err, &damage) {
			t.Errorf("%v for\n%s", err, bad)
		}
	}
	if err := os.WriteFile(r.ManifestPath(), []byte(strings.Replace(golden, `"version":1`, `"version":2`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadManifest(func(ManifestTask) error { return nil }); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
}

func TestOneConducts(t *testing.T) {
	r := newTestRun(t, 1)
	if _, _, ok, err := r.Conductor("here"); ok || err != nil {
		t.Error(ok, err)
	}
	h, err := r.Conduct(t.Context(), "here", 77)
	if err != nil {
		t.Fatal(err)
	}
	if who, alive, ok, err := r.Conductor("here"); !alive || !ok || err != nil || who.PID != 77 || who.Host != "here" {
		t.Errorf("%+v, %v, %v", who, alive, err)
	}
	if _, err := r.Conduct(t.Context(), "here", 78); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "77 on here") {
		t.Error(err)
	}
	if h.Superseded() || h.Err() != nil {
		t.Error("superseded by nobody", h.Err())
	}
	if err := errors.Join(h.Close(), h.Close()); err != nil {
		t.Fatal(err)
	}
	if _, alive, ok, err := r.Conductor("elsewhere"); alive || !ok || err != nil {
		t.Error(alive, err)
	}
	var mu sync.Mutex
	var hearts []*Heart
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			h, err := r.Conduct(t.Context(), "here", 79)
			if err != nil && !errors.Is(err, ErrBusy) {
				t.Error(err)
			}
			if err == nil {
				mu.Lock()
				hearts = append(hearts, h)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(hearts) != 1 {
		t.Errorf("%d conduct at once", len(hearts))
	}
	for _, h := range hearts {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

// die ends a heartbeat as SIGKILL does.
func (h *Heart) die() {
	h.once.Do(func() {
		close(h.stop)
		<-h.ended
		h.file.Close()
	})
}

func TestKilledConductorIsFollowed(t *testing.T) {
	r := newTestRun(t, 1)
	h, err := r.Conduct(t.Context(), "here", 1)
	if err != nil {
		t.Fatal(err)
	}
	h.die()
	if _, alive, _, err := r.Conductor("here"); alive || err != nil {
		t.Error(alive, err)
	}
	// From elsewhere that takes a while to know.
	if _, alive, _, err := r.Conductor("elsewhere"); !alive || err != nil {
		t.Error(alive, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := r.Conduct(ctx, "elsewhere", 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	next, err := r.Conduct(t.Context(), "here", 2)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Superseded() || next.Superseded() {
		t.Error("who is superseded?")
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}

func TestHeartbeatIsJudged(t *testing.T) {
	r := newTestRun(t, 1)
	id := AgentID{1, 1, 1}
	agent := AgentState{ID: id, AgentStart: AgentStart{Host: "node 1", Began: time.Now()}}
	here, there := r.NewWatch("node 1", 0), r.NewWatch("other", 30*time.Millisecond)
	if !here.Alive(agent) || !there.Alive(agent) {
		t.Error("an agent that has just begun is taken for gone")
	}
	old := agent
	old.Began = time.Now().Add(-time.Hour)
	if here.Alive(old) {
		t.Error("an agent without a heartbeat is taken for alive")
	}
	h, err := r.NewHeart(id, "node 1", 5)
	if err != nil {
		t.Fatal(err)
	}
	if !here.Alive(agent) || !there.Alive(agent) {
		t.Error("a living agent is taken for gone")
	}
	// Elsewhere its count has to move.
	time.Sleep(50 * time.Millisecond)
	if !here.Alive(agent) || there.Alive(agent) {
		t.Error("here it is alive, by its lock; elsewhere it has been quiet for too long")
	}
	holder, err := readHolder(r.path(heartbeatDir, id.String()))
	if err != nil || holder != (Holder{Host: "node 1", PID: 5, Count: 1, Lock: true}) {
		t.Errorf("%+v, %v", holder, err)
	}
	holder.Count = 2
	if err := os.WriteFile(r.path(heartbeatDir, id.String()), holder.line(), 0o600); err != nil {
		t.Fatal(err)
	}
	if !there.Alive(agent) {
		t.Error("it has moved")
	}
	h.die()
	if here.Alive(agent) {
		t.Error("it is gone")
	}
}

func TestHeartbeatLineKeepsItsLength(t *testing.T) {
	a := Holder{Host: "h", Count: 1, Lock: true}
	b := a
	b.Count, b.Ended = 1<<60, true
	if len(a.line()) != len(b.line()) {
		t.Errorf("%q and %q", a.line(), b.line())
	}
	for _, bad := range []string{"", "x\n", "1 alive lock 5 h", "1 alive lock x h\n", "1 alive lock 5 \"h\n", "1 alive\n"} {
		if h, ok := parseHolder(bad); ok {
			t.Errorf("%q: %+v", bad, h)
		}
	}
}

func TestFilesAppearWhole(t *testing.T) {
	name := t.TempDir() + "/f"
	fails := errors.New("no")
	if err := createFile(name, func(w io.Writer) error { w.Write([]byte("half")); return fails }); !errors.Is(err, fails) {
		t.Error(err)
	}
	if names := namesIn(t, name[:len(name)-2]); len(names) > 0 {
		t.Error(names)
	}
	write := func(text string) error {
		return writeFile(name, func(w io.Writer) error { _, err := w.Write([]byte(text)); return err })
	}
	if err := errors.Join(write("one"), write("two")); err != nil || content(t, name) != "two" {
		t.Error(err)
	}
	if names := namesIn(t, name[:len(name)-2]); len(names) != 1 {
		t.Error(names)
	}
}

func TestElementIsGone(t *testing.T) {
	r := newTestRun(t, 1)
	watch := r.NewWatch("node 1", 0)
	gone := func(element int) bool {
		t.Helper()
		is, err := watch.Gone(1, element)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	if gone(1) {
		t.Error("an element that has not begun is taken for gone")
	}
	elder, err := r.NewHeart(AgentID{1, 1, 1}, "node 1", 5)
	if err != nil {
		t.Fatal(err)
	}
	if gone(1) {
		t.Error("an element whose agent lives is taken for gone")
	}
	if err := elder.Close(); err != nil {
		t.Fatal(err)
	}
	if !gone(1) || gone(2) {
		t.Error("its agent has ended, that of another element has not begun")
	}
	younger, err := r.NewHeart(AgentID{1, 1, 2}, "node 1", 6)
	if err != nil {
		t.Fatal(err)
	}
	defer younger.Close()
	if gone(1) {
		t.Error("its newest agent lives")
	}
}
