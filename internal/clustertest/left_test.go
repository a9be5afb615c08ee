package clustertest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// process is what /proc tells of one. Nodes are namespaces of this machine, so theirs
// are seen too.
type process struct {
	pid, session int
	state        byte
	comm         string
	text         string // arguments and environment, as they are in /proc
}

func allProcesses() (out []process) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		panic(err) // there is no testing without it
	}
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		dir := "/proc/" + n.Name()
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // it has ended
		}
		// The name may hold blanks and brackets.
		open, last := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		f := bytes.Fields(stat[last+1:])
		session, _ := strconv.Atoi(string(f[3]))
		argv, _ := os.ReadFile(dir + "/cmdline")
		env, _ := os.ReadFile(dir + "/environ")
		out = append(out, process{pid: pid, session: session, state: f[0][0], comm: string(stat[open+1 : last]), text: string(argv) + "\n" + string(env)})
	}
	return out
}

func (p process) String() string {
	argv, _, _ := strings.Cut(p.text, "\n")
	return fmt.Sprintf("%d (%s, %c) %.200q", p.pid, p.comm, p.state, strings.ReplaceAll(argv, "\x00", " "))
}

// living are the processes of the case, on nodes and here.
func (l *lab) living() []process {
	return slices.DeleteFunc(allProcesses(), func(p process) bool {
		return p.state == 'Z' || p.pid == os.Getpid() || !strings.Contains(p.text, l.dir+"/")
	})
}

// leftLimit is how long after a run's end something of it may be seen: the
// scheduler's own process of an element ends after what it started.
const leftLimit = 15 * time.Second

// nothingLeft checks that no process and no job of the case is there any more.
func (l *lab) nothingLeft() {
	l.Helper()
	if l.Failed() {
		l.cancelAll()
	}
	var left []process
	for end := time.Now().Add(leftLimit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if left = l.living(); len(left) == 0 {
			break
		}
	}
	for _, p := range left {
		l.Errorf("left behind: %v", p)
	}
	for id, name := range l.queued() {
		l.Errorf("left in the queue: %s %s", id, name)
	}
}

// submitted lists the numbers of the jobs that this case has handed over.
func (l *lab) submitted() (ids []string) {
	l.Helper()
	b, err := os.ReadFile(l.dir + "/jobs")
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// queued are those of them that are still in the queue: number → what the scheduler says.
func (l *lab) queued() map[string]string {
	l.Helper()
	out := map[string]string{}
	for _, id := range l.submitted() {
		var cmd *exec.Cmd
		if l.engine == "slurm" {
			cmd = exec.Command("squeue", "--noheader", "--format=%i %T %r", "--jobs="+id)
		} else {
			cmd = exec.Command("qstat", "-j", id)
		}
		if b, err := cmd.Output(); err == nil && len(bytes.TrimSpace(b)) > 0 {
			out[id] = string(b)
		}
	}
	return out
}

// cancelAll takes from the queue what a failed case has left there.
func (l *lab) cancelAll() {
	command := "scancel"
	if l.engine != "slurm" {
		command = "qdel"
	}
	for id := range l.queued() {
		l.Logf("%s %s: %v", command, id, exec.Command(command, id).Run())
	}
}
