package job

import "time"

// SpecVersion is the version of Spec's JSON form. A run directory with a newer
// one is refused, and nothing in it is changed.
const SpecVersion = 1

// AppType says how the program takes its inputs (LLMapReduce --apptype).
type AppType string

const (
	SISO AppType = "siso" // called once for each input: PROGRAM INPUT OUTPUT
	MIMO AppType = "mimo" // called once for each process: PROGRAM LISTFILE, lines "input output"
)

// Distribution is how tasks are dealt to processes (LLMapReduce --distribution).
type Distribution string

const (
	Block  Distribution = "block"  // contiguous shares, leftovers to the lowest-numbered processes
	Cyclic Distribution = "cyclic" // round robin

	// Dynamic: agents take the next chunk of tasks when they have done one, through
	// claims in the run directory; chunks shrink towards the end.
	Dynamic Distribution = "dynamic"
)

// Existing says what happens to outputs that are there before the run.
type Existing string

const (
	ExistingRefuse  Existing = "refuse"  // the run is refused
	ExistingSkip    Existing = "skip"    // their tasks count as completed, and are not run
	ExistingReplace Existing = "replace" // moved aside before the run starts
)

// PrivateWork, as Spec.WorkDir, gives each task a work folder of its own.
const PrivateWork = "private"

// NP is LLMapReduce's --np: a number of processes, or the triple
// [nodes, processes per node, threads per process], which takes whole nodes.
type NP struct {
	Processes int  `json:"processes,omitempty"` // 0: one process per input, up to the slots there are
	Triple    bool `json:"triple,omitempty"`
	Nodes     int  `json:"nodes,omitempty"`
	PerNode   int  `json:"per_node,omitempty"`
	Threads   int  `json:"threads,omitempty"`
}

// Spec is what a run is to do, settled: every "auto" has been decided and every
// path is absolute. It is written once, before submission, and never changed.
type Spec struct {
	Version int       `json:"version"`
	Created time.Time `json:"created"`
	Argv    []string  `json:"argv"` // muster's own command line
	Dir     string    `json:"dir"`  // the folder that muster was started in
	Name    string    `json:"name"` // base name of the program, for people

	// The program. Template holds placeholders ({in} …) when the user gave a
	// command after "--"; otherwise it is the mapper, and its arguments follow
	// from AppType.
	Program    string   `json:"program"`               // host path of the executable
	Args       []string `json:"args,omitempty"`        // arguments; with Template they hold placeholders
	Template   bool     `json:"template,omitempty"`    // Args is a template
	ProgramDir string   `json:"program_dir,omitempty"` // folder that goes with the program
	AppType    AppType  `json:"apptype"`
	Stdin      bool     `json:"stdin,omitempty"`   // the input arrives on standard input
	Stdout     bool     `json:"stdout,omitempty"`  // the output is what is written to standard output
	Collect    []string `json:"collect,omitempty"` // patterns of what the program leaves in its work folder
	WorkDir    string   `json:"workdir,omitempty"` // PrivateWork, or the folder to run in
	EnvNames   string   `json:"env"`               // --env as it was settled: all, none or names; the values travel with the array, never in a file
	Threads    int      `json:"threads,omitempty"` // per process; 0: not asked for

	// Inputs and outputs.
	Input  string `json:"input"`  // folder or list, as given, absolute
	Output string `json:"output"` // folder, absolute; "" when the program has no outputs
	Tasks  int    `json:"tasks"`  // how many tasks the plan has

	// The environment.
	Guest     string            `json:"guest"`                // driver: native, wine
	ImageName string            `json:"image_name,omitempty"` // --image, "" for the default one
	WineTree  string            `json:"wine_tree,omitempty"`  // --wine: a Wine of the user's own
	Image     string            `json:"image,omitempty"`      // folder of the image, "" where the guest has none
	ImageKey  string            `json:"image_key,omitempty"`  // what the image must be
	Boot      string            `json:"boot,omitempty"`       // driver's word: lean, full
	Drives    map[string]string `json:"drives,omitempty"`     // extra drives: letter → host folder
	GuestOpts map[string]string `json:"guest_opts,omitempty"` // a driver's own settings, settled
	Isolation Isolation         `json:"isolation"`

	// The shape.
	Engine       string       `json:"engine"`
	Lanes        int          `json:"lanes"`              // per node
	PerLane      int          `json:"per_lane,omitempty"` // --per-lane: programs at once in each lane, sharing its CPUs; 0: one
	NP           NP           `json:"np"`
	NData        int          `json:"ndata,omitempty"`
	Distribution Distribution `json:"distribution"`
	Nodes        int          `json:"nodes,omitempty"`       // --nodes: at most so many; 0: as many as are useful
	Stage        string       `json:"stage,omitempty"`       // auto, none, direct, tree: how image and program come to a node
	StageLimit   int64        `json:"stage_limit,omitempty"` // bytes that staged files may take on a node; 0: half of its disk's free space
	Timing       string       `json:"timing,omitempty"`      // files, socket: how nodes' clocks are compared with the submitting host's

	// Limits.
	Timeout  time.Duration `json:"timeout,omitempty"`   // per task
	Time     time.Duration `json:"time,omitempty"`      // of the whole array, for the scheduler
	Warn     time.Duration `json:"warn,omitempty"`      // agents are told so long before Time is over
	TaskTime time.Duration `json:"task_time,omitempty"` // --time-request: what a task is said to take; one that could not end in time is not started
	Requeue  bool          `json:"requeue,omitempty"`   // go on in a new allocation when the time is over or a node was lost
	Mem      int64         `json:"mem,omitempty"`       // bytes per task
	Retries  int           `json:"retries,omitempty"`   // further attempts for a failed task
	MaxFails int           `json:"max_fails,omitempty"` // stop starting tasks after so many failures; 0: never
	FailOn   string        `json:"fail_on,omitempty"`   // "N" or "N%": how many failures make the run a failure
	MaxLog   int64         `json:"max_log"`             // bytes kept of each task's output streams

	// The reducer: REDUCER OUTPUT REDOUT [args…], after the map.
	Reducer     string   `json:"reducer,omitempty"`
	ReducerArgs []string `json:"reducer_args,omitempty"`
	ReducerOut  string   `json:"reducer_out,omitempty"` // absolute
	ReduceGuest string   `json:"reduce_guest,omitempty"`
	ReduceAny   bool     `json:"reduce_any,omitempty"` // --changeDepMode: reduce whatever the tasks' states

	Launch *Launch `json:"launch,omitempty"` // muster launch; nil: the run is a map

	Keep      bool     `json:"keep,omitempty"`    // keep the temporary folders
	TempDir   string   `json:"tempdir,omitempty"` // MIMO lists and the like are kept here on --keep
	Existing  Existing `json:"existing"`
	Scheduler Resource `json:"scheduler,omitempty"` // passed to the scheduler as it is
}

// Resource is what is asked of a scheduler, in its own words. The local engine
// takes no notice of it.
type Resource struct {
	Partition   string   `json:"partition,omitempty"` // Grid Engine: the queue
	Account     string   `json:"account,omitempty"`   // Grid Engine: the project
	QOS         string   `json:"qos,omitempty"`
	Reservation string   `json:"reservation,omitempty"`
	Constraint  string   `json:"constraint,omitempty"` // Grid Engine: a resource list, as for -l
	CPUType     string   `json:"cpu_type,omitempty"`
	GPUs        string   `json:"gpus,omitempty"` // NAME[,COUNT] as in --gpuNameCount, or COUNT
	Exclusive   bool     `json:"exclusive,omitempty"`
	Nice        int      `json:"nice,omitempty"`     // how much the priority is lowered
	Priority    string   `json:"priority,omitempty"` // in the scheduler's own terms
	Options     []string `json:"options,omitempty"`  // raw
	SlotsPer    int      `json:"slots_per,omitempty"`
	SlotsType   int      `json:"slots_type,omitempty"` // 1 map, 2 both, 3 reduce
}

// Slots is LLMapReduce's --slotsPerTask, for those processes that it is meant for: how
// many CPUs each takes; 1 where nothing was asked for.
func (r Resource) Slots(reduce bool) int {
	const both, reduceOnly = 2, 3
	switch {
	case r.SlotsType == both:
	case reduce != (r.SlotsType == reduceOnly):
		return 1
	}
	return max(r.SlotsPer, 1)
}

// Task is one input to process. The paths of inputs that are files are
// absolute; other words are passed as they are.
type Task struct {
	Index int     `json:"index"` // from 1, never reused within a run
	In    []Input `json:"in"`    // at least one; a launch has none
	Out   string  `json:"out"`   // the output's path below the output folder
	// OutAlias is the base name under which the guest writes the output, when it
	// cannot express the true one; "" otherwise.
	OutAlias string `json:"out_alias,omitempty"`
}

// Input is one word of a task's input.
type Input struct {
	Word  string `json:"word"`            // absolute path when File, else the word itself
	File  bool   `json:"file,omitempty"`  // names an existing file or folder
	Alias string `json:"alias,omitempty"` // base name that the guest sees, when it cannot express the true one
}

// Array is what an engine is given in one call: Elements times the same
// command, told apart by MUSTER_ELEMENT (1…Elements) and by the index variables
// of the scheduler it stands for.
type Array struct {
	Tag      string   // unique; Find gets the array back by it
	Name     string   // for people
	Elements int      // at least 1
	Argv     []string // absolute program and its arguments
	Dir      string   // working folder
	Token    string   // file that an element must see before it does anything else (else its exit code is ExitUnseen); "": none
	Env      []string // the whole environment, NAME=VALUE
	LogDir   string   // each element's streams: LogDir/ELEMENT.log
	Scripts  string   // folder in which what a scheduler was given is kept; "": nowhere
	After    []string // IDs of arrays that must have ended, however they ended
	Hold     bool     // do not start before OpRelease
	Resource Resource
	Time     time.Duration // that an element may take; 0: the site's own limit
	Warn     time.Duration // elements get SIGUSR1 so long before Time is over; 0: no warning
	Mem      int64         // bytes per element; 0: the site's own
	CPUs     int           // per element, on one node; 0: 1
	Spread   bool          // no two elements on one node: a node each
	Requeue  bool          // an element whose node was lost may be started again, as may one that asks (its exit code is ExitRequeue)
}

// WarnAhead is how long before the end of their time elements are best warned:
// long enough to end programs and to close everything, and a small part of the
// whole. t is Array.Time.
func WarnAhead(t time.Duration) time.Duration {
	const enough = time.Minute
	if t == 0 {
		return enough
	}
	return min(enough, t/4)
}

// ExitRequeue is how an element asks to be started again, where Array.Requeue
// allows it: Grid Engine's own convention (queue_conf(5)), which every engine keeps.
const ExitRequeue = 99

// ExitUnseen is how an element ends that does not see Array.Token on its node,
// after a few seconds of patience with a slow file server: the folder of the run is not shared
// with that node, so nothing else could tell. Engines whose elements run on other
// machines keep to it.
const ExitUnseen = 98
