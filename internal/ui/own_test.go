package ui

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// What a command does with the terminal that is its own can be tried only in a
// process that has one: the test's binary runs itself as such a command.

const ownEnv = "MUSTER_UI_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(ownEnv) != "" {
		ownTerminal()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// ownTerminal is the command: it tells each key above a display, stops on s as
// on Ctrl-Z, and ends on q.
func ownTerminal() {
	p := New(Options{Stdout: os.Stdout, Stderr: os.Stderr, Getenv: utf8Terminal})
	pr := p.Progress(ProgressAuto)
	pr.Update(halfWay())
	ctx, cancel := context.WithCancel(context.Background())
	err := Keys(ctx, os.Stdin, func(key byte) {
		switch key {
		case 's':
			if err := pr.Stop(); err != nil {
				pr.Note(err.Error())
			}
			pr.Note("continued")
		case 'q':
			cancel()
		default:
			pr.Note(fmt.Sprintf("key %q", key))
		}
	})
	pr.Close()
	p.Out.Printf("Keys: %v\n", err)
}

func runOwn(t *testing.T, term *terminal) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), ownEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.slave, term.slave, term.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := term.master.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) mode() uint32 {
	term.t.Helper()
	tio, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return tio.Lflag
}

func TestKeys(t *testing.T) {
	term := newTerminal(t, 80, 24)
	before := term.mode()
	cmd := runOwn(t, term)
	term.awaitText("run 12")
	term.await("single keys", func([]string) bool { return term.mode()&unix.ICANON == 0 })
	term.press("a\n")
	term.awaitText(`key '\n'`)
	term.press("q")
	lines := term.awaitText("Keys: <nil>")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if want := "key 'a'|key '\\n'|Keys: <nil>"; strings.Join(lines, "|") != want {
		t.Errorf("the terminal shows %q, want %q", lines, want)
	}
	if term.mode() != before {
		t.Errorf("the terminal's mode is %x, and was %x", term.mode(), before)
	}
}

func TestStopLeavesTheScreenToTheShell(t *testing.T) {
	term := newTerminal(t, 80, 24)
	before, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	cmd := runOwn(t, term)
	term.awaitText("run 12")
	term.await("single keys", func([]string) bool { return term.mode()&unix.ICANON == 0 })
	term.press("s")
	var status unix.WaitStatus
	if _, err := unix.Wait4(cmd.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the command did not stop: %v, %v", status, err)
	}
	term.await("an empty screen", func(lines []string) bool { return len(lines) == 0 })
	// As a shell does between stop and continue.
	if err := unix.IoctlSetTermios(int(term.slave.Fd()), unix.TCSETS, before); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	term.awaitText("continued")
	term.await("single keys again", func([]string) bool { return term.mode()&unix.ICANON == 0 })
	term.awaitText("run 12")
	term.press("q")
	term.awaitText("Keys: <nil>")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestNoKeyboard(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// A terminal, but not this process's own: its mode must be left alone.
	term := newTerminal(t, 80, 24)
	before := term.mode()
	if err := Keys(ctx, term.slave, func(byte) {}); err != ErrNoKeyboard {
		t.Errorf("Keys on a foreign terminal: %v, want ErrNoKeyboard", err)
	}
	if term.mode() != before {
		t.Error("the foreign terminal's mode was changed")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := Keys(ctx, null, func(byte) {}); err != ErrNoKeyboard {
		t.Errorf("Keys on /dev/null: %v, want ErrNoKeyboard", err)
	}
}
