package proc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

const limit = 20 * time.Second

// TestMain lets the test binary stand in for PID 1 of a namespace.
func TestMain(m *testing.M) {
	if os.Getenv("PROC_TEST_INIT") != "" {
		os.Exit(pid1())
	}
	if os.Getenv("PROC_TEST_FIRST_THREAD") != "" {
		withoutFirstThread()
	}
	goleak.VerifyTestMain(m)
}

func all(proc.Info) bool { return true }

func sh(script string, env ...string) proc.Cmd {
	return proc.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: append(env, "PATH=/usr/bin:/bin")}
}

func start(t *testing.T, table *proc.Table, c proc.Cmd) *proc.Child {
	t.Helper()
	child, err := table.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	return child
}

func wait(t *testing.T, c *proc.Child) job.Exit {
	t.Helper()
	ctx, done := context.WithTimeout(context.Background(), limit)
	defer done()
	e, err := c.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain: %s", limit, what)
		}
	}
}

func TestExits(t *testing.T) {
	table := proctest.Table(t)
	for _, tc := range []struct {
		script string
		want   job.Exit
	}{
		{"exit 0", job.Exit{}},
		{"exit 7", job.Exit{Code: 7, Cause: job.CauseExit}},
		{"exit 255", job.Exit{Code: 255, Cause: job.CauseExit}},
		{"kill -TERM $$", job.Exit{Signal: 15, Cause: job.CauseSignal}},
		{"kill -SEGV $$", job.Exit{Signal: 11, Cause: job.CauseSignal}},
	} {
		e := wait(t, start(t, table, sh(tc.script)))
		if e.Code != tc.want.Code || e.Signal != tc.want.Signal || e.Cause != tc.want.Cause {
			t.Errorf("%q ended with %+v, want %+v", tc.script, e, tc.want)
		}
		if e.MaxRSS <= 0 {
			t.Errorf("%q used no memory", tc.script)
		}
	}
}

func TestStartErrors(t *testing.T) {
	table := proctest.Table(t)
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		cmd  proc.Cmd
		is   error
		says string
	}{
		{proc.Cmd{Path: "/no/such", Args: []string{"x"}}, syscall.ENOENT, "/no/such"},
		{proc.Cmd{Path: script, Args: []string{"x"}}, syscall.ENOENT, "interpreter"},
		{proc.Cmd{Path: plain, Args: []string{"x"}}, syscall.EACCES, plain},
		{proc.Cmd{Path: "/bin/true", Args: []string{"x"}, Dir: "/no/folder"}, os.ErrNotExist, "working folder"},
	} {
		_, err := table.Start(tc.cmd)
		if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", tc.cmd.Path, err)
		}
	}
}

// Every exit reaches its own waiter, however fast programs end and however many
// are started side by side.
func TestManyAtOnce(t *testing.T) {
	table := proctest.Table(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 50 {
				want := (w*50 + n) % 256
				c, err := table.Start(sh("exit " + strconv.Itoa(want)))
				if err != nil {
					t.Error(err)
					return
				}
				if e, err := c.Wait(context.Background()); err != nil || e.Code != want {
					t.Errorf("got %v, %v, want code %d", e, err, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestWaitGivenUp(t *testing.T) {
	table := proctest.Table(t)
	c := start(t, table, sh("exec sleep 1000"))
	ctx, done := context.WithTimeout(context.Background(), time.Millisecond)
	defer done()
	if _, err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if e := wait(t, c); e.Signal != 9 {
		t.Errorf("%v", e)
	}
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Errorf("a signal to what has ended: %v", err)
	}
}

// A daemon that keeps the streams open does not keep Run waiting.
func TestRunWithDaemon(t *testing.T) {
	table := proctest.Table(t)
	ctx, done := context.WithTimeout(context.Background(), limit)
	defer done()
	out, err := table.Run(ctx, sh("setsid sleep 1000 & echo out; echo err >&2; exit 3"))
	if err != nil || string(out.Stdout) != "out\n" || string(out.Stderr) != "err\n" || out.Exit.Code != 3 {
		t.Errorf("%q %q %v %v", out.Stdout, out.Stderr, out.Exit, err)
	}
	if n, err := table.Kill(ctx, all); err != nil || n != 1 {
		t.Errorf("killed %d, %v; want the one daemon", n, err)
	}
}

func TestRunCancelled(t *testing.T) {
	table := proctest.Table(t)
	ctx, done := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer done()
	if _, err := table.Run(ctx, sh("sleep 1000")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	eventually(t, "its processes are gone", func() bool {
		left, err := table.Descendants()
		return err == nil && len(left) == 0
	})
}

// Strays are found by their mark whatever they did: own session, double fork.
func TestStraysAndMarks(t *testing.T) {
	table := proctest.Table(t)
	started := filepath.Join(t.TempDir(), "started")
	c := start(t, table, sh(`(setsid sh -c 'sh -c ": > '$0'; exec sleep 1000" &' &)`, "MARK=a"))
	_ = c
	c2 := start(t, table, proc.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", `(setsid sh -c ': > "$0"; exec sleep 1000' "$0" &) &`, started}, Env: []string{"MARK=b", "PATH=/usr/bin:/bin"}})
	wait(t, c)
	wait(t, c2)
	eventually(t, "the daemon runs", func() bool { _, err := os.Stat(started); return err == nil })
	// It is ours once the last of those between has ended.
	eventually(t, "one stray has the mark", func() bool {
		strays, err := table.Strays()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, s := range strays {
			if slices.Contains(s.Env(), "MARK=b") {
				n++
			}
		}
		return n == 1
	})
	if n, err := table.Kill(context.Background(), table.Marked("MARK=b")); err != nil || n != 1 {
		t.Errorf("killed %d, %v", n, err)
	}
	if _, err := table.Kill(context.Background(), table.Marked("MARK=a")); err != nil {
		t.Error(err)
	}
}

// A stray's marks are read even in the middle of an execve, when /proc shows none.
func TestEnvWhileExecuting(t *testing.T) {
	table := proctest.Table(t)
	c := start(t, table, sh(`(setsid sh -c 'while :; do exec sh -c "$0" "$0"; done' 'exec sh -c "$0" "$0"' >/dev/null 2>&1 &)`, "MARK=x"))
	wait(t, c)
	var stray proc.Info
	eventually(t, "the orphan is here", func() bool {
		strays, err := table.Strays()
		if err != nil || len(strays) != 1 {
			return false
		}
		stray = strays[0]
		return true
	})
	for n := range 20_000 {
		if env := stray.Env(); !slices.Contains(env, "MARK=x") {
			t.Fatalf("reading %d: no mark in %q", n, env)
		}
	}
	if n, err := table.Kill(context.Background(), table.Marked("MARK=x")); err != nil || n != 1 {
		t.Errorf("killed %d, %v", n, err)
	}
}

// A fixed layout is the child's and its children's alone, however many start at once.
func TestFixedLayout(t *testing.T) {
	if !proc.CanFixLayout() {
		t.Fatal("personality(2) is forbidden here")
	}
	table := proctest.Table(t)
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			cmd := sh("sh -c 'cat /proc/self/personality'")
			cmd.FixedLayout = n%2 == 0
			if n%4 < 2 {
				cmd.CPUs = []int{0}
			}
			out, err := table.Run(context.Background(), cmd)
			if err != nil {
				t.Error(err)
			}
			if got := strings.TrimSpace(string(out.Stdout)); (got == "00040000") != cmd.FixedLayout {
				t.Errorf("FixedLayout %v: personality %s", cmd.FixedLayout, got)
			}
		})
	}
	wg.Wait()
}

// A child that is being started is no stray, however busy the table is.
func TestStartingIsNoStray(t *testing.T) {
	table := proctest.Table(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := table.Start(sh("exit 0"))
				if err != nil {
					t.Error(err)
					return
				}
				<-c.Done()
			}
		})
	}
	for range 300 {
		strays, err := table.Strays()
		if err != nil || len(strays) > 0 {
			t.Errorf("strays %v, %v", strays, err)
			break
		}
	}
	close(stop)
	wg.Wait()
}

// What forks faster than it is listed is caught all the same.
func TestKillForkers(t *testing.T) {
	table := proctest.Table(t)
	for range 3 {
		start(t, table, sh(`while :; do (setsid sleep 1000 &) ; sleep 0.002; done`, "MARK=bomb"))
	}
	time.Sleep(50 * time.Millisecond)
	ctx, done := context.WithTimeout(context.Background(), limit)
	defer done()
	n, err := table.Kill(ctx, table.Marked("MARK=bomb"))
	if err != nil || n < 3 {
		t.Errorf("killed %d, %v", n, err)
	}
	left, err := table.Descendants()
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestSignalProcessSparesOthers(t *testing.T) {
	table := proctest.Table(t)
	c := start(t, table, sh("exec sleep 1000"))
	// As if the number had been given to a process that began at another time.
	if err := proc.SignalProcess(proc.Info{PID: c.PID(), Started: 1}, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	select {
	case <-c.Done():
		t.Error("a process was killed for another's number")
	case <-time.After(50 * time.Millisecond):
	}
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	wait(t, c)
}

func TestSuspendTree(t *testing.T) {
	table := proctest.Table(t)
	c := start(t, table, sh("sleep 1000 & sleep 1000 & wait"))
	below := func(want byte) bool {
		tree, err := table.Descendants()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, i := range tree {
			if (i.State == 'T') == (want == 'T') {
				n++
			}
		}
		return n == 3 && len(tree) == 3
	}
	eventually(t, "all run", func() bool { return below('S') })
	if err := table.SignalAll(table.Below(c.PID()), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are stopped", func() bool { return below('T') })
	if err := table.SignalAll(table.Below(c.PID()), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all run again", func() bool { return below('S') })
	if n, err := table.Kill(context.Background(), table.Below(c.PID())); err != nil || n != 3 {
		t.Errorf("killed %d, %v", n, err)
	}
}

func TestPinnedAndLimited(t *testing.T) {
	table := proctest.Table(t)
	c := sh("taskset -cp $$ | sed 's/.*: //'; ulimit -n")
	c.CPUs = []int{0}
	c.Limits = []proc.Limit{{Resource: unix.RLIMIT_NOFILE, Value: 77}}
	out, err := table.Run(context.Background(), c)
	if err != nil || !strings.HasPrefix(string(out.Stdout), "0\n") {
		t.Errorf("%q %q %v", out.Stdout, out.Stderr, err)
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	if n, err := table.Run(context.Background(), sh("nproc")); err != nil || strings.TrimSpace(string(n.Stdout)) != strconv.Itoa(set.Count()) {
		t.Errorf("a pinned start has pinned this process: %q %v", n.Stdout, err)
	}
}

// pid1 is what the test binary does as PID 1: it starts a daemon, says that it
// is there, and waits for its own death.
func pid1() int {
	if len(os.Args) < 2 {
		if err := proc.MountProc([]string{os.Args[0], "mounted"}); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	if os.Getpid() != 1 {
		fmt.Println("not PID 1 but", os.Getpid())
		return 1
	}
	table, err := proc.NewTable()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if os.Getenv("PROC_TEST_INIT") == "kill all" {
		return killEverything(table)
	}
	out, err := table.Run(context.Background(), sh(`(setsid sleep 1000 &); grep CapEff /proc/self/status; id -u; ls -d /proc/[0-9]* | wc -l`))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Printf("%s%s", out.Stdout, out.Stderr)
	fmt.Println("ready")
	select {}
}

// killEverything starts what forks all the time and ends it.
func killEverything(table *proc.Table) int {
	for range 3 {
		if _, err := table.Start(sh(`while :; do (setsid sleep 1000 &) ; sleep 0.002; done`)); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	for below := 0; below < 20; {
		all, err := table.Descendants()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		below = len(all)
	}
	ctx, done := context.WithTimeout(context.Background(), limit)
	defer done()
	if _, err := table.KillAll(ctx, true); err != nil {
		fmt.Println(err)
	}
	left, err := table.Descendants()
	fmt.Println("left:", len(left), err)
	return 0
}

func TestKillAllInANamespace(t *testing.T) {
	table := proctest.Table(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, done := context.WithTimeout(context.Background(), 2*limit)
	defer done()
	out, err := table.Run(ctx, proc.Cmd{
		Path: exe, Args: []string{exe}, Env: []string{"PROC_TEST_INIT=kill all", "PATH=/usr/bin:/bin"},
		Isolate: proc.Isolate{PID: true},
	})
	if got := string(out.Stdout); err != nil || got != "left: 0 <nil>\n" {
		t.Errorf("%v, %s%s", err, got, out.Stderr)
	}
}

// The death of PID 1, of whatever kind, ends everything in its namespace.
func TestNamespaceEndsWithPID1(t *testing.T) {
	table := proctest.Table(t)
	out, err := proc.Memfile("out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, table, proc.Cmd{
		Path: exe, Args: []string{exe}, Env: []string{"PROC_TEST_INIT=1", "PATH=/usr/bin:/bin"},
		Stdout: out, Stderr: out, Isolate: proc.Isolate{PID: true},
	})
	text := func() string {
		b := make([]byte, 4096)
		n, _ := out.ReadAt(b, 0)
		return string(b[:n])
	}
	eventually(t, "PID 1 is ready", func() bool {
		select {
		case <-c.Done():
			t.Fatalf("PID 1 ended: %s", text())
		default:
		}
		return strings.HasSuffix(text(), "ready\n")
	})
	lines := strings.Split(text(), "\n")
	if os.Geteuid() != 0 && !strings.HasSuffix(lines[0], "0000000000000000") {
		t.Errorf("programs run with capabilities that the user has not: %s", lines[0])
	}
	if lines[1] != strconv.Itoa(os.Geteuid()) {
		t.Errorf("programs run as user %s", lines[1])
	}
	before, err := table.Descendants()
	if err != nil || len(before) < 2 {
		t.Fatalf("below us: %v, %v; want PID 1 and its daemon", before, err)
	}
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	eventually(t, "nothing is left", func() bool {
		left, err := table.Descendants()
		return err == nil && len(left) == 0
	})
}

// What this process was given beyond its streams goes to no child.
func TestDescriptorsStayHere(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	// As if it had been inherited.
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	table := proctest.Table(t)
	out, err := table.Run(context.Background(), sh("cd /proc/self/fd && echo *"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range strings.Fields(string(out.Stdout)) {
		if fd == strconv.Itoa(int(w.Fd())) {
			t.Errorf("a child has descriptor %s: %s", fd, out.Stdout)
		}
	}
}
