package rundir

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Every name on disk is made here, and nowhere else.
//
//	spec.json                 job.Spec; the last file of a new run to be written
//	tasks.jsonl               job.Task, a line each, by index
//	submits/G.intent.json     generation G is about to be submitted, with its tag
//	submits/G.json            … and what became of it: IDs, or why it was refused
//	plan/G.E.json             what element E of generation G is to do
//	plan/G.pool.json          … or what all its elements take chunks of
//	claims/G/claim.C.A        who has taken chunk C of that, as the A-th
//	launch/G/up.E             element E of a launch has all its programs up
//	journal/G.E.I             journal of incarnation I of that element
//	journal/G.E.I.S           its further segments, from 2, after a failed write
//	stream/G.E.I              output streams of that incarnation's tasks
//	stream/G.E.I.index        where each task's output is in it
//	control/NNNNNNNN.json     requests, numbered in the order in which they were made
//	heartbeat/G.E.I           counter of that incarnation
//	heartbeat/conductor.K     counter of the K-th process that conducts the run
//	clocks/K.offer.json       where the K-th listener to agents' clocks is found, while it listens
//	clocks/K.events           what agents told it, stamped by its own clock
//	lists/                    MIMO list files
//	scripts/                  what was given to a scheduler
//	logs/                     streams of the agents themselves
//	stage/G/                  where the nodes of generation G meet to stage from one another
//	stage/G.program.json      what must be in the program's folder that is staged
//	manifest.json             outputs and failures
const (
	specFile      = "spec.json"
	tasksFile     = "tasks.jsonl"
	manifestFile  = "manifest.json"
	submitsDir    = "submits"
	planDir       = "plan"
	claimsDir     = "claims"
	launchDir     = "launch"
	journalDir    = "journal"
	streamDir     = "stream"
	controlDir    = "control"
	heartbeatDir  = "heartbeat"
	clocksDir     = "clocks"
	listsDir      = "lists"
	scriptsDir    = "scripts"
	logsDir       = "logs"
	stageDir      = "stage"
	indexSuffix   = ".index"
	intentSuffix  = ".intent.json"
	offerSuffix   = ".offer.json"
	eventsSuffix  = ".events"
	jsonSuffix    = ".json"
	poolSuffix    = ".pool.json"
	claimPrefix   = "claim."
	upPrefix      = "up."
	conductorBase = "conductor."

	// tempPrefix marks what is being written. Readers pass over such names.
	tempPrefix = ".new-"
)

// runFolders are made with the run.
var runFolders = [...]string{submitsDir, planDir, journalDir, streamDir, controlDir, heartbeatDir, clocksDir, listsDir, scriptsDir, logsDir}

// SpecPath is the file that holds the Spec.
func (r *Run) SpecPath() string { return filepath.Join(r.Dir, specFile) }

// ManifestPath is the file that a reducer gets in MUSTER_MANIFEST.
func (r *Run) ManifestPath() string { return filepath.Join(r.Dir, manifestFile) }

// ListsDir is the folder for the list files of MIMO calls.
func (r *Run) ListsDir() string { return filepath.Join(r.Dir, listsDir) }

// StageDir is the folder in which the nodes of a generation meet to stage from
// one another. Whoever needs it makes it.
func (r *Run) StageDir(gen int) string { return filepath.Join(r.Dir, stageDir, strconv.Itoa(gen)) }

// StagedProgram is the file that says what must be in the program's folder that
// the nodes of a generation stage. Missing: they do not stage it.
func (r *Run) StagedProgram(gen int) string {
	return filepath.Join(r.Dir, stageDir, strconv.Itoa(gen)+".program"+jsonSuffix)
}

// ScriptsDir is the folder for what a scheduler is given.
func (r *Run) ScriptsDir() string { return filepath.Join(r.Dir, scriptsDir) }

// LogsDir is the folder for the streams of agents themselves; each generation
// has a folder of its own in it, made by whoever submits.
func (r *Run) LogsDir(gen int) string { return filepath.Join(r.Dir, logsDir, strconv.Itoa(gen)) }

// IntentPath is the file of the intent to submit a generation. It is there before the
// engine is asked, so whoever does not see it does not see the run.
func (r *Run) IntentPath(gen int) string {
	return r.path(submitsDir, strconv.Itoa(gen)+intentSuffix)
}

// AgentID names one incarnation of an agent in a run.
type AgentID struct {
	Generation  int // of the submission
	Element     int // of its array, from 1
	Incarnation int // from 1
}

// String gives G.E.I, the name of its files.
func (id AgentID) String() string {
	return fmt.Sprintf("%d.%d.%d", id.Generation, id.Element, id.Incarnation)
}

// before orders agents by generation, element and incarnation.
func (id AgentID) before(o AgentID) bool {
	if id.Generation != o.Generation {
		return id.Generation < o.Generation
	}
	if id.Element != o.Element {
		return id.Element < o.Element
	}
	return id.Incarnation < o.Incarnation
}

func (r *Run) path(dir, name string) string { return filepath.Join(r.Dir, dir, name) }

func (r *Run) journalPath(id AgentID, segment int) string {
	if segment <= 1 {
		return r.path(journalDir, id.String())
	}
	return r.path(journalDir, id.String()+"."+strconv.Itoa(segment))
}

func (r *Run) streamPath(id AgentID) string { return r.path(streamDir, id.String()) }

func (r *Run) sharePath(gen, element int) string {
	return r.path(planDir, fmt.Sprintf("%d.%d%s", gen, element, jsonSuffix))
}

func (r *Run) poolPath(gen int) string { return r.path(planDir, strconv.Itoa(gen)+poolSuffix) }

// parseNumbers reads a name of the form 1.22.333 with at least min and at most
// max positive numbers, written as muster writes them.
func parseNumbers(name string, min, max int) ([]int, bool) {
	parts := strings.Split(name, ".")
	if len(parts) < min || len(parts) > max {
		return nil, false
	}
	ns := make([]int, len(parts))
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || strconv.Itoa(n) != p {
			return nil, false
		}
		ns[i] = n
	}
	return ns, true
}

// parseJournalName tells the agent and the segment of a file in journal/.
func parseJournalName(name string) (id AgentID, segment int, ok bool) {
	ns, ok := parseNumbers(name, 3, 4)
	if !ok {
		return AgentID{}, 0, false
	}
	segment = 1
	if len(ns) == 4 {
		segment = ns[3]
	}
	return AgentID{ns[0], ns[1], ns[2]}, segment, len(ns) == 3 || segment > 1
}

// TempDirName is the folder below an output folder in which run n's attempts
// write their outputs before these are published.
func TempDirName(n int, token string) string { return fmt.Sprintf(".muster-%d-%s", n, token) }

// attemptDirName is the folder of one attempt in it.
func attemptDirName(task, attempt int) string { return fmt.Sprintf("%d.%d", task, attempt) }
