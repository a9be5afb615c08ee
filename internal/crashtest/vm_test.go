package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest/vm"
	"muster/internal/guest/vm/vmtest"
	"muster/internal/job"
	"muster/internal/proc"
)

// vmBlows happen to runs in virtual machines.
var vmBlows = []blow{
	{name: "agent", roles: []role{inner}, sig: syscall.SIGKILL, ends: true},
	{name: "qemu", roles: []role{qemu}, sig: syscall.SIGKILL},
	{name: "keeper", roles: []role{keeper}, sig: syscall.SIGKILL, ends: true},
	{name: "supervisor", roles: []role{supervisor}, sig: syscall.SIGKILL, ends: true},
	{name: "command", roles: []role{command}, sig: syscall.SIGKILL},
}

// TestCrashVM is TestCrash for virtual machines. All rounds are on one node, as guests that were saved stay there; now and
// then there are none, and the blow falls while one is being saved.
func TestCrashVM(t *testing.T) {
	if testing.Short() {
		t.Skip("the image alone takes seconds")
	}
	seed, rounds := fromEnv(t, "MUSTER_TEST_SEED", 1), fromEnv(t, "MUSTER_TEST_ROUNDS", 10)
	l := vmLab(t)
	// Its folder goes with the program: in one of its own, that is small.
	upper := filepath.Join(l.dir, "tool", "upper.sh")
	if err := os.Mkdir(filepath.Dir(upper), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(l.script("upper.sh"), upper); err != nil {
		t.Fatal(err)
	}
	// Half of the rounds are root's, half an ordinary user's: as whom this is run decides.
	for i := range max(rounds/2, len(vmBlows)) {
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(i)+1))
		b := vmBlows[i%len(vmBlows)]
		t.Run(fmt.Sprintf("%d-%s", i+1, b.name), func(t *testing.T) {
			t.Logf("MUSTER_TEST_SEED=%d", seed)
			lab := *l
			lab.T = t
			if i%7 == 0 {
				lab.forgetSaved()
			}
			lab.crashVM(rng, b, upper)
			l.calls = lab.calls
		})
	}
}

// vmLab is a lab with the image that tests of VMs share.
func vmLab(t *testing.T) *lab {
	t.Helper()
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	vmtest.Image(t, table)
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	l.env = append(l.env, "MUSTER_IMAGES="+vmtest.Store(t).Dir())
	return l
}

// crashVM is one round.
func (l *lab) crashVM(rng *rand.Rand, b blow, program string) {
	for _, dir := range []string{l.in, l.out} {
		if err := os.RemoveAll(dir); err != nil {
			l.Fatal(err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			l.Fatal(err)
		}
	}
	tasks := 3 + rng.IntN(3)
	want := map[string]string{}
	for i := range tasks {
		text := strings.Repeat(fmt.Sprintf("line of %d\n", i), 1+rng.IntN(200))
		l.write(filepath.Join(l.in, fmt.Sprintf("t%02d", i)), text)
		want[fmt.Sprintf("t%02d.out", i)] = strings.ToUpper(text)
	}
	isolation := []job.Isolation{job.IsolateTask, job.IsolateLane, job.IsolateNode}[rng.IntN(3)]
	args := []string{
		"map", "--json", "--input", l.in, "--output", l.out, "--guest", "vm", "--image", "test", "--isolation", string(isolation),
		"--lanes", fmt.Sprint(1 + rng.IntN(2)), "--retries", "3", "--mapper", program,
	}
	before := 0
	if r := l.last(); r != nil {
		before = r.Number
	}
	c := l.start(args...)
	// From nothing at all to when some tasks are done; saving a guest is somewhere between.
	l.outputsOr(c, rng.IntN(tasks), time.Duration(rng.Int64N(int64(4*time.Second))))
	l.strike(rng, b, c, "vm")
	for resumes := 0; ; resumes++ {
		if resumes > 8 {
			l.Fatalf("not done after %d resumes", resumes)
		}
		r := l.last()
		if r == nil || r.Number == before { // it did not come to be a run
			l.start(args...).wait()
			continue
		}
		v := l.start("wait", number(r), "--json").judged()
		l.Logf("run %d, isolation %s: %+v", r.Number, isolation, v)
		if v.State == string(job.Completed) {
			break
		}
		l.start("resume", number(r), "--failed", "--json").wait()
	}
	l.gone(everything, settleLimit, nil)
	l.checkSaved()
	l.checkOutputs(want)
	l.checkCompleted(l.last(), tasks)
}

// outputsOr waits until there are so many outputs, or for so long.
func (l *lab) outputsOr(c *call, n int, limit time.Duration) {
	l.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if names, err := filepath.Glob(filepath.Join(l.out, "t*.out")); err != nil || n > 0 && len(names) >= n {
			return
		}
		select {
		case <-c.done:
			return
		default:
		}
	}
}

// saved is the folder of guests that were saved.
func (l *lab) saved() string {
	return filepath.Join(l.scratch, fmt.Sprintf("muster-%d", os.Geteuid()), vm.SavedFolder)
}

func (l *lab) forgetSaved() {
	l.Helper()
	if err := os.RemoveAll(l.saved()); err != nil {
		l.Fatal(err)
	}
}

// checkSaved looks at what is kept of saved guests: whole ones that nobody holds any more; none, when the machine was killed that was to be saved.
func (l *lab) checkSaved() {
	l.Helper()
	names, err := os.ReadDir(l.saved())
	if err != nil && !os.IsNotExist(err) {
		l.Fatal(err)
	}
	for _, n := range names {
		f, err := os.Open(filepath.Join(l.saved(), n.Name(), "ready"))
		if err != nil {
			l.Errorf("%s is kept beside the saved guests: %v", n.Name(), err)
			continue
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			l.Errorf("the saved guest %s is still in use: %v", n.Name(), err)
		}
		f.Close()
	}
}

// The disk is full that a guest's output comes back to: the task fails, and says so; with room, it is done.
func TestVMOutputDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system takes root")
	}
	l := vmLab(t)
	l.mount(l.out, "2m")
	free := l.fill(l.out, 256<<10)
	l.write(filepath.Join(l.in, "a"), "")
	v := l.start("map", "--json", "--input", l.in, "--output", l.out, "--guest", "vm", "--image", "test", "--",
		"/bin/sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x >{out}; cat {in}").judged()
	if v.State != string(job.Failed) || v.Failed != 1 {
		t.Errorf("the run is %+v", v)
	}
	if code, said, _ := l.run("status", "last"); code != 0 || !strings.Contains(said, "no space left") {
		t.Errorf("status ended with %d and does not say why: %s", code, said)
	}
	free()
	if v := l.start("resume", "last", "--json", "--failed").judged(); v.State != string(job.Completed) {
		t.Errorf("resumed: %+v", v)
	}
	l.gone(everything, settleLimit, nil)
	l.checkOutputs(map[string]string{"a.out": strings.Repeat("x", 1000000)})
}
