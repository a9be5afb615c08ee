package slurm

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"muster/internal/engine"
	"muster/internal/job"
)

// split cuts an array into pieces of at most limit elements; 0: no limit.
func split(a job.Array, limit int) []mark {
	if limit <= 0 {
		limit = a.Elements
	}
	var out []mark
	for first := 1; first <= a.Elements; first += limit {
		last := min(first+limit-1, a.Elements)
		out = append(out, mark{tag: a.Tag, first: first, last: last, elements: a.Elements, held: a.Hold})
	}
	return out
}

// unsplit reports whether the piece is the whole array.
func (m mark) unsplit() bool { return m.first == 1 && m.last == m.elements }

// arguments is sbatch's command line for a piece of an array. The script comes on
// standard input, the elements' environment on descriptor 3. hold is over a.Hold.
// Errors: ErrRefused.
func arguments(a job.Array, m mark, hold bool) ([]string, error) {
	after, err := dependency(a.After)
	if err != nil {
		return nil, err
	}
	constraint, err := constraint(a.Resource)
	if err != nil {
		return nil, err
	}
	gres, err := gres(a.Resource.GPUs)
	if err != nil {
		return nil, err
	}
	args := []string{
		"--parsable",
		"--job-name=" + jobName(a.Name),
		"--comment=" + m.String(),
		fmt.Sprintf("--array=1-%d", m.last-m.first+1),
		"--export-file=3",
		"--chdir=" + a.Dir,
		"--output=" + logPattern(a, m),
		"--open-mode=append", // an element that is started again goes on in its log
		"--nodes=1",
		"--ntasks=1",
		"--cpus-per-task=" + strconv.Itoa(max(1, a.CPUs)),
	}
	add := func(cond bool, arg string) {
		if cond {
			args = append(args, arg)
		}
	}
	r := a.Resource
	add(a.Requeue, "--requeue")
	add(!a.Requeue, "--no-requeue")
	add(hold, "--hold")
	add(after != "", "--dependency="+after)
	add(a.Time > 0, "--time="+timeLimit(a.Time))
	add(a.Time > 0 && a.Warn > 0, "--signal=B:USR1@"+strconv.Itoa(warning(a.Warn)))
	add(a.Mem > 0, "--mem="+mebibytes(a.Mem)+"M")
	// Nothing less keeps two elements from meeting on a node.
	add(a.Spread || r.Exclusive, "--exclusive")
	add(r.Partition != "", "--partition="+r.Partition)
	add(r.Account != "", "--account="+r.Account)
	add(r.QOS != "", "--qos="+r.QOS)
	add(r.Reservation != "", "--reservation="+r.Reservation)
	add(constraint != "", "--constraint="+constraint)
	add(gres != "", "--gres="+gres)
	add(r.Nice != 0, "--nice="+strconv.Itoa(r.Nice))
	add(r.Priority != "", "--priority="+r.Priority)
	if err := checkOptions(r.Options); err != nil {
		return nil, err
	}
	return append(args, r.Options...), nil
}

// jobName keeps a name to what a listing can show.
func jobName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, name)
	if name == "" {
		return "muster"
	}
	return name
}

// namesLogs reports whether the script must put an element's streams into its log itself: Slurm's
// patterns know the index in the Slurm array alone, and cannot express a backslash.
func namesLogs(a job.Array, m mark) bool { return !m.unsplit() || strings.Contains(a.LogDir, "\\") }

// logPattern is where Slurm puts an element's streams.
func logPattern(a job.Array, m mark) string {
	if namesLogs(a, m) {
		return "/dev/null"
	}
	return strings.ReplaceAll(a.LogDir, "%", "%%") + "/%a.log"
}

func dependency(after []string) (string, error) {
	if len(after) == 0 {
		return "", nil
	}
	out := "afterany"
	for _, id := range after {
		jobs, ok := jobsOf(engine.ID(id))
		if !ok {
			return "", fmt.Errorf("%w: it is to start after %q, which is no array of Slurm's", engine.ErrRefused, id)
		}
		for _, j := range jobs {
			out += ":" + strconv.Itoa(j)
		}
	}
	return out, nil
}

// timeLimit is sbatch's form of a time. Slurm itself rounds up to minutes.
func timeLimit(d time.Duration) string {
	s := int64((d + time.Second - 1) / time.Second)
	return fmt.Sprintf("%d-%02d:%02d:%02d", s/86400, s/3600%24, s/60%60, s%60)
}

// warning is sbatch's form of the time before the end of an element at which it is
// warned, in seconds. Slurm has 16 bits for it.
func warning(d time.Duration) int {
	return int(min(max(d/time.Second, 1), 65535))
}

func mebibytes(bytes int64) string { return strconv.FormatInt((bytes+1<<20-1)>>20, 10) }

// constraint puts features and the kind of processor into one expression.
func constraint(r job.Resource) (string, error) {
	if r.Constraint == "" || r.CPUType == "" {
		return r.Constraint + r.CPUType, nil
	}
	if strings.ContainsAny(r.Constraint, "|[") {
		return "", fmt.Errorf("%w: the constraint %q and the CPU type %q cannot be put into one; give the CPU type within the constraint", engine.ErrRefused, r.Constraint, r.CPUType)
	}
	return r.Constraint + "&" + r.CPUType, nil
}

// gres turns NAME[,COUNT] or COUNT into Slurm's gpu:NAME:COUNT.
func gres(gpus string) (string, error) {
	if gpus == "" {
		return "", nil
	}
	name, count, both := strings.Cut(gpus, ",")
	if !both {
		if _, err := strconv.Atoi(name); err == nil {
			name, count = "", name
		} else {
			count = "1"
		}
	}
	if n, err := strconv.Atoi(count); err != nil || n < 1 || strings.ContainsAny(name, ":, ") || (both && name == "") {
		return "", fmt.Errorf("%w: GPUs %q are neither a number nor NAME,NUMBER", engine.ErrRefused, gpus)
	}
	if name != "" {
		name += ":"
	}
	return "gpu:" + name + count, nil
}

// reserved are options of sbatch's that muster's own way of submitting rests on.
var reserved = []string{
	"--array", "-a", "--comment", "--export", "--export-file", "--hold", "-H", "--parsable", "--wrap", "--wait", "-W", "--test-only",
	"--output", "-o", "--error", "-e", "--input", "-i", "--chdir", "-D", "--dependency", "-d", "--clusters", "-M", "--ntasks", "-n",
	"--nodes", "-N", "--help", "-h", "--usage", "--version", "-V", "--quiet", "-Q", "--verbose", "-v", "--get-user-env", "--signal", "--requeue", "--no-requeue",
}

// checkOptions refuses raw options that would make sbatch do something else than to
// submit this array.
func checkOptions(options []string) error {
	for i, o := range options {
		name, _, _ := strings.Cut(o, "=")
		if !strings.HasPrefix(name, "--") && len(name) > 2 && name[0] == '-' {
			name = name[:2] // -pmain
		}
		bad := ""
		switch {
		case strings.ContainsRune(o, 0):
			bad = "holds a NUL"
		case o == "" || o == "-" || o == "--" || o == ":":
			bad = "is no option"
		case o[0] != '-' && (i == 0 || options[i-1][0] != '-' || strings.Contains(options[i-1], "=")):
			bad = "is no option, and sbatch would take it for the script"
		case o[0] == '-' && isReserved(name):
			bad = "is muster's own business"
		}
		if bad != "" {
			return fmt.Errorf("%w: %q among the raw options for sbatch %s", engine.ErrRefused, o, bad)
		}
	}
	return nil
}

// isReserved knows abbreviations too: sbatch takes --arr for --array.
func isReserved(name string) bool {
	for _, r := range reserved {
		if name == r || (len(name) > 3 && strings.HasPrefix(name, "--") && strings.HasPrefix(r, name)) {
			return true
		}
	}
	return false
}
