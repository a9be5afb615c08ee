package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/bench"
	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/job"
	"muster/internal/node"
	"muster/internal/proc"
	"muster/internal/ui"
	"muster/internal/ui/human"
)

// launchBench is a bench launch, settled.
type launchBench struct {
	flags     benchLaunchFlags
	guest     string
	isolation string
	engine    string
	nodes     int
	need      bench.Need
	room      bench.Room
	counts    []int
	machine   string
	wine      wine.Install
	against   []string // of xargs, parallel and plain
	absent    []string // what of them is not here, each with the reason
	dir       string
	passed    []string // flags for muster launch
}

const baselines = "xargs, parallel, plain"

func (a *app) benchLaunch(cmd *cobra.Command, f benchLaunchFlags) error {
	return a.benchmark(cmd.Context(), benchWords{dryRun: f.dryRun, json: f.json}, func(ctx context.Context) (benchmark, error) {
		return a.settleBench(ctx, cmd, f)
	})
}

func (b *launchBench) folder() string { return b.dir }

// settleBench finds out what can be measured here, and refuses what cannot.
func (a *app) settleBench(ctx context.Context, cmd *cobra.Command, f benchLaunchFlags) (*launchBench, error) {
	b := &launchBench{flags: f, guest: "wine", isolation: string(job.IsolateNode), engine: "local", nodes: a.cfg.Count("nodes")}
	if g := a.cfg.Text("guest"); g != "auto" {
		b.guest = g
	}
	if e := a.cfg.Text("engine"); e != "auto" {
		b.engine = e
	}
	if b.engine == "local" {
		b.nodes = 0 // this machine is one
	}
	if v, _ := a.cfg.Value("isolation"); v.Source.Kind != "default" {
		b.isolation = v.Text
	}
	b.need = needOf(b.guest, b.isolation)
	if f.repeats < 1 || f.most < 0 || f.sharedMost < 1 || f.plainMost < 1 {
		return nil, job.BadInputf("--max, --repeats, --against-max and --plain-max are numbers from 1")
	}
	var err error
	if b.dir, err = benchFolder(f.output, "launch"); err != nil {
		return nil, err
	}
	b.passed = passedFlags(cmd, benchPassed)
	if err := a.chooseBaselines(ctx, b); err != nil {
		return nil, err
	}
	return b, a.sizeBench(ctx, b)
}

// sizeBench settles how many instances are launched.
func (a *app) sizeBench(ctx context.Context, b *launchBench) error {
	n, err := node.Describe(ctx)
	if err != nil {
		return err
	}
	m := machineOf(n)
	b.room = bench.Room{Memory: n.Memory.Available, PIDs: int(n.Limits.Threads(os.Geteuid() == 0)), CPUs: m.cpus}
	b.machine = m.text
	if b.wine.Version != "" {
		b.machine += ", " + b.wine.Version
	}
	most := b.flags.most
	least := b.need.Memory / 2 // whatever the estimate is worth, less than this it cannot be
	switch {
	case b.engine != "local" && (most == 0 || b.nodes == 0):
		return job.BadInputf("--max and --nodes are needed with --engine %s: this host does not know what its nodes can carry", b.engine)
	case most == 0:
		most = bench.Fit(b.need, b.room)
	case b.engine == "local" && int64(most) > b.room.Memory/least:
		return job.BadInputf("%s need more than %s (%s each) and %s are free; --max %d fits",
			human.Plural(most, "instance"), human.Memory(int64(most)*least), human.Memory(least), human.Memory(b.room.Memory), bench.Fit(b.need, b.room))
	}
	b.counts = bench.Counts(most)
	return nil
}

// chooseBaselines settles what is compared with: what was asked for, or what is here.
func (a *app) chooseBaselines(ctx context.Context, b *launchBench) error {
	asked := strings.FieldsFunc(b.flags.against, func(r rune) bool { return r == ',' || r == ' ' })
	for _, w := range asked {
		if !slices.Contains([]string{"xargs", "parallel", "plain", "none"}, w) {
			return job.BadInputf("--against %s: name some of %s, or none", w, baselines)
		}
	}
	none := slices.Contains(asked, "none")
	if none && len(asked) > 1 {
		return job.BadInputf("--against %s: none cannot be named with others", b.flags.against)
	}
	if b.guest != "wine" {
		if len(asked) > 0 && !none {
			return job.BadInputf("--against %s starts programs with plain Wine: it goes with --guest wine only", b.flags.against)
		}
		return nil
	}
	if a.cfg.Text("wine") != "" {
		if len(asked) > 0 && !none {
			return job.BadInputf("--against %s starts programs with this machine's Wine, and --wine brings another: leave out one of them", b.flags.against)
		}
		b.absent = []string{"plain Wine: this machine's is another than that of --wine"}
		return nil
	}
	fronts, err := a.fronts()
	if err != nil {
		return err
	}
	for _, front := range fronts {
		if w, ok := front.(*wine.Front); ok {
			b.wine, err = w.Installed(ctx)
		}
	}
	if err != nil || none {
		return err
	}
	for _, w := range strings.Split(baselines, ", ") {
		if len(asked) > 0 && !slices.Contains(asked, w) {
			continue
		}
		if _, err := a.tool(w); err != nil && slices.Contains(asked, w) {
			return lackingError(fmt.Sprintf("--against %s: %v", w, err))
		} else if err != nil {
			b.absent = append(b.absent, err.Error())
			continue
		}
		b.against = append(b.against, w)
	}
	return nil
}

// lackingError says what this host lacks.
type lackingError string

func (e lackingError) Error() string        { return string(e) }
func (e lackingError) Is(target error) bool { return target == guest.ErrLacking }

// tool finds the program behind a baseline; plain Wine has been found already.
func (a *app) tool(name string) (string, error) {
	if name == "plain" {
		return "", nil
	}
	path, err := a.lookup(name)
	if err != nil {
		return "", err
	}
	_, err = a.lookup("bash")
	return path, err
}

// lookup finds a command in PATH.
func (a *app) lookup(name string) (string, error) {
	for _, dir := range filepath.SplitList(a.getenv("PATH")) {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// print says what is measured, and how long it takes.
func (b *launchBench) print(out *ui.Stream) {
	what := "Windows programs"
	if b.guest != "wine" {
		what = b.guest + " programs"
	}
	counts := make([]string, len(b.counts))
	for i, n := range b.counts {
		counts[i] = human.Count(n)
	}
	shown := counts
	if len(counts) > 5 {
		shown = append(slices.Clone(counts[:3]), "…", counts[len(counts)-1])
	}
	out.Printf("%s %s at once, %s each, isolation %s, engine %s\n", strings.ReplaceAll(strings.Join(shown, ", "), ", …, ", " … "), what,
		human.Plural(b.flags.repeats, "time"), b.isolation, b.engine)
	took := b.need.Estimate(b.counts, b.flags.repeats, b.room.CPUs, 3*time.Second)
	beside := func(name string, most int, n bench.Need, fixed time.Duration) {
		var counts []int
		for _, c := range b.counts {
			if c <= most {
				counts = append(counts, c)
			}
		}
		took += n.Estimate(counts, b.flags.repeats, b.room.CPUs, fixed)
		out.Printf("  beside    %s, up to %s\n", name, human.Count(slices.Max(counts)))
	}
	for _, w := range b.against {
		switch w {
		case "xargs":
			beside("xargs in one booted prefix", b.flags.sharedMost, bench.Need{Rate: 40}, time.Second)
		case "parallel":
			beside("GNU parallel in one booted prefix", b.flags.sharedMost, bench.Need{Rate: 40}, 2*time.Second)
		case "plain":
			beside("plain Wine, a full boot each", b.flags.plainMost, bench.Need{Rate: 0.5}, 10*time.Second)
		}
	}
	for _, why := range b.absent {
		out.Printf("  left out  %s\n", human.Escape(why))
	}
	out.Printf("  takes     about %s, at %.0f starts/s a CPU\n", human.Duration(took), b.need.Rate)
	where := ""
	if b.engine != "local" {
		where = ", which all nodes have to see"
	}
	out.Printf("  writes    %s%s\n", human.Escape(b.dir), where)
}

// measure carries the experiment out.
func (b *launchBench) measure(ctx context.Context, a *app, with benchKit) (_ benchResult, err error) {
	probe, err := a.probe(ctx, b, with.table, with.work)
	if err != nil {
		return nil, err
	}
	ours := &bench.Muster{
		Caller: bench.Caller{
			Table: with.table, Exe: with.exe, State: filepath.Join(with.work, "state"), Env: a.environ, Dir: with.work,
			Flags: append([]string{"--guest", b.guest, "--isolation", b.isolation, "--engine", b.engine}, b.passed...),
		},
		Label: "muster, isolation " + b.isolation, Limit: b.counts[len(b.counts)-1], Probe: probe, Nodes: b.nodes, Here: b.engine == "local",
	}
	plain := &bench.PlainWine{Table: with.table, Loader: b.wine.Loader, Server: b.wine.Server, Dir: filepath.Join(with.work, "wine"), Env: a.plainEnv(with.work), Probe: probe}
	defer func() { err = errors.Join(err, plain.Close()) }()
	contenders := []bench.Contender{ours}
	for _, w := range b.against {
		path, err := a.tool(w)
		if err != nil {
			return nil, err
		}
		shell, err := a.lookup("bash")
		switch {
		case w == "plain":
			contenders = append(contenders, &bench.FullBoot{Wine: plain, Limit: b.flags.plainMost})
		case err != nil:
			return nil, err
		case w == "xargs":
			contenders = append(contenders, bench.Xargs(plain, path, shell, b.flags.sharedMost))
		case w == "parallel":
			contenders = append(contenders, bench.Parallel(plain, path, shell, b.flags.sharedMost))
		}
	}
	began, load := time.Now(), bench.Load()
	samples, stops, err := bench.Experiment{Contenders: contenders, Counts: b.counts, Repeats: b.flags.repeats}.Run(ctx, with.progress)
	if err != nil {
		return nil, err
	}
	nodes := 1
	for _, s := range samples {
		nodes = max(nodes, s.Nodes)
	}
	return &bench.Result{
		When: began, Load: load, Version: version, Machine: b.machine, CPUs: b.room.CPUs, Guest: b.guest, Isolation: b.isolation, Engine: b.engine,
		Nodes: nodes, Repeats: b.flags.repeats, Took: time.Since(began), Samples: samples, Stops: stops, Published: bench.Published(),
	}, nil
}

// probe is the program: the user's, or built here.
func (a *app) probe(ctx context.Context, b *launchBench, table *proc.Table, dir string) (bench.Probe, error) {
	if b.flags.probe == "" {
		p, err := bench.BuildProbe(ctx, table, a.environ, a.lookup, b.guest, dir)
		if errors.As(err, new(*bench.NoCompilerError)) {
			err = lackingError(err.Error())
		}
		return p, err
	}
	path, err := filepath.Abs(b.flags.probe)
	if err != nil {
		return bench.Probe{}, err
	}
	if _, err := os.Stat(path); err != nil {
		return bench.Probe{}, job.BadInputf("the program %s is not there", b.flags.probe)
	}
	return bench.NewProbe(path)
}

// plainEnv is the environment of plain Wine: a user's, with a home of its own, and
// without what would change Wine.
func (a *app) plainEnv(home string) []string {
	env := []string{"HOME=" + home}
	for _, name := range []string{"PATH", "USER", "LOGNAME", "LANG"} {
		if v := a.getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}
