package salvage

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/job"
	"muster/internal/rundir"
)

// scene is a run with three tasks, one of them with an alias, and a reducer.
type scene struct {
	t    *testing.T
	run  *rundir.Run
	out  string
	spec job.Spec
}

func newScene(t *testing.T) *scene {
	t.Helper()
	dir := t.TempDir()
	s := &scene{t: t, out: filepath.Join(dir, "out")}
	s.check(os.MkdirAll(filepath.Join(dir, "results"), 0o755))
	s.check(os.Mkdir(s.out, 0o755))
	store, err := rundir.OpenStore(filepath.Join(dir, "state"), rundir.Options{})
	s.check(err)
	s.spec = job.Spec{Output: s.out, Tasks: 3, Reducer: "/bin/sum", ReducerOut: filepath.Join(dir, "results", "sum.txt")}
	s.run, err = store.Create(s.spec, []job.Task{{Index: 1, Out: "a.out"}, {Index: 2, Out: "sub/b.out"}, {Index: 3, Out: "c:d.out", OutAlias: "c_d.out"}})
	s.check(err)
	return s
}

func (s *scene) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// agent makes an agent that is going to be killed: its journal tells the token
// and nothing more than what tell adds.
func (s *scene) agent(generation int, token string, records ...rundir.Record) {
	s.t.Helper()
	j, err := s.run.NewJournal(generation, 1, rundir.AgentStart{Token: token, Lanes: 1}, rundir.JournalOptions{})
	s.check(err)
	for _, rec := range records {
		s.check(j.Append(rec))
	}
	s.check(j.Close())
}

// leave makes files in the folder of an attempt, as a program does, and publishes some of
// them ("NAME>FINAL").
func (s *scene) leave(dir, token string, task, attempt int, names ...string) {
	s.t.Helper()
	p, err := rundir.NewPublisher(dir, s.run.Number, token, rundir.PublisherOptions{})
	s.check(err)
	folder, err := p.Attempt(task, attempt)
	s.check(err)
	for _, n := range names {
		name, final, publish := strings.Cut(n, ">")
		s.check(os.WriteFile(filepath.Join(folder, name), []byte(name), 0o644))
		if publish {
			_, err := p.Publish(filepath.Join(filepath.Base(folder), name), final)
			s.check(err)
		}
	}
	s.check(p.Close())
}

// settle runs salvage and tells what there is afterwards.
func (s *scene) settle(token string) (files string, snap *rundir.Snapshot) {
	s.t.Helper()
	for range 2 { // the second time there is nothing to do
		s.check(Run(s.t.Context(), s.run, 1, 1, token))
	}
	root := filepath.Dir(s.out)
	var names []string
	for _, dir := range []string{s.out, filepath.Dir(s.spec.ReducerOut)} {
		s.check(filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err == nil && (!d.IsDir() || strings.HasPrefix(d.Name(), ".")) {
				names = append(names, strings.TrimPrefix(p, root+"/"))
			}
			return err
		}))
	}
	snap, err := s.run.Load(s.t.Context(), rundir.LoadOptions{Outputs: true, Alive: func(rundir.AgentState) bool { return false }})
	s.check(err)
	return strings.Join(names, " "), snap
}

func end(task, attempt int, out string) rundir.Record {
	return rundir.Record{Kind: rundir.KindEnd, End: &rundir.TaskEnd{Task: task, Attempt: attempt, State: job.Completed, Final: true, Outputs: []rundir.Output{{Name: out}}}}
}

func TestTasks(t *testing.T) {
	tests := []struct {
		name  string
		leave func(*scene)
		files string
		done  []int
	}{
		{"nothing published", func(s *scene) { s.agent(1, "x"); s.leave(s.out, "x", 1, 1, "a.out") }, "", nil},
		{"published", func(s *scene) { s.agent(1, "x"); s.leave(s.out, "x", 1, 1, "a.out>a.out") }, "out/a.out", []int{1}},
		{"published below", func(s *scene) { s.agent(1, "x"); s.leave(s.out, "x", 2, 1, "b.out>sub/b.out") }, "out/sub/b.out", []int{2}},
		{"published under its true name", func(s *scene) { s.agent(1, "x"); s.leave(s.out, "x", 3, 2, "c_d.out>c:d.out") }, "out/c:d.out", []int{3}},
		{"with what goes with it", func(s *scene) { s.agent(1, "x"); s.leave(s.out, "x", 2, 1, "log>sub/log", "b.out>sub/b.out") },
			"out/sub/b.out out/sub/log", []int{2}},
		{"what goes with it alone", func(s *scene) { s.agent(1, "x"); s.leave(s.out, "x", 2, 1, "log>sub/log", "b.out") }, "", nil},
		{"published and recorded", func(s *scene) { s.agent(1, "x", end(1, 1, "a.out")); s.leave(s.out, "x", 1, 1, "a.out>a.out") },
			"out/a.out", []int{1}},
		{"a name that another has taken", func(s *scene) {
			s.agent(1, "x")
			s.leave(s.out, "x", 1, 1, "a.out")
			s.check(os.WriteFile(filepath.Join(s.out, "a.out"), nil, 0o644))
		}, "out/a.out", nil},
		{"two agents", func(s *scene) {
			s.agent(1, "x")
			s.agent(1, "y")
			s.leave(s.out, "x", 1, 1, "a.out>a.out")
			s.leave(s.out, "y", 2, 1, "b.out>sub/b.out")
		}, "out/a.out out/sub/b.out", []int{1, 2}},
		{"another run directory's run of this number", func(s *scene) { s.agent(1, "x"); s.leave(s.out, "foreign", 1, 1, "a.out") },
			"out/.muster-1-foreign out/.muster-1-foreign/1.1/a.out", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			tt.leave(s)
			files, snap := s.settle("")
			if files != tt.files {
				t.Errorf("files %q, want %q", files, tt.files)
			}
			var done []int
			for i := 1; i <= 3; i++ {
				if snap.State(i) == job.Completed {
					done = append(done, i)
					if outs := snap.Outputs(i); len(outs) == 0 || filepath.Join("out", outs[0].Name) != strings.Fields(files)[slices.Index(done, i)] {
						t.Errorf("task %d: outputs %v", i, outs)
					}
				}
			}
			if !slices.Equal(done, tt.done) {
				t.Errorf("done %v, want %v", done, tt.done)
			}
		})
	}
}

// The keeper of one agent touches no other's.
func TestOneAgent(t *testing.T) {
	s := newScene(t)
	s.agent(1, "x")
	s.agent(1, "y")
	s.leave(s.out, "x", 1, 1, "a.out")
	s.leave(s.out, "y", 2, 1, "b.out")
	files, _ := s.settle("x")
	if want := "out/.muster-1-y out/.muster-1-y/2.1/b.out"; files != want {
		t.Errorf("files %q, want %q", files, want)
	}
}

// A result without a record is taken back, since the reducer runs again; one with
// a record stays.
func TestResult(t *testing.T) {
	reduced := rundir.Record{Kind: rundir.KindReduce, Reduce: &rundir.ReduceEnd{Ran: true, State: job.Completed, Output: &rundir.Output{Name: "sum.txt"}}}
	for _, tt := range []struct {
		name    string
		records []rundir.Record
		left    string
		files   string
	}{
		{"not published", nil, "sum.txt", ""},
		{"published", nil, "sum.txt>sum.txt", ""},
		{"recorded", []rundir.Record{reduced}, "sum.txt>sum.txt", "results/sum.txt"},
	} {
		s := newScene(t)
		s.agent(2, "r", tt.records...)
		s.leave(filepath.Dir(s.spec.ReducerOut), "r", s.spec.Tasks+1, 1, tt.left)
		if files, _ := s.settle(""); files != tt.files {
			t.Errorf("%s: files %q, want %q", tt.name, files, tt.files)
		}
	}
}
