package native_test

import (
	"fmt"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/guesttest"
	"muster/internal/guest/native"
	"muster/internal/job"
	"muster/internal/proc"
)

func sh(script string, args ...string) guesttest.Program {
	return guesttest.Program{Path: "/bin/sh", Args: append([]string{"-c", script, "sh"}, args...)}
}

func TestConformance(t *testing.T) {
	guesttest.Run(t, guesttest.Config{
		New:   func(_ *testing.T, table *proc.Table) guest.Guest { return native.New(table) },
		Limit: 10 * time.Second,
		EOL:   "\n",
		Exit:  func(code int) guesttest.Program { return sh(fmt.Sprintf("exit %d", code)) },
		Print: func(words ...string) guesttest.Program { return sh(`printf '%s\n' "$@"`, words...) },
		Copy:  func(in, out string) guesttest.Program { return sh(`cat "$1" > "$2"`, in, out) },
		Upper: func() guesttest.Program { return sh("tr a-z A-Z") },
		Stderr: func(text string) guesttest.Program {
			return sh(`echo "$1" >&2`, text)
		},
		Getenv: func(name string) guesttest.Program { return sh(`printenv "$1"`, name) },
		Cwd:    func(name string) guesttest.Program { return sh(`: > "$1"`, name) },
		Temp:   func() guesttest.Program { return sh(`mktemp >/dev/null`) },
		Sleep:  func(started string) guesttest.Program { return sh(`: > "$1"; exec sleep 1000`, started) },
		Count:  func(file string) guesttest.Program { return sh(`while :; do echo >> "$1"; sleep 0.02; done`, file) },
		Detach: func(started string) guesttest.Program {
			return sh(`setsid sh -c ': > "$1"; exec sleep 1000' sh "$1" >/dev/null 2>&1 &`, started)
		},
		Crash:   func() guesttest.Program { return sh("kill -SEGV $$") },
		Crashed: func(e job.Exit) bool { return e.Signal == 11 && e.Cause == job.CauseSignal },
		Missing: "/no/such/program",
	})
}
