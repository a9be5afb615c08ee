package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/plan"
	"muster/internal/rundir"
	"muster/internal/template"
)

// command is a guest's Command with the files that were opened for it.
type command struct {
	guest.Command
	open []*os.File
}

// owns notes the folders that hold a task's files, for a guest that carries.
func (c *command) owns(f taskFiles) {
	if f.inDir != "" {
		c.In = append(c.In, f.inDir)
	}
	if f.outDir != "" {
		c.Out = append(c.Out, f.outDir)
	}
}

func (c *command) close() {
	for _, f := range c.open {
		f.Close()
	}
}

// command prepares the folders of o's call in the guest's names and composes
// its command line.
func (l *lane) command(o *outcome, inst *instance) (_ *command, err error) {
	a, c := l.a, o.call
	cmd := &command{Command: guest.Command{
		Program: a.spec.Program, Dir: a.spec.WorkDir,
		Stdout: l.out.f, Stderr: l.errs.f, CPUs: l.cpus,
	}}
	defer func() {
		if err != nil {
			cmd.close()
		}
	}()
	if a.spec.WorkDir == job.PrivateWork {
		if o.work, err = a.works.take(attemptName(c, 0)); err != nil {
			return nil, err
		}
		cmd.Dir = o.work
	}
	files := make([]taskFiles, len(c.tasks))
	for i := range c.tasks {
		if files[i], err = a.files(c, i, inst); err != nil {
			return nil, err
		}
		cmd.owns(files[i])
	}
	if err := l.arguments(cmd, c, files, inst); err != nil {
		return nil, err
	}
	if err := a.streams(cmd, c, files); err != nil {
		return nil, err
	}
	cmd.Env = l.environment(c)
	return cmd, nil
}

// taskFiles is how a task's input and output are called.
type taskFiles struct {
	in      []string // as the program names them
	out     string   // as the program names it; "" when there is none
	hostOut string   // the host's name of out
	inDir   string   // the folder with links to the inputs; "" when the guest needs none
	outDir  string   // the folder in which the program is to leave what it makes; "" when it is to leave nothing
}

// attemptName names the folders of an attempt at the call's task i.
func attemptName(c *call, i int) string {
	return strconv.Itoa(c.tasks[i]) + "." + strconv.Itoa(c.attempt[i])
}

// files makes the folders in which the call's task i finds its input and leaves
// its output.
func (a *agent) files(c *call, i int, inst guest.Instance) (f taskFiles, err error) {
	t := &a.tasks[c.tasks[i]-1]
	dir := ""
	for _, in := range t.In {
		if !in.File {
			f.in = append(f.in, in.Word)
			continue
		}
		if _, err := os.Stat(in.Word); err != nil {
			return f, inputError(in.Word, err)
		}
		if !a.traits.Folders {
			f.in = append(f.in, in.Word)
			continue
		}
		if dir == "" {
			if dir, err = a.inputs.take(attemptName(c, i)); err != nil {
				return f, err
			}
			f.inDir = dir
		}
		link := filepath.Join(dir, in.Name())
		if err := os.Symlink(in.Word, link); err != nil {
			return f, fmt.Errorf("linking an input: %w", err)
		}
		name, err := inst.Path(link)
		if err != nil {
			return f, err
		}
		f.in = append(f.in, name)
	}
	if a.outputs == nil {
		return f, nil
	}
	out, err := a.outputs.Attempt(t.Index, c.attempt[i])
	if err != nil {
		return f, err
	}
	f.hostOut = filepath.Join(out, t.OutName())
	if !a.spec.Stdout { // else this process writes the file that is in it
		f.outDir = out
	}
	if len(a.spec.Collect) > 0 {
		if err := os.Mkdir(f.hostOut, 0o777); err != nil {
			return f, fmt.Errorf("making the output folder: %w", err)
		}
	}
	f.out, err = inst.Path(f.hostOut)
	return f, err
}

// errInputGone: the input was not there when its turn came.
var errInputGone = errors.New("it is gone")

func inputError(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("input %s: %w", name, errInputGone)
	}
	return fmt.Errorf("input %s: %w", name, err)
}

// arguments composes the program's arguments: the template's, INPUT OUTPUT, or
// the list file of a MIMO call.
func (l *lane) arguments(cmd *command, c *call, files []taskFiles, inst guest.Instance) (err error) {
	a := l.a
	switch {
	case a.spec.AppType == job.MIMO:
		list, err := a.list(c, files, inst)
		if err != nil {
			return err
		}
		cmd.Args = append(append([]string(nil), a.spec.Args...), list)
		cmd.In = append(cmd.In, a.listDir(c))
	case a.args != nil:
		t := a.tasks[c.tasks[0]-1]
		cmd.Args, err = a.args.Expand(template.ValuesOf(t, files[0].in, files[0].out, l.n))
		if err != nil {
			return err
		}
	default:
		cmd.Args = append([]string(nil), a.spec.Args...)
		if !a.spec.Stdin {
			cmd.Args = append(cmd.Args, files[0].in...)
		}
		if !a.spec.Stdout && files[0].out != "" {
			cmd.Args = append(cmd.Args, files[0].out)
		}
	}
	return nil
}

// listDir is the folder of the list file of a MIMO call.
func (a *agent) listDir(c *call) string {
	return filepath.Join(a.folders.In, "list"+strconv.Itoa(c.number))
}

// list writes the list file of a MIMO call and returns its name in the guest.
func (a *agent) list(c *call, files []taskFiles, inst guest.Instance) (string, error) {
	var b strings.Builder
	for _, f := range files {
		b.WriteString(plan.ListLine(f.in, f.out))
		b.WriteByte('\n')
	}
	dir := a.listDir(c)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a list: %w", err)
	}
	name := filepath.Join(dir, fmt.Sprintf("input_%d", c.number+1))
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		return "", fmt.Errorf("writing a list: %w", err)
	}
	if a.spec.Keep {
		kept := filepath.Join(a.run.ListsDir(), fmt.Sprintf("%d.%d.input_%d", a.Generation, a.Element, c.number+1))
		if err := os.WriteFile(kept, []byte(b.String()), 0o600); err != nil {
			return "", fmt.Errorf("keeping a list: %w", err)
		}
	}
	return inst.Path(name)
}

// streams gives the program its input and output on the standard streams where
// that was asked for.
func (a *agent) streams(cmd *command, c *call, files []taskFiles) error {
	if a.spec.Stdin {
		f, err := os.Open(a.tasks[c.tasks[0]-1].In[0].Word)
		if err != nil {
			return inputError(a.tasks[c.tasks[0]-1].In[0].Word, err)
		}
		cmd.Stdin, cmd.open = f, append(cmd.open, f)
	}
	if a.spec.Stdout {
		f, err := os.OpenFile(files[0].hostOut, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o666)
		if err != nil {
			return fmt.Errorf("making the output: %w", err)
		}
		cmd.Stdout, cmd.open = f, append(cmd.open, f)
	}
	return nil
}

// programEnv is what programs get of the agent's environment: the user's
// variables, which travelled packed, and what the engine says of the element.
func programEnv(environ []string) []string {
	program, rest := job.UnpackEnv(environ)
	return override(program, job.SchedulerEnv(rest))
}

// environment is the program's: the user's, what LLMapReduce sets, and the
// attempt's mark.
func (l *lane) environment(c *call) []string {
	a := l.a
	own := append(a.threads(), element(a.share).Process(c.number, l.n, a.run.LogsDir(a.Generation)).Env()...)
	own = append(own,
		"MUSTER_RUN="+strconv.Itoa(a.run.Number),
		"MUSTER_INDEX="+strconv.Itoa(c.tasks[0]),
		"MUSTER_LANE="+strconv.Itoa(l.n),
		a.taskMark(c),
	)
	return override(a.env, own)
}

// threads tells libraries of the CPUs that --slotsPerTask gives each process, unless the
// user has said so already. A triple's threads are in what LLMapReduce sets.
func (a *agent) threads() (env []string) {
	n := a.spec.Scheduler.Slots(a.Reduce)
	if n == 1 || a.share.Threads > 0 {
		return nil
	}
	for _, kv := range plan.ThreadsEnv(n) {
		name, _, _ := strings.Cut(kv, "=")
		if value(a.env, name) == "" {
			env = append(env, kv)
		}
	}
	return env
}

// override is env with the variables of own, each of which is there once: of two
// values programs may take either.
func override(env, own []string) []string {
	names := make(map[string]bool, len(own))
	for _, kv := range own {
		name, _, _ := strings.Cut(kv, "=")
		names[name] = true
	}
	out := make([]string, 0, len(env)+len(own))
	for _, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); !names[name] {
			out = append(out, kv)
		}
	}
	return append(out, own...)
}

// element is the share as the planner made it.
func element(s rundir.Share) plan.Element {
	return plan.Element{
		Index: s.Element, Node: s.Node, Lanes: s.Lanes, PerLane: s.PerLane, Threads: s.Threads,
		PerNode: s.PerNode, FirstRank: s.FirstRank, Ranks: s.Ranks,
	}
}

// taskMark is what every process of an attempt has in its environment.
func (a *agent) taskMark(c *call) string {
	return fmt.Sprintf("%s=%d_%s@%s", guest.EnvTask, a.run.Number, attemptName(c, 0), a.token)
}

// label names a call for a person.
func (a *agent) label(c *call) string { return fmt.Sprintf("task %d_%d", a.run.Number, c.tasks[0]) }
