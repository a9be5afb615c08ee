package ui

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/goldentest"
)

type hinted struct{ error }

func (hinted) Hint() string      { return "apt-get install wine" }
func (hinted) ErrorCode() string { return "wine-missing" }

func TestProblems(t *testing.T) {
	_, missing := os.Open("/no/such/list")
	notFound := exec.Command("sbatch-that-is-not-there").Err
	full := &os.PathError{Op: "write", Path: "/out/a.dat", Err: syscall.ENOSPC}
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"everything", &Problem{
			Message: "38 of 1024 instances could not start Wine", Code: "wine-server-exited",
			Fields: []Field{{"cause", "wineserver ended before it was ready (n017, n022)"}, {"log", `12_381 on n017: "cannot open shared memory"`}, {"retry", "muster resume 12 --failed"}},
			Try:    []string{"muster node n017"},
		}, `
error: 38 of 1024 instances could not start Wine  [wine-server-exited]
  cause  wineserver ended before it was ready (n017, n022)
  log    12_381 on n017: "cannot open shared memory"
  try    muster node n017
  retry  muster resume 12 --failed`},
		{"a message alone", errors.New("the lists differ in length"), `
error: the lists differ in length`},
		{"the system's words", fmt.Errorf("reading the task list: %w", missing), `
error: reading the task list: "/no/such/list" does not exist
  original  reading the task list: open /no/such/list: no such file or directory`},
		{"the system's words under ours", &Problem{Message: "the output a.dat could not be written", Err: full}, `
error: the output a.dat could not be written
  cause     "/out/a.dat": there is no space left on the disk
  original  write /out/a.dat: no space left on device`},
		{"a wrapped problem", fmt.Errorf("run 12: %w", &Problem{Message: "no such task", Try: []string{"muster status 12"}}), `
error: run 12: no such task
  try  muster status 12`},
		{"a command that is not there", notFound, `
error: the command "sbatch-that-is-not-there" is not installed, or not in PATH
  original  exec: "sbatch-that-is-not-there": executable file not found in $PATH`},
		{"an errno alone", fmt.Errorf("starting the agent: %w", syscall.EAGAIN), `
error: starting the agent: the system has no more of this just now: often the limit on processes (ulimit -u)
  original  starting the agent: resource temporarily unavailable`},
		{"an error with a hint", fmt.Errorf("guest wine: %w", hinted{errors.New("Wine is not installed")}), `
error: guest wine: Wine is not installed  [wine-missing]
  try  apt-get install wine`},
		{"joined", errors.Join(errors.New("first"), errors.New("second")), `
error: first
  also  second`},
		{"escape sequences", &Problem{Message: "no \x1b[2Jfile", Fields: []Field{{"log", "a\rb\nc"}}}, `
error: no \x1b[2Jfile
  log  a\rb\nc`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(RenderProblem(c.err), "\n"); got != c.want[1:] {
				t.Errorf("shown:\n%s\nwant:\n%s", got, c.want[1:])
			}
		})
	}
}

func TestProblemOnPrinter(t *testing.T) {
	var out, errs bytes.Buffer
	p := New(Options{Stdout: &out, Stderr: &errs, Getenv: env(), Color: ColorAlways})
	p.Problem(nil)
	p.Problem(&Problem{Message: "no", Try: []string{"muster ps"}})
	if out.Len() != 0 || errs.String() != "\x1b[31merror:\x1b[0m \x1b[1mno\x1b[0m\n  \x1b[2mtry\x1b[0m  \x1b[36mmuster ps\x1b[0m\n" {
		t.Errorf("stdout %q, stderr %q", out.String(), errs.String())
	}
}

// Colour: never in a pipe unless asked for, never with NO_COLOR or a dumb
// terminal; each stream on its own.
func TestColour(t *testing.T) {
	term := newTerminal(t, 80, 24)
	for _, c := range []struct {
		mode        ColorMode
		getenv      func(string) string
		inTTY, pipe bool
	}{
		{ColorAuto, utf8Terminal, true, false},
		{ColorAuto, env("TERM", "xterm", "NO_COLOR", "1"), false, false},
		{ColorAuto, env("TERM", "dumb"), false, false},
		{ColorAuto, env(), false, false},
		{ColorNever, utf8Terminal, false, false},
		{ColorAlways, env("TERM", "dumb", "NO_COLOR", "1"), true, true},
	} {
		p := New(Options{Stdout: &bytes.Buffer{}, Stderr: term.slave, Getenv: c.getenv, Color: c.mode})
		if p.Out.color != c.pipe || p.Err.color != c.inTTY || p.Out.Terminal() || !p.Err.Terminal() {
			t.Errorf("--color=%s: pipe %v, terminal %v; want %v, %v", c.mode, p.Out.color, p.Err.color, c.pipe, c.inTTY)
		}
		if w := p.Out.Width(); w != 0 {
			t.Errorf("a pipe has width %d", w)
		}
		if w := p.Err.Width(); w != 80 {
			t.Errorf("the terminal has width %d", w)
		}
	}
}

func TestModes(t *testing.T) {
	for _, s := range []string{"auto", "always", "never"} {
		if m, err := ParseColor(s); err != nil || string(m) != s {
			t.Errorf("ParseColor(%q) = %q, %v", s, m, err)
		}
	}
	for _, s := range []string{"auto", "tty", "plain", "json", "none"} {
		if m, err := ParseProgress(s); err != nil || string(m) != s {
			t.Errorf("ParseProgress(%q) = %q, %v", s, m, err)
		}
	}
	if _, err := ParseColor("blue"); err == nil {
		t.Error("--color=blue was taken")
	}
	if _, err := ParseProgress(""); err == nil {
		t.Error("--progress= was taken")
	}
}

func TestTable(t *testing.T) {
	tab := Table{Columns: []Column{{Title: "RUN", Right: true}, {Title: "STATE"}, {Title: "PROGRAM", Flex: true, Path: true}, {Title: "NOTE", Flex: true}}}
	tab.Cells(Cell{Text: "9"}, Cell{"COMPLETED", StateStyle("COMPLETED")}, Cell{Text: "/home/ann/simulations/heat.exe"}, Cell{Text: "all well"})
	tab.Row("12", "RUNNING", "sim.exe", "a name with \x1b[2J in it, and a long story after it")
	tab.Row("13", "FAILED")
	tab.Row("14", "PENDING", "名前.exe", "")
	if tab.Len() != 4 {
		t.Errorf("Len() = %d", tab.Len())
	}
	var out strings.Builder
	for _, width := range []int{0, 60, 20} {
		fmt.Fprintf(&out, "-- width %d\n%s\n", width, strings.Join(tab.Lines(width, nil), "\n"))
	}
	fmt.Fprintf(&out, "-- coloured\n%s\n", strings.Join(tab.Lines(60, marks), "\n"))
	goldentest.Check(t, "table.txt", out.String())

	untitled := Table{Columns: []Column{{}, {}}}
	untitled.Row("a", "b")
	if got := untitled.Lines(0, nil); len(got) != 1 || got[0] != "a  b" {
		t.Errorf("a table without titles: %q", got)
	}
}

func TestInterrupt(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	type at struct {
		after time.Duration
		event InterruptEvent
		want  Action
	}
	for _, c := range []struct {
		name   string
		i      Interrupt
		events []at
	}{
		{"twice cancels, a third time leaves", Interrupt{Person: true}, []at{
			{0, EventInterrupt, ActAsk}, {time.Second, EventInterrupt, ActCancel}, {2 * time.Second, EventOtherKey, ActNothing},
			{3 * time.Second, EventInterrupt, ActLeave}, {4 * time.Second, EventInterrupt, ActNothing}}},
		{"the same one seen twice", Interrupt{Person: true}, []at{
			{0, EventInterrupt, ActAsk}, {time.Millisecond, EventInterrupt, ActNothing}, {time.Second, EventInterrupt, ActCancel}}},
		{"d detaches", Interrupt{Person: true, Detach: true}, []at{
			{0, EventDetachKey, ActNothing}, {0, EventInterrupt, ActAsk}, {time.Second, EventDetachKey, ActDetach}, {2 * time.Second, EventInterrupt, ActNothing}}},
		{"d where nothing can be detached", Interrupt{Person: true}, []at{
			{0, EventInterrupt, ActAsk}, {time.Second, EventDetachKey, ActDismiss}}},
		{"c cancels", Interrupt{Person: true}, []at{
			{0, EventCancelKey, ActNothing}, {0, EventInterrupt, ActAsk}, {time.Second, EventCancelKey, ActCancel}}},
		{"any key goes on, and Ctrl-C asks again", Interrupt{Person: true}, []at{
			{0, EventInterrupt, ActAsk}, {time.Second, EventOtherKey, ActDismiss}, {2 * time.Second, EventInterrupt, ActAsk}}},
		{"no answer goes on", Interrupt{Person: true}, []at{
			{0, EventInterrupt, ActAsk}, {9 * time.Second, EventTick, ActNothing}, {10 * time.Second, EventTick, ActDismiss}, {11 * time.Second, EventTick, ActNothing}}},
		{"nobody to ask", Interrupt{}, []at{{0, EventInterrupt, ActCancel}, {time.Second, EventInterrupt, ActLeave}}},
		{"SIGTERM", Interrupt{Person: true, Detach: true}, []at{{0, EventTerminate, ActCancel}, {time.Second, EventTerminate, ActNothing}}},
		{"SIGTERM while asking", Interrupt{Person: true}, []at{{0, EventInterrupt, ActAsk}, {time.Second, EventTerminate, ActCancel}}},
		{"the terminal is closed", Interrupt{Person: true, Detach: true}, []at{{0, EventHangup, ActDetach}, {time.Second, EventInterrupt, ActNothing}}},
		{"the terminal is closed, and nothing can be detached", Interrupt{Person: true}, []at{{0, EventHangup, ActCancel}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n, e := range c.events {
				if got := c.i.Handle(e.event, start.Add(e.after)); got != e.want {
					t.Fatalf("event %d: action %d, want %d", n, got, e.want)
				}
			}
		})
	}
	if KeyEvent('d') != EventDetachKey || KeyEvent('C') != EventCancelKey || KeyEvent('\n') != EventOtherKey {
		t.Error("keys are not understood")
	}
}
