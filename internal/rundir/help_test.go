package rundir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/internal/job"
)

func TestMain(m *testing.M) {
	if child := os.Getenv("RUNDIR_TEST_CHILD"); child != "" {
		os.Exit(runChild(child))
	}
	goleak.VerifyTestMain(m)
}

func newStore(t testing.TB) *Store {
	t.Helper()
	s, err := OpenStore(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newTestRun(t testing.TB, tasks int) *Run {
	t.Helper()
	r, err := newStore(t).Create(job.Spec{Name: "sim.exe"}, someTasks(tasks))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func someTasks(n int) []job.Task {
	tasks := make([]job.Task, n)
	for i := range tasks {
		tasks[i] = job.Task{Index: i + 1, Out: fmt.Sprintf("case-%06d.txt.out", i+1),
			In: []job.Input{{Word: fmt.Sprintf("/home/ann/project/inputs/case-%06d.txt", i+1), File: true}}}
	}
	return tasks
}

func newTestJournal(t testing.TB, r *Run, opt JournalOptions) *Journal {
	t.Helper()
	j, err := r.NewJournal(1, 1, AgentStart{Host: "n001", Lanes: 2}, opt)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func startOf(task, attempt int) Record {
	return Record{Kind: KindStart, At: time.Second, Start: &TaskStart{Task: task, Attempt: attempt, Instance: "lane0"}}
}

func endOf(task, attempt int, state job.State, final bool) Record {
	e := &TaskEnd{Task: task, Attempt: attempt, Instance: "lane0", Began: time.Second, Ended: 2 * time.Second, State: state, Final: final}
	if state == job.Completed {
		e.Outputs = []Output{{Name: fmt.Sprintf("%d.out", task), Size: 7, Hash: "sha256:00"}}
	} else {
		e.Exit = job.Exit{Code: 3, Cause: job.CauseExit}
	}
	return Record{Kind: KindEnd, At: 3 * time.Second, End: e}
}

func load(t testing.TB, r *Run, opt LoadOptions) *Snapshot {
	t.Helper()
	s, err := r.Load(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func nobody(AgentState) bool { return false }

// notes are what a journal's notes say, in order: a short way to see what of it survived.
func notes(s *Snapshot) string {
	var b strings.Builder
	for _, n := range s.Notes {
		b.WriteString(n.Text)
	}
	return b.String()
}

// faultFS is the real file system but for what its fields say.
type faultFS struct {
	mu     sync.Mutex
	broken map[string]error // by operation: create, write, short, sync, syncdir, close
	log    []string         // base names of files that were made
}

func (f *faultFS) set(op string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken == nil {
		f.broken = map[string]error{}
	}
	f.broken[op] = err
}

func (f *faultFS) fault(op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken[op]
}

func (f *faultFS) Create(name string) (File, error) {
	if err := f.fault("create"); err != nil {
		return nil, err
	}
	file, err := osFS{}.Create(name)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.log = append(f.log, filepath.Base(name))
	f.mu.Unlock()
	return &faultFile{f, file}, nil
}

func (f *faultFS) SyncDir(dir string) error {
	return errors.Join(f.fault("syncdir"), syncDir(dir))
}

func (f *faultFS) Remove(name string) error { return os.Remove(name) }

type faultFile struct {
	fs   *faultFS
	file File
}

func (f *faultFile) Write(b []byte) (int, error) {
	if err := f.fs.fault("write"); err != nil {
		return 0, err
	}
	if err := f.fs.fault("short"); err != nil {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, err
	}
	return f.file.Write(b)
}

func (f *faultFile) Sync() error  { return errors.Join(f.fs.fault("sync"), f.file.Sync()) }
func (f *faultFile) Close() error { return errors.Join(f.file.Close(), f.fs.fault("close")) }

var _ io.Writer = (*faultFile)(nil)
