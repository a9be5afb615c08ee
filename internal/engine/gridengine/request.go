package gridengine

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// A piece is the part of an array that is one job for Grid Engine.
type piece struct {
	number int // from 1
	first  int // its first element
	size   int
}

// pieces cuts an array into jobs of at most limit elements; 0: one job.
func pieces(elements, limit int) []piece {
	if limit <= 0 {
		limit = elements
	}
	var out []piece
	for first := 1; first <= elements; first += limit {
		out = append(out, piece{len(out) + 1, first, min(limit, elements-first+1)})
	}
	return out
}

// token names the array with that tag, in the queue and on disk.
func token(tag string) string {
	sum := sha256.Sum256([]byte(tag))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// jobName is the name of an array's jobs in the queue: what people call it, as far
// as Grid Engine takes it (sge_types(5)), and the token.
func jobName(name, token string) string {
	clean := strings.Map(func(r rune) rune {
		if r > 126 || r <= ' ' || strings.ContainsRune(`/:@\*?"'$()&;|<>,=%#~`, r) {
			return '_'
		}
		return r
	}, name)
	if len(clean) > 40 {
		clean = clean[:40]
	}
	if clean == "" || strings.IndexByte("0123456789-.", clean[0]) >= 0 {
		clean = "m" + clean
	}
	return clean + "." + token
}

// order is what qsub is told beside the array itself.
type order struct {
	folder  string   // of the array
	command []string // that leads to Element
	after   []string // numbers of jobs
	hold    bool
	atOnce  int

	killWait time.Duration
}

// script is what Grid Engine runs for each element of the piece. Every word stands in
// quotes where it needs them; -C ” keeps qsub from looking for options in it.
func script(a job.Array, p piece, o order) string {
	words := append(slices.Clone(o.command), o.folder, strconv.Itoa(p.first))
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	fmt.Fprintf(&b, "# Elements %d to %d of %d. The first line names muster's helper, where it keeps notes of the\n", p.first, p.first+p.size-1, a.Elements)
	b.WriteString("# array, and this job's first element; then comes what it is to run.\n")
	b.WriteString("exec " + job.QuoteWords(words) + " \\\n\t" + job.QuoteWords(a.Argv) + "\n")
	return b.String()
}

// arguments are qsub's, with its name first. Errors: ErrRefused with what to do.
func arguments(a job.Array, p piece, o order, s *site) ([]string, error) {
	argv := []string{
		"qsub", "-clear", "-terse", "-V", "-b", "n", "-C", "", "-S", "/bin/sh", "-shell", "y",
		"-N", jobName(a.Name, filepath.Base(o.folder)),
		"-t", "1-" + strconv.Itoa(p.size),
		"-wd", a.Dir,
		"-j", "y", "-o", logPath(a, p),
		// What is lost with its node is started again always: only so does it leave the
		// queue, and let go on what waits for it. Element then ends at once where Requeue is not set.
		"-r", "y",
	}
	if o.atOnce > 0 {
		argv = append(argv, "-tc", strconv.Itoa(o.atOnce))
	}
	if o.hold {
		argv = append(argv, "-h")
	}
	if len(o.after) > 0 {
		argv = append(argv, "-hold_jid", strings.Join(o.after, ","))
	}
	more, err := resources(a, o, s)
	if err != nil {
		return nil, err
	}
	argv = append(argv, more...)
	raw, err := rawOptions(a.Resource.Options)
	return append(argv, raw...), err
}

// logPath is where Grid Engine writes an element's streams. It can name them by the
// task only: those of a later piece are given their element's number by Element.
func logPath(a job.Array, p piece) string {
	name := "$TASK_ID.log"
	if p.number > 1 {
		name = ".part" + strconv.Itoa(p.number) + "." + name
	}
	if strings.Trim(a.LogDir, plainPath) != "" {
		return "/dev/null"
	}
	return filepath.Join(a.LogDir, name)
}

// plainPath is what a folder's name may be made of so that -o takes it for what it is:
// other characters separate hosts and paths in it, or begin variables. Element opens the
// log itself in folders with such names.
const plainPath = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=@"

// resources is everything that decides where and when an element may run.
func resources(a job.Array, o order, s *site) ([]string, error) {
	r := a.Resource
	if r.QOS != "" {
		return nil, no("Grid Engine has no QOS (%q was asked for): a queue (--partition) or a project (--account) is what sites use instead", r.QOS)
	}
	queues, err := s.queuesFor(r.Partition)
	if err != nil {
		return nil, err
	}
	var argv, list []string
	for _, named := range []struct{ flag, value, what string }{
		{"-q", r.Partition, "partition"}, {"-P", r.Account, "account"}, {"-ar", r.Reservation, "reservation"},
	} {
		if named.value == "" {
			continue
		}
		if !plainName.MatchString(named.value) {
			return nil, no("the %s %q cannot be the name of one", named.what, named.value)
		}
		argv = append(argv, named.flag, named.value)
	}
	if _, limit := limits(a, s.maxTime(queues), o.killWait); limit > 0 {
		list = append(list, "h_rt="+seconds(limit))
	}
	for _, ask := range []func(job.Array, *site) (string, error){askMemory, askGPUs, askCPUType, askConstraint, askExclusive} {
		item, err := ask(a, s)
		if err != nil {
			return nil, err
		}
		if item != "" {
			list = append(list, item)
		}
	}
	if len(list) > 0 {
		argv = append(argv, "-l", strings.Join(list, ","))
	}
	if a.CPUs > 1 {
		name, others := s.onOneHost(queues)
		if name == "" {
			return nil, noParallel(a, others)
		}
		argv = append(argv, "-pe", name, strconv.Itoa(a.CPUs))
	}
	if a.CPUs > 1 || a.Spread || r.Exclusive {
		argv = append(argv, "-R", "y") // or small jobs would keep it waiting for ever
	}
	p, err := priority(r)
	return append(argv, p...), err
}

func no(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{engine.ErrRefused}, args...)...)
}

func noParallel(a job.Array, others []string) error {
	have := "it has no parallel environment at all"
	if len(others) > 0 {
		have = "its parallel environments are " + strings.Join(others, ", ")
	}
	return no("%d CPUs on one node need a parallel environment with allocation_rule $pe_slots, and the queue offers none (%s): ask for one CPU (--lanes 1), or ask the site for such an environment", a.CPUs, have)
}

// spare is what Grid Engine gives an element beyond the supervisor's own limits: it
// counts from its own idea of the start, and in seconds.
const spare = 10 * time.Second

// limits are an element's time until SIGTERM, and until Grid Engine kills (h_rt), which is
// only to happen when the supervisor did not manage. Where the queues allow no more
// than what was asked for, the time that ending takes comes out of that.
func limits(a job.Array, most, killWait time.Duration) (term, kill time.Duration) {
	if a.Time <= 0 {
		return 0, 0
	}
	term, kill = a.Time, a.Time+killWait+spare
	if most > 0 && kill > most {
		kill = max(most, a.Time) // beyond what there is, Grid Engine says no
		term = max(kill-killWait-spare, a.Time/2)
	}
	return term, kill
}

// seconds rounds up: a limit of 0 would be none.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

// addressSpace is the least h_vmem that is asked for. It limits address space, of
// which muster's own processes reserve about 1.3 GB each though they use some
// megabytes, and Wine needs 2 GB.
const addressSpace = 4 << 30

// askMemory asks for the array's memory by whatever the site shares out. What is asked for
// is per slot, unless the resource says JOB or HOST.
func askMemory(a job.Array, s *site) (string, error) {
	if a.Mem <= 0 {
		return "", nil
	}
	c, ok := s.memory()
	if !ok {
		return "", nil // nothing keeps account of memory here: there is nothing to ask
	}
	bytes := a.Mem
	if c.name == "h_vmem" {
		bytes = max(bytes, addressSpace)
	}
	if c.consumable == "YES" {
		n := int64(max(a.CPUs, 1))
		bytes = (bytes + n - 1) / n
	}
	const mega = 1 << 20
	return fmt.Sprintf("%s=%dM", c.name, (bytes+mega-1)/mega), nil
}

// askGPUs reads COUNT or NAME[,COUNT]: a number of the site's gpu, or of a resource of that name.
func askGPUs(a job.Array, s *site) (string, error) {
	if a.Resource.GPUs == "" {
		return "", nil
	}
	name, count, named := strings.Cut(a.Resource.GPUs, ",")
	if _, err := strconv.Atoi(name); err == nil && !named {
		name, count = "", name
	}
	if count == "" {
		count = "1"
	}
	if n, err := strconv.Atoi(count); err != nil || n < 1 {
		return "", no("%q is no number of GPUs: write COUNT, or NAME,COUNT", a.Resource.GPUs)
	}
	for _, known := range []string{name, "gpu", "gpus", "ngpus"} {
		if known == "" {
			continue
		}
		if c, ok := s.find(known); ok {
			return c.name + "=" + count, nil
		}
		if name != "" {
			return "", no("there is no resource called %s to ask for GPUs by (qconf -sc lists them): give the site's own with --constraint RESOURCE=N", name)
		}
	}
	return "", no("the site has no resource called gpu (qconf -sc lists what it has): give its own with --constraint RESOURCE=N")
}

func askCPUType(a job.Array, s *site) (string, error) {
	kind := a.Resource.CPUType
	if kind == "" {
		return "", nil
	}
	if !plainName.MatchString(kind) {
		return "", no("the CPU type %q cannot be the name of one", kind)
	}
	for _, name := range []string{"cpu_type", "cputype", "cpu_model", "cpu_arch"} {
		if c, ok := s.find(name); ok {
			return c.name + "=" + kind, nil
		}
	}
	if c, ok := s.find(kind); ok && c.kind == "BOOL" {
		return c.name + "=true", nil
	}
	return "", no("the site has no resource for CPU types (qconf -sc lists what it has): give its own with --constraint RESOURCE=VALUE")
}

func askConstraint(a job.Array, _ *site) (string, error) {
	list := strings.TrimSpace(a.Resource.Constraint)
	if strings.HasPrefix(list, "-") || strings.ContainsAny(list, " \t\n") {
		return "", no("the constraint %q is no resource list: write NAME=VALUE,NAME=VALUE", list)
	}
	return strings.Trim(list, ","), nil
}

func askExclusive(a job.Array, s *site) (string, error) {
	if !a.Spread && !a.Resource.Exclusive {
		return "", nil
	}
	name := s.exclusive()
	if name == "" {
		return "", no("whole nodes cannot be asked for here: no resource has the relation EXCL (qconf -sc). Take as many CPUs as a node has (--lanes), or have the site add one (complex(5), exclusive)")
	}
	return name + "=true", nil
}

// priority: an ordinary user can only lower it.
func priority(r job.Resource) ([]string, error) {
	value := ""
	if r.Nice != 0 {
		value = strconv.Itoa(-r.Nice)
	}
	if r.Priority != "" {
		value = r.Priority
	}
	if value == "" {
		return nil, nil
	}
	if n, err := strconv.Atoi(value); err != nil || n < -1023 || n > 1024 {
		return nil, no("the priority %q is none: Grid Engine's go from -1023 to 1024, and users may only lower them (--nice)", value)
	}
	return []string{"-p", value}, nil
}

// ours are the options that the driver sets itself; with others it would not
// find its jobs again, or their ends.
func ours() []string {
	return []string{
		"-@", "-b", "-C", "-clear", "-cwd", "-e", "-h", "-hold_jid", "-hold_jid_ad", "-j", "-N", "-now", "-notify", "-o",
		"-r", "-S", "-shell", "-sync", "-t", "-terse", "-v", "-V", "-verify", "-wd",
	}
}

// rawOptions splits what the user passes on, as a shell would.
func rawOptions(options []string) ([]string, error) {
	var out []string
	for _, o := range options {
		words, err := job.SplitWords(o)
		if err != nil {
			return nil, no("--options %q: %w", o, err)
		}
		for _, w := range words {
			if slices.Contains(ours(), w) {
				return nil, no("--options %q: muster sets qsub's %s itself", o, w)
			}
		}
		out = append(out, words...)
	}
	return out, nil
}
