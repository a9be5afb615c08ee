package crashtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/job"
)

// The output folder becomes read-only under a run: its tasks fail, nothing hangs,
// and all is well once it can be written again.
func TestReadOnlyOutput(t *testing.T) {
	if !asOrdinary(t) { // root may write everywhere
		return
	}
	l := newLab(t)
	want := l.inputs(repeat("meek\n", 4)...)
	m := l.start(l.mapping("gated.sh", "--lanes", "2")...)
	l.begun(2)
	if err := os.Chmod(l.out, 0o500); err != nil {
		t.Fatal(err)
	}
	l.write(l.quick, "")
	if v := m.judged(); v.State != string(job.Failed) || v.Completed != 0 || v.Failed != 4 {
		t.Errorf("the run is %+v", v)
	}
	if code, said, _ := l.run("status", "last"); code != 0 || !strings.Contains(said, "permission denied") {
		t.Errorf("status ended with %d and does not say why: %s", code, said)
	}
	l.gone(processes, time.Second, nil)
	if err := os.Chmod(l.out, 0o700); err != nil {
		t.Fatal(err)
	}
	l.finish(want)
}

// The disk that holds the run directory is full for a while.
func TestStateDiskFull(t *testing.T) {
	if !withMounts(t) {
		return
	}
	l := newLab(t)
	l.mount(l.state, "4m")
	// Long names fill a record's page soon: what is left of it still takes some.
	const tasks = 24
	want := map[string]string{}
	for i := range tasks {
		name := fmt.Sprintf("%03d-%s", i, strings.Repeat("n", 200))
		l.write(filepath.Join(l.in, name), name)
		want[name+".out"] = name
	}
	m := l.start(l.mapping("gated.sh", "--lanes", "4")...)
	l.begun(4)
	free := l.fill(l.state, 0)
	l.write(l.quick, "")
	began := 0
	l.until("nothing more is started", patience, func() bool {
		before := len(l.executions())
		time.Sleep(1500 * time.Millisecond) // three times what a program takes
		began = len(l.executions())
		return began == before
	})
	t.Logf("%d of %d had begun", began, tasks)
	if began >= tasks {
		t.Error("programs were started although nothing could be recorded")
	}
	if p := l.find(inner); len(p) != 1 {
		t.Errorf("the agent is not waiting: %v", p)
	}
	free()
	if v := m.judged(); v.State != string(job.Completed) {
		t.Errorf("the run is %+v", v)
	}
	l.gone(everything, settleLimit, nil)
	l.checkOutputs(want)
	l.checkHistory(l.last(), tasks, 0)
	if n := len(l.executions()); n != tasks {
		t.Errorf("%d executions of %d tasks: work has not survived", n, tasks)
	}
}

// The disk that holds the outputs is full for a while: what fails is no output.
func TestOutputDiskFull(t *testing.T) {
	if !withMounts(t) {
		return
	}
	l := newLab(t)
	l.mount(l.out, "2m")
	want := l.inputs(repeat(strings.Repeat("meek\n", 8<<10), 10)...)
	m := l.start(l.mapping("gated.sh", "--lanes", "3")...)
	l.begun(3)
	free := l.fill(l.out, 100<<10)
	l.write(l.quick, "")
	v := m.judged()
	if v.State != string(job.Failed) || v.Failed == 0 || v.Completed+v.Failed != 10 {
		t.Errorf("the run is %+v", v)
	}
	l.gone(everything, settleLimit, nil)
	free()
	l.finish(want)
}
