package slurm

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// InAllocation reports whether a process with that environment is inside an allocation of the user's own
// (salloc, an sbatch script). What muster has started itself, on any engine, is not.
func InAllocation(environ []string) bool {
	return lookup(environ, "SLURM_JOB_ID") != "" && lookup(environ, "SLURM_JOB_NODELIST") != "" && lookup(environ, engine.EnvArray) == ""
}

func lookup(environ []string, name string) string {
	for _, kv := range slices.Backward(environ) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// Allocation is the engine inside an allocation: the elements of an array go to the nodes
// that are there already, by one srun each. Another engine, on the host that muster runs on, looks after the
// sruns, and gives the arrays their IDs.
type Allocation struct {
	engine.Engine // of the sruns
	slurm         *Engine
	job           string
	nodes         []string
	cpus          int // of the smallest node
}

var (
	_ engine.Engine = (*Allocation)(nil)
	_ engine.Waiter = (*Allocation)(nil)
	_ engine.Shower = (*Allocation)(nil)
)

// NewAllocation makes the engine of the allocation that o.Environ tells of. inner is the
// engine of this host. Errors: the environment is not Slurm's.
func NewAllocation(inner engine.Engine, o Options) (*Allocation, error) {
	s, err := New(o)
	if err != nil {
		return nil, err
	}
	a := &Allocation{Engine: inner, slurm: s, job: lookup(o.Environ, "SLURM_JOB_ID")}
	if _, err := strconv.ParseUint(a.job, 10, 32); err != nil {
		return nil, fmt.Errorf("SLURM_JOB_ID is %q: this is no Slurm allocation", a.job)
	}
	if a.nodes, err = expandHosts(lookup(o.Environ, "SLURM_JOB_NODELIST")); err != nil {
		return nil, fmt.Errorf("SLURM_JOB_NODELIST: %w", err)
	}
	counts, err := expandCounts(lookup(o.Environ, "SLURM_JOB_CPUS_PER_NODE"))
	if err != nil {
		return nil, fmt.Errorf("SLURM_JOB_CPUS_PER_NODE: %w", err)
	}
	if len(counts) != len(a.nodes) {
		return nil, fmt.Errorf("SLURM_JOB_NODELIST names %d nodes, and SLURM_JOB_CPUS_PER_NODE speaks of %d", len(a.nodes), len(counts))
	}
	a.cpus = slices.Min(counts)
	return a, nil
}

// Info describes the allocation. MaxTime is what is left of its time.
func (a *Allocation) Info(ctx context.Context, _ job.Resource) (engine.Info, error) {
	info, err := a.Engine.Info(ctx, job.Resource{})
	if err != nil {
		return info, err
	}
	c, err := a.slurm.config(ctx)
	if err != nil {
		return info, fmt.Errorf("asking Slurm for its configuration: %w", err)
	}
	// What the job has of each node, and until when.
	out, err := a.slurm.run(ctx, call{
		program: "squeue",
		args:    []string{"--noheader", "--jobs=" + a.job, "--Format=EndTime:20|,TimeLimit:20|,MinMemory:20"},
		env:     []string{timeFormat},
	})
	if err != nil {
		return info, fmt.Errorf("asking about allocation %s: %w", a.job, err)
	}
	left, memory := parseAllocation(out, time.Now())
	info.Name, info.Version = "slurm", c.version
	info.Nodes, info.CPUs, info.MaxTime = len(a.nodes), a.cpus, left
	if memory > 0 {
		info.Memory = memory
	}
	info.Poll = 0 // Slurm is not asked
	info.Description = fmt.Sprintf("Slurm allocation %s: %d nodes of %d CPUs", a.job, len(a.nodes), a.cpus)
	if left > 0 {
		info.Description += fmt.Sprintf(", for %v more", left.Round(time.Minute))
	}
	return info, nil
}

// parseAllocation reads the end of the job's time, its limit and its memory per node; 0 for what
// is not limited or not said.
func parseAllocation(out string, now time.Time) (left time.Duration, memory int64) {
	field := strings.Split(strings.TrimSpace(out), "|")
	if len(field) != 3 {
		return 0, 0
	}
	if end := parseTime(strings.TrimSpace(field[0])); !end.IsZero() && strings.TrimSpace(field[1]) != "UNLIMITED" {
		left = max(end.Sub(now), time.Second)
	}
	if memory, err := parseMemory(strings.TrimSpace(field[2])); err == nil {
		return left, memory
	}
	return left, 0
}

// parseMemory reads "2G", "1536M".
func parseMemory(word string) (int64, error) {
	for unit, shift := range map[string]int{"K": 10, "M": 20, "G": 30, "T": 40} {
		if number, ok := strings.CutSuffix(word, unit); ok {
			f, err := strconv.ParseFloat(number, 64)
			return int64(f * float64(int64(1)<<shift)), err
		}
	}
	return 0, fmt.Errorf("%q is no amount of memory", word)
}

// Submit has the inner engine run one srun for each element, the k-th on the k-th node.
func (a *Allocation) Submit(ctx context.Context, arr job.Array) (engine.ID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := engine.Check(arr); err != nil {
		return "", err
	}
	c, err := a.slurm.config(ctx)
	if err != nil {
		return "", fmt.Errorf("asking Slurm for its configuration: %w", err)
	}
	wrapped, err := a.wrap(arr, c.binds)
	if err != nil {
		return "", fmt.Errorf("array %q: %w", arr.Tag, refused(err))
	}
	if arr.Scripts != "" {
		if err := keep(arr, 1, job.QuoteWords(wrapped.Argv), outerScript); err != nil {
			return "", err
		}
	}
	return a.Engine.Submit(ctx, wrapped)
}

// Show returns the command that stands for an element on this host, and the script in it.
func (a *Allocation) Show(arr job.Array) (argv []string, text string, err error) {
	wrapped, err := a.wrap(arr, true)
	if err != nil {
		return nil, "", err
	}
	return wrapped.Argv, outerScript, nil
}

// wrap makes the array of sruns. binds says whether this Slurm binds tasks to CPUs; one that does not
// complains when it is asked not to.
func (a *Allocation) wrap(arr job.Array, binds bool) (job.Array, error) {
	srun, err := a.slurm.find("srun")
	if err != nil {
		return arr, err
	}
	if arr.CPUs > a.cpus {
		return arr, fmt.Errorf("%w: an element asks for %d CPUs, and allocation %s has %d on its smallest node", engine.ErrRefused, arr.CPUs, a.job, a.cpus)
	}
	if arr.Spread && arr.Elements > len(a.nodes) {
		return arr, fmt.Errorf("%w: %d elements ask for a node each, and allocation %s has %d", engine.ErrRefused, arr.Elements, a.job, len(a.nodes))
	}
	options := []string{
		srun, "--jobid=" + a.job, "--nodes=1", "--ntasks=1", "--cpus-per-task=" + strconv.Itoa(max(1, arr.CPUs)),
		"--overlap", // beside the steps that the user runs
		"--quiet", "--chdir=" + arr.Dir, "--export=ALL",
	}
	if binds {
		options = append(options, "--cpu-bind=none") // the agent pins its lanes
	}
	arr.Argv = slices.Concat(
		[]string{"/bin/sh", "-c", outerScript, "muster", strings.Join(a.nodes, ",")},
		options,
		[]string{"/bin/sh", "-c", fmt.Sprintf(innerScript, job.ExitUnseen), "muster", arr.Token},
		arr.Argv,
	)
	// The submitter's own job and what would change srun stay out; who is asked stays in.
	env := commandEnv(a.slurm.o.Environ)
	env = append(env, "SLURM_JOB_ID="+a.job)
	for _, kv := range arr.Env {
		if !strings.HasPrefix(kv, "SLURM_") && !strings.HasPrefix(kv, "SBATCH_") {
			env = append(env, kv)
		}
	}
	arr.Env, arr.Token = env, ""
	return arr, nil
}

// outerScript runs on this host: NODES, srun and its words, the element's. srun answers SIGTERM by
// killing the step at once, and other signals go to every process in the step. So srun is put out of
// reach, and what the element alone is to get travels on srun's standard input. The end of that input
// means SIGTERM too, should the step outlive its srun.
const outerScript = `muster_node=$(echo "$1" | cut -d, -f$(((MUSTER_ELEMENT - 1) % $(echo "$1" | tr , '\n' | wc -l) + 1)))
muster_srun=$2
shift 2
muster_dir=$(mktemp -d) && mkfifo -m 600 "$muster_dir/signals" && exec 3<>"$muster_dir/signals" 4<"$muster_dir/signals" && rm -r "$muster_dir" || exit 1
trap 'echo TERM >&3' TERM
trap 'echo USR1 >&3' USR1
setsid "$muster_srun" --nodelist="$muster_node" "$@" <&4 3>&- 4<&- &
muster_child=$!
exec 4<&-
while wait "$muster_child"; muster_code=$?; [ "$muster_code" -gt 128 ] && kill -0 "$muster_child" 2>/dev/null; do :; done
exit "$muster_code"
`

// innerScript, when job.ExitUnseen is put into it, runs on the node: TOKEN (see job.Array), the element's words.
const innerScript = `muster_tries=0
until [ -z "$1" ] || [ -e "$1" ]; do
	[ $((muster_tries += 1)) -le 5 ] || exit %d
	sleep 1
done
shift
trap : TERM
exec 3<&0 </dev/null
"$@" 3<&- &
muster_child=$!
{ while read -r muster_signal <&3; do kill -"$muster_signal" "$muster_child"; done; kill -TERM "$muster_child"; } >/dev/null 2>&1 &
muster_reader=$!
exec 3<&-
while wait "$muster_child"; muster_code=$?; [ "$muster_code" -gt 128 ] && kill -0 "$muster_child" 2>/dev/null; do :; done
kill -KILL "$muster_reader" # at its start it may have the trap of this shell
exit "$muster_code"
`

// Status names the elements' own nodes, and takes the exit codes by which a shell tells of a
// signal for signals again.
func (a *Allocation) Status(ctx context.Context, ids ...engine.ID) ([]engine.Report, error) {
	reports, err := a.Engine.Status(ctx, ids...)
	for _, r := range reports {
		for i := range r.Elements {
			if r.Elements[i].Node != "" {
				r.Elements[i].Node = a.nodes[i%len(a.nodes)]
			}
			x := &r.Elements[i].Exit
			if x.Code > 128 && x.Code <= 128+64 {
				x.Code, x.Signal = 0, x.Code-128
				if x.Cause == job.CauseExit {
					x.Cause = job.CauseSignal
				}
			}
		}
	}
	return reports, err
}

// Wait is the inner engine's.
func (a *Allocation) Wait(ctx context.Context, ids ...engine.ID) error {
	return engine.Wait(ctx, a.Engine, time.Second, ids...)
}
