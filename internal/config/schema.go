// Package config knows muster's settings: what there is to set, what is set, and
// where each value came from. A flag beats the environment, which beats the
// user's file, which beats the machine's file, which beats the default.
package config

import (
	"slices"
	"strconv"
	"strings"

	"muster/internal/job"
)

// Kind is what a setting's text must be.
type Kind string

const (
	Text     Kind = "text"
	Word     Kind = "word"     // one of Key.Words
	Folder   Kind = "folder"   // a path; ~ is the home folder
	Count    Kind = "count"    // a number from 0
	Switch   Kind = "switch"   // true or false
	Duration Kind = "duration" // job.ParseDuration's forms; 0: none
	Memory   Kind = "memory"   // job.ParseMemory's forms; 0: none
	FailOn   Kind = "fail-on"  // job.ParseFailOn's forms
)

// Key is one setting.
type Key struct {
	Name    string // in files, and the flag's name
	Env     string // its environment variable
	Kind    Kind
	Default string // a beginning of $XDG_STATE_HOME or $XDG_DATA_HOME is replaced
	Words   []string
	Help    string // one line
}

// keys is the one table of all settings, in the order in which they are shown.
var keys = []Key{
	{"state", "MUSTER_STATE", Folder, "$XDG_STATE_HOME/muster", nil, "where runs are kept; on a cluster: a folder that all nodes see"},
	{"images", "MUSTER_IMAGES", Folder, "$XDG_DATA_HOME/muster/images", nil, "where images are kept"},
	{"scratch", "MUSTER_SCRATCH", Folder, "", nil, "node-local folder for clones and work folders; empty: SLURM_TMPDIR, TMPDIR or /tmp"},
	{"trust-group", "MUSTER_TRUST_GROUP", Text, "", nil, "group whose members may write above the run directory"},

	{"engine", "MUSTER_ENGINE", Word, "auto", []string{"auto", "local", "slurm", "gridengine"}, "where runs go; auto: this allocation, else a scheduler, else this machine"},
	{"nodes", "MUSTER_NODES", Count, "0", nil, "at most so many nodes; 0: as many as are useful"},
	{"partition", "MUSTER_PARTITION", Text, "", nil, "partition or queue that the scheduler is asked for"},
	{"account", "MUSTER_ACCOUNT", Text, "", nil, "account or project that the scheduler charges"},
	{"qos", "MUSTER_QOS", Text, "", nil, "quality of service that the scheduler is asked for"},
	{"constraint", "MUSTER_CONSTRAINT", Text, "", nil, "features that nodes must have; Grid Engine: a resource list, as for -l"},
	{"reservation", "MUSTER_RESERVATION", Text, "", nil, "reservation that the scheduler is asked for"},
	{"cpu-type", "MUSTER_CPU_TYPE", Text, "", nil, "kind of CPU that the scheduler is asked for"},
	{"gpus", "MUSTER_GPUS", Text, "", nil, "GPUs of each node that the scheduler is asked for: N, or NAME,N"},
	{"exclusive", "MUSTER_EXCLUSIVE", Switch, "false", nil, "ask the scheduler for whole nodes"},
	{"nice", "MUSTER_NICE", Count, "0", nil, "how much the scheduler is to lower the priority"},
	{"priority", "MUSTER_PRIORITY", Text, "", nil, "priority, in the scheduler's own terms"},
	{"time", "MUSTER_TIME", Duration, "0", nil, "limit of a whole run, for the scheduler; 0: the site's own"},
	{"warn", "MUSTER_WARN", Duration, "0", nil, "agents are told so long before --time is over; 0: a minute, less for short times"},
	{"time-request", "MUSTER_TIME_REQUEST", Duration, "0", nil, "what a task takes: none is started that could not end in --time; 0: not said"},
	{"requeue", "MUSTER_REQUEUE", Switch, "false", nil, "go on in a new allocation when the time is over or a node was lost"},
	{"stage", "MUSTER_STAGE", Word, "auto", []string{"auto", "none", "direct", "tree"}, "how image and program come to a node's disk; auto: direct from network storage"},
	{"stage-limit", "MUSTER_STAGE_LIMIT", Memory, "0", nil, "how much a node's own disk keeps of them; 0: half of what is free"},
	{"timing", "MUSTER_TIMING", Word, "files", []string{"files", "socket"}, "how nodes' clocks are compared: through files, or by asking who follows the run"},

	{"guest", "MUSTER_GUEST", Word, "auto", []string{"auto", "native", "wine", "vm"}, "kind of environment; auto: Wine for Windows programs, else native"},
	{"image", "MUSTER_IMAGE", Text, "", nil, "name of the image; empty: the default one of its kind"},
	{"wine", "MUSTER_WINE", Text, "", nil, "folder or archive with a Wine of your own; empty: the installed one"},
	{"boot", "MUSTER_BOOT", Word, "auto", []string{"auto", "lean", "full", "cold", "warm"}, "Wine: how much of Windows is started (lean, full); VM: booted, or resumed (cold, warm)"},
	{"net", "MUSTER_NET", Word, "none", []string{"none", "user", "slot"}, "VM: its network; user: out through this machine; slot: to those of its lane"},
	{"isolation", "MUSTER_ISOLATION", Word, "lane", words(job.IsolateTask, job.IsolateLane, job.IsolateNode), "what has an instance of its own: each task, each lane, or a node"},
	{"contain", "MUSTER_CONTAIN", Word, "auto", []string{"auto", "namespace", "keeper"}, "what ends everything when the agent dies: a PID namespace or a keeper process"},

	{"lanes", "MUSTER_LANES", Count, "0", nil, "programs at once on a node; 0: as many as it has CPUs"},
	{"per-lane", "MUSTER_PER_LANE", Count, "0", nil, "programs at once in each lane, sharing its CPUs; 0: one"},
	{"mem", "MUSTER_MEM", Memory, "0", nil, "memory that each task needs, and that a VM has; 0: not said (a VM: 256M)"},
	{"timeout", "MUSTER_TIMEOUT", Duration, "0", nil, "limit of each task; 0: none"},
	{"retries", "MUSTER_RETRIES", Count, "0", nil, "further attempts at a task that failed"},
	{"max-fails", "MUSTER_MAX_FAILS", Count, "0", nil, "start nothing more after so many failures; 0: go on"},
	{"fail-on", "MUSTER_FAIL_ON", FailOn, "1", nil, "failed tasks (3, or 5%) that make the run a failure"},
	{"existing", "MUSTER_EXISTING", Word, "refuse", words(job.ExistingRefuse, job.ExistingSkip, job.ExistingReplace), "what happens to outputs that are there already"},
	{"env", "MUSTER_ENV", Text, "all", nil, "environment that programs get: all, none, or names with commas"},
	{"max-log", "MUSTER_MAX_LOG", Memory, "1M", nil, "how much of each task's output streams is kept"},
	{"keep", "MUSTER_KEEP", Switch, "false", nil, "keep the temporary folders"},

	{"color", "MUSTER_COLOR", Word, "auto", []string{"auto", "always", "never"}, "colours"},
	{"progress", "MUSTER_PROGRESS", Word, "auto", []string{"auto", "tty", "plain", "json", "none"}, "how progress is shown"},
}

func words[T ~string](all ...T) []string {
	out := make([]string, len(all))
	for i, w := range all {
		out[i] = string(w)
	}
	return out
}

// Keys returns every setting, in the order in which to show them.
func Keys() []Key { return slices.Clone(keys) }

// Lookup finds a setting by its name.
func Lookup(name string) (Key, bool) {
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}

func names() []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.Name
	}
	return out
}

// parse reads the text of a setting. The result is a string, int, bool,
// time.Duration, int64 (Memory) or job.FailOn. The error is job.ErrBadInput.
func (k Key) parse(text string) (any, error) {
	switch k.Kind {
	case Word:
		return job.OneOf(k.Name, text, k.Words...)
	case Count:
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 0 {
			return nil, job.BadInputf("%s cannot be %q: it is a number, 0 or more", k.Name, text)
		}
		return n, nil
	case Switch:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "true", "yes", "on", "1":
			return true, nil
		case "false", "no", "off", "0":
			return false, nil
		}
		return nil, job.BadInputf("%s cannot be %q: it is true or false", k.Name, text)
	case Duration:
		return job.ParseDuration(text)
	case Memory:
		return job.ParseMemory(text)
	case FailOn:
		return job.ParseFailOn(text)
	}
	if strings.ContainsRune(text, 0) {
		return nil, job.BadInputf("%s cannot hold a NUL byte", k.Name)
	}
	return text, nil
}
