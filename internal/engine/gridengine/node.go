package gridengine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// Inside an allocation two processes stand for an element on another node: Node here,
// and there what "there" as Node's first argument makes of it, with a qrsh between. They talk
// over standard input, so that no value is on a command line:
//
//	here → errand, as JSON      the environment and all
//	here → TERM, USR1           signals, a line each
//	the end                     here is gone: as TERM

// taskVariable holds the task number by which qrsh finds the job.
const taskVariable = "MUSTER_GE_TASK"

// with replaces variables, and leaves out what Node alone has to know.
func with(environ []string, changed map[string]string) []string {
	out := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, is := changed[name]
		return is || name == taskVariable
	})
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		out = append(out, name+"="+changed[name])
	}
	return out
}

// thereWord makes a Node the far one.
const thereWord = "there"

// remoteErrand is what the far end is to run.
type remoteErrand struct {
	Argv, Env [][]byte // not text: words may hold any bytes
	Dir       []byte
}

// killAfter is how long an element lives on after its near end is gone.
const killAfter = 30 * time.Second

// Node stands for an element of an Allocation: args are qrsh, the nodes, and the command; command
// leads back to Node. It runs the command on the element's node, the first element on the first, and
// returns its exit code, or does not return and dies as it did.
func Node(ctx context.Context, command, args, environ []string) (code int, err error) {
	if len(args) == 1 && args[0] == thereWord {
		return there(ctx, environment(environ))
	}
	if len(args) < 3 {
		return exitOther, errors.New("the arguments are qrsh, the nodes, and a command")
	}
	env := environment(environ)
	element, err := strconv.Atoi(env[engine.EnvElement])
	if err != nil || element < 1 {
		return exitOther, fmt.Errorf("%s is %q, and should be the element's number", engine.EnvElement, env[engine.EnvElement])
	}
	qrsh, nodes, argv := args[0], strings.Split(args[1], ","), args[2:]
	node := nodes[(element-1)%len(nodes)]
	if short(node) == short(env["HOSTNAME"]) {
		return exitCannotStart, fmt.Errorf("starting %s: %w", argv[0], unix.Exec(argv[0], argv, with(environ, nil)))
	}
	return near(ctx, qrsh, node, command, argv, environ)
}

func asBytes(words []string) [][]byte {
	out := make([][]byte, len(words))
	for i, w := range words {
		out[i] = []byte(w)
	}
	return out
}

func asText(words [][]byte) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return out
}

// busy is what qrsh says when as many of the job's processes run on a node as it has slots
// there. A place may become free.
const busy = "didn't accept task"

// near starts the far end, as soon as there is a place for it, passes signals on to it,
// and ends as it does.
func near(ctx context.Context, qrsh, node string, command, argv, environ []string) (int, error) {
	dir, err := os.Getwd()
	if err != nil {
		return exitOther, err
	}
	words, err := json.Marshal(remoteErrand{asBytes(argv), asBytes(with(environ, map[string]string{"HOSTNAME": node})), []byte(dir)})
	if err != nil {
		return exitOther, err
	}
	table, err := proc.NewTable()
	if err != nil {
		return exitOther, err
	}
	defer table.Close()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1)
	defer signal.Stop(signals)
	for {
		exit, said, err := visit(ctx, table, signals, string(words), proc.Cmd{
			Path: qrsh,
			// Without a login shell, which would read the words anew.
			Args:   slices.Concat([]string{"qrsh", "-noshell", "-inherit", node}, command, []string{thereWord}),
			Env:    with(environ, map[string]string{"SGE_TASK_ID": environment(environ)[taskVariable]}),
			Stdout: os.Stdout,
		})
		if err != nil {
			return exitOther, err
		}
		if exit.Code != 1 || !strings.Contains(said, busy) {
			fmt.Fprint(os.Stderr, said)
			return dieAs(exit)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return 128 + int(syscall.SIGTERM), nil
		case s := <-signals:
			if s == syscall.SIGTERM {
				return dieAs(job.Exit{Code: 128 + int(syscall.SIGTERM)})
			}
		}
	}
}

// visit runs one qrsh to its end, and returns what that itself had to say.
func visit(ctx context.Context, table *proc.Table, signals <-chan os.Signal, words string, c proc.Cmd) (job.Exit, string, error) {
	said, err := proc.Memfile("stderr")
	if err != nil {
		return job.Exit{}, "", err
	}
	defer said.Close()
	in, out, err := os.Pipe()
	if err != nil {
		return job.Exit{}, "", err
	}
	defer out.Close()
	c.Stdin, c.Stderr = in, said
	child, err := table.Start(c)
	in.Close()
	if err != nil {
		return job.Exit{}, "", err
	}
	tell := func(line string) {
		_, _ = out.WriteString(line + "\n") // the far end may be gone: its exit tells
	}
	tell(words)
	done := ctx.Done()
	for {
		select {
		case <-done:
			done = nil
			tell("TERM")
		case s := <-signals:
			if s == syscall.SIGUSR1 {
				tell("USR1")
			} else {
				tell("TERM")
			}
		case <-child.Done():
			exit, err := child.Wait(context.Background())
			if err != nil {
				return exit, "", err
			}
			text, err := readAll(said)
			return exit, text, err
		}
	}
}

// dieAs ends this process as the far one ended. As with shells, 128 and a signal's number
// stands for that signal; programs that end with such codes of their own are taken for killed.
func dieAs(exit job.Exit) (int, error) {
	if exit.Code <= 128 || exit.Code >= 128+32 {
		return exit.Code, nil
	}
	// Go's runtime would make something else of some signals.
	argv := []string{"sh", "-c", "ulimit -c 0; kill -$1 $$", "sh", strconv.Itoa(exit.Code - 128)}
	return exit.Code, unix.Exec("/bin/sh", argv, nil)
}

// there runs what standard input says.
func there(ctx context.Context, given map[string]string) (int, error) {
	// One stream: qrsh would bring two in any order.
	if err := unix.Dup3(1, 2, 0); err != nil {
		return exitOther, err
	}
	lines := bufio.NewReader(os.Stdin)
	first, err := lines.ReadString('\n')
	if err != nil {
		return exitOther, fmt.Errorf("hearing what to run: %w", err)
	}
	var e remoteErrand
	if err := json.Unmarshal([]byte(first), &e); err != nil {
		return exitOther, fmt.Errorf("hearing what to run: %w", err)
	}
	argv := asText(e.Argv)
	if len(argv) == 0 {
		return exitOther, errors.New("hearing what to run: nothing")
	}
	own := map[string]string{} // the job's folder for temporary files is another one on each node
	for _, name := range []string{"TMPDIR", "TMP"} {
		if value := given[name]; value != "" {
			own[name] = value
		}
	}
	table, err := proc.NewTable()
	if err != nil {
		return exitOther, err
	}
	defer table.Close()
	child, err := table.Start(proc.Cmd{Path: argv[0], Args: argv, Dir: string(e.Dir), Env: with(asText(e.Env), own), Stdout: os.Stdout, Stderr: os.Stdout})
	if err != nil {
		return exitCannotStart, err
	}
	told := make(chan string)
	go func() {
		defer close(told)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			told <- strings.TrimSpace(line)
		}
	}()
	s := &supervisor{table: table, head: head{KillWait: killAfter}}
	exit := s.obey(ctx, child, told)
	s.clear(false)
	if exit.Signal != 0 {
		return 128 + exit.Signal, nil
	}
	return exit.Code, nil
}

// obey passes on what the near end says, until the child has ended.
func (s *supervisor) obey(ctx context.Context, child *proc.Child, told <-chan string) job.Exit {
	var kill <-chan time.Time
	for {
		select {
		case <-child.Done():
			exit, err := child.Wait(context.WithoutCancel(ctx))
			s.say(err)
			return exit
		case line, open := <-told:
			switch {
			case line == "USR1":
				s.say(child.Signal(syscall.SIGUSR1))
				continue
			case !open:
				told = nil
				kill = time.After(s.KillWait)
			}
			s.say(child.SignalGroup(syscall.SIGTERM))
			s.say(child.SignalGroup(syscall.SIGCONT))
		case <-kill:
			s.kill(func(proc.Info) bool { return true })
			s.say(child.SignalGroup(syscall.SIGKILL))
		}
	}
}
