package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"muster/internal/guest/vm/wire"
)

// TestEnds: programs end in the guest as they do natively.
func TestEnds(t *testing.T) {
	g := newGuest(t)
	for _, c := range []struct {
		name   string
		cmd    wire.Command
		in     string
		code   int
		signal int
		out    string
		err    string
	}{
		{name: "well", cmd: sh("exit 0")},
		{name: "code", cmd: sh("exit 3"), code: 3},
		{name: "highest code", cmd: sh("exit 255"), code: 255},
		{name: "signal", cmd: sh("kill -SEGV $$"), signal: int(syscall.SIGSEGV)},
		{name: "both streams", cmd: sh("echo out; echo err >&2; exit 1"), out: "out\n", err: "err\n", code: 1},
		{name: "without a last newline", cmd: sh("printf 'a\\000b'"), out: "a\x00b"},
		{name: "input", cmd: sh("tr a-z A-Z"), in: "some words", out: "SOME WORDS"},
		{name: "input that is not wanted", cmd: sh("exit 4"), in: strings.Repeat("x", 3<<20), code: 4},
		{name: "input that is wanted in part", cmd: sh("head -c 3"), in: strings.Repeat("x", 3<<20), out: "xxx"},
		{name: "no input", cmd: sh("cat; echo end"), out: "end\n"},
		{name: "arguments", cmd: sh(`printf '%s|' "$@"`, "", "a b", "ä", "\xff\xfe", "*", "$x", "-n", "new\nline"), out: "|a b|ä|\xff\xfe|*|$x|-n|new\nline|"},
		{name: "many arguments", cmd: sh(`echo $#`, strings.Fields(strings.Repeat("argument ", 60_000))...), out: "60000\n"},
		{name: "environment", cmd: wire.Command{Path: "/usr/bin/env", Env: []string{"A=b c", "ODD=\xff"}}, out: "A=b c\nODD=\xff\n"},
		{name: "folder", cmd: wire.Command{Path: "/bin/pwd", Dir: "/usr"}, out: "/usr\n"},
		{name: "root folder", cmd: wire.Command{Path: "/bin/pwd"}, out: "/\n"},
		{name: "its own session", cmd: sh(`cut -d' ' -f1,5,6 /proc/$$/stat | tr ' ' '\n' | uniq | wc -l`), out: "1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := g.run(t, c.cmd, c.in)
			if got.Code != c.code || got.Signal != c.signal || got.out != c.out || got.err != c.err {
				t.Errorf("got %d:%d %.100q %.100q, want %d:%d %.100q %.100q", got.Code, got.Signal, got.out, got.err, c.code, c.signal, c.out, c.err)
			}
		})
	}
}

// TestUsage: what the program took is told.
func TestUsage(t *testing.T) {
	got := newGuest(t).run(t, sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"), "")
	if got.User <= 0 || got.MaxRSS < 100<<10 {
		t.Errorf("got %v of CPU time and %d bytes", got.User, got.MaxRSS)
	}
}

// TestCannotStart: why a program does not start is told so that errors.Is knows it.
func TestCannotStart(t *testing.T) {
	g := newGuest(t)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cmd  wire.Command
		want error
	}{
		{"missing", wire.Command{Path: "/no/such/program"}, fs.ErrNotExist},
		{"not executable", wire.Command{Path: plain}, fs.ErrPermission},
		{"a folder", wire.Command{Path: "/usr"}, fs.ErrPermission},
		{"missing folder", wire.Command{Path: "/bin/true", Dir: "/no/such/folder"}, fs.ErrNotExist},
		{"no folder", wire.Command{Path: "/bin/true", Dir: "/bin/true"}, syscall.ENOTDIR},
		{"too long", wire.Command{Path: "/bin/true", Args: []string{strings.Repeat("x", wire.MaxMessage)}}, syscall.E2BIG},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := streams(t, "input")
			p, err := g.Start(t.Context(), c.cmd, s, func() { t.Error("its end was told") })
			if p != nil || !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestWholeOutput: much output of many programs at once arrives whole and in order.
func TestWholeOutput(t *testing.T) {
	g := newGuest(t)
	const script = `i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo "$1 out $i"; [ $((i % 10)) != 0 ] || echo "$1 err $i" >&2; done`
	for n := range 6 {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			got := g.run(t, sh(script, strconv.Itoa(n)), "")
			var out, errs strings.Builder
			for i := 1; i <= 20000; i++ {
				out.WriteString(strconv.Itoa(n) + " out " + strconv.Itoa(i) + "\n")
				if i%10 == 0 {
					errs.WriteString(strconv.Itoa(n) + " err " + strconv.Itoa(i) + "\n")
				}
			}
			if got.out != out.String() || got.err != errs.String() {
				t.Errorf("%d and %d bytes arrived, want %d and %d, the same", len(got.out), len(got.err), out.Len(), errs.Len())
			}
		})
	}
}

// TestMerged: with one file for both streams the order between them is kept.
func TestMerged(t *testing.T) {
	g := newGuest(t)
	s, names := streams(t, "")
	s.Err = s.Out
	p, err := g.Start(t.Context(), sh("for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done"), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, names[0]); got != "o1\ne1\no2\ne2\no3\ne3\no4\ne4\no5\ne5\n" {
		t.Errorf("got %q", got)
	}
}

// TestToldOnce: the end is told once, when all output is there.
func TestToldOnce(t *testing.T) {
	g := newGuest(t)
	s, names := streams(t, "")
	var times atomic.Int32
	told := make(chan int, 1)
	p, err := g.Start(t.Context(), sh("head -c 300000 /dev/zero"), s, func() {
		times.Add(1)
		st, err := os.Stat(names[0])
		if err != nil {
			t.Error(err)
		}
		told <- int(st.Size())
	})
	if err != nil {
		t.Fatal(err)
	}
	if size := <-told; size != 300000 {
		t.Errorf("%d bytes were there when the end was told", size)
	}
	if _, err := p.Wait(t.Context()); err != nil || times.Load() != 1 {
		t.Errorf("%v, told %d times", err, times.Load())
	}
}

// TestSignals: who is reached by which.
func TestSignals(t *testing.T) {
	g := newGuest(t)
	for _, c := range []struct {
		name string
		sig  syscall.Signal
		run  string // it creates the file $1 when it is ready
		code int
		kill int
	}{
		{"terminate", syscall.SIGTERM, `sleep 1000 & : >$1; wait`, 0, int(syscall.SIGTERM)},
		{"terminate, heard", syscall.SIGTERM, `trap 'exit 7' TERM; sleep 1000 & : >$1; wait`, 7, 0},
		{"terminate reaches the group", syscall.SIGTERM, `trap : TERM; sh -c ': >$1; sleep 1000' sh $1; exit 9`, 9, 0},
		{"kill", syscall.SIGKILL, `trap '' TERM INT; : >$1; while :; do sleep 1000; done`, 0, int(syscall.SIGKILL)},
	} {
		t.Run(c.name, func(t *testing.T) {
			ready := filepath.Join(t.TempDir(), "ready")
			s, _ := streams(t, "")
			p, err := g.Start(t.Context(), sh(c.run, ready), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			waitFor(t.Context(), t, "the program is ready", func() bool { _, err := os.Stat(ready); return err == nil })
			if err := p.Signal(t.Context(), c.sig); err != nil {
				t.Fatal(err)
			}
			e, err := p.Wait(t.Context())
			if err != nil || e.Code != c.code || e.Signal != c.kill {
				t.Errorf("got %+v, %v, want %d:%d", e, err, c.code, c.kill)
			}
			if err := p.Signal(t.Context(), c.sig); err != nil {
				t.Errorf("after its end: %v", err)
			}
		})
	}
}

// TestStandsStill: a stopped program does nothing, and can be killed.
func TestStandsStill(t *testing.T) {
	g := newGuest(t)
	file := filepath.Join(t.TempDir(), "grows")
	s, _ := streams(t, "")
	p, err := g.Start(t.Context(), sh(`while :; do echo x >>$1; done`, file), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		st, err := os.Stat(file)
		if err != nil {
			return 0
		}
		return st.Size()
	}
	grows := func() {
		from := size()
		waitFor(t.Context(), t, "it writes", func() bool { return size() > from })
	}
	signal := func(sig syscall.Signal) {
		if err := p.Signal(t.Context(), sig); err != nil {
			t.Fatal(err)
		}
	}
	grows()
	signal(syscall.SIGSTOP)
	// Stopping takes a moment: it is still when much else was done meanwhile and nothing was written.
	last := int64(-1)
	waitFor(t.Context(), t, "it stands still", func() bool {
		now := size()
		still := now == last
		last = now
		for range 3 {
			g.run(t, sh("exit 0"), "")
		}
		return still && size() == now
	})
	signal(syscall.SIGCONT)
	grows()
	signal(syscall.SIGSTOP)
	signal(syscall.SIGKILL)
	if e, err := p.Wait(t.Context()); err != nil || e.Signal != int(syscall.SIGKILL) {
		t.Errorf("got %+v, %v", e, err)
	}
}

// TestLeavesNothing: what a program leaves running ends with it, and holds nobody up.
func TestLeavesNothing(t *testing.T) {
	g := newGuest(t)
	pids := filepath.Join(t.TempDir(), "pids")
	script := `sleep 1000 & echo $! >>$1; exec 3>&1; (trap '' TERM HUP; sh -c 'echo $$ >>$1; sleep 1000' sh $1 &) ; while [ $(wc -l <$1) -lt 2 ]; do :; done; echo done`
	if g.Hello().Cells {
		script = `setsid sh -c 'echo $$ >>$1; sleep 1000' sh $1 & ` + script
		script = strings.Replace(script, "-lt 2", "-lt 3", 1)
	}
	got := g.run(t, sh(script, pids), "")
	if got.Code != 0 || got.out != "done\n" {
		t.Errorf("got %+v", got)
	}
	for _, text := range strings.Fields(read(t, pids)) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t.Context(), t, "process "+text+" is gone", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	}
}

// TestFullDisk: output that cannot be kept is told of, and the program does not hang.
func TestFullDisk(t *testing.T) {
	g := newGuest(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here:", err)
	}
	defer full.Close()
	p, err := g.Start(t.Context(), sh("yes"), wire.Streams{Out: full}, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := p.Wait(t.Context())
	if !errors.Is(err, syscall.ENOSPC) || e.Signal != int(syscall.SIGPIPE) && e.Code == 0 {
		t.Errorf("got %+v, %v", e, err)
	}
}

// TestSlowReader: a program whose output nobody takes does not hold up the others.
func TestSlowReader(t *testing.T) {
	g := newGuest(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	slow, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	stuck, err := g.Start(t.Context(), sh("yes | head -c 8000000"), wire.Streams{Out: slow}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if got := g.run(t, sh("yes | head -c 3000000"), ""); len(got.out) != 3_000_000 {
			t.Errorf("%d bytes arrived", len(got.out))
		}
	}
	n := 0
	for buf := make([]byte, 1<<20); n < 8_000_000; {
		got, err := slow.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		n += got
	}
	if e, err := stuck.Wait(t.Context()); err != nil || e.Code != 0 {
		t.Errorf("got %+v, %v", e, err)
	}
}

// TestWaitAgain: waiting can be given up and repeated.
func TestWaitAgain(t *testing.T) {
	g := newGuest(t)
	s, _ := streams(t, "")
	p, err := g.Start(t.Context(), sh("sleep 1000"), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	given, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Wait(given); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := p.Signal(t.Context(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if e, err := p.Wait(t.Context()); err != nil || e.Signal != int(syscall.SIGKILL) {
			t.Errorf("got %+v, %v", e, err)
		}
	}
}

// TestGone: when the guest is killed everybody who waits hears of it.
func TestGone(t *testing.T) {
	ours, theirs := pair(t)
	g := &guest{dir: t.TempDir()}
	h := dialProcess(t, g, ours, theirs)
	s, names := streams(t, "")
	told := make(chan struct{})
	// It outlives the guest, which cannot be where there is a kernel of its own.
	p, err := h.Start(t.Context(), sh("parent=$PPID; echo up; while kill -0 $parent; do sleep 0.01; done"), s, func() { close(told) })
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t.Context(), t, "it knows its parent", func() bool { return read(t, names[0]) != "" })
	if err := g.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-h.Done()
	<-told
	if _, err := p.Wait(t.Context()); !errors.Is(err, wire.ErrGone) {
		t.Errorf("Wait: %v", err)
	}
	if _, err := h.Start(t.Context(), sh("exit 0"), wire.Streams{}, nil); !errors.Is(err, wire.ErrGone) {
		t.Errorf("Start: %v", err)
	}
	if !errors.Is(h.Err(), wire.ErrGone) {
		t.Errorf("Err: %v", h.Err())
	}
	<-g.exited
	h.Close()
	waitFor(t.Context(), t, "its control groups can be removed", func() bool {
		cells, err := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/*/muster.%d/*", g.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, cell := range cells {
			if st, err := os.Stat(cell); err == nil && st.IsDir() && syscall.Rmdir(cell) != nil {
				return false
			}
		}
		return true
	})
	if roots, _ := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/*/muster.%d", g.cmd.Process.Pid)); len(roots) > 0 {
		if err := syscall.Rmdir(roots[0]); err != nil {
			t.Error(err)
		}
	}
}
