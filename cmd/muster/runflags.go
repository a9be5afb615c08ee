package main

import (
	"os"
	"strings"

	"github.com/spf13/pflag"

	"muster/internal/job"
	"muster/internal/run"
)

// runFlags are the flags that map and launch have in common, and that are no settings.
type runFlags struct {
	np                                 string
	slots, slotsType                   int
	options, drives, mounts            []string
	programDir, workdir                string
	force, detach, dryRun, json, quiet bool
	fresh                              bool
	held                               bool // --hold of map: not before muster release. That of launch is a time
}

func (f *runFlags) addNP(fl *pflag.FlagSet, help string) {
	text(fl, &f.np, "np", "N|[N,N,N]", "", help)
}

func (f *runFlags) addScheduler(fl *pflag.FlagSet) {
	fl.IntVar(&f.slots, "slots-per-task", 1, "slots per process, for the scheduler")
	fl.IntVar(&f.slotsType, "slots-per-task-type", 1, "which processes that is for (1 map, 2 both, 3 reduce)")
	f.addOptions(fl)
}

func (f *runFlags) addOptions(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.options, "options", nil, "further options, passed to the scheduler as they are, after all others")
}

func (f *runFlags) addProgram(fl *pflag.FlagSet, workdir string) {
	fl.StringArrayVar(&f.drives, "drive", nil, "a further drive, LETTER=FOLDER (Wine)")
	addMounts(fl, &f.mounts)
	text(fl, &f.programDir, "program-dir", "DIR", "", "folder that goes with the program (default: the program's own)")
	text(fl, &f.workdir, "workdir", "DIR", "", "folder to run in: private, here, or a folder (default: "+workdir+")")
	fl.BoolVar(&f.force, "force", false, "run the program although it is likely to fail")
	fl.BoolVar(&f.detach, "detach", false, "return as soon as the run is submitted")
	fl.BoolVar(&f.fresh, "new", false, "submit to the scheduler, although this is inside an allocation")
}

func (f *runFlags) addOutcome(fl *pflag.FlagSet) {
	fl.BoolVar(&f.dryRun, "dry-run", false, "print the plan, and do nothing")
	fl.BoolVar(&f.json, "json", false, "print one JSON object at the end")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "print the run's number only")
	fl.BoolVar(&f.quiet, "parsable", false, "as --quiet")
}

// request makes what map and launch have in common of a request, of flags and settings.
func (a *app) request(f runFlags, command []string) (r run.Request, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return r, err
	}
	c := a.cfg
	r = run.Request{
		Argv: a.argv, Dir: dir, Command: command,
		Engine: c.Text("engine"), Guest: c.Text("guest"), Image: c.Text("image"), Boot: c.Text("boot"), Wine: c.Text("wine"),
		Force: f.force, Isolation: job.Isolation(c.Text("isolation")), ProgramDir: f.programDir, WorkDir: f.workdir,
		Env: c.Text("env"), Timeout: c.Duration("timeout"), Time: c.Duration("time"), Mem: c.Memory("mem"),
		MaxFails: c.Count("max-fails"), MaxLog: c.Memory("max-log"), Keep: c.Switch("keep"),
		Nodes: c.Count("nodes"), New: f.fresh, Hold: f.held, Stage: c.Text("stage"), StageLimit: c.Memory("stage-limit"),
		Warn: c.Duration("warn"), Requeue: c.Switch("requeue"), Timing: c.Text("timing"),
		Scheduler: job.Resource{
			Partition: c.Text("partition"), Account: c.Text("account"), QOS: c.Text("qos"), Constraint: c.Text("constraint"),
			Reservation: c.Text("reservation"), CPUType: c.Text("cpu-type"), GPUs: c.Text("gpus"), Exclusive: c.Switch("exclusive"),
			Nice: c.Count("nice"), Priority: c.Text("priority"), SlotsPer: f.slots, SlotsType: f.slotsType,
		},
	}
	if v, _ := c.Value("engine"); v.Source.Kind == "file" {
		// What stands in a file gives way to the allocation that the command is in.
		r.Engine, r.Fallback = "auto", v.Text
	}
	for _, words := range f.options {
		more, err := job.SplitWords(words)
		if err != nil {
			return r, job.BadInputf("--options: %w", err)
		}
		r.Scheduler.Options = append(r.Scheduler.Options, more...)
	}
	if v, ok := c.Value("fail-on"); ok {
		r.FailOn = v.Text
	}
	if err := a.vmRequest(&r, f.mounts, dir); err != nil {
		return r, err
	}
	if f.np != "" {
		if r.NP, err = job.ParseNP(f.np); err != nil {
			return r, err
		}
	}
	r.Drives, err = drives(f.drives)
	return r, err
}

// drives reads --drive.
func drives(words []string) (map[string]string, error) {
	if len(words) == 0 {
		return nil, nil
	}
	m := map[string]string{}
	for _, w := range words {
		letter, dir, ok := strings.Cut(w, "=")
		letter = strings.ToLower(strings.TrimSuffix(letter, ":"))
		if !ok || len(letter) != 1 || letter[0] < 'a' || letter[0] > 'z' || dir == "" {
			return nil, job.BadInputf("--drive %q: write LETTER=FOLDER, such as z=/", w)
		}
		if strings.Contains("ciowpr", letter) {
			return nil, job.BadInputf("--drive %s: muster uses %s: itself; take another letter", w, letter)
		}
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return nil, job.BadInputf("--drive %s: %s is not a folder", w, dir)
		}
		m[letter] = dir
	}
	return m, nil
}
