package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"muster/internal/guest"
	"muster/internal/guest/vm/guestinit"
	"muster/internal/guest/vm/vmtest"
	"muster/internal/guest/wine/winetest"
	"muster/internal/proc"
)

// TestMain makes this binary muster itself when it is called by that name: by a
// script, and by muster, which starts its agents as os.Executable.
func TestMain(m *testing.M) {
	syscall.Umask(0o022) // a folder that the group can write is refused for the runs
	testscript.Main(m, map[string]func(){"muster": main, "LLMapReduce": main})
}

// scriptsTake is far more than all scripts of one kind take together.
const scriptsTake = 4 * time.Minute

// patience is how long a script waits for something that has to happen. It is
// no figure that anything is measured by.
const patience = 20 * time.Second

// TestScript drives the command as its users do.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Setup: setup(nil), Cmds: scriptCommands, RequireUniqueNames: true, Condition: scriptCondition,
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "", Deadline: time.Now().Add(scriptsTake),
	})
}

// TestWine does so with Windows programs and the real Wine. All scripts share
// one image.
func TestWine(t *testing.T) {
	if testing.Short() {
		t.Skip("the image alone takes seconds")
	}
	t.Parallel()
	programs := winetest.Build(t)
	images := filepath.Join(t.TempDir(), "images")
	t.Cleanup(func() {
		// An image is read-only, also for TempDir's own removal.
		if err := guest.RemoveAll(images); err != nil {
			t.Error(err)
		}
	})
	build := exec.Command("muster", "image", "build", "wine", "--progress", "none")
	build.Env = append(os.Environ(), "MUSTER_IMAGES="+images, "MUSTER_STATE="+filepath.Join(t.TempDir(), "state"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the image: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/wine", Cmds: scriptCommands, RequireUniqueNames: true,
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "", Deadline: time.Now().Add(scriptsTake),
		Setup: setup(func(e *testscript.Env) error {
			e.Setenv("MUSTER_IMAGES", images)
			for name, path := range programs {
				e.Setenv(strings.ReplaceAll(name, "-", "_"), path)
			}
			return nil
		}),
	})
}

// TestVM does so with real VMs, whose image the tests of VMs share.
func TestVM(t *testing.T) {
	if testing.Short() {
		t.Skip("the image alone takes seconds")
	}
	// Before others run beside it: a table collects the exits of all this process's children.
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	vmtest.Image(t, table)
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	images := vmtest.Store(t).Dir()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/vm", Cmds: scriptCommands, RequireUniqueNames: true,
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "", Deadline: time.Now().Add(scriptsTake),
		Setup: setup(func(e *testscript.Env) error {
			e.Setenv("MUSTER_IMAGES", images)
			e.Setenv("FILES", manyFiles())
			return nil
		}),
	})
}

// manyFiles is how many small files are brought back from a guest: without KVM, making them there takes the time.
func manyFiles() string {
	if n, err := strconv.Atoi(os.Getenv("MUSTER_TEST_ROUNDS")); err == nil && n >= 100 {
		return "10000"
	}
	return "2000"
}

// setup gives a script folders of its own for everything, and makes its shell
// scripts executable.
func setup(more func(*testscript.Env) error) func(*testscript.Env) error {
	return func(e *testscript.Env) error {
		for name, dir := range map[string]string{"HOME": "home", "MUSTER_STATE": "state", "MUSTER_SCRATCH": "scratch", "MUSTER_IMAGES": "images"} {
			path := filepath.Join(e.WorkDir, dir)
			e.Setenv(name, path)
			if err := os.MkdirAll(path, 0o700); err != nil {
				return err
			}
		}
		e.Setenv("UID", strconv.Itoa(os.Geteuid()))
		e.Setenv("LANG", "C.UTF-8")
		e.Setenv("MUSTER_ENGINE", "local") // whatever scheduler this machine may have
		e.Setenv("CPUS", strconv.Itoa(runtime.NumCPU()))
		scripts, err := filepath.Glob(filepath.Join(e.WorkDir, "*.sh"))
		if err != nil {
			return err
		}
		for _, s := range scripts {
			if err := os.Chmod(s, 0o755); err != nil {
				return err
			}
		}
		if more != nil {
			return more(e)
		}
		return nil
	}
}

// scriptCondition knows "init": this program carries muster-init, as those do that scripts/go.sh builds.
func scriptCondition(what string) (bool, error) {
	if what != "init" {
		return false, fmt.Errorf("no condition %q", what)
	}
	_, err := guestinit.Bytes()
	return err == nil, nil
}

var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits": scriptExits, "clean": scriptClean, "await": scriptAwait, "names": scriptNames, "follow": scriptFollow,
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
	ts.Logf("[exit code %d]", code)
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// scriptClean is "clean [FOLDER…]": nothing of any run is left: no process, no
// scratch folder, and no temporary folder in the folders named.
func scriptClean(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: clean [FOLDER…]")
	}
	var left []string
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		left = leftovers(ts, args)
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("left behind:\n%s", strings.Join(left, "\n"))
		}
	}
}

func leftovers(ts *testscript.TestScript, folders []string) (left []string) {
	work := ts.Getenv("WORK")
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	ts.Check(err)
	for _, f := range environs {
		// Those of others cannot be read, and many end meanwhile.
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte("="+work+"/")) {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
			left = append(left, fmt.Sprintf("process %s: %q", filepath.Base(filepath.Dir(f)), cmdline))
		}
	}
	scratch, err := filepath.Glob(filepath.Join(ts.Getenv("MUSTER_SCRATCH"), "muster-*", "*"))
	ts.Check(err)
	for _, path := range scratch {
		// What memory is mounted on, in the agents' own namespaces, stays, empty.
		if entries, err := os.ReadDir(path); filepath.Base(path) == "memory" && err == nil && len(entries) == 0 {
			continue
		}
		// What is kept of guests that were saved, and of how they run, for later runs.
		if name := filepath.Base(path); name == "vm-states" || strings.HasPrefix(name, "accel-") {
			continue
		}
		left = append(left, path)
	}
	for _, folder := range folders {
		err := filepath.WalkDir(ts.MkAbs(folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasPrefix(d.Name(), ".muster-") {
				left = append(left, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		ts.Check(err)
	}
	return left
}

// scriptAwait is "await FILE…": waits until the files are there.
func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await FILE…")
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		missing := slices.DeleteFunc(slices.Clone(args), func(name string) bool {
			_, err := os.Stat(ts.MkAbs(name))
			return err == nil
		})
		if len(missing) == 0 {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v did not appear", missing)
		}
	}
}

// scriptFollow is "follow FILE COMMAND…": runs the command in the background with
// its output going to FILE as it comes, so that await and grep see it.
func scriptFollow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: follow FILE COMMAND [ARGS…]")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	path, err := exec.LookPath(args[1])
	ts.Check(err)
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir, cmd.Stdout = ts.MkAbs("."), f
	for _, name := range []string{"PATH", "HOME", "MUSTER_STATE", "MUSTER_SCRATCH", "MUSTER_IMAGES", "MUSTER_ENGINE", "LANG"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	ts.Defer(func() {
		err := cmd.Wait()
		f.Close()
		ts.Check(err)
	})
}

// strangeNames are names that files may have, and that break what is careless.
var strangeNames = []string{
	"plain", "with space", " leading", "trailing ", `quote"double`, "quote'single", "back\\slash", "new\nline", "tab\there",
	"-leading-dash", "--input", "$(touch pwned)", "`touch pwned`", "star*?[x]", "ünïcödé-日本", "emoji-🎉", "percent%d%s", "{in}",
	"semi;colon&amp|pipe", "#hash", "~tilde", "equals=x", "invalid-\xff\xfe", strings.Repeat("x", 251),
}

// windowsNames are names that Windows cannot express.
var windowsNames = []string{"con", "aux.txt", "dot.", "colon:x", "a<b>", "CASE", "case", "new\nline", `quote"`, "space "}

// scriptNames is "names make|made|windows FOLDER": makes a file for each strange
// name, or looks whether the output of each is there.
func scriptNames(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: names make|made|make-windows|made-windows FOLDER")
	}
	names := strangeNames
	if strings.HasSuffix(args[0], "-windows") {
		names = windowsNames
	}
	dir := ts.MkAbs(args[1])
	if strings.HasPrefix(args[0], "make") {
		ts.Check(os.MkdirAll(dir, 0o755))
		for _, n := range names {
			ts.Check(os.WriteFile(filepath.Join(dir, n), []byte("content of "+n), 0o644))
		}
		return
	}
	entries, err := os.ReadDir(dir)
	ts.Check(err)
	for _, n := range names {
		got, err := os.ReadFile(filepath.Join(dir, n+".out"))
		ts.Check(err)
		if !strings.EqualFold(string(got), "content of "+n) {
			ts.Fatalf("the output of %q is %q", n, got)
		}
	}
	if len(entries) != len(names) {
		ts.Fatalf("%d outputs, want %d: %v", len(entries), len(names), entries)
	}
}
