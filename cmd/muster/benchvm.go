package main

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/bench"
	"muster/internal/guest"
	"muster/internal/guest/vm"
	"muster/internal/job"
	"muster/internal/node"
	"muster/internal/ui"
	"muster/internal/ui/human"
)

// benchVMFlags are the flags of bench vm that are no settings.
type benchVMFlags struct {
	jobs, vms, repeats          int
	unoptimised, series, output string
	longest                     time.Duration
	dryRun, json                bool
}

// benchVMCommand repeats the published experiment with VM jobs.
func (a *app) benchVMCommand() *cobra.Command {
	var f benchVMFlags
	cmd := &cobra.Command{
		Use:   "vm [flags]",
		Short: "Measure how soon a job runs in a virtual machine: booted cold, resumed warm, unoptimised",
		Long: `Launches 1, 2, 4, 8, 16 jobs with 1, 2, 4, 8 virtual machines each, every scenario several times, as in the published experiment
(VM jobs on LLGrid, 2012): the time from the command until the job in the guest has added two numbers, stamped by this host, and how long
shutting down and discarding takes. The image that --image names is measured booted cold and resumed warm; --unoptimised names one built with
--strip none, to measure the difference.

What does not fit into the memory, or would take longer than --longest, is left out and said. Tables, JSON, figures and a page with all of them
are written to a folder.`,
		Example: `  muster image build vm --name deb --from debian
  muster image build vm --name deb-full --from debian --strip none
  muster bench vm --image deb --unoptimised deb-full --dry-run
  muster bench vm --image deb --max-jobs 2 --max-vms 2 --repeats 3
  muster bench vm --image deb --engine slurm --nodes 8`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchVM(cmd, f) },
	}
	fl := cmd.Flags()
	fl.IntVar(&f.jobs, "max-jobs", bench.PublishedJobs, "most jobs")
	fl.IntVar(&f.vms, "max-vms", bench.PublishedPerJob, "most VMs of a job")
	fl.IntVar(&f.repeats, "repeats", bench.PublishedRepeats, "launches of each scenario")
	text(fl, &f.unoptimised, "unoptimised", "IMAGE", "", "an image built with --strip none, to compare with")
	text(fl, &f.series, "series", "LIST", "", "what is measured: cold, warm, unoptimised (default: all that there are images for)")
	fl.DurationVar(&f.longest, "longest", 5*time.Minute, "scenarios of which one launch takes longer are left out")
	text(fl, &f.output, "output", "DIR", "", "folder of the results (default: ./muster-bench-vm-DATE)")
	fl.BoolVar(&f.dryRun, "dry-run", false, "say what would be done and how long it takes, and do nothing")
	fl.BoolVar(&f.json, "json", false, "print the results as one JSON object at the end")
	for _, name := range append([]string{"image", "mem", "engine", "nodes", "progress"}, benchVMPassed...) {
		setting(fl, name)
	}
	fl.SortFlags = false
	return cmd
}

// benchVMPassed are settings that go to muster map as they are.
var benchVMPassed = []string{"contain", "stage", "partition", "account", "qos", "constraint", "reservation", "exclusive", "time"}

// vmBench is a bench vm, settled.
type vmBench struct {
	flags  benchVMFlags
	engine string
	nodes  int
	memory int64
	scenes []bench.Scene
	room   bench.VMRoom
	series []vmSeries
	absent string // why a series is left out, or ""
	facts  vm.Facts
	machine
	dir    string
	passed []string
}

// vmSeries is one way to start guests.
type vmSeries struct {
	name, image, boot string
	rough             time.Duration // what a VM takes that is alone, before it is measured
}

func (a *app) benchVM(cmd *cobra.Command, f benchVMFlags) error {
	return a.benchmark(cmd.Context(), benchWords{dryRun: f.dryRun, json: f.json}, func(ctx context.Context) (benchmark, error) {
		return a.settleBenchVM(ctx, cmd, f)
	})
}

// settleBenchVM finds out what can be measured here, and refuses what cannot.
func (a *app) settleBenchVM(ctx context.Context, cmd *cobra.Command, f benchVMFlags) (*vmBench, error) {
	b := &vmBench{flags: f, engine: "local", nodes: a.cfg.Count("nodes"), memory: a.cfg.Memory("mem")}
	if e := a.cfg.Text("engine"); e != "auto" {
		b.engine = e
	}
	if b.memory == 0 {
		b.memory = vm.DefaultMemory
	}
	if f.repeats < 1 || f.jobs < 1 || f.vms < 1 || f.longest <= 0 {
		return nil, job.BadInputf("--max-jobs, --max-vms, --repeats and --longest are from 1")
	}
	switch {
	case b.engine == "local":
		b.nodes = 0 // jobs are lanes of this machine
	case b.nodes == 0:
		return nil, job.BadInputf("--nodes is needed with --engine %s: jobs go to so many nodes at most", b.engine)
	}
	var err error
	if b.dir, err = benchFolder(f.output, "vm"); err != nil {
		return nil, err
	}
	b.passed = passedFlags(cmd, benchVMPassed)
	b.scenes = bench.Scenes(f.jobs, f.vms)
	n, err := node.Describe(ctx)
	if err != nil {
		return nil, err
	}
	b.machine = machineOf(n)
	b.room = bench.VMRoom{Each: b.memory + bench.QEMUTakes, CPUs: b.cpus, Longest: f.longest}
	if b.nodes > 0 {
		b.room.CPUs = b.nodes // at least; what else they have is not known here
	} else {
		b.room.Memory = n.Memory.Available
	}
	return b, a.chooseVMSeries(ctx, b)
}

// chooseVMSeries settles what is compared: what was asked for, or what there are images for.
func (a *app) chooseVMSeries(ctx context.Context, b *vmBench) error {
	asked := strings.FieldsFunc(b.flags.series, func(r rune) bool { return r == ',' || r == ' ' })
	for _, w := range asked {
		if !slices.Contains([]string{"cold", "warm", "unoptimised"}, w) {
			return job.BadInputf("--series %s: name some of cold, warm, unoptimised", w)
		}
	}
	wants := func(word string) bool { return len(asked) == 0 || slices.Contains(asked, word) }
	stripped := a.cfg.Text("image")
	if wants("cold") || wants("warm") {
		if stripped == "" {
			return job.BadInputf("--image is needed: the image that is measured; make one with: muster image build vm --name deb --from debian")
		}
	}
	if b.flags.unoptimised == "" {
		if slices.Contains(asked, "unoptimised") {
			return job.BadInputf("--series unoptimised needs --unoptimised IMAGE; make one with: muster image build vm --name deb-full --from debian --strip none")
		}
		if len(asked) == 0 {
			b.absent = "unoptimised: --unoptimised names no image; make one with: muster image build vm --name deb-full --from debian --strip none"
		}
	}
	all := []struct {
		word string
		vmSeries
	}{
		{"cold", vmSeries{bench.SeriesCold, stripped, vm.BootCold, 0}},
		{"warm", vmSeries{bench.SeriesWarm, stripped, vm.BootWarm, 0}},
		{"unoptimised", vmSeries{bench.SeriesUnoptimised, b.flags.unoptimised, vm.BootCold, 0}},
	}
	store, err := a.images()
	if err != nil {
		return err
	}
	for _, s := range all {
		if !wants(s.word) || s.image == "" {
			continue
		}
		r := guest.Request{Program: "/bin/sh", Image: s.image, Boot: s.boot, Mem: b.memory}
		if _, err := vm.NewFront(store).Check(ctx, r); err != nil {
			return err
		}
		b.series = append(b.series, s.vmSeries)
	}
	if len(b.series) == 0 {
		return job.BadInputf("nothing is to be measured: --series %s", b.flags.series)
	}
	if b.facts, err = a.lookVM(ctx, b.series[0].image); err != nil {
		return err
	}
	for i := range b.series {
		b.series[i].rough = roughStart(b.series[i].name, b.runs())
	}
	return nil
}

// runs is what runs guests on this host, in a word.
func (b *vmBench) runs() string {
	word, _, _ := strings.Cut(b.facts.Accelerator, ":")
	return strings.ToUpper(word)
}

// roughStart is roughly what a VM takes that is alone, the command's own start and its end
// included. It decides what a dry run says, never what is reported.
func roughStart(series, runs string) time.Duration {
	rough := map[string]time.Duration{bench.SeriesCold: 4 * time.Second, bench.SeriesWarm: time.Second, bench.SeriesUnoptimised: 45 * time.Second}[series]
	if runs == "KVM" {
		rough /= 4
	}
	return rough
}

// print says what is measured, and how long it takes.
func (b *vmBench) print(out *ui.Stream) {
	counts := func(most int) string {
		var words []string
		for _, n := range bench.Counts(most) {
			words = append(words, human.Count(n))
		}
		return strings.Join(words, ", ")
	}
	out.Printf("jobs: %s; VMs of each: %s; %s each, guests of %s, engine %s\n", counts(b.flags.jobs), counts(b.flags.vms), human.Plural(b.flags.repeats, "time"), human.Memory(b.memory), b.engine)
	out.Printf("  guests    %s\n", human.Escape(b.facts.Accelerator))
	var took time.Duration
	for _, s := range b.series {
		p := b.room.Plan(s.name, b.scenes, b.flags.repeats, s.rough)
		took += p.Estimate + 2*s.rough
		out.Printf("  measured  %s: image %s, %s, about %s\n", s.name, human.Escape(s.image), human.Plural(len(p.Scenes), "scenario"), human.Duration(p.Estimate))
	}
	for _, s := range b.series {
		if left := b.room.Plan(s.name, b.scenes, b.flags.repeats, s.rough).LeftOut(); left != "" {
			out.Printf("  left out  %s\n", left)
		}
	}
	if b.absent != "" {
		out.Printf("  left out  %s\n", b.absent)
	}
	out.Printf("  takes     about %s, roughly: what one VM takes is measured first, and settles what is left out\n", human.Duration(took))
	out.Printf("  writes    %s\n", human.Escape(b.dir))
}

func (b *vmBench) folder() string { return b.dir }

// measure carries the experiment out.
func (b *vmBench) measure(ctx context.Context, a *app, with benchKit) (_ benchResult, err error) {
	r := &bench.VMResult{
		When: time.Now(), Version: version, Machine: b.text, CPUs: b.cpus, Load: bench.Load(), Engine: b.engine, Nodes: b.nodes,
		Memory: b.memory, Runs: b.runs(), Images: map[string]string{}, Repeats: b.flags.repeats, Scenes: b.scenes,
	}
	var contenders []bench.Contender
	var all []*bench.VMJobs
	for _, s := range b.series {
		v := &bench.VMJobs{
			Caller: bench.Caller{
				Table: with.table, Exe: with.exe, State: filepath.Join(with.work, "state"), Env: a.environ, Dir: with.work,
				Flags: append([]string{"--engine", b.engine, "--image", s.image, "--boot", s.boot, "--mem", strconv.FormatInt(b.memory>>20, 10) + "M"}, b.passed...),
			},
			Nodes: b.nodes, Series: s.name, Scenes: b.scenes, Room: b.room, Rough: s.rough, Warm: s.boot == vm.BootWarm,
		}
		contenders, all = append(contenders, v), append(all, v)
		r.Images[s.name] = s.image
	}
	counts := make([]int, len(b.scenes))
	for i := range counts {
		counts[i] = i + 1
	}
	r.Samples, r.Stops, err = bench.Experiment{
		Contenders: contenders, Counts: counts, Repeats: b.flags.repeats, Step: func(n int) string { return b.scenes[n-1].String() },
	}.Run(ctx, with.progress)
	if err != nil {
		return nil, err
	}
	r.Took = time.Since(r.When)
	for _, v := range all {
		r.Plans = append(r.Plans, v.Plan(b.flags.repeats))
	}
	return r, nil
}
