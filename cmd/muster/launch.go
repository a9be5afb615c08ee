package main

import (
	"runtime"
	"strconv"

	"github.com/spf13/cobra"

	"muster/internal/guest/vm"
	"muster/internal/job"
	"muster/internal/run"
)

// launchFlags are the flags of launch that are no settings.
type launchFlags struct {
	runFlags
	programs, restart, inFlight int
	hold, ready, readyTimeout   string
	waves                       bool
	floor                       string
}

// readyTimeout is how long a program may take to be alive, unless it is said.
const readyTimeout = "5m"

// launchCommand brings programs up, all alive at the same time.
func (a *app) launchCommand() *cobra.Command {
	var f launchFlags
	cmd := &cobra.Command{
		Use:   "launch -n N [flags] -- PROGRAM ARGS…",
		Short: "Have N programs alive at the same time",
		Long: `Starts N programs as fast as the machine allows, so that all are alive at the same time, and says how long that took. With
--hold they are taken down so long after the last one has come up; without it they run until they end by themselves, and
Ctrl-C takes them down. Windows programs run under Wine, everything else natively.

A program counts as alive when its own image runs (exec), when a line on its standard output or error matches
(output:REGEX), or when a file is in its work folder (file:NAME). One that lives until the take-down is COMPLETED, as is one
that ended before with code 0. ARGS may hold {index} (from 1) and {lane}; {{ and }} stand for braces.

With isolation node the programs of a node share as few servers as its limits allow; with lane or task each has an instance of
its own. On a cluster the programs are dealt to the nodes, an element of one array each, and held when all nodes' are up.

What does not fit on its node at once is refused; with --waves it goes in waves. The first waves of all nodes are held together;
from then on each node goes by itself, since one needs more waves than another and the other is not to wait for it.`,
		Example: `  muster launch -n 64 --hold 30s -- sim.exe /seed {index}
  muster launch -n 10000 --guest native -- sleep 60
  muster launch -n 100 --isolation lane --hold 1m -- service.exe --port 0
  muster launch -n 8 --ready 'output:^listening' --ready-timeout 30s -- ./server --id {index}
  muster launch -n 16384 --engine slurm --nodes 256 --hold 30s --json -- app.exe`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash != 0 && len(args) > 0 {
				return job.BadInputf("%q is neither a flag nor a flag's value; a command to run stands after --", args[0])
			}
			req, err := a.launchRequest(cmd, f, args)
			if err != nil {
				return err
			}
			return a.conduct(cmd, req, f.runFlags)
		},
	}
	fl := cmd.Flags()
	fl.SetNormalizeFunc(plainName)
	fl.IntVarP(&f.programs, "programs", "n", 0, "how many programs")
	text(fl, &f.hold, "hold", "TIME", "", "take them down so long after all were alive (default: they end by themselves)")
	text(fl, &f.ready, "ready", "SIGN", string(job.ReadyExec), "when one counts as alive: exec, output:REGEX or file:NAME")
	text(fl, &f.readyTimeout, "ready-timeout", "TIME", readyTimeout, "one that is not alive by then has failed")
	fl.BoolVar(&f.waves, "waves", false, "when not all fit at once: as many as fit, then the next")
	text(fl, &f.floor, "floor", "SIZE", "", "memory of a node that stays free (default: 5 %, at least 256M)")
	fl.IntVar(&f.restart, "restart", 0, "how often one whose instance has died is started again")
	fl.IntVar(&f.inFlight, "in-flight", 0, "starts at a time on a node (default: four for each CPU)")
	f.addNP(fl, "[nodes,programs per node,threads per program], instead of -n")
	f.addOptions(fl)
	f.addProgram(fl, "here; private under Wine and with --ready file:NAME")
	f.addOutcome(fl)
	for _, name := range []string{
		"engine", "nodes", "guest", "image", "wine", "boot", "net", "isolation", "mem", "timeout", "time", "max-fails",
		"fail-on", "env", "max-log", "keep", "contain", "progress", "partition", "account", "qos", "constraint", "reservation",
		"cpu-type", "gpus", "exclusive", "nice", "priority", "warn", "requeue", "stage", "stage-limit", "timing",
	} {
		setting(fl, name)
	}
	fl.Lookup("isolation").Usage = "what has an instance of its own: lane or task, each program; node, all of a node; default node"
	fl.SortFlags = false
	_ = cmd.RegisterFlagCompletionFunc("ready", cobra.FixedCompletions([]string{"exec", "output:", "file:"}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	return cmd
}

// launchRequest makes a request of flags and settings.
func (a *app) launchRequest(cmd *cobra.Command, f launchFlags, command []string) (r run.Request, err error) {
	if r, err = a.request(f.runFlags, command); err != nil {
		return r, err
	}
	l := &job.Launch{Programs: f.programs, Waves: f.waves, Restart: f.restart, InFlight: f.inFlight}
	if l.Programs, err = programsOf(cmd, f.programs, r.NP); err != nil {
		return r, err
	}
	if f.hold != "" {
		hold, err := job.ParseDuration(f.hold)
		if err != nil {
			return r, job.BadInputf("--hold: %w", err)
		}
		l.Hold = &hold
	}
	if l.Ready, err = job.ParseReady(f.ready); err != nil {
		return r, err
	}
	if l.ReadyTimeout, err = job.ParseDuration(f.readyTimeout); err != nil {
		return r, job.BadInputf("--ready-timeout: %w", err)
	}
	if f.floor != "" {
		if l.Floor, err = job.ParseMemory(f.floor); err != nil {
			return r, job.BadInputf("--floor: %w", err)
		}
	}
	if r.GuestOpts[vm.OptNet] == vm.NetSlot {
		return r, job.BadInputf("--net slot is for muster map: the programs of a launch have no lanes")
	}
	if l.Restart < 0 || l.InFlight < 0 {
		return r, job.BadInputf("--restart and --in-flight are numbers from 0")
	}
	if v, _ := a.cfg.Value("isolation"); v.Source.Kind == "default" && r.Guest != "vm" {
		r.Isolation = job.IsolateNode // whoever wants many VMs wants one for each program
	}
	r.Launch = l
	return r, nil
}

// programsOf settles how many programs there are to be: -n, or a triple.
func programsOf(cmd *cobra.Command, n int, np job.NP) (int, error) {
	given := cmd.Flags().Changed("programs")
	switch {
	case np.Triple:
		// Divided, not multiplied: the product of large numbers would overflow.
		if all := np.Nodes * np.PerNode; all/np.Nodes != np.PerNode || given && all != n {
			return 0, job.BadInputf("--np=%v is %d programs, and -n says %d; leave out one of them", np, all, n)
		}
		return np.Nodes * np.PerNode, nil
	case np.Processes > 0 && given && np.Processes != n:
		return 0, job.BadInputf("--np=%v and -n %d contradict each other; give one of them", np, n)
	case np.Processes > 0:
		return np.Processes, nil
	case !given:
		return 0, job.BadInputf("how many programs? say -n N, such as: muster launch -n %s -- ./sim", strconv.Itoa(runtime.NumCPU()))
	case n < 1:
		return 0, job.BadInputf("-n %d: a launch has at least 1 program", n)
	}
	return n, nil
}
