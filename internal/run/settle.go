package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"muster/internal/guest"
	"muster/internal/inputs"
	"muster/internal/job"
	"muster/internal/template"
)

// DefaultMaxLog is how much is kept of each attempt's output.
const DefaultMaxLog = 64 << 20

// Prepare settles a request: it finds program, guest, inputs and shape, and
// refuses what cannot work. It writes nothing and builds nothing.
func (c *Conductor) Prepare(ctx context.Context, r Request) (*Prepared, error) {
	p := &Prepared{hold: r.Hold}
	s := &p.Spec
	*s = job.Spec{
		Version: job.SpecVersion, Created: time.Now(), Argv: r.Argv, Dir: r.Dir,
		AppType: r.AppType, Stdin: r.Stdin, Stdout: r.Stdout, Collect: r.Collect, EnvNames: r.Env,
		ImageName: r.Image, Boot: r.Boot, Drives: r.Drives, Isolation: r.Isolation,
		NP: r.NP, NData: r.NData, Distribution: r.Distribution, PerLane: r.PerLane,
		Nodes: r.Nodes, Stage: r.Stage, StageLimit: r.StageLimit, TaskTime: r.TaskTime, Requeue: r.Requeue,
		Timeout: r.Timeout, Time: r.Time, Warn: warning(r), Mem: r.Mem, Retries: r.Retries, MaxFails: r.MaxFails,
		FailOn: r.FailOn, MaxLog: r.MaxLog, ReduceAny: r.ReduceAny, Keep: r.Keep, TempDir: r.TempDir,
		Launch: r.Launch, Existing: r.Inputs.Existing, Scheduler: r.Scheduler, Threads: r.NP.Threads, Timing: r.Timing,
	}
	if s.MaxLog == 0 {
		s.MaxLog = DefaultMaxLog
	}
	args, err := c.program(p, r)
	if err != nil {
		return nil, err
	}
	if err := c.chooseGuest(p, r); err != nil {
		return nil, err
	}
	settle := c.inputs
	if r.Launch != nil {
		settle = c.programs
	}
	if err := settle(ctx, p, r, args); err != nil {
		return nil, err
	}
	if _, err := programEnv(c.Environ, r.Env); err != nil {
		return nil, err
	}
	if s.WorkDir = workDir(p, r); s.WorkDir != job.PrivateWork {
		if st, err := os.Stat(s.WorkDir); err != nil || !st.IsDir() {
			return nil, job.BadInputf("--workdir %s is not a folder", s.WorkDir)
		}
	}
	if err := c.shape(ctx, p, r); err != nil {
		return nil, err
	}
	c.visible(p)
	if err := c.checkStaging(p); err != nil {
		return nil, err
	}
	return p, c.check(ctx, p)
}

// inputs settles what a map's tasks are, and how the program is called for them.
func (c *Conductor) inputs(ctx context.Context, p *Prepared, r Request, args []string) error {
	s := &p.Spec
	found, err := inputs.Read(ctx, r.Inputs)
	if err != nil {
		return err
	}
	s.Input, s.Output, s.Tasks = found.Input, found.Output, len(found.Tasks)
	p.Tasks, p.Present = found.Tasks, found.Present
	if err := command(p, r, args); err != nil {
		return err
	}
	p.Tasks = inputs.ApplyAliases(p.Tasks, p.Front.Aliases(s.Program))
	if len(s.Collect) > 0 {
		shortenFolders(p.Tasks)
	}
	return c.reducer(p, r)
}

// program finds the program and its fixed arguments.
func (c *Conductor) program(p *Prepared, r Request) (args []string, err error) {
	word := r.Mapper
	switch {
	case r.Mapper != "" && len(r.Command) > 0:
		return nil, job.BadInputf("the program is given twice: --mapper %s, and %s after --", r.Mapper, r.Command[0])
	case r.Launch != nil && len(r.Command) == 0:
		return nil, job.BadInputf("no program: give a command after --, such as: muster launch -n 100 -- ./sim")
	case r.Mapper == "" && len(r.Command) == 0:
		return nil, job.BadInputf("no program: give --mapper PROGRAM, or a command after --, such as: muster map --input in --output out -- ./sim {in} {out}")
	case r.Mapper == "":
		word, args = r.Command[0], r.Command[1:]
		p.Spec.Template = true
	}
	p.Spec.Program, err = find(word, r.Dir, c.Environ)
	if err != nil {
		return nil, err
	}
	p.Spec.Name = filepath.Base(p.Spec.Program)
	p.Spec.ProgramDir = filepath.Dir(p.Spec.Program)
	if r.ProgramDir != "" {
		p.Spec.ProgramDir = absolute(r.ProgramDir, r.Dir)
		if st, err := os.Stat(p.Spec.ProgramDir); err != nil || !st.IsDir() {
			return nil, job.BadInputf("--program-dir %s is not a folder", r.ProgramDir)
		}
	}
	return args, nil
}

// find finds a program as a shell would, and Windows programs in the folder
// that muster was started in, as their users expect.
func find(word, dir string, environ []string) (string, error) {
	here := absolute(word, dir)
	_, err := os.Stat(here)
	switch strings.ToLower(filepath.Ext(word)) {
	case ".exe", ".bat", ".cmd":
		if err == nil {
			return here, nil
		}
	}
	if strings.ContainsRune(word, '/') {
		if errors.Is(err, fs.ErrNotExist) {
			return "", job.BadInputf("the program %s is not there", word)
		}
		return here, nil
	}
	for _, kv := range environ {
		list, isPath := strings.CutPrefix(kv, "PATH=")
		if !isPath {
			continue
		}
		for _, d := range filepath.SplitList(list) {
			if full := filepath.Join(d, word); filepath.IsAbs(full) && executable(full) {
				return full, nil
			}
		}
	}
	if err == nil {
		return here, nil
	}
	return "", job.BadInputf("the program %s is neither in PATH nor in %s", word, dir)
}

// Find finds a program as map does: what word means in folder dir. The error is
// job.ErrBadInput.
func (c *Conductor) Find(word, dir string) (string, error) { return find(word, dir, c.Environ) }

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0
}

// absolute is path as seen from dir.
func absolute(path, dir string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// chooseGuest settles --guest.
func (c *Conductor) chooseGuest(p *Prepared, r Request) (err error) {
	name := r.Guest
	if name == "" || name == "auto" {
		for _, f := range c.Fronts {
			yes, why, err := f.Recognise(p.Spec.Program)
			if err != nil {
				return err
			}
			if yes {
				c.tell("guest %s: %s is a %s", f.Name(), p.Spec.Name, why)
				name = f.Name()
				break
			}
		}
	}
	p.Front, err = c.front(name)
	if err != nil {
		return err
	}
	p.Spec.Guest = name
	p.Spec.WineTree = r.Wine
	if r.Wine != "" {
		p.Spec.WineTree = absolute(r.Wine, r.Dir)
	}
	p.Request = guest.Request{
		Program: p.Spec.Program, Dirs: []string{p.Spec.ProgramDir},
		Image: r.Image, Boot: r.Boot, Wine: p.Spec.WineTree, Force: r.Force,
		Mem: r.Mem, Options: r.GuestOpts,
	}
	return nil
}

// command settles how the program takes input and output, and whether there are
// outputs at all.
func command(p *Prepared, r Request, args []string) error {
	s := &p.Spec
	if s.AppType == job.MIMO && (s.Template || s.Stdin || s.Stdout || len(s.Collect) > 0) {
		return job.BadInputf("--apptype=mimo calls PROGRAM LISTFILE: it goes with --mapper alone, without a command after --, --stdin, --stdout or --collect")
	}
	if s.Stdout && len(s.Collect) > 0 {
		return job.BadInputf("--stdout and --collect contradict each other: the one makes each output a file, the other a folder; leave out one of them")
	}
	if s.Stdin {
		for _, t := range p.Tasks {
			if len(t.In) != 1 || !t.In[0].File {
				return job.BadInputf("--stdin: the input of task %d is not one file", t.Index)
			}
		}
	}
	writes := true
	if s.Template {
		t, err := template.Parse(args)
		if err != nil {
			return err
		}
		streams := template.Streams{Stdin: s.Stdin, Stdout: s.Stdout}
		if err := t.Check(streams); err != nil {
			return err
		}
		if err := t.CheckTasks(p.Tasks); err != nil {
			return err
		}
		s.Args = args
		writes = t.Uses("out") || s.Stdout || len(s.Collect) > 0
	}
	switch {
	case writes && s.Output == "":
		return job.BadInputf("no output: give --output FOLDER")
	case !writes && s.Output != "":
		return job.BadInputf("--output %s is given, but the command writes none: use {out} in it, --stdout or --collect PATTERN", r.Inputs.Output)
	case !writes:
		for i := range p.Tasks {
			p.Tasks[i].Out = ""
		}
	}
	return nil
}

// workDir settles the folder that the program runs in: the folder that muster was
// started in, as with every launcher, unless tasks could meet in it or the guest
// has names of its own.
func workDir(p *Prepared, r Request) string {
	switch r.WorkDir {
	case "here":
		return r.Dir
	case job.PrivateWork:
		return job.PrivateWork
	case "":
		if len(p.Spec.Collect) > 0 || p.Spec.Guest != "native" || r.Launch != nil && r.Launch.Ready.How == job.ReadyFile {
			return job.PrivateWork
		}
		return r.Dir
	}
	return absolute(r.WorkDir, r.Dir)
}

// reducer settles the reduce step.
func (c *Conductor) reducer(p *Prepared, r Request) error {
	s := &p.Spec
	if r.Reducer == "" {
		if len(r.RedArgs) > 0 || r.RedOut != "" {
			return job.BadInputf("--redargs and --redout go with --reducer")
		}
		return nil
	}
	if s.Output == "" {
		return job.BadInputf("--reducer works on outputs, and the command writes none")
	}
	program, err := find(r.Reducer, r.Dir, c.Environ)
	if err != nil {
		return job.BadInputf("--reducer: %w", err)
	}
	s.Reducer, s.ReducerArgs = program, r.RedArgs
	s.ReducerOut = absolute(r.RedOut, r.Dir)
	if r.RedOut == "" {
		s.ReducerOut = filepath.Join(r.Dir, "llmapreduce.out")
	}
	if st, err := os.Stat(filepath.Dir(s.ReducerOut)); (err != nil || !st.IsDir()) && filepath.Dir(s.ReducerOut) != s.Output {
		return job.BadInputf("--redout %s: its folder is not there", r.RedOut)
	}
	if _, err := os.Lstat(s.ReducerOut); err == nil && s.Existing == job.ExistingRefuse {
		return job.BadInputf("--redout %s is there already; use --existing replace to move it aside, or another name", s.ReducerOut)
	}
	s.ReduceGuest = s.Guest
	for _, f := range c.Fronts {
		yes, _, err := f.Recognise(program)
		if err != nil {
			return job.BadInputf("--reducer: %w", err)
		}
		if yes {
			s.ReduceGuest = f.Name()
			break
		}
	}
	if s.ReduceGuest != s.Guest && s.ReduceGuest != "native" {
		return job.BadInputf("--reducer %s needs guest %s, and the mapper runs in %s", r.Reducer, s.ReduceGuest, s.Guest)
	}
	return nil
}

// without is 1…n without those in gone, which are sorted.
func without(n int, gone []int) *job.IndexSet {
	var left []int
	for i := 1; i <= n; i++ {
		if _, found := slices.BinarySearch(gone, i); !found {
			left = append(left, i)
		}
	}
	set := job.NewIndexSet(left...)
	return &set
}

// check has the guest examine the programs.
func (c *Conductor) check(ctx context.Context, p *Prepared) (err error) {
	p.Verdict, err = p.Front.Check(ctx, p.Request)
	if err != nil {
		return err
	}
	if p.Verdict.Boot != "" {
		p.Spec.Boot = p.Verdict.Boot
		c.tell("boot %s: %s", p.Verdict.Boot, p.Verdict.Why)
	}
	if p.Verdict.Waits && p.Spec.Timeout == 0 && p.Spec.Launch == nil {
		c.tell("%s can open windows: one that waits for an answer would wait for ever, for nobody sees it; --timeout ends it", p.Spec.Name)
	}
	if p.Spec.Reducer != "" {
		f, err := c.front(p.Spec.ReduceGuest)
		if err != nil {
			return err
		}
		req := p.Request
		req.Program, req.Dirs = p.Spec.Reducer, []string{filepath.Dir(p.Spec.Reducer)}
		v, err := f.Check(ctx, req)
		if err != nil {
			return fmt.Errorf("the reducer: %w", err)
		}
		if v.Boot == "full" && p.Spec.Boot == "lean" {
			p.Spec.Boot = v.Boot
			c.tell("boot full: the reducer %s", v.Why)
		}
	}
	return nil
}

// programEnv is the environment that programs get, by --env.
func programEnv(environ []string, names string) ([]string, error) {
	switch names {
	case "", "all":
		return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
			return strings.HasPrefix(kv, "MUSTER_") || strings.HasPrefix(kv, "=")
		}), nil
	case "none":
		return nil, nil
	}
	var env []string
	for _, want := range strings.Split(names, ",") {
		i := slices.IndexFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, want+"=") })
		if want == "" || i < 0 {
			return nil, job.BadInputf("--env names %q, which is not in the environment", want)
		}
		env = append(env, environ[i])
	}
	return env, nil
}

// SampleArgv is the command of the first task as it will be started, with host
// names, for --dry-run.
func (p *Prepared) SampleArgv() []string {
	s, t := p.Spec, p.Tasks[0]
	out := ""
	if t.Out != "" {
		out = filepath.Join(s.Output, t.Out)
	}
	argv := []string{s.Program}
	switch {
	case s.AppType == job.MIMO:
		return append(append(argv, s.Args...), "LISTFILE")
	case s.Template:
		parsed, err := template.Parse(s.Args)
		if err != nil {
			return argv
		}
		args, err := parsed.Expand(template.ValuesOf(t, t.Words(), out, 0))
		if err != nil {
			return argv
		}
		return append(argv, args...)
	}
	argv = append(argv, s.Args...)
	if !s.Stdin {
		argv = append(argv, t.Words()...)
	}
	if !s.Stdout && out != "" {
		argv = append(argv, out)
	}
	return argv
}

// longestFolder is how long the name of a collected folder may be while it is
// being made: publication keeps a note beside it, under its name and nine bytes.
const longestFolder = 240

// shortenFolders gives the folders of collected outputs a short name until they are published.
func shortenFolders(tasks []job.Task) {
	for i := range tasks {
		if len(tasks[i].OutName()) > longestFolder {
			tasks[i].OutAlias = "collected"
		}
	}
}
