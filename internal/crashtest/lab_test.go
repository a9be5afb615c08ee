package crashtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/rundir"
)

// settleLimit is within which time of an agent's death nothing of it may be left.
const settleLimit = 5 * time.Second

// patience is how long a step may take before it is said to hang.
const patience = 60 * time.Second

// lab is a place for one run, with everything that muster touches below one
// folder. The folder is kept when the test fails.
type lab struct {
	*testing.T
	exe     string
	dir     string
	in, out string
	state   string
	scratch string
	tmp     string
	nonces  string // each execution leaves a line in a file whose name begins so
	env     []string
	quick   string // once this file is there, programs that wait or sleep come to their end
	calls   int
}

func newLab(t *testing.T) *lab {
	t.Helper()
	dir, err := os.MkdirTemp("", "ct") // short: Wine's sockets lie below it
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, exe: program(t), dir: dir}
	for name, to := range map[string]*string{"in": &l.in, "out": &l.out, "state": &l.state, "s": &l.scratch, "tmp": &l.tmp, "nonces": &l.nonces, "home": nil} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if to != nil {
			*to = path
		}
	}
	l.nonces, l.quick = filepath.Join(l.nonces, "n"), filepath.Join(dir, "quick")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	l.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, "home"), "LANG=C.UTF-8", "TMPDIR=" + l.tmp,
		"MUSTER_STATE=" + l.state, "MUSTER_SCRATCH=" + l.scratch, "MUSTER_IMAGES=" + filepath.Join(cache, "muster", "test-images"), // shared with other tests of Wine
		"CRASHTEST_NONCES=" + l.nonces, "CRASHTEST_QUICK=" + l.quick,
	}
	t.Cleanup(func() {
		for _, p := range l.living() {
			p.signal(t, syscall.SIGKILL)
		}
		l.races()
		if t.Failed() {
			t.Logf("everything is kept in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return l
}

// races finds what a muster that was built with the race detector has reported:
// in the logs of agents and supervisors, and in what commands have said.
func (l *lab) races() {
	l.Helper()
	_ = filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); err == nil && (ext == ".log" || ext == ".err") && strings.Contains(l.read(path), "DATA RACE") {
			l.Errorf("a data race is told of in %s", path)
		}
		return nil
	})
}

// script puts a shell script of testdata into the lab.
func (l *lab) script(name string) string {
	l.Helper()
	text := l.read(filepath.Join("testdata", name))
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		l.Fatal(err)
	}
	return path
}

// inputs makes inputs of these contents, and tells the outputs that copies of
// them are.
func (l *lab) inputs(contents ...string) map[string]string {
	l.Helper()
	want := map[string]string{}
	for i, text := range contents {
		name := fmt.Sprintf("t%03d", i)
		l.write(filepath.Join(l.in, name), text)
		want[name+".out"] = text
	}
	return want
}

// mapping is the command that maps a script over the inputs.
func (l *lab) mapping(script string, flags ...string) []string {
	l.Helper()
	return append([]string{"map", "--json", "--guest", "native", "--input", l.in, "--output", l.out, "--mapper", l.script(script)}, flags...)
}

// living are the processes that have to do with this lab.
func (l *lab) living() []process {
	return slices.DeleteFunc(allProcesses(), func(p process) bool {
		return p.state == 'Z' || p.pid == os.Getpid() || !p.of(l.dir)
	})
}

// find lists the living processes in one of the roles.
func (l *lab) find(roles ...role) []process {
	return slices.DeleteFunc(l.living(), func(p process) bool { return !slices.Contains(roles, p.role()) })
}

// call is a muster command under way.
type call struct {
	*lab
	cmd            *exec.Cmd
	args           []string
	stdout, stderr string
	done           chan struct{}
}

// start starts muster as a person's shell does. Its streams are kept in files of the lab.
func (l *lab) start(args ...string) *call {
	l.Helper()
	return l.startWith(&exec.Cmd{Path: l.exe, Args: append([]string{l.exe}, args...)})
}

func (l *lab) startWith(cmd *exec.Cmd) *call {
	l.Helper()
	l.calls++
	base := filepath.Join(l.dir, fmt.Sprintf("%02d-%s", l.calls, cmd.Args[1]))
	c := &call{lab: l, cmd: cmd, args: cmd.Args[1:], stdout: base + ".out", stderr: base + ".err", done: make(chan struct{})}
	open := func(name string) *os.File {
		f, err := os.Create(name)
		if err != nil {
			l.Fatal(err)
		}
		return f
	}
	out, errs := open(c.stdout), open(c.stderr)
	defer out.Close()
	defer errs.Close()
	c.cmd.Env, c.cmd.Dir = l.env, l.dir
	if c.cmd.Stdout == nil {
		c.cmd.Stdout, c.cmd.Stderr = out, errs
	}
	if err := c.cmd.Start(); err != nil {
		l.Fatal(err)
	}
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait() // the state tells
	}()
	return c
}

// wait waits for the command's end and returns its exit code, −1 when a signal
// ended it.
func (c *call) wait() int {
	c.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.Fatalf("muster %s has not ended after %v; living:\n%s", strings.Join(c.args, " "), patience, list(c.living()))
	}
	return c.cmd.ProcessState.ExitCode()
}

// run runs a command to its end.
func (l *lab) run(args ...string) (code int, stdout, stderr string) {
	l.Helper()
	c := l.start(args...)
	code = c.wait()
	return code, l.read(c.stdout), l.read(c.stderr)
}

func (l *lab) read(name string) string {
	l.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		l.Fatal(err)
	}
	return string(b)
}

func (l *lab) write(name, text string) {
	l.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
}

// verdict is the last line of --json.
type verdict struct {
	Run       int    `json:"run"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Tasks     int    `json:"tasks"`
	Completed int    `json:"completed"`
	Failed    int    `json:"failed"`
	Lost      int    `json:"lost"`
	Cancelled int    `json:"cancelled"`
}

// judged is what a command that ended by itself said with --json.
func (c *call) judged() verdict {
	c.Helper()
	c.wait()
	var v verdict
	if err := json.Unmarshal([]byte(c.read(c.stdout)), &v); err != nil {
		c.Fatalf("muster %s said %q and %q: %v", strings.Join(c.args, " "), c.read(c.stdout), c.read(c.stderr), err)
	}
	return v
}

// store is muster's folder of runs.
func (l *lab) store() *rundir.Store {
	l.Helper()
	s, err := rundir.OpenStore(l.state, rundir.Options{})
	if err != nil {
		l.Fatal(err)
	}
	return s
}

// last is the newest run; nil when there is none yet.
func (l *lab) last() *rundir.Run {
	l.Helper()
	s := l.store()
	n, err := s.Last()
	if errors.Is(err, rundir.ErrNoRun) {
		return nil
	}
	if err != nil {
		l.Fatal(err)
	}
	r, err := s.Open(n)
	if err != nil {
		l.Fatal(err)
	}
	return r
}

// until waits for something; what says for what.
func (l *lab) until(what string, limit time.Duration, is func() bool) {
	l.Helper()
	for end := time.Now().Add(limit); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			l.Fatalf("not within %v: %s; living:\n%s", limit, what, list(l.living()))
		}
	}
}

// number is the run's number as a word.
func number(r *rundir.Run) string { return strconv.Itoa(r.Number) }

func list(ps []process) string {
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintf(&b, "  %v\n", p)
	}
	return b.String()
}
