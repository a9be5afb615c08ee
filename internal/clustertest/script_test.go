package clustertest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// testScripts drives the command line on the cluster: what it says, with which exit code, and
// what is left then. $ENGINE is the cluster's engine; $MUSTER the program, $PRIVATE a folder that its nodes do not see.
func testScripts(l *lab) {
	if err := os.Symlink(l.exe, filepath.Join(l.dir, "bin", "muster")); err != nil {
		l.Fatal(err)
	}
	testscript.Run(l.T, testscript.Params{
		Dir: "testdata/script", WorkdirRoot: l.dir, RequireUniqueNames: true,
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"muster": scriptMuster, "exits": scriptExits},
		Condition:     func(cond string) (bool, error) { return cond == l.engine, nil },
		Setup: func(e *testscript.Env) error {
			for _, kv := range l.env {
				name, value, _ := strings.Cut(kv, "=")
				e.Setenv(name, value)
			}
			private, err := os.MkdirTemp("/tmp", "muster-private")
			if err != nil {
				return err
			}
			e.Defer(func() { os.RemoveAll(private) })
			e.Setenv("PRIVATE", private)
			e.Setenv("ENGINE", l.engine)
			e.Setenv("MUSTER", l.exe)
			for _, name := range []string{"home", "state"} {
				path := filepath.Join(e.WorkDir, name)
				e.Setenv(map[string]string{"home": "HOME", "state": "MUSTER_STATE"}[name], path)
				if err := os.Mkdir(path, 0o700); err != nil {
					return err
				}
			}
			scripts, err := filepath.Glob(filepath.Join(e.WorkDir, "*.sh"))
			for _, s := range scripts {
				err = errors.Join(err, os.Chmod(s, 0o755))
			}
			return err
		},
	})
}

// scriptExits is "exits CODE COMMAND…": the command must end with that code.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGS…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// scriptMuster is "muster ARGS…": it must end well.
func scriptMuster(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("say exits CODE muster …")
	}
	ts.Check(ts.Exec("muster", args...))
}
