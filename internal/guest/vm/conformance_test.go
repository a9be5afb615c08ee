package vm_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/guesttest"
	"muster/internal/guest/vm"
	"muster/internal/guest/vm/vmtest"
	"muster/internal/job"
	"muster/internal/proc"
)

// sh is a program of the guest's own.
func sh(script string, args ...string) guesttest.Program {
	return guesttest.Program{Path: "/bin/sh", Args: append([]string{"-c", script, "sh"}, args...)}
}

// node describes a node on which guests of the tests' image run, with the folder of saved guests that tests share, beside the image.
func node(t *testing.T, boot string) guest.Node {
	t.Helper()
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	dir, key := vmtest.Image(t, table)
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	return guest.Node{Image: dir, ImageKey: key, Boot: boot, Keep: filepath.Join(filepath.Dir(vmtest.Store(t).Dir()), "node"), Tell: func(line string) { t.Log(line) }}
}

func TestConformance(t *testing.T) {
	guesttest.Run(t, guesttest.Config{
		New: func(t *testing.T, table *proc.Table) guest.Guest {
			g := vm.New(table)
			t.Cleanup(func() {
				if err := g.Close(); err != nil {
					t.Error(err)
				}
			})
			return g
		},
		Node:  node(t, vm.BootWarm),
		Limit: 2 * time.Minute,
		EOL:   "\n",
		Sign:  "/dev/stdout",
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
		Sleep:  func(started string) guesttest.Program { return sh(`echo > "$1"; exec sleep 1000`, started) },
		Count:  func(file string) guesttest.Program { return sh(`while :; do echo >> "$1"; sleep 0.05; done`, file) },
		Detach: func(started string) guesttest.Program {
			return sh(`setsid sh -c 'echo > "$1"; exec sleep 1000' sh "$1" >/dev/null 2>&1 &`, started)
		},
		Crash:   func() guesttest.Program { return sh("kill -SEGV $$") },
		Crashed: func(e job.Exit) bool { return e.Signal == 11 && e.Cause == job.CauseSignal },
		Missing: "/usr/bin/no-such-program",
		Left:    func() guesttest.Program { return sh(`find "$TMPDIR" -type f | wc -l`) },
		Alone:   func() guesttest.Program { return sh(`! grep -qx sleep /proc/[0-9]*/comm`) },
		Tree: func(dir string) guesttest.Program {
			return sh(`mkdir -p "$1/a b"; cd "$1"; echo deep > "a b/ü
"; echo : > "run me"; chmod 755 "run me"; ln -s "a b/ü
" link; exit 3`, dir)
		},
		Read: func(file string) guesttest.Program { return sh(`cat "$1"`, file) },
		Leave: func(file, started string) guesttest.Program {
			return sh(`: > "$1"; echo > "$2"; exec sleep 1000`, file, started)
		},
	})
}
