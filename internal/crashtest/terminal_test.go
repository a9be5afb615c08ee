package crashtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/job"
)

// A closed terminal does not end a run.
func TestClosedTerminal(t *testing.T) {
	l := newLab(t)
	want := l.inputs(repeat("meek\n", 4)...)
	ours, theirs := openTerminal(t)
	cmd := &exec.Cmd{
		Path: l.exe, Args: append([]string{l.exe}, l.mapping("gated.sh", "--lanes", "2")...),
		Stdin: theirs, Stdout: theirs, Stderr: theirs,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true},
	}
	m := l.startWith(cmd)
	theirs.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, ours) // until it is closed
	}()
	l.begun(2)
	ours.Close()
	<-read
	m.wait()
	if sig := m.cmd.ProcessState.Sys().(syscall.WaitStatus); sig.Signaled() {
		t.Errorf("the command did not take its leave: %v", m.cmd.ProcessState)
	}
	if n := len(l.find(inner)); n != 1 {
		t.Fatalf("%d agents go on", n)
	}
	l.write(l.quick, "")
	if v := l.start("wait", "last", "--json").judged(); v.State != string(job.Completed) {
		t.Errorf("the run is %+v", v)
	}
	l.gone(everything, settleLimit, nil)
	l.checkOutputs(want)
	l.checkHistory(l.last(), 4, 0)
	if n := len(l.executions()); n != 4 {
		t.Errorf("%d executions of 4 tasks", n)
	}
}

// openTerminal makes a terminal: what a person's program shows it on, and what
// muster takes for a keyboard and a screen.
func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	// Fd has made it blocking; a read must end when it is closed.
	if err := unix.SetNonblock(int(ours.Fd()), true); err != nil {
		t.Fatal(err)
	}
	if theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}
