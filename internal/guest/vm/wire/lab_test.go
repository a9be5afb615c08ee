package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"muster/internal/guest/vm/wire"
	"muster/internal/guest/vm/wire/inside"
)

// TestMain: the same binary is the guest, at the other end of a socket pair.
func TestMain(m *testing.M) {
	if os.Getenv("MUSTER_WIRE_GUEST") != "" {
		os.Exit(beGuest())
	}
	goleak.VerifyTestMain(m)
}

// beGuest serves the host on descriptor 3.
func beGuest() int {
	err := func() error {
		host := os.NewFile(3, "host")
		stream, err := net.FileConn(host)
		if err != nil {
			return err
		}
		host.Close() // programs would inherit it
		children, err := inside.NewChildren()
		if err != nil {
			return err
		}
		defer children.Close()
		return inside.Serve(stream, calm{settled: os.Getenv("MUSTER_WIRE_GUEST")}, children)
	}()
	// The host has gone, perhaps without having read all.
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		fmt.Fprintln(os.Stderr, "guest:", err)
		return 1
	}
	return 0
}

// calm is a system that changes nothing of this host's. What it is told it writes down below the folder settled.
type calm struct{ settled string }

func (calm) Hello() wire.Hello {
	return wire.Hello{Boot: "a boot\x1b[31m", Kernel: "a kernel", CPUs: runtime.NumCPU()}
}

func (c calm) Settle(s wire.Settings) error {
	return os.WriteFile(filepath.Join(c.settled, "settled"), []byte(s.Hostname+" "+s.Now.UTC().Format(time.RFC3339Nano)), 0o600)
}

func (c calm) Quit() error {
	return os.WriteFile(filepath.Join(c.settled, "quit"), nil, 0o600)
}

func (calm) Off() error { return nil }

// guest is a guest of a test's.
type guest struct {
	*wire.Host
	dir    string // private to it
	cmd    *exec.Cmd
	exited chan error
}

// newGuest starts a guest; it and its host are gone when the test has ended.
func newGuest(t testing.TB) *guest {
	t.Helper()
	ours, theirs := pair(t)
	g := &guest{dir: t.TempDir()}
	h := dialProcess(t, g, ours, theirs)
	t.Cleanup(func() {
		h.Close()
		if err := <-g.exited; err != nil {
			t.Errorf("the guest ended with %v", err)
		}
	})
	return g
}

// dialProcess starts a guest's process and greets it.
func dialProcess(t testing.TB, g *guest, ours net.Conn, theirs *os.File) *wire.Host {
	t.Helper()
	g.exited = make(chan error, 1)
	g.cmd = exec.Command(os.Args[0])
	g.cmd.Env = append(os.Environ(), "MUSTER_WIRE_GUEST="+g.dir)
	g.cmd.Stderr = os.Stderr
	g.cmd.ExtraFiles = []*os.File{theirs}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	go func() { g.exited <- g.cmd.Wait() }()
	h, err := wire.Dial(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	g.Host = h
	return h
}

// pair is a stream with two ends, one of them for another process.
func pair(t testing.TB) (net.Conn, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours := os.NewFile(uintptr(fds[0]), "ours")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	return conn, os.NewFile(uintptr(fds[1]), "theirs")
}

// result is what became of a program.
type result struct {
	wire.Exit
	out, err string
}

// run runs a program to its end.
func (g *guest) run(t testing.TB, c wire.Command, in string) result {
	t.Helper()
	s, files := streams(t, in)
	p, err := g.Start(t.Context(), c, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result{e, read(t, files[0]), read(t, files[1])}
}

// streams makes files for a program's streams; the names are those of output and errors.
func streams(t testing.TB, in string) (wire.Streams, [2]string) {
	t.Helper()
	dir := t.TempDir()
	create := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	s := wire.Streams{Out: create("out"), Err: create("err")}
	if in != "" {
		s.In = create("in")
		if _, err := s.In.WriteString(in); err != nil {
			t.Fatal(err)
		}
		if _, err := s.In.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
	}
	return s, [2]string{s.Out.Name(), s.Err.Name()}
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sh is a script as a command.
func sh(script string, args ...string) wire.Command {
	return wire.Command{Path: "/bin/sh", Args: append([]string{"-c", script, "sh"}, args...), Env: []string{"PATH=/usr/bin:/bin"}}
}

// waitFor waits until ok.
func waitFor(ctx context.Context, t testing.TB, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal("waiting in vain: " + what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
