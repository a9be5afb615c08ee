package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"muster/internal/job"
	"muster/internal/rundir"
)

// affinity is a script that tells on which CPUs its task may run, and what it is told of
// threads. It takes a while, so that every lane gets one.
const affinity = `sleep 0.3
{ echo $MUSTER_LANE; sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status
echo ${OMP_NUM_THREADS:-none} ${MKL_NUM_THREADS:-none} ${OPENBLAS_NUM_THREADS:-none} ${LLMR_RANK:-none} ${LLMR_TASKS_PER_NODE:-none}; } > $2`

// With a triple each lane has CPUs of its own, out of those that the scheduler gave.
func TestLanesArePinned(t *testing.T) {
	given := cpusAllowed()
	for n := 1; n <= min(len(given), 4); n++ {
		given := given[len(given)-n:] // not always the machine's first
		t.Run(fmt.Sprintf("%d CPUs", n), func(t *testing.T) {
			l := newLab(t, 2*n, affinity, func(s *job.Spec) { s.NP = job.NP{Triple: true, Nodes: 1, PerNode: n, Threads: 1}; s.Threads = 1 })
			l.lanes, l.threads, l.bind = n, 1, cpuList(given)
			if code := l.start(l.begin()).wait(); code != exitDone {
				t.Fatalf("exit code %d", code)
			}
			on := map[string][]string{} // lanes by CPUs
			for i := 1; i <= 2*n; i++ {
				text, err := os.ReadFile(filepath.Join(l.out, strconv.Itoa(i)+".out"))
				check(t, err)
				f := strings.Fields(string(text))
				if !slices.Contains(on[f[1]], f[0]) {
					on[f[1]] = append(on[f[1]], f[0])
				}
				same(t, "variables", strings.Join(f[2:], " "), fmt.Sprintf("1 1 1 %s %d", f[0], n))
			}
			for k, cpu := range given {
				same(t, "the lanes on CPU "+strconv.Itoa(cpu), strings.Join(on[strconv.Itoa(cpu)], " "), strconv.Itoa(k))
			}
			if len(on) != n {
				t.Errorf("lanes ran on %v", on)
			}
		})
	}
}

// A node that gives less than was planned with is told of, and used.
func TestTooFewCPUs(t *testing.T) {
	given := cpusAllowed()
	l := newLab(t, 2, affinity, func(s *job.Spec) { s.Threads = len(given) })
	l.lanes, l.threads = 2, len(given)
	snap := l.done()
	if !slices.ContainsFunc(snap.Notes, func(n rundir.Note) bool {
		return strings.Contains(n.Text, fmt.Sprintf("%d CPUs, and 2 lanes of %d threads want %d", len(given), len(given), 2*len(given)))
	}) {
		t.Errorf("nobody is told: %v", snap.Notes)
	}
	same(t, "states", states(snap), "COMPLETED COMPLETED")
}

// Slots without a triple are told to libraries as well, unless the user has been more exact.
func TestSlotsAreTold(t *testing.T) {
	l := newLab(t, 1, affinity, func(s *job.Spec) { s.Scheduler.SlotsPer, s.Scheduler.SlotsType = 3, 1 })
	l.lanes = 1
	l.environ = append(l.environ, "MUSTERENV_MKL_NUM_THREADS=2")
	l.done()
	text, err := os.ReadFile(filepath.Join(l.out, "1.out"))
	check(t, err)
	same(t, "variables", strings.Join(strings.Fields(string(text))[2:], " "), "3 2 3 0 1")
}

// cpuList is a list of CPUs as taskset takes it.
func cpuList(cpus []int) string {
	var all []string
	for _, c := range cpus {
		all = append(all, strconv.Itoa(c))
	}
	return strings.Join(all, ",")
}

// bound is cmd under taskset(1), as a scheduler that binds jobs to CPUs starts it.
func bound(cpus string, cmd *exec.Cmd) *exec.Cmd {
	return exec.Command("taskset", append([]string{"-c", cpus}, cmd.Args...)...)
}
