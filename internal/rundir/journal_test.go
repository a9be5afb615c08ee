package rundir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"muster/internal/job"
)

func TestJournalGroupsCommits(t *testing.T) {
	r := newTestRun(t, 1000)
	fs := &countingFS{}
	var groups atomic.Int32
	j := newTestJournal(t, r, JournalOptions{FS: fs, AfterGroup: func() { groups.Add(1) }})
	var order []int
	for i := 1; i <= 1000; i++ {
		if err := j.Append(startOf(i, 1)); err != nil {
			t.Fatal(err)
		}
		j.Commit(endOf(i, 1, job.Completed, true), func(err error) {
			if err != nil {
				t.Error(err)
			}
			order = append(order, i) // one goroutine calls
		})
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if len(order) != 1000 || !slices.IsSorted(order) {
		t.Errorf("%d done functions were called, in order: %v", len(order), slices.IsSorted(order))
	}
	if n := fs.syncs.Load(); n > 60 {
		t.Errorf("%d fsyncs for 1000 commits at once", n)
	}
	if n := groups.Load(); n == 0 || n > 60 {
		t.Errorf("AfterGroup was called %d times", n)
	}
	s := load(t, r, LoadOptions{})
	if s.Counts[job.Completed] != 1000 || len(s.Damage) > 0 {
		t.Errorf("%v, damage %v", s.Counts, s.Damage)
	}
}

type countingFS struct {
	osFS
	syncs atomic.Int32
}

type countingFile struct {
	File
	fs *countingFS
}

func (f *countingFS) Create(name string) (File, error) {
	file, err := f.osFS.Create(name)
	return countingFile{file, f}, err
}

func (f countingFile) Sync() error { f.fs.syncs.Add(1); return f.File.Sync() }

func TestDoneComesBehindTheFsync(t *testing.T) {
	r := newTestRun(t, 1)
	fs := &faultFS{}
	j := newTestJournal(t, r, JournalOptions{FS: fs})
	fs.set("sync", syscall.EIO)
	fs.set("create", syscall.EIO)
	var done atomic.Bool
	j.Commit(endOf(1, 1, job.Completed, true), func(error) { done.Store(true) })
	if err := j.Flush(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("Flush: %v", err)
	}
	if done.Load() {
		t.Error("done was called before anything was durable")
	}
	if err := j.Close(); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "1 journal record") {
		t.Errorf("Close: %v", err)
	}
	if !done.Load() {
		t.Error("done was never called")
	}
}

// What can go wrong with one segment, and what is then in which file.
func TestFailedSegmentIsContinuedInANewOne(t *testing.T) {
	for _, fault := range []struct {
		op  string
		err error
	}{{"sync", syscall.EIO}, {"write", syscall.EIO}, {"short", syscall.ENOSPC}, {"sync", syscall.ENOSPC}, {"write", syscall.EDQUOT}} {
		t.Run(fault.op+" "+fault.err.Error(), func(t *testing.T) {
			t.Parallel()
			r := newTestRun(t, 3)
			fs := &faultFS{}
			var health []error
			j := newTestJournal(t, r, JournalOptions{FS: fs, Health: func(err error) { health = append(health, err) }})
			results := make(chan error, 3)
			commit := func(task int) { j.Commit(endOf(task, 1, job.Completed, true), func(err error) { results <- err }) }
			commit(1)
			if err := <-results; err != nil {
				t.Fatal(err)
			}
			fs.set(fault.op, fault.err)
			fs.set("close", fault.err)
			commit(2)
			commit(3)
			if err := j.Flush(t.Context()); !errors.Is(err, fault.err) {
				t.Fatalf("Flush while nothing works: %v", err)
			}
			if err := j.Health(); !errors.Is(err, fault.err) {
				t.Errorf("Health: %v", err)
			}
			// What may be in the failed file counts already, as what was written and not synced does.
			if s := load(t, r, LoadOptions{}); s.Counts[job.Completed] < 1 || len(s.Damage) > 0 {
				t.Errorf("meanwhile: %v, %v", s.Counts, s.Damage)
			}
			fs.set(fault.op, nil)
			fs.set("close", nil)
			for range 2 {
				if err := <-results; err != nil { // by itself, within retryTime
					t.Error(err)
				}
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
			if len(health) != 2 || !errors.Is(health[0], fault.err) || health[1] != nil {
				t.Errorf("health was told as %v", health)
			}
			s := load(t, r, LoadOptions{})
			if s.Counts[job.Completed] != 3 || len(s.Damage) > 0 || s.Agents[0].Records != 4 {
				t.Errorf("%v, %d records, damage %v", s.Counts, s.Agents[0].Records, s.Damage)
			}
			names, err := readNames(r.path(journalDir, ""))
			if err != nil || len(names) != 2 {
				t.Errorf("files %v of those made: %v", names, fs.log)
			}
		})
	}
}

func TestJournalInMemoryIsBounded(t *testing.T) {
	r := newTestRun(t, 100)
	fs := &faultFS{}
	j := newTestJournal(t, r, JournalOptions{FS: fs, Limit: 2000})
	fs.set("write", syscall.ENOSPC)
	fs.set("create", syscall.ENOSPC)
	var mu sync.Mutex
	var full, fine, calls int
	for i := 1; i <= 100; i++ {
		j.Commit(endOf(i, 1, job.Completed, true), func(err error) {
			mu.Lock()
			defer mu.Unlock()
			calls++
			switch {
			case err == nil:
				fine++
			case errors.Is(err, ErrFull):
				full++
			}
		})
	}
	if err := j.Append(startOf(1, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("Append: %v", err)
	}
	fs.set("write", nil)
	fs.set("create", nil)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	s := load(t, r, LoadOptions{})
	mu.Lock()
	defer mu.Unlock()
	if fine == 0 || full == 0 || s.Counts[job.Completed] != fine {
		t.Errorf("%d calls: %d fine, %d full, %d on disk", calls, fine, full, s.Counts[job.Completed])
	}
}

func TestClosedJournalTakesNothing(t *testing.T) {
	r := newTestRun(t, 1)
	j := newTestJournal(t, r, JournalOptions{})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(startOf(1, 1)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := j.Flush(t.Context()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	result := make(chan error)
	j.Commit(startOf(1, 1), func(err error) { result <- err })
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func TestRecordThatCannotBeWrittenHurtsNoOther(t *testing.T) {
	r := newTestRun(t, 2)
	j := newTestJournal(t, r, JournalOptions{})
	long := endOf(1, 1, job.Completed, true)
	long.End.Outputs[0].Name = strings.Repeat("x", maxRecord)
	result := make(chan error, 2)
	j.Commit(long, func(err error) { result <- err })
	if err := <-result; err == nil {
		t.Error("a record of more than maxRecord bytes was committed")
	}
	j.Commit(endOf(2, 1, job.Completed, true), func(err error) { result <- err })
	if err := errors.Join(<-result, j.Close()); err != nil {
		t.Error(err)
	}
	if s := load(t, r, LoadOptions{}); s.Counts[job.Completed] != 1 || len(s.Damage) > 0 {
		t.Error(s.Counts, s.Damage)
	}
}

func TestIncarnationsAtOnce(t *testing.T) {
	r := newTestRun(t, 1)
	var mu sync.Mutex
	seen := map[AgentID]bool{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			j, err := r.NewJournal(2, 7, AgentStart{}, JournalOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[j.ID()] || j.Start().Incarnation != j.ID().Incarnation {
				t.Errorf("%v twice, or not %+v", j.ID(), j.Start())
			}
			seen[j.ID()] = true
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := load(t, r, LoadOptions{}); len(s.Agents) != 16 || len(seen) != 16 {
		t.Errorf("%d agents, %d journals", len(s.Agents), len(seen))
	}
}

func TestJournalThatCannotBeginLeavesNothing(t *testing.T) {
	for _, op := range []string{"write", "short", "sync", "syncdir"} {
		r := newTestRun(t, 1)
		fs := &faultFS{}
		fs.set(op, syscall.ENOSPC)
		if _, err := r.NewJournal(1, 1, AgentStart{}, JournalOptions{FS: fs}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", op, err)
		}
		if names, err := readNames(r.path(journalDir, "")); err != nil || len(names) > 0 {
			t.Errorf("%s: %v, %v", op, names, err)
		}
	}
}

// A power cut after a failed fsync: the first segment has a hole where records
// were that the second has, too.
func TestDamageInWhatANewSegmentRepeatsIsNone(t *testing.T) {
	r := newTestRun(t, 1)
	lines := func(seqs ...int) (b []byte) {
		for _, n := range seqs {
			rec := Record{Kind: KindNote, Note: strconv.Itoa(n)}
			if n < 2 {
				rec = Record{Kind: KindAgent, Agent: &AgentStart{Version: JournalVersion, Host: "n001"}}
			}
			var err error
			if b, err = appendLine(b, uint64(n), &rec); err != nil {
				t.Fatal(err)
			}
		}
		return b
	}
	hole := func(seqs ...int) []byte { return bytes.Map(func(rune) rune { return 'x' }, lines(seqs...)) }
	id := AgentID{1, 1, 1}
	write := func(segment int, parts ...[]byte) {
		if err := os.WriteFile(r.journalPath(id, segment), bytes.Join(parts, nil), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(1, lines(1, 2, 3), hole(4), []byte("\n"), lines(5))
	write(2, lines(0, 4, 5, 6))
	if s := load(t, r, LoadOptions{}); notes(s) != "23456" || len(s.Damage) > 0 || s.Agents[0].Host != "n001" {
		t.Errorf("read %q, damage %v", notes(s), s.Damage)
	}
	// Here a record is gone that the second segment does not have.
	write(2, lines(0, 5, 6))
	s := load(t, r, LoadOptions{})
	if notes(s) != "2356" || len(s.Damage) != 1 || !s.Agents[0].Damaged {
		t.Errorf("read %q, damage %v", notes(s), s.Damage)
	}
	// A segment that never came to anything is passed over.
	write(1, lines(1, 2, 3), hole(4), []byte("\n"))
	write(2, lines(0)[:5])
	write(4, lines(0, 4, 5))
	if s := load(t, r, LoadOptions{}); notes(s) != "2345" || len(s.Damage) > 0 {
		t.Errorf("read %q, damage %v", notes(s), s.Damage)
	}
}

// childCommits writes a journal for ever, and says on its output, task by task,
// what done was called for.
func childCommits() int {
	r, err := Open(os.Getenv("RUNDIR_TEST_DIR"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	j, err := r.NewJournal(1, 1, AgentStart{}, JournalOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for i := 1; i <= 100_000; i++ {
		if err := j.Append(startOf(i, 1)); err != nil {
			return 1
		}
		j.Commit(endOf(i, 1, job.Completed, true), func(err error) {
			if err == nil {
				fmt.Println(i)
			}
		})
		time.Sleep(20 * time.Microsecond)
	}
	return 0
}

func TestKilledWriterLosesNothingThatWasDone(t *testing.T) {
	told := 0
	for _, wait := range []time.Duration{30, 57, 80, 131, 200} {
		r := newTestRun(t, 100_000)
		ctx, cancel := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), "RUNDIR_TEST_CHILD=commits", "RUNDIR_TEST_DIR="+r.Dir)
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait * time.Millisecond)
		cancel() // SIGKILL
		cmd.Wait()
		s := load(t, r, LoadOptions{Alive: nobody})
		for _, d := range s.Damage {
			t.Errorf("killed after %d ms: %v", wait, d)
		}
		for line := range strings.Lines(out.String()) {
			task, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil || !strings.HasSuffix(line, "\n") {
				continue // cut by the kill
			}
			if st := s.Task(task); st.State != job.Completed {
				t.Fatalf("killed after %d ms: task %d was done and is %s", wait, task, st.State)
			}
			told++
		}
		t.Logf("killed after %d ms: %v", wait, s.Counts)
	}
	if told == 0 {
		t.Error("no writer lived long enough to commit anything")
	}
}

func TestFilesOfAJournal(t *testing.T) {
	r := newTestRun(t, 1)
	j := newTestJournal(t, r, JournalOptions{})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(r.Dir, "journal", "1.1.1"))
	if err != nil || fi.Mode() != 0o600 {
		t.Error(fi.Mode(), err)
	}
	for name, ok := range map[string]bool{"1.2.3": true, "1.2.3.2": true, "1.2.3.1": false, "1.2": false, "1.2.03": false, "1.2.3.4.5": false, "a.b.c": false, ".new-1": false, "1.2.-3": false} {
		if _, _, got := parseJournalName(name); got != ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}
