package clustertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a step may take before it is said to hang. A lost node is
// noticed after half a minute or more.
const patience = 3 * time.Minute

// lab is a place for one run: everything that muster touches is below one
// folder that the nodes see. The folder is kept when the test fails.
type lab struct {
	*testing.T
	site
	dir     string
	in, out string
	state   string
	starts  string // each execution of a task leaves a file here, whose name begins with the task's
	env     []string
	calls   int
}

func newLab(t *testing.T, s site) *lab {
	t.Helper()
	l := &lab{T: t, site: s}
	l.dir = s.Shared(t)
	for name, to := range map[string]*string{"in": &l.in, "out": &l.out, "state": &l.state, "starts": &l.starts, "home": nil, "tmp": nil, "bin": nil} {
		path := filepath.Join(l.dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if to != nil {
			*to = path
		}
	}
	for _, kv := range os.Environ() {
		switch name, _, _ := strings.Cut(kv, "="); {
		case strings.HasPrefix(name, "SGE_"), name == "SLURM_CONF", name == "USER", name == "LOGNAME":
			l.env = append(l.env, kv)
		}
	}
	l.env = append(l.env, "PATH="+filepath.Join(l.dir, "bin")+":"+os.Getenv("PATH"), "LANG=C.UTF-8",
		"HOME="+filepath.Join(l.dir, "home"), "TMPDIR="+filepath.Join(l.dir, "tmp"),
		"MUSTER_STATE="+l.state, "MUSTER_IMAGES="+filepath.Join(string(s.Cluster), "shared", fmt.Sprintf("images-%d", os.Getuid())),
		"STARTS="+l.starts, "GATE="+l.gate())
	for _, command := range append([]string{s.submits}, s.asks...) {
		l.watchCalls(command)
	}
	// After everything else: the case's processes are gone by then.
	t.Cleanup(l.nothingLeft)
	return l
}

// gate is a file for which gated tasks wait.
func (l *lab) gate() string { return filepath.Join(l.dir, "gate") }

func (l *lab) open() { l.write(l.gate(), "") }

// watchCalls puts a script before a command of the scheduler that notes each call.
func (l *lab) watchCalls(command string) {
	l.Helper()
	real, err := exec.LookPath(command)
	if err != nil {
		l.Fatal(err)
	}
	log := filepath.Join(l.dir, command+".calls")
	// A submission's first number is the job's.
	script := fmt.Sprintf(`#!/bin/sh
case %[1]s in
%[2]s) said=$(%[3]s "$@"); rc=$?; printf '%%s\n' "$said"; echo "$said" | grep -oE '[0-9]+' | head -n 1 >>%[5]s ;;
*) %[3]s "$@"; rc=$? ;;
esac
printf '%%s\n' "$rc $*" >>%[4]s
exit $rc
`, command, l.submits, real, log, filepath.Join(l.dir, "jobs"))
	if err := os.WriteFile(filepath.Join(l.dir, "bin", command), []byte(script), 0o700); err != nil {
		l.Fatal(err)
	}
}

// called lists the calls of a command so far that were successful.
func (l *lab) called(command string) []string {
	l.Helper()
	b, err := os.ReadFile(filepath.Join(l.dir, command+".calls"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if args, ok := strings.CutPrefix(line, "0 "); ok {
			out = append(out, strings.TrimSpace(args))
		}
	}
	return out
}

// script puts a shell script of testdata into the lab.
func (l *lab) script(name string) string {
	l.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(l.read(filepath.Join("testdata", name))), 0o700); err != nil {
		l.Fatal(err)
	}
	return path
}

// inputs makes n inputs, and tells the outputs that task.sh makes of them.
func (l *lab) inputs(n int) map[string]string {
	l.Helper()
	want := map[string]string{}
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("t%03d", i)
		text := strings.Repeat(fmt.Sprintf("line of %d\n", i), i)
		l.write(filepath.Join(l.in, name), text)
		want[name+".out"] = strings.ToUpper(text) + "END\n"
	}
	return want
}

// mapping is the command that maps a script over the inputs on the cluster.
func (l *lab) mapping(script string, flags ...string) []string {
	l.Helper()
	return append([]string{"map", "--json", "--engine", l.engine, "--guest", "native", "--input", l.in, "--output", l.out, "--mapper", l.script(script)}, flags...)
}

// call is a muster command under way, in a session of its own.
type call struct {
	*lab
	cmd            *exec.Cmd
	stdout, stderr string
	done           chan struct{}
}

func (l *lab) start(args ...string) *call {
	l.Helper()
	l.calls++
	base := filepath.Join(l.dir, fmt.Sprintf("%02d-%s", l.calls, args[0]))
	c := &call{lab: l, stdout: base + ".out", stderr: base + ".err", done: make(chan struct{})}
	c.cmd = exec.Command(l.exe, args...)
	c.cmd.Env, c.cmd.Dir = l.env, l.dir
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	streams := []*os.File{}
	for _, name := range []string{c.stdout, c.stderr} {
		f, err := os.Create(name)
		if err != nil {
			l.Fatal(err)
		}
		defer f.Close()
		streams = append(streams, f)
	}
	c.cmd.Stdout, c.cmd.Stderr = streams[0], streams[1]
	if err := c.cmd.Start(); err != nil {
		l.Fatal(err)
	}
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait() // the state tells
	}()
	return c
}

// killSession ends the command and all that shares its session, as a terminal does
// that is pulled away with its host.
func (c *call) killSession() {
	c.Helper()
	for _, p := range allProcesses() {
		if p.session == c.cmd.Process.Pid {
			_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may be gone by now
		}
	}
	<-c.done
}

func (c *call) wait() int {
	c.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.killSession()
		c.Fatalf("muster %s has not ended after %v: %s", strings.Join(c.cmd.Args[1:], " "), patience, c.said())
	}
	return c.cmd.ProcessState.ExitCode()
}

func (c *call) said() string {
	c.Helper()
	return fmt.Sprintf("%q and %q", c.read(c.stdout), c.read(c.stderr))
}

// run runs a command to its end.
func (l *lab) run(args ...string) (code int, stdout, stderr string) {
	l.Helper()
	c := l.start(args...)
	code = c.wait()
	return code, l.read(c.stdout), l.read(c.stderr)
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
func (c *call) judged() (v verdict) {
	c.Helper()
	code := c.wait()
	lines := strings.Split(strings.TrimSpace(c.read(c.stdout)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &v); err != nil {
		c.Fatalf("muster %s ended with %d and said %s: %v", strings.Join(c.cmd.Args[1:], " "), code, c.said(), err)
	}
	c.Logf("muster %s: %d, %+v", c.cmd.Args[1], code, v)
	return v
}

// good checks that a run of n tasks was one.
func (c *call) good(n int) verdict {
	c.Helper()
	v := c.judged()
	if code := c.wait(); code != 0 || v.State != "COMPLETED" || v.Tasks != n || v.Completed != n {
		c.Errorf("a run of %d tasks ended with %d as %+v: %s", n, code, v, c.said())
	}
	return v
}

// until waits for something; what says for what.
func (l *lab) until(what string, is func() bool) {
	l.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			l.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// until waits for something that happens before the command ends.
func (c *call) until(what string, is func() bool) {
	c.Helper()
	c.lab.until(what, func() bool {
		if is() {
			return true
		}
		select {
		case <-c.done:
			c.Fatalf("before %s, muster %s ended: %s", what, c.cmd.Args[1], c.said())
		default:
		}
		return false
	})
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

// outputs reads what is in the output folder under a final name.
func (l *lab) outputs() map[string]string {
	l.Helper()
	got := map[string]string{}
	names, err := os.ReadDir(l.out)
	if err != nil {
		l.Fatal(err)
	}
	for _, n := range names {
		if !strings.HasPrefix(n.Name(), ".") {
			got[n.Name()] = l.read(filepath.Join(l.out, n.Name()))
		}
	}
	return got
}

// checkOutputs compares the output folder with what must be in it.
func (l *lab) checkOutputs(want map[string]string) {
	l.Helper()
	got := l.outputs()
	for name, text := range want {
		switch have, ok := got[name]; {
		case !ok:
			l.Errorf("output %q is missing", name)
		case have != text:
			l.Errorf("output %q holds %.100q, want %.100q", name, have, text)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			l.Errorf("%q is in the output folder, and nobody's output", name)
		}
	}
}

// execution is one that task.sh has noted.
type execution struct{ task, node string }

// executions lists those of all tasks so far, by the base name of the input.
func (l *lab) executions() (out []execution) {
	l.Helper()
	names, err := os.ReadDir(l.starts)
	if err != nil {
		l.Fatal(err)
	}
	for _, n := range names {
		// INPUT@NODE@unique
		if part := strings.Split(n.Name(), "@"); len(part) == 3 {
			out = append(out, execution{part[0], part[1]})
		}
	}
	return out
}

// count tells how often each task was started, and on how many nodes something was.
func (l *lab) count() (times map[string]int, nodes []string) {
	l.Helper()
	times = map[string]int{}
	for _, e := range l.executions() {
		times[e.task]++
		if !slices.Contains(nodes, e.node) {
			nodes = append(nodes, e.node)
		}
	}
	return times, nodes
}
