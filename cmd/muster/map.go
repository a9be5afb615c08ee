package main

import (
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"muster/internal/inputs"
	"muster/internal/job"
	"muster/internal/run"
)

// mapFlags are the flags of map that are no settings.
type mapFlags struct {
	runFlags
	mapper, input, input0, inputJSON, output string
	distribution, apptype                    string
	ndata                                    int
	prefix, ext, delimiter, extSearch        string
	subdir                                   bool
	reducer, redargs, redout                 string
	changeDepMode                            bool
	tempdir                                  string
	stdin, stdout                            bool
	collect                                  []string
}

// mapCommand maps a program over inputs. Every option of LLMapReduce is taken
// as published (SYSTEMS: site documentation), beside muster's own.
func (a *app) mapCommand() *cobra.Command {
	var f mapFlags
	cmd := &cobra.Command{
		Use:   "map --mapper PROGRAM --input IN --output OUT [flags]\n  muster map --input IN --output OUT [flags] -- PROGRAM ARGS…",
		Short: "Run a program once for each input",
		Long: `Runs a program once for each file of a folder, or each line of a list. Windows
programs run under Wine, everything else natively. An output appears under its name only when its task has
succeeded.

The mapper is called as PROGRAM INPUT OUTPUT. A command of your own after --
may hold {in} {out} {name} {stem} {ext} {index} (from 1) and {lane} (from 0);
{{ and }} stand for braces. All options of LLMapReduce are understood.

On a cluster the run is one array of the scheduler, an element for each node, whatever the number of tasks; nothing on
this host is needed once it is submitted. Inside an allocation (salloc, qrsh, a batch script) its nodes are used.`,
		Example: `  muster map --mapper ./sim.sh --input in --output out
  muster map --input in --output out -- sim.exe /i {in} /o {out} /seed {index}
  muster map --input in --output out --stdin --stdout -- upper.exe
  muster map --input in --output out --collect '*.dat' -- solver.exe {in}
  muster map --mapper s.exe --input in --output out --reducer r.exe --np 4 --dry-run
  muster map --mapper ./sim.sh --input in --output out --engine slurm --partition day --time 2h --detach`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash != 0 && len(args) > 0 {
				return job.BadInputf("%q is neither a flag nor a flag's value; a command to run stands after --", args[0])
			}
			req, err := a.mapRequest(f, args)
			if err != nil {
				return err
			}
			return a.conduct(cmd, req, f.runFlags)
		},
	}
	fl := cmd.Flags()
	fl.SetNormalizeFunc(plainName)
	text(fl, &f.mapper, "mapper", "PROGRAM", "", "program that is run for each input")
	text(fl, &f.input, "input", "DIR|LIST", "", "folder of inputs, or a list file with one input (line) per task")
	text(fl, &f.input0, "input0", "LIST", "", "list file whose entries end with NUL, taken as they are")
	text(fl, &f.inputJSON, "input-json", "LIST", "", `list file of lines {"in":["a","b"],"out":"name"}`)
	text(fl, &f.output, "output", "DIR", "", "folder of outputs")
	f.addNP(fl, "processes, or [nodes,processes per node,threads per process]")
	fl.IntVar(&f.ndata, "ndata", 0, "at most so many inputs per process")
	text(fl, &f.distribution, "distribution", "WORD", "block", "how inputs are dealt: block, cyclic, or dynamic (nodes take the next ones as they finish)")
	text(fl, &f.apptype, "apptype", "WORD", "siso", "siso: called once for each input; mimo: once per process, with a list file")
	text(fl, &f.prefix, "prefix", "TEXT", "", "what output names begin with")
	text(fl, &f.ext, "ext", "EXT", "", "extension of outputs (noext for none; default out)")
	text(fl, &f.delimiter, "delimiter", "TEXT", inputs.DefaultDelimiter, "between the input's name and the extension (also --delimeter)")
	fl.BoolVar(&f.subdir, "subdir", false, "recurse, and mirror the tree below the output")
	text(fl, &f.extSearch, "ext-search", "EXT", "", "only inputs with this extension (also --extSearch)")
	text(fl, &f.reducer, "reducer", "PROGRAM", "", "program that is run after the map: REDUCER OUTPUT REDOUT [REDARGS]")
	text(fl, &f.redargs, "redargs", "ARGS", "", "further arguments of the reducer")
	text(fl, &f.redout, "redout", "FILE", "", "the reducer's output (default llmapreduce.out)")
	fl.BoolVar(&f.changeDepMode, "change-dep-mode", false, "reduce whatever the tasks' states (also --changeDepMode)")
	text(fl, &f.tempdir, "tempdir", "DIR", "", "accepted for LLMapReduce; lists are kept in the run's folder with --keep")
	f.addScheduler(fl)
	fl.BoolVar(&f.stdin, "stdin", false, "the input arrives on standard input, instead of an argument")
	fl.BoolVar(&f.stdout, "stdout", false, "the output is what is written to standard output")
	fl.StringArrayVar(&f.collect, "collect", nil, "keep what the program leaves in its work folder and matches, as OUT/NAME/")
	f.addProgram(fl, "here; private under Wine and with --collect")
	fl.BoolVar(&f.held, "hold", false, "submit, and start nothing before muster release")
	f.addOutcome(fl)
	for _, name := range []string{
		"engine", "nodes", "guest", "image", "wine", "boot", "net", "isolation", "lanes", "per-lane", "mem", "timeout", "time", "retries", "max-fails",
		"fail-on", "existing", "env", "max-log", "keep", "contain", "progress", "partition", "account", "qos", "constraint", "reservation",
		"cpu-type", "gpus", "exclusive", "nice", "priority", "warn", "time-request", "requeue", "stage", "stage-limit", "timing",
	} {
		setting(fl, name)
	}
	fl.SortFlags = false
	return cmd
}

// plainName lets --extSearch, --ext_search and --ext-search be one flag.
func plainName(f *pflag.FlagSet, name string) pflag.NormalizedName {
	var b strings.Builder
	for i, r := range name {
		switch {
		case r == '_':
			b.WriteByte('-')
		case unicode.IsUpper(r):
			if i > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	switch b.String() {
	case "delimeter": // as published
		return "delimiter"
	case "cpu-type":
		return "cpu-type"
	case "gpu-name-count": // as published
		return "gpus"
	}
	return pflag.NormalizedName(b.String())
}

// switches are the flags without a value that LLMapReduce documents with one.
var switches = map[string]bool{"subdir": true, "change-dep-mode": true, "keep": true, "exclusive": true, "requeue": true}

// joinSwitches turns "--subdir true" into "--subdir=true": the published options
// take their value either way, and a flag parser would leave the word alone.
func joinSwitches(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		if name, ok := strings.CutPrefix(arg, "--"); ok && switches[string(plainName(nil, name))] && i+1 < len(args) {
			switch v := strings.ToLower(args[i+1]); v {
			case "true", "false":
				out = append(out, arg+"="+v)
				i++
				continue
			}
		}
		out = append(out, arg)
	}
	return out
}

// mapRequest makes a request of flags and settings.
func (a *app) mapRequest(f mapFlags, command []string) (r run.Request, err error) {
	c := a.cfg
	if r, err = a.request(f.runFlags, command); err != nil {
		return r, err
	}
	r.Mapper, r.NData, r.Lanes, r.Retries = f.mapper, f.ndata, c.Count("lanes"), c.Count("retries")
	r.PerLane = c.Count("per-lane")
	r.Stdin, r.Stdout, r.Collect, r.TempDir = f.stdin, f.stdout, f.collect, f.tempdir
	r.Reducer, r.RedOut, r.ReduceAny, r.TaskTime = f.reducer, f.redout, f.changeDepMode, c.Duration("time-request")
	r.Inputs = inputs.Options{
		Dir: r.Dir, Input: f.input, Input0: f.input0, InputJSON: f.inputJSON, Output: f.output,
		ExtSearch: f.extSearch, Subdir: f.subdir, Prefix: f.prefix, Ext: f.ext, Delimiter: f.delimiter,
		Collect: len(f.collect) > 0, Existing: job.Existing(c.Text("existing")),
	}
	if strings.HasSuffix(a.argv[0], "LLMapReduce") {
		// As published, outputs that are there already are written anew.
		if v, _ := c.Value("existing"); v.Source.Kind == "default" {
			r.Inputs.Existing = job.ExistingReplace
		}
	}
	if r.AppType, err = job.ParseAppType(f.apptype); err != nil {
		return r, err
	}
	if r.Distribution, err = job.ParseDistribution(f.distribution); err != nil {
		return r, err
	}
	if f.redargs != "" {
		if r.RedArgs, err = job.SplitWords(f.redargs); err != nil {
			return r, job.BadInputf("--redargs: %w", err)
		}
	}
	return r, nil
}
