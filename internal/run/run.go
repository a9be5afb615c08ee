// Package run conducts a run: it plans, submits, watches, retries and gives the
// verdict. It is the submitting side: it knows engines, and of guests only their
// submitting halves (guest.Front), which cmd hands to it. After submission
// nothing of it has to stay alive.
package run

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/guest"
	"muster/internal/inputs"
	"muster/internal/job"
	"muster/internal/plan"
	"muster/internal/rundir"
)

// Conductor holds what conducting needs. It has no state of its own.
type Conductor struct {
	Store    *rundir.Store
	Engines  map[string]engine.Engine // by name
	Clusters []Cluster                // schedulers, in the order in which --engine auto asks them
	Fronts   []guest.Front            // in the order in which --guest auto asks them; the last takes all
	Agent    []string                 // command line that starts an agent, without run and generation
	Environ  []string                 // of the user
	Scratch  string                   // node-local folder for scratch folders on this host; for clearing up behind the dead
	Tell     func(string)             // announcements, a line each
	Step     func(string)             // how a long step goes on (building an image), a line each; nil: Tell
}

// Request is what the user asked for, parsed but not settled.
type Request struct {
	Argv []string // muster's own command line
	Dir  string   // folder that it was given in

	Launch *job.Launch // muster launch; nil: a map

	Mapper  string         // --mapper; or:
	Command []string       // what stood after "--"
	Inputs  inputs.Options // everything about inputs and the names of outputs

	AppType      job.AppType
	NP           job.NP
	NData        int
	Distribution job.Distribution

	Engine    string // auto or a name
	Fallback  string // what the configuration says of engines, for auto
	New       bool   // submit, although this is inside an allocation
	Guest     string // auto or a name
	Image     string
	Boot      string // auto, lean, full
	Wine      string // DIR or TAR
	Force     bool
	Isolation job.Isolation
	Lanes     int               // 0: the node's CPUs
	PerLane   int               // programs at once in each lane; 0: one
	GuestOpts map[string]string // guest.Request.Options
	Drives    map[string]string

	Stdin, Stdout bool
	Collect       []string
	ProgramDir    string
	WorkDir       string // "", "private", "here" or a folder
	Env           string // all, none, or names with commas

	Reducer    string
	RedArgs    []string
	RedOut     string
	ReduceAny  bool
	Timeout    time.Duration
	Time       time.Duration
	Warn       time.Duration // 0: job.WarnAhead
	TaskTime   time.Duration
	Requeue    bool
	Hold       bool
	Stage      string
	StageLimit int64 // bytes on a node; 0: half of what is free
	Nodes      int   // at most so many; 0: as many as are useful
	Mem        int64
	Retries    int
	MaxFails   int
	FailOn     string
	MaxLog     int64
	Keep       bool
	TempDir    string
	Scheduler  job.Resource
	Timing     string // files, socket: how nodes' clocks are compared
}

// Prepared is a settled run that nothing has been written of yet.
type Prepared struct {
	Spec    job.Spec
	Tasks   []job.Task
	Plan    *plan.Plan
	Present []int         // tasks whose outputs are there already
	Verdict guest.Verdict // of the program
	Front   guest.Front
	Request guest.Request // for Front
	engine  chosen
	hold    bool
}

// front finds a front by its name.
func (c *Conductor) front(name string) (guest.Front, error) {
	var known []string
	for _, f := range c.Fronts {
		if f.Name() == name {
			return f, nil
		}
		known = append(known, f.Name())
	}
	return nil, job.BadInputf("--guest %s: there is no such guest; known are auto, %s", name, strings.Join(known, ", "))
}

// engineOf finds an engine by its name.
func (c *Conductor) engineOf(name string) (engine.Engine, error) {
	e := c.Engines[name]
	if e == nil {
		var known []string
		for n := range c.Engines {
			if c.schedulerOf(n) == n { // an allocation is chosen by its scheduler's name
				known = append(known, n)
			}
		}
		slices.Sort(known)
		return nil, job.BadInputf("--engine %s: there is no such engine here; known are auto, %s", name, strings.Join(known, ", "))
	}
	return e, nil
}

func (c *Conductor) tell(format string, args ...any) {
	if c.Tell != nil {
		c.Tell(fmt.Sprintf(format, args...))
	}
}

// step tells how a long step goes on.
func (c *Conductor) step(line string) {
	if c.Step != nil {
		c.Step(line)
		return
	}
	c.tell("%s", line)
}

// hostname names this host, for records.
func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return h
}
