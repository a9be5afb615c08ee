package arrows

// house lists every package with what it is for. A new package is placed here
// first; what it may import follows from the bans below.
var house = map[string]string{
	"cmd/muster":      "flags, wiring, exit codes; no logic",
	"cmd/muster-init": "the first process of a guest in a VM: disks, modules, clock, network, power",

	"internal/job":           "the nouns and their text forms; no I/O",
	"internal/plan":          "inputs × Spec → shares of tasks; pure",
	"internal/inputs":        "folders and lists → tasks, names checked",
	"internal/template":      "placeholders of a command → arguments",
	"internal/rundir":        "every file of a run directory",
	"internal/clock":         "by how much nodes' clocks differ from the submitting host's",
	"internal/run":           "conducts a run on the submitting side",
	"internal/scratch":       "folders on a node that vanish with their agent",
	"internal/salvage":       "settles what killed agents left in an output folder",
	"internal/agent":         "works off tasks on a node",
	"internal/timeline":      "spans of phases: merge, summarise, export; pure",
	"internal/report":        "what a run's report says",
	"internal/plot":          "figures",
	"internal/bench":         "launch experiments: the same number of programs brought up in several ways",
	"internal/config":        "settings and where they came from",
	"internal/explain":       "what the codes of causes mean",
	"internal/ui":            "how muster speaks: progress, messages, tables",
	"internal/ui/human":      "text for people: durations, sizes, counts",
	"internal/node":          "what this machine is",
	"internal/admit":         "whether so many programs fit on it; holds starts back",
	"internal/stage":         "central storage → node-local storage, once per node",
	"internal/image":         "the image store",
	"internal/proc":          "the only place that starts processes",
	"internal/proc/proctest": "the table of a test's processes",

	"internal/engine":            "the contract with engines",
	"internal/engine/local":      "driver: this machine",
	"internal/engine/memory":     "driver: in memory, for tests",
	"internal/engine/slurm":      "driver: clusters under Slurm",
	"internal/engine/gridengine": "driver: clusters under Grid Engine",
	"internal/engine/enginetest": "conformance suite of engines",

	"internal/guest":                        "the contract with guests",
	"internal/guest/native":                 "driver: no environment at all",
	"internal/guest/wine":                   "driver: Windows programs under Wine",
	"internal/guest/wine/winpe":             "reads PE files",
	"internal/guest/wine/winname":           "names that Windows can express",
	"internal/guest/wine/exitcode":          "what Wine's exit codes mean",
	"internal/guest/wine/trim":              "edits of Wine that make its starts cheaper; pure",
	"internal/guest/wine/winetest":          "Windows programs built for tests",
	"internal/guest/wine/wincompat":         "what Windows programs compute, in every mode",
	"internal/guest/vm/vmimage":             "makes the images of VMs, and tells what is in them",
	"internal/guest/vm/vmtest":              "the image of a small guest, for tests",
	"internal/guest/vm/machine":             "one QEMU process: command line, life, saved states",
	"internal/guest/vm/machine/machinetest": "a small guest for tests of machines",
	"internal/guest/guesttest":              "conformance suite of guests",

	"internal/guest/vm":             "driver: programs in virtual machines",
	"internal/guest/vm/wire":        "what a host and the guest in a VM say to each other; the host's half",
	"internal/guest/vm/wire/link":   "messages and bounded channels over one byte stream",
	"internal/guest/vm/wire/tree":   "a folder as a stream of bytes, and back",
	"internal/guest/vm/wire/inside": "the guest's half: programs, trees",
	"internal/guest/vm/guestinit":   "muster-init's bytes, for those who build images",

	"internal/timeline/timelinetest": "made-up timelines for tests",
	"internal/goldentest":            "compares what tests produce with files that are kept",

	"examples/probe":       "source of the program that launches are measured with",
	"internal/arrows":      "this test",
	"internal/crashtest":   "kills what muster is made of, and looks at what is left",
	"internal/clustertest": "drives the program on a real Slurm and a real Grid Engine",
	"scripts/checkrun":     "judges a test run: failures, skips, what had to run",
	"scripts/bench":        "measures muster against what one would use without it",
}

// testOnly are packages that only tests, and one another, may import.
var testOnly = []string{
	"internal/proc/proctest",
	"internal/engine/enginetest",
	"internal/engine/memory",
	"internal/guest/guesttest",
	"internal/guest/wine/winetest",
	"internal/guest/vm/machine/machinetest",
	"internal/guest/vm/vmtest",
	"internal/timeline/timelinetest",
	"internal/goldentest",
}

// A ban forbids packages that match from to import what matches one of to.
// Patterns are import paths, those of this module without its name; "*" stands
// for one element, "..." at the end for the package and all below it.
type ban struct {
	from   string
	to     []string
	except []string // importers to which it does not apply
	why    string
}

// outside is what a pure package does not touch.
var outside = []string{"os/...", "io/ioutil", "net/...", "syscall", "golang.org/x/sys/...", "plugin", "unsafe", "C"}

// bans hold for source that is not a test's.
var bans = []ban{
	{from: "...", to: []string{"cmd/..."},
		why: "cmd is the wiring at the top: what is needed elsewhere belongs into a package below it"},
	{from: "...", to: []string{"os/exec"}, except: append([]string{"internal/ui"}, mayStart...),
		why: "proc is the only place that starts processes, so that none is ever lost (ui knows os/exec's errors, to put them into words)"},

	{from: "internal/job", to: []string{"internal/...", "scripts/..."},
		why: "job holds the nouns that every other package speaks of, so it can know none of them"},
	{from: "internal/job", to: outside,
		why: "job does no I/O"},
	{from: "internal/plan", to: outside,
		why: "a plan is computed from its arguments alone, which is what makes it printable and golden-tested"},
	{from: "internal/timeline", to: outside,
		why: "a timeline is computed from records; others read and write files"},

	{from: "internal/guest/wine/trim", to: outside,
		why: "an edit is bytes in, bytes out; the driver reads and writes files"},

	{from: "internal/run", to: []string{"internal/guest/*"},
		why: "the submitting side knows engines; cmd hands it the guests' submitting halves as an interface"},
	{from: "internal/run", to: []string{"internal/engine/*"},
		why: "the conductor treats every engine alike; cmd hands it the driver"},
	{from: "internal/run", to: []string{"internal/agent/..."},
		why: "run and agent meet only in the run directory: they may live on different machines"},
	{from: "internal/agent", to: []string{"internal/run"},
		why: "run and agent meet only in the run directory: they may live on different machines"},
	{from: "internal/agent", to: []string{"internal/engine/..."},
		why: "the node side knows guests, not who brought it to the node"},
	{from: "internal/agent", to: []string{"internal/guest/*"},
		why: "the agent treats every guest alike; cmd hands it the driver"},

	{from: "internal/clock", to: []string{"internal/...", "scripts/..."},
		why: "what clocks tell stands for itself: journals, agents and reports all speak of it"},
	{from: "internal/rundir", to: []string{"internal/run", "internal/agent", "internal/engine/...", "internal/guest/..."},
		why: "a format does not know who reads it"},
	{from: "internal/plan", to: []string{"internal/rundir"},
		why: "the plan comes before the run directory"},
	{from: "internal/bench", to: []string{"internal/run", "internal/agent", "internal/engine/...", "internal/guest/...", "internal/rundir"},
		why: "it measures what a person calls, from outside"},
	{from: "internal/proc", to: []string{"internal/rundir", "internal/run", "internal/agent", "internal/engine/...", "internal/guest/..."},
		why: "proc knows processes, nothing of what they are for"},
	{from: "internal/image", to: []string{"internal/guest/..."},
		why: "the store keeps folders; a driver knows what is in them"},
	{from: "internal/stage", to: []string{"internal/guest/..."},
		why: "staging copies files; a driver knows what they are"},
}

// An allowance says all that packages matching from may import of this module,
// their own subpackages apart.
type allowance struct {
	from string
	to   []string
	why  string
}

// allowances hold for source that is not a test's; the first match counts.
var allowances = []allowance{
	{from: "internal/guest/wine", to: []string{"internal/guest", "internal/job", "internal/proc", "internal/image", "internal/stage"},
		why: "a driver knows its contract, processes and images, never another driver: so E engines and G guests cost E + G drivers"},
	{from: "internal/guest/wine/winetest", to: []string{"internal/job", "internal/guest/wine/winpe"},
		why: "it builds programs for tests, and knows no driver"},
	{from: "internal/guest/wine/*", to: []string{"internal/job"},
		why: "what is known of Windows stands for itself, and is tested without Wine"},
	{from: "internal/guest/vm", to: []string{"internal/guest", "internal/job", "internal/proc", "internal/image"},
		why: "a driver knows its contract, processes and images, never another driver: so E engines and G guests cost E + G drivers"},
	{from: "internal/guest/vm/vmtest", to: []string{"internal/proc", "internal/image", "internal/guest/vm/vmimage", "internal/guest/vm/guestinit"},
		why: "it has an image built, and knows nothing of what boots it"},
	{from: "internal/guest/vm/vmimage", to: []string{"internal/guest", "internal/job", "internal/proc", "internal/image", "internal/guest/vm/guestinit"},
		why: "an image knows nothing of the machine that boots it, nor of what is said to the guest"},
	{from: "internal/guest/vm/wire/inside", to: []string{"internal/guest/vm/wire", "internal/guest/vm/wire/link", "internal/guest/vm/wire/tree"},
		why: "it runs in the guest, in a program that has to be small"},
	{from: "internal/guest/vm/wire", to: nil,
		why: "what is said over a stream knows neither the machine that brings it nor the driver"},
	{from: "internal/guest/vm/wire/*", to: nil,
		why: "a link and a tree stand for themselves, and run in the guest, too"},
	{from: "internal/guest/vm/guestinit", to: nil,
		why: "it holds bytes"},
	{from: "cmd/muster-init", to: []string{"internal/guest/vm/wire", "internal/guest/vm/wire/link", "internal/guest/vm/wire/inside"},
		why: "it runs in the guest, and has to be small"},
	{from: "internal/guest/vm/machine", to: []string{"internal/guest", "internal/job", "internal/proc"},
		why: "a machine hands out a byte stream: what is said on it, and what is in its images, it does not know"},
	{from: "internal/guest/guesttest", to: []string{"internal/guest", "internal/job", "internal/proc"},
		why: "the suite knows the contract, not the drivers that it tests"},
	{from: "internal/engine/enginetest", to: []string{"internal/engine", "internal/job", "internal/proc"},
		why: "the suite knows the contract, not the drivers that it tests"},
	{from: "internal/guest/*", to: []string{"internal/guest", "internal/job", "internal/proc"},
		why: "a driver knows its contract and processes, never another driver: so E engines and G guests cost E + G drivers"},
	{from: "internal/engine/*", to: []string{"internal/engine", "internal/job", "internal/proc"},
		why: "a driver knows its contract and processes, never another driver: so E engines and G guests cost E + G drivers"},
}

// mayStart are the packages that may start processes: proc, what is proc in a guest, the
// benchmarks, and what only tests use.
var mayStart = append([]string{"internal/proc", "internal/guest/vm/wire/inside", "scripts/bench"}, testOnly...)

// starters are what processes are started with.
var starters = map[string][]string{
	"os/exec":                  {"Command", "CommandContext", "Cmd"},
	"os":                       {"StartProcess"},
	"syscall":                  {"ForkExec", "StartProcess", "SYS_FORK", "SYS_VFORK", "SYS_CLONE", "SYS_CLONE3"},
	"golang.org/x/sys/unix":    {"SYS_FORK", "SYS_VFORK", "SYS_CLONE", "SYS_CLONE3"},
	"golang.org/x/sys/execabs": {"Command", "CommandContext"},
}

// vagueNames are package names that say nothing of what is inside.
var vagueNames = []string{"util", "utils", "common", "types", "manager", "helpers", "misc"}

// written are package-level variables that something outside the source sets.
var written = map[string]string{
	"cmd/muster.version": "set by the linker: make build puts git's description here",
}

// maxLines is how long a source file may be before it is really two.
const maxLines = 500
