package admit_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// These tests drive the real program under real limits, and look at what came of it from
// outside: the programs' own marks, the control group, the folders.

// TestMain lets the test binary stand in for a program that takes memory.
func TestMain(m *testing.M) {
	if mib, err := strconv.Atoi(os.Getenv("ADMIT_TAKES")); err == nil {
		if err := take(mib); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// take touches so many MiB, says so with a file in the folder ADMIT_MARKS and one in its
// work folder, and stays until it is told to end.
func take(mib int) error {
	memory := make([]byte, mib<<20)
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	f, err := os.CreateTemp(os.Getenv("ADMIT_MARKS"), "taken-")
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.WriteFile("ready", nil, 0o600); err != nil {
		return err
	}
	for memory[0] == 1 {
		time.Sleep(time.Hour)
	}
	return nil
}

// patience is how long a launch may take before it is said to hang.
const patience = 2 * time.Minute

// built is the folder of a muster that these tests have built, "" for none.
var built string

// program is a muster, built once unless there is one.
var program = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("MUSTER_TEST_PROGRAM"); given != "" {
		return given, nil
	}
	dir, err := os.MkdirTemp("", "admit-muster")
	if err != nil {
		return "", err
	}
	built = dir
	exe := filepath.Join(dir, "muster")
	cmd := exec.Command("go", "build", "-o", exe, "muster/cmd/muster")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building muster: %w\n%s", err, out)
	}
	return exe, nil
})

// lab is a place for launches, with everything that muster touches below one folder.
type lab struct {
	*testing.T
	exe, dir, marks, scratch, state string
	taker                           string   // a program that takes $ADMIT_TAKES MiB
	group                           string   // control group to run in, or ""
	limits                          []string // a command that sets limits and runs another
	uid                             int      // whom muster runs as; 0: as this test
}

func newLab(t *testing.T) *lab {
	t.Helper()
	exe, err := program()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, exe: exe, dir: t.TempDir()}
	l.taker = l.copy(os.Args[0], "taker")
	for name, to := range map[string]*string{"marks": &l.marks, "scratch": &l.scratch, "state": &l.state, "home": nil} {
		path := filepath.Join(l.dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if to != nil {
			*to = path
		}
	}
	return l
}

func (l *lab) copy(from, name string) string {
	l.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		l.Fatal(err)
	}
	to := filepath.Join(l.dir, name)
	if err := os.WriteFile(to, b, 0o755); err != nil {
		l.Fatal(err)
	}
	return to
}

// as makes an ordinary user the one who launches.
func (l *lab) as(uid int) {
	l.Helper()
	l.uid = uid
	l.exe = l.copy(l.exe, "muster")
	for dir := l.dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			l.Fatal(err)
		}
	}
	for _, name := range []string{"", "marks", "scratch", "state", "home"} {
		if err := os.Chown(filepath.Join(l.dir, name), uid, uid); err != nil {
			l.Fatal(err)
		}
	}
}

// inGroup makes a memory group of that many bytes the place where everything runs.
func (l *lab) inGroup(bytes int64) {
	l.Helper()
	if os.Getuid() != 0 {
		l.Skip("only root can make a memory cgroup")
	}
	name := fmt.Sprintf("muster-admit-%d-%d", os.Getpid(), time.Now().UnixNano())
	file := ""
	switch {
	case exists("/sys/fs/cgroup/memory/memory.limit_in_bytes"):
		l.group, file = "/sys/fs/cgroup/memory/"+name, "memory.limit_in_bytes"
	case controls("/sys/fs/cgroup/cgroup.subtree_control", "memory"):
		l.group, file = "/sys/fs/cgroup/"+name, "memory.max"
	default:
		l.Skip("there is no memory cgroup here")
	}
	if err := os.Mkdir(l.group, 0o755); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		l.Helper()
		for _, pid := range l.inside() { // only of a test that failed
			l.Errorf("process %s was left in the group", pid)
			if n, err := strconv.Atoi(pid); err == nil {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
		l.until("the group is empty", func() bool { return len(l.inside()) == 0 })
		if err := os.Remove(l.group); err != nil {
			l.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(l.group, file), []byte(strconv.FormatInt(bytes, 10)), 0o644); err != nil {
		l.Fatal(err)
	}
}

// inside are the processes in the group.
func (l *lab) inside() []string {
	b, err := os.ReadFile(filepath.Join(l.group, "cgroup.procs"))
	if err != nil {
		l.Error(err)
	}
	return strings.Fields(string(b))
}

// killed is how often the kernel has ended something in the group for want of memory.
func (l *lab) killed() string {
	for _, name := range []string{"memory.oom_control", "memory.events"} {
		b, err := os.ReadFile(filepath.Join(l.group, name))
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); err == nil && len(f) == 2 && f[0] == "oom_kill" {
				return f[1]
			}
		}
	}
	l.Error("the group does not say what was killed")
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func controls(path, controller string) bool {
	b, err := os.ReadFile(path)
	return err == nil && slices.Contains(strings.Fields(string(b)), controller)
}

// command is one that enters the group and the limits first.
func (l *lab) command(takes int, argv ...string) *exec.Cmd {
	if l.group != "" {
		argv = append([]string{"sh", "-c", `echo $$ >"$0"/cgroup.procs && exec "$@"`, l.group}, argv...)
	}
	argv = append(l.limits, argv...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = l.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + filepath.Join(l.dir, "home"),
		"MUSTER_STATE=" + l.state, "MUSTER_SCRATCH=" + l.scratch,
		"ADMIT_MARKS=" + l.marks, "ADMIT_TAKES=" + strconv.Itoa(takes)}
	if l.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(l.uid), Gid: uint32(l.uid)}}
	}
	return cmd
}

// launch runs muster launch to its end.
func (l *lab) launch(takes int, args ...string) (code int, stdout, stderr string) {
	l.Helper()
	cmd := l.command(takes, append([]string{l.exe, "launch", "--guest", "native", "--engine", "local"}, args...)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		l.Fatal(err)
	}
	hung := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer hung.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.Fatal(err)
	}
	l.Logf("muster launch %s: %v\n%s%s", strings.Join(args, " "), cmd.ProcessState, out.String(), errs.String())
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func (l *lab) until(what string, is func() bool) {
	l.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			l.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// taken is how many programs have ever come to take their memory.
func (l *lab) taken() int {
	l.Helper()
	names, err := os.ReadDir(l.marks)
	if err != nil {
		l.Fatal(err)
	}
	return len(names)
}

// refused checks that a launch was refused with these words, in one error, and that nothing is left.
func (l *lab) refused(code int, stderr string, words ...string) {
	l.Helper()
	if code != 3 {
		l.Errorf("it ended with %d, not 3", code)
	}
	if n := strings.Count("\n"+stderr, "\nerror:"); n != 1 {
		l.Errorf("it said %d errors, not one", n)
	}
	for _, w := range words {
		if !strings.Contains(stderr, w) {
			l.Errorf("it did not say %q", w)
		}
	}
	l.nothingLeft()
}

// nothingLeft checks that no process is in the group and no file in the scratch folder.
func (l *lab) nothingLeft() {
	l.Helper()
	if l.group != "" {
		l.until("the group is empty", func() bool { return len(l.inside()) == 0 })
	}
	err := filepath.WalkDir(l.scratch, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			l.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		l.Error(err)
	}
}

const mib = 1 << 20

// TestRefusedBeforeAnything: not even the smallest programs would fit, so none is started.
func TestRefusedBeforeAnything(t *testing.T) {
	l := newLab(t)
	l.inGroup(512 * mib)
	code, _, stderr := l.launch(1, "-n", "16384", "--hold", "1s", "--", l.taker)
	l.refused(code, stderr, "16,384 programs × ", "(memory cgroup /muster-admit-", ": 512 MiB", "--waves starts them in ")
	if n := l.taken(); n > 0 {
		t.Errorf("%d were started", n)
	}
}

// TestRefusedWhenMeasured: what programs take is found out with the first few.
func TestRefusedWhenMeasured(t *testing.T) {
	l := newLab(t)
	l.inGroup(768 * mib)
	const programs = 300
	code, _, stderr := l.launch(8, "-n", strconv.Itoa(programs), "--ready", "file:ready", "--hold", "1s", "--", l.taker)
	l.refused(code, stderr, "300 programs × ", " (measured over ", "(memory cgroup /muster-admit-", ": 768 MiB", " fit at once; --waves starts them in ")
	if n := l.taken(); n == 0 || n > 96 { // 768 MiB hold no more
		t.Errorf("%d were started", n)
	}
	if k := l.killed(); k != "0" {
		t.Errorf("the kernel has killed %s for memory", k)
	}
}

// TestWavesInACgroup: all of them run, and never too many at a time.
func TestWavesInACgroup(t *testing.T) {
	l := newLab(t)
	l.inGroup(768 * mib)
	const programs = 120
	code, _, _ := l.launch(8, "-n", strconv.Itoa(programs), "--waves", "--ready", "file:ready", "--hold", "100ms", "--", l.taker)
	if code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if n := l.taken(); n != programs {
		t.Errorf("%d were started", n)
	}
	if k := l.killed(); k != "0" {
		t.Errorf("the kernel has killed %s for memory", k)
	}
	l.nothingLeft()
}

// TestFloorHolds: somebody else takes much of the memory while programs come up. No more
// are started, it is said, and nobody is killed.
func TestFloorHolds(t *testing.T) {
	l := newLab(t)
	l.inGroup(2600 * mib)
	const programs, before = 300, 80 // of three to five MiB: without the other one they would fit
	other := l.command(880, l.taker)
	other.Dir = l.dir
	meanwhile := make(chan error, 1)
	go func() {
		meanwhile <- func() error {
			for l.taken() < before {
				time.Sleep(time.Millisecond)
				if l.Context().Err() != nil {
					return l.Context().Err()
				}
			}
			// The agent stands still until the other one has its memory.
			agent, err := l.agent()
			if err != nil {
				return err
			}
			if err := syscall.Kill(agent, syscall.SIGSTOP); err != nil {
				return err
			}
			if err := other.Start(); err != nil {
				return err
			}
			l.until("the other one has its memory", func() bool { return exists(filepath.Join(l.dir, "ready")) })
			return syscall.Kill(agent, syscall.SIGCONT)
		}()
	}()
	code, _, stderr := l.launch(1, "-n", strconv.Itoa(programs), "--in-flight", "1", "--floor", "900M", "--workdir", "private", "--hold", "1s", "--", l.taker)
	if err := <-meanwhile; err != nil {
		t.Fatal(err)
	}
	if code != 3 || !strings.Contains(stderr, "memory stays at its floor: ") || !strings.Contains(stderr, "(memory cgroup /muster-admit-") {
		t.Errorf("it ended with %d", code)
	}
	if n := l.taken(); n < before || n > programs {
		t.Errorf("%d have taken memory, the other one among them", n)
	}
	if k := l.killed(); k != "0" {
		t.Errorf("the kernel has killed %s for memory", k)
	}
	if err := other.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = other.Wait() // killed
}

// agent is the launch's agent.
func (l *lab) agent() (int, error) {
	for _, pid := range l.inside() {
		b, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err == nil && strings.HasPrefix(string(b), l.exe+"\x00agent\x00") && strings.Contains(string(b), "\x00--scratch-dir\x00") {
			return strconv.Atoi(pid)
		}
	}
	return 0, errors.New("there is no agent in the group")
}

// TestRefusedForProcesses: an ordinary user may have so many processes, and that is met
// in the arithmetic and not in the middle of the launch.
func TestRefusedForProcesses(t *testing.T) {
	l := newLab(t)
	if os.Getuid() == 0 {
		l.as(64217) // nobody's number
	}
	l.limits = []string{"prlimit", "--nproc=600"}
	const programs = 2000
	code, _, stderr := l.launch(1, "-n", strconv.Itoa(programs), "--hold", "1s", "--", l.taker)
	l.refused(code, stderr, "2,000 programs × 1 process or thread = 2,000 processes and threads", "(RLIMIT_NPROC of user ", ": 600, ")
	if n := l.taken(); n > 0 {
		t.Errorf("%d were started", n)
	}
}

// TestRefusedForThreads: programs are counted with their threads, as soon as some are up.
func TestRefusedForThreads(t *testing.T) {
	l := newLab(t)
	if os.Getuid() == 0 {
		l.as(64217)
	}
	l.limits = []string{"prlimit", "--nproc=600"}
	const programs = 400 // of four threads and more, as Go has them
	code, _, stderr := l.launch(1, "-n", strconv.Itoa(programs), "--ready", "file:ready", "--hold", "1s", "--", l.taker)
	l.refused(code, stderr, "400 programs × ", " processes and threads = ", "(RLIMIT_NPROC of user ", " fit at once")
	if n := l.taken(); n == 0 || n > 130 {
		t.Errorf("%d were started", n)
	}
}

// TestDryRunShowsTheArithmetic: and starts nothing.
func TestDryRunShowsTheArithmetic(t *testing.T) {
	l := newLab(t)
	code, stdout, _ := l.launch(1, "-n", "4", "--dry-run", "--hold", "1s", "--", l.taker)
	if code != 0 {
		t.Errorf("it ended with %d", code)
	}
	for _, w := range []string{"memory ", "4 programs × ", "kernel."} {
		if !strings.Contains(stdout, w) {
			t.Errorf("it did not show %q", w)
		}
	}
	if n := l.taken(); n > 0 {
		t.Errorf("%d were started", n)
	}
	l.nothingLeft()
}
