package ui

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/job"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

var utf8Terminal = env("TERM", "xterm-256color", "LANG", "C.UTF-8")

func halfWay() Status {
	return Status{
		Run: 12, Name: "sim.exe", Total: 10000,
		Counts: map[job.State]int{job.Completed: 6190, job.Failed: 20, job.Timeout: 4, job.Running: 8},
		Rate:   151.2, Left: 25 * time.Second, Elapsed: 41 * time.Second,
		Slowest: job.PhaseBooted, SlowestTime: 1200 * time.Millisecond,
		Failure: "missing-dll: needs FOO.dll (3 tasks)",
	}
}

// A display with other prints in between, a question, a changing size, the
// terminal's own ^C: at the end there is what was printed, and nothing else.
func TestTerminalIsLeftClean(t *testing.T) {
	for _, size := range [][2]int{{100, 24}, {44, 8}, {80, 3}} {
		term := newTerminal(t, size[0], size[1])
		p := New(Options{Stdout: term.slave, Stderr: term.slave, Getenv: utf8Terminal})
		p.Err.Print("before\n")
		pr := p.Progress(ProgressAuto)
		pr.Update(halfWay())
		term.awaitText("run 12")

		p.Out.Print("a result\nhalf a ")
		p.Err.Print("a note\n")
		p.Out.Print("line\n")
		pr.Note("escaped \x1b[2J")
		term.resize(50, 10)
		pr.Ask("Ctrl-C again?")
		term.awaitText("Ctrl-C again?")
		term.mu.Lock()
		term.screen.feed([]byte("^C")) // what the terminal echoes where the cursor is
		term.mu.Unlock()
		term.resize(23, 6)
		pr.Ask("")
		term.await("an answered question", func(l []string) bool { return !strings.Contains(strings.Join(l, ""), "again?") })
		term.resize(120, 12)
		done := halfWay()
		done.Counts = map[job.State]int{job.Completed: 10000}
		pr.Finish(done)

		want := []string{"before", "a result", "a note", "half a line", `escaped \x1b[2J`,
			"run 12: all 10,000 tasks completed in 41 s (244/s)"}
		// Above a held-back half line, whole lines of the other stream go first or
		// after: both are on one screen, and only wholeness counts.
		lines := term.awaitText("all 10,000 tasks")
		slices.Sort(want)
		got := slices.Clone(lines)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("at %v the terminal shows:\n%s\nwant these lines:\n%s", size, strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
		term.mu.Lock()
		if len(term.screen.bad) > 0 {
			t.Errorf("unexpected on a terminal: %q", term.screen.bad)
		}
		term.mu.Unlock()
	}
}

// While tasks run, the display stays in its place: nothing scrolls by.
func TestRedrawsInPlace(t *testing.T) {
	term := newTerminal(t, 90, 20)
	p := New(Options{Stdout: term.slave, Stderr: term.slave, Getenv: utf8Terminal})
	pr := p.Progress(ProgressAuto)
	defer pr.Close()
	for _, n := range []int{10, 20, 30} {
		st := halfWay()
		st.Counts = map[job.State]int{job.Completed: n * 100}
		pr.Update(st)
		lines := term.awaitText(" " + st.countText())
		if len(lines) != 4 || !strings.HasPrefix(lines[0], "run 12  sim.exe  █") {
			t.Fatalf("the screen shows:\n%s", strings.Join(lines, "\n"))
		}
	}
}

func (st Status) countText() string { return countParts(st.tally())[1].text }

func TestStepOnTerminal(t *testing.T) {
	term := newTerminal(t, 90, 20)
	p := New(Options{Stdout: term.slave, Stderr: term.slave, Getenv: utf8Terminal})
	pr := p.Progress(ProgressAuto)
	err := pr.Do(context.Background(), "building the Wine image", 10*time.Minute, func(_ context.Context, say func(string)) error {
		say("booting\x1b[H once")
		term.awaitText(`building the Wine image  1 s of at most 10 min  booting\x1b[H once`)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	pr.Close()
	term.await("the one line that stays", func(lines []string) bool {
		return len(lines) == 1 && strings.HasPrefix(lines[0], "building the Wine image: done in 1.")
	})
}
