package rundir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/job"
)

func TestDefaultRoot(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"MUSTER_STATE": "/m", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/m"},
		{map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/muster"},
		{map[string]string{"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/muster"},
		{map[string]string{"HOME": "/h"}, "/h/.local/state/muster"},
	} {
		got, err := DefaultRoot(func(k string) string { return c.env[k] })
		if got != c.want || err != nil {
			t.Errorf("%v: %s, %v", c.env, got, err)
		}
	}
	if _, err := DefaultRoot(func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "MUSTER_STATE") {
		t.Error(err)
	}
}

func TestCreateAndOpen(t *testing.T) {
	s := newStore(t)
	if _, err := s.Last(); !errors.Is(err, ErrNoRun) {
		t.Errorf("Last of nothing: %v", err)
	}
	tasks := someTasks(3)
	spec := job.Spec{Name: "sim.exe", Argv: []string{"muster", "<&>"}, Created: time.Unix(1e9, 5).UTC(), Drives: map[string]string{"x": "/data"}}
	r, err := s.Create(spec, tasks)
	if err != nil {
		t.Fatal(err)
	}
	if r.Number != 1 || r.Dir != filepath.Join(s.Dir(), "1") {
		t.Errorf("%+v", r)
	}
	spec.Version, spec.Tasks = job.SpecVersion, 3
	for _, open := range []func() (*Run, error){func() (*Run, error) { return s.Open(1) }, func() (*Run, error) { return Open(r.Dir) }} {
		r, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Spec(); err != nil || !reflect.DeepEqual(got, spec) {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := r.Tasks(); err != nil || !reflect.DeepEqual(got, tasks) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := s.Create(spec, tasks); err != nil {
		t.Fatal(err)
	}
	if ns, err := s.List(); err != nil || !slices.Equal(ns, []int{1, 2}) {
		t.Errorf("%v, %v", ns, err)
	}
	if _, err := s.Open(3); !errors.Is(err, ErrNoRun) {
		t.Error(err)
	}
	err = filepath.Walk(s.Dir(), func(path string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", path, fi.Mode())
		}
		if strings.HasPrefix(fi.Name(), tempPrefix) {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCreatorsAtOnceGetDifferentNumbers(t *testing.T) {
	s := newStore(t)
	var mu sync.Mutex
	var got []int
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			r, err := s.Create(job.Spec{}, someTasks(2))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, r.Number)
		})
	}
	wg.Wait()
	slices.Sort(got)
	want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	if ns, err := s.List(); err != nil || !slices.Equal(got, want) || !slices.Equal(ns, want) {
		t.Errorf("made %v, listed %v, %v", got, ns, err)
	}
}

// childCreates makes a run where no file may have more than 8 KiB.
func childCreates() int {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 8192, Max: 8192}); err != nil {
		fmt.Println(err)
		return 1
	}
	s, err := OpenStore(os.Getenv("RUNDIR_TEST_DIR"), Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_, err = s.Create(job.Spec{}, someTasks(1000))
	if !errors.Is(err, syscall.EFBIG) {
		fmt.Println("made a run without space:", err)
		return 1
	}
	return 0
}

func TestCreateThatFailsLeavesNothing(t *testing.T) {
	root := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RUNDIR_TEST_CHILD=create", "RUNDIR_TEST_DIR="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	s, err := OpenStore(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(job.Spec{}, []job.Task{{Index: 2}}); err == nil {
		t.Error("a list of tasks that begins with 2 was taken")
	}
	if names, err := readNames(s.Dir()); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

func TestOldLeftoversOfCreateAreRemoved(t *testing.T) {
	s := newStore(t)
	old, young := filepath.Join(s.Dir(), tempPrefix+"1"), filepath.Join(s.Dir(), tempPrefix+"2")
	for _, dir := range []string{old, young} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(job.Spec{}, nil); err != nil {
		t.Fatal(err)
	}
	names, err := readNames(s.Dir())
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{tempPrefix + "2", "1"}) {
		t.Error(names, err)
	}
}

func TestNewerRunIsRefusedAndUntouched(t *testing.T) {
	r := newTestRun(t, 1)
	newer := []byte(fmt.Sprintf(`{"version":%d,"tasks":{"of":"another form"}}`, job.SpecVersion+1))
	if err := os.WriteFile(r.SpecPath(), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(r.Dir); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
	if data, err := os.ReadFile(r.SpecPath()); err != nil || !bytes.Equal(data, newer) {
		t.Errorf("%s, %v", data, err)
	}
}

func TestUnsafeFoldersAreRefused(t *testing.T) {
	chmod := func(mode os.FileMode) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name    string
		parent  func(t *testing.T, dir string)
		opt     Options
		refused string // a part of the message; "": taken
	}{
		{"private", chmod(0o700), Options{}, ""},
		{"readable", chmod(0o755), Options{}, ""},
		{"everyone", chmod(0o777), Options{TrustGroup: true}, "everyone can write"},
		{"sticky", chmod(0o777 | os.ModeSticky), Options{}, ""},
		{"group", chmod(0o770), Options{}, "--trust-group"},
		{"trusted group", chmod(0o770), Options{TrustGroup: true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := filepath.Join(t.TempDir(), "parent")
			if err := os.Mkdir(parent, 0o700); err != nil {
				t.Fatal(err)
			}
			c.parent(t, parent)
			_, err := OpenStore(filepath.Join(parent, "a", "muster"), c.opt)
			if c.refused == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), parent) {
				t.Errorf("%v", err)
			}
			if names, err := readNames(parent); err != nil || len(names) > 0 {
				t.Errorf("made nevertheless: %v, %v", names, err)
			}
		})
	}
}

func TestLinkToUnsafeFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.MkdirAll(filepath.Join(open, "muster"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(open, 0o777), os.Symlink(filepath.Join(open, "muster"), filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(filepath.Join(dir, "link"), Options{}); !errors.Is(err, ErrUnsafe) {
		t.Error(err)
	}
}

func TestStoreIsMadePrivate(t *testing.T) {
	root := t.TempDir()
	runs := filepath.Join(root, "runs")
	if err := errors.Join(os.Mkdir(runs, 0o755), os.Chmod(runs, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(root, Options{}); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(runs); err != nil || fi.Mode().Perm() != 0o700 {
		t.Error(fi.Mode(), err)
	}
}

func anyTask(index int) *rapid.Generator[job.Task] {
	return rapid.Custom(func(t *rapid.T) job.Task {
		task := job.Task{Index: index, Out: anyText().Draw(t, "out"), OutAlias: anyText().Draw(t, "alias")}
		for range rapid.IntRange(1, 3).Draw(t, "inputs") {
			task.In = append(task.In, job.Input{Word: anyText().Draw(t, "word"), File: rapid.Bool().Draw(t, "file"), Alias: anyText().Draw(t, "in alias")})
		}
		return task
	})
}

func TestTasksComeBackByteByByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5).Draw(t, "n")
		tasks := make([]job.Task, n)
		for i := range tasks {
			tasks[i] = anyTask(i+1).Draw(t, "task")
		}
		var buf bytes.Buffer
		if err := encodeTasks(&buf, tasks); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(buf.String()) {
			var d taskDecoder
			if _, ok := d.fast(strings.TrimSuffix(line, "\n")); !ok {
				t.Fatalf("the slow way for %s", line)
			}
		}
		got, err := decodeTasks("tasks", buf.Bytes(), n)
		if err != nil || !reflect.DeepEqual(got, tasks) {
			t.Fatalf("%+v\nwant %+v\n%v", got, tasks, err)
		}
	})
}

func TestManyInputsOfManyTasks(t *testing.T) {
	tasks := someTasks(3000)
	for i := range tasks {
		for k := range i % 7 {
			tasks[i].In = append(tasks[i].In, job.Input{Word: fmt.Sprint(i, k)})
		}
	}
	r, err := newStore(t).Create(job.Spec{}, tasks)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Tasks()
	if err != nil || !reflect.DeepEqual(got, tasks) {
		t.Errorf("not what was written; %v", err)
	}
	for _, i := range []int{1, 2, 1500, 3000} {
		if one, err := r.Task(i); err != nil || !reflect.DeepEqual(one, tasks[i-1]) {
			t.Errorf("task %d: %+v, %v", i, one, err)
		}
	}
	for _, i := range []int{-1, 0, 3001} {
		if one, err := r.Task(i); err == nil {
			t.Errorf("task %d: %+v", i, one)
		}
	}
}

func TestTasksWrittenByOthers(t *testing.T) {
	const text = `{ "index" : 1, "in":[{"file":true,"word":"a\u00e9\ud83d\ude00\udcff"}], "extra":1, "out":"x" }` + "\n"
	got, err := decodeTasks("tasks", []byte(text), 1)
	want := []job.Task{{Index: 1, In: []job.Input{{Word: "aé😀\xff", File: true}}, Out: "x"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDamagedTasks(t *testing.T) {
	line := func(i int) string { return string(appendTask(nil, someTasks(i)[i-1])) + "\n" }
	for name, text := range map[string]string{
		"cut": line(1) + line(2)[:20], "missing": line(1), "swapped": line(2) + line(1), "garbage": line(1) + "{]\n", "too many": line(1) + line(2) + line(3),
	} {
		var damage *DamageError
		if _, err := decodeTasks("tasks", []byte(text), 2); !errors.As(err, &damage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSpecKeepsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := job.Spec{Created: time.Unix(5, 0).UTC(), Program: anyText().Draw(t, "program"), Args: rapid.SliceOf(anyText()).Draw(t, "args"),
			Drives: rapid.MapOf(anyText(), anyText()).Draw(t, "drives"), Scheduler: job.Resource{Partition: anyText().Draw(t, "partition")}}
		if len(spec.Drives) == 0 {
			spec.Drives = nil
		}
		if len(spec.Args) == 0 {
			spec.Args = nil
		}
		data, err := marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		var got job.Spec
		if err := unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, spec) {
			t.Fatalf("%+v\nwant %+v\n%v\n%s", got, spec, err, data)
		}
	})
}
