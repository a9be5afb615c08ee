// Package guesttest is the conformance suite of guest drivers: a driver's test
// is a Config and a call of Run. The suite knows programs only by what they do,
// so it is the same for every kind of environment.
package guesttest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/proc"
)

// Program is a program with the arguments that make it do one thing.
type Program struct {
	Path string // host path
	Args []string
}

// Config tells the suite about a driver.
type Config struct {
	// New makes the driver.
	New func(t *testing.T, table *proc.Table) guest.Guest
	// Node describes the node; the suite fills in Scratch.
	Node guest.Node
	// Folder is the program's own folder, shown as Folders.Program.
	Folder string
	// Limit bounds one case's wait, e.g. for a boot.
	Limit time.Duration
	// EOL ends a line that a program prints.
	EOL string

	// Sign is, in a guest that carries, the name of a program's standard output. Files of such a guest come to the host
	// after the program's end, so programs are given this name where others get that of a file to be watched.
	Sign string

	// What the programs do. Paths are in the guest's words.
	Exit    func(code int) Program        // ends with that code
	Print   func(words ...string) Program // prints its arguments, a line each
	Copy    func(in, out string) Program  // copies a file
	Upper   func() Program                // standard input to standard output, in capitals
	Stderr  func(text string) Program     // prints text to standard error
	Getenv  func(name string) Program     // prints a variable of its environment
	Cwd     func(name string) Program     // writes a file of that name into its working folder
	Temp    func() Program                // leaves a file in the temporary folder
	Sleep   func(started string) Program  // creates the file started, or writes a line to Sign, and sleeps for ever
	Count   func(file string) Program     // creates a file and makes it longer several times a second, for ever
	Detach  func(started string) Program  // starts a child that leaves the session, creates the file started and sleeps for ever; ends at once
	Crash   func() Program                // dies of a fault
	Crashed func(e job.Exit) bool         // e is what a fault looks like
	Missing string                        // a host path of a program that is not there

	// And in a guest that carries:
	Left  func() Program                     // prints how many files there are in the folder for temporary files
	Alone func() Program                     // ends with code 0 when no other program of this suite's is running in the instance, else with 1
	Tree  func(dir string) Program           // makes the folder dir, in it a program "run me", a folder "a b" with a file "ü\n" of the line "deep", and a link "link" to that; ends with code 3
	Read  func(file string) Program          // prints a file
	Leave func(file, started string) Program // creates the file, then does as Sleep
}

// carries reports whether the programs are there that only a guest that carries needs.
func (c Config) carries() bool { return c.Tree != nil }

type aCase struct {
	name string
	run  func(*harness)
}

// harness is one driver under test with one scratch folder.
type harness struct {
	t       *testing.T
	c       Config
	table   *proc.Table
	guest   guest.Guest
	scratch string
	folders guest.Folders
	node    guest.Node
}

// Run runs the whole suite.
func Run(t *testing.T, c Config) {
	cases := []aCase{
		{"exit codes", exitCodes},
		{"arguments arrive as they are", arguments},
		{"standard streams", streams},
		{"files through the guest's names", files},
		{"environment", environment},
		{"working folder", workingFolder},
		{"a fault is told from an exit code", fault},
		{"a program that is not there", missing},
		{"terminate and cancel", cancel},
		{"suspend and continue", suspend},
		{"a suspended program stands still", standsStill},
		{"several programs at once", several},
		{"an instance is used again", reuse},
		{"two instances do not meet", twoInstances},
		{"private folders are a program's own, and gone with it", private},
		{"phases are told in order", phases},
		{"close leaves nothing", closeLeavesNothing},
		{"close is idempotent, and ends what can start", closeTwice},
		{"close with a cancelled context still cleans", closeCancelled},
		{"open with a cancelled context leaves nothing", openCancelled},
		{"wait can be given up and repeated", waitAgain},
		{"a child that left the session is found by its marks", detached},
	}
	if c.carries() {
		cases = append(cases, []aCase{
			{"what is carried arrives whole", carriedTree},
			{"what a cancelled program has left is brought back", carriedAfterCancel},
			{"each program finds its own inputs as they are", carriedAnew},
		}...)
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			tc.run(newHarness(t, c))
		})
	}
}

func newHarness(t *testing.T, c Config) *harness {
	t.Helper()
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	// Short: guests keep sockets below it.
	scratch, err := os.MkdirTemp("", "mgt")
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, c: c, table: table, scratch: scratch, guest: c.New(t, table), node: c.Node}
	h.node.Scratch = scratch
	for _, f := range []struct {
		name string
		to   *string
	}{{"in", &h.folders.In}, {"out", &h.folders.Out}, {"work", &h.folders.Work}} {
		*f.to = filepath.Join(scratch, f.name)
		if err := os.MkdirAll(filepath.Join(*f.to, "1"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.folders.Program = c.Folder
	if h.guest.Traits().Carries != c.carries() {
		t.Fatal("the suite has to have the programs for a guest that carries, and no other")
	}
	t.Cleanup(func() {
		left, err := table.Kill(context.Background(), func(proc.Info) bool { return true })
		if err != nil {
			t.Errorf("killing what the case left: %v", err)
		}
		if left > 0 {
			t.Errorf("%d processes were left after the case", left)
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
		if err := guest.RemoveAll(scratch); err != nil {
			t.Error(err)
		}
	})
	if err := h.guest.Prepare(context.Background(), h.node); err != nil {
		t.Fatalf("Prepare: %v", err)
	}
	return h
}

// place makes a Place for an instance.
func (h *harness) place(id string, ev guest.Events) guest.Place {
	h.t.Helper()
	dir := filepath.Join(h.scratch, id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	temp := filepath.Join(h.scratch, "t-"+id)
	if err := os.Mkdir(temp, 0o700); err != nil {
		h.t.Fatal(err)
	}
	return guest.Place{
		ID: id, Dir: dir, Temp: temp, Node: h.node, Folders: h.folders, Events: ev,
		Env: []string{guest.EnvInstance + "=" + id + "@" + filepath.Base(h.scratch)},
	}
}

func (h *harness) open(id string) guest.Instance {
	h.t.Helper()
	ctx, done := h.limit()
	defer done()
	i, err := h.guest.Open(ctx, h.place(id, nil))
	if err != nil {
		h.t.Fatalf("Open: %v", err)
	}
	h.t.Cleanup(func() {
		if err := i.Close(context.Background()); err != nil {
			h.t.Errorf("Close: %v", err)
		}
	})
	return i
}

func (h *harness) limit() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), h.c.Limit)
}

// command makes the Command for p, working in the work folder of task 1.
func (h *harness) command(p Program) guest.Command {
	return guest.Command{
		Program: p.Path, Args: p.Args, Dir: filepath.Join(h.folders.Work, "1"),
		In: []string{filepath.Join(h.folders.In, "1")}, Out: []string{filepath.Join(h.folders.Out, "1")},
		Env: append(os.Environ(), guest.EnvTask+"=1_1.1@"+filepath.Base(h.scratch)),
	}
}

func (h *harness) start(i guest.Instance, c guest.Command) guest.Process {
	h.t.Helper()
	p, err := i.Start(context.Background(), c)
	if err != nil {
		h.t.Fatalf("Start: %v", err)
	}
	return p
}

func (h *harness) wait(p guest.Process) job.Exit {
	h.t.Helper()
	ctx, done := h.limit()
	defer done()
	e, err := p.Wait(ctx)
	if err != nil {
		h.t.Fatalf("Wait: %v", err)
	}
	return e
}

// run runs p to its end and returns what it wrote.
func (h *harness) run(i guest.Instance, p Program, stdin string) (job.Exit, string, string) {
	h.t.Helper()
	c := h.command(p)
	in, out, errs := h.file("stdin", stdin), h.file("stdout", ""), h.file("stderr", "")
	defer in.Close()
	defer out.Close()
	defer errs.Close()
	c.Stdin, c.Stdout, c.Stderr = in, out, errs
	e := h.wait(h.start(i, c))
	return e, h.text(out), h.text(errs)
}

func (h *harness) file(name, content string) *os.File {
	h.t.Helper()
	f, err := os.CreateTemp(h.scratch, name)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		h.t.Fatal(err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		h.t.Fatal(err)
	}
	return f
}

func (h *harness) text(f *os.File) string {
	h.t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), h.c.EOL, "\n")
}

// path asks the instance for its name of a host file.
func (h *harness) path(i guest.Instance, host string) string {
	h.t.Helper()
	p, err := i.Path(host)
	if err != nil {
		h.t.Fatalf("Path(%q): %v", host, err)
	}
	return p
}

// eventually waits until ok says yes.
func (h *harness) eventually(what string, ok func() bool) {
	h.t.Helper()
	for end := time.Now().Add(h.c.Limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("waited %v in vain: %s", h.c.Limit, what)
		}
	}
}

// sign is where a program that is still running is seen to do something.
type sign struct {
	made   func() bool
	length func() int64
}

// watched starts the program that made makes of the guest's name for a file, and tells how the file stands: host,
// or the program's standard output where files come to the host only after its end.
func (h *harness) watched(i guest.Instance, host string, made func(path string) Program) (guest.Process, sign) {
	h.t.Helper()
	length := func() int64 {
		st, err := os.Stat(host)
		if err != nil {
			return 0
		}
		return st.Size()
	}
	if !h.guest.Traits().Carries {
		p := h.start(i, h.command(made(h.path(i, host))))
		return p, sign{func() bool { return exists(host) }, length}
	}
	f := h.file("sign", "")
	h.t.Cleanup(func() { f.Close() })
	host = f.Name()
	c := h.command(made(h.c.Sign))
	c.Stdout = f
	return h.start(i, c), sign{func() bool { return length() > 0 }, length}
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// recorder notes the phases it is told of.
type recorder struct {
	mu     sync.Mutex
	phases []job.Phase
}

func (r *recorder) Phase(p job.Phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phases = append(r.phases, p)
}

func exitCodes(h *harness) {
	i := h.open("i")
	for _, code := range []int{0, 1, 3, 77, 255} {
		e, _, _ := h.run(i, h.c.Exit(code), "")
		if e.Code != code || e.Signal != 0 {
			h.t.Errorf("exit code %d arrived as %v", code, e)
		}
		if wantOK := code == 0; e.OK() != wantOK || (!wantOK && e.Cause != job.CauseExit) {
			h.t.Errorf("exit code %d: cause %q", code, e.Cause)
		}
	}
}

func arguments(h *harness) {
	i := h.open("i")
	words := []string{"plain", "two words", "", `quo"te`, `back\slash`, `ends with \`, `a\"b`, "tab\there", "ünï cødé 試", "-x", "%PATH%", "$HOME", "*", "'single'", "a&b|c>d^e"}
	e, out, errs := h.run(i, h.c.Print(words...), "")
	if !e.OK() {
		h.t.Fatalf("%v %s %s", e, e.Detail, errs)
	}
	if got := strings.Split(strings.TrimSuffix(out, "\n"), "\n"); !slices.Equal(got, words) {
		h.t.Errorf("got  %q\nwant %q", got, words)
	}
}

func streams(h *harness) {
	i := h.open("i")
	if e, out, _ := h.run(i, h.c.Upper(), "hello\nworld\n"); out != "HELLO\nWORLD\n" || !e.OK() {
		h.t.Errorf("%v %q", e, out)
	}
	if e, out, errs := h.run(i, h.c.Stderr("trouble"), ""); !strings.Contains(errs, "trouble") || out != "" || !e.OK() {
		h.t.Errorf("%v stdout %q stderr %q", e, out, errs)
	}
	// Nothing on standard input: the end of file at once, not a wait.
	if e, out, _ := h.run(i, h.c.Upper(), ""); out != "" || !e.OK() {
		h.t.Errorf("%v %q", e, out)
	}
}

func files(h *harness) {
	i := h.open("i")
	real := filepath.Join(h.scratch, "real input")
	if err := os.WriteFile(real, []byte("content\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	in, out := filepath.Join(h.folders.In, "1", "a b.txt"), filepath.Join(h.folders.Out, "1", "c d.out")
	if err := os.Symlink(real, in); err != nil {
		h.t.Fatal(err)
	}
	e, stdout, errs := h.run(i, h.c.Copy(h.path(i, in), h.path(i, out)), "")
	if !e.OK() {
		h.t.Fatalf("%v %s\n%s%s", e, e.Detail, stdout, errs)
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "content\n" {
		h.t.Errorf("%q %v", b, err)
	}
}

func environment(h *harness) {
	i := h.open("i")
	c := h.command(h.c.Getenv("MUSTER_TEST_VALUE"))
	c.Env = append(c.Env, "MUSTER_TEST_VALUE=some value=1")
	out := h.file("stdout", "")
	defer out.Close()
	c.Stdout = out
	if e := h.wait(h.start(i, c)); !e.OK() {
		h.t.Errorf("%v %s", e, e.Detail)
	}
	if got := strings.TrimSpace(h.text(out)); got != "some value=1" {
		h.t.Errorf("%q", got)
	}
}

func workingFolder(h *harness) {
	i := h.open("i")
	if e, _, errs := h.run(i, h.c.Cwd("left here.txt"), ""); !e.OK() {
		h.t.Fatalf("%v %s %s", e, e.Detail, errs)
	}
	if !exists(filepath.Join(h.folders.Work, "1", "left here.txt")) {
		h.t.Error("the file is not in the working folder")
	}
}

func fault(h *harness) {
	i := h.open("i")
	e, _, errs := h.run(i, h.c.Crash(), "")
	if e.OK() || !h.c.Crashed(e) {
		h.t.Errorf("%v cause %q detail %q\n%s", e, e.Cause, e.Detail, errs)
	}
	// The instance has survived its program.
	if e, _, _ := h.run(i, h.c.Exit(0), ""); !e.OK() {
		h.t.Errorf("after a crash: %v %s", e, e.Detail)
	}
}

func missing(h *harness) {
	i := h.open("i")
	c := h.command(Program{Path: h.c.Missing})
	p, err := i.Start(context.Background(), c)
	if err != nil {
		if errors.Is(err, guest.ErrDead) || !strings.Contains(err.Error(), filepath.Base(h.c.Missing)) {
			h.t.Errorf("%v", err)
		}
		return
	}
	if e := h.wait(p); e.OK() || e.Cause == job.CauseExit {
		h.t.Errorf("a program that is not there ended with %v, cause %q", e, e.Cause)
	}
}
