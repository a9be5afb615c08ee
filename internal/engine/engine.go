// Package engine holds the contract with what runs arrays: this machine
// (local), a test's memory, later Slurm and Grid Engine.
package engine

import (
	"context"
	"errors"
	"time"

	"muster/internal/job"
)

var (
	// ErrUnavailable means that the engine cannot be reached just now; asking
	// again later may succeed. What was asked for may or may not have happened.
	ErrUnavailable = errors.New("the engine does not answer")
	// ErrRefused means that the engine will never do what was asked; the message
	// holds its own words.
	ErrRefused = errors.New("the engine refused")
	// ErrMissing means that this host has no such engine: the commands that lead
	// to it are not installed, or know of no cluster. The message names them.
	ErrMissing = errors.New("the engine is not here")
)

// ID names a submitted array. It is opaque, and never holds white space.
type ID string

// Engine runs arrays. Its methods may be called by several goroutines at once,
// and by several processes of the same user: an engine has no state but what
// is on disk or with the scheduler.
type Engine interface {
	// Info tells version, limits and what can be had here by somebody who asks
	// for want (a partition has limits of its own). Errors: ErrRefused when there is no
	// such partition, queue or the like; ErrMissing; ErrUnavailable.
	Info(ctx context.Context, want job.Resource) (Info, error)

	// Submit hands over one array and returns when the engine has taken it for
	// good: the caller may end at once, and the array runs nevertheless. Exactly
	// once unless ErrUnavailable, after which Find tells what became of it.
	Submit(ctx context.Context, a job.Array) (ID, error)

	// Find returns the arrays of this user with that tag: what a lost answer to
	// Submit may have left. None is an empty list, no error.
	Find(ctx context.Context, tag string) ([]ID, error)

	// Status tells how the arrays stand, in the order asked, with one query for
	// all. An array that the engine has forgotten is reported as job.Gone.
	Status(ctx context.Context, ids ...ID) ([]Report, error)

	// Control asks for op; it is in force some time after the return. Idempotent, and
	// no error for an array that has ended or is gone. Cancel gives elements
	// SIGTERM, then, after Info.KillWait, SIGKILL to everything they started. Suspend and
	// continue are the agents' work, not the engine's.
	Control(ctx context.Context, id ID, op job.Op) error
}

// Shower is the ability to show what Submit would give to a scheduler.
type Shower interface {
	// Show returns the scheduler's command line and the script that goes with it, for
	// a person to read. It submits nothing and asks nobody.
	Show(a job.Array) (argv []string, script string, err error)
}

// Info is what is known of an engine.
type Info struct {
	Name        string
	Version     string
	Nodes       int           // nodes that can be had; local: 1
	CPUs        int           // per node; of the smallest, where they differ
	Memory      int64         // bytes per node; of the smallest, where they differ; 0: not known
	Mixed       string        // how the nodes differ, for a person: "6 nodes have 4 CPUs, 2 have 64"; "": they do not
	MaxArray    int           // elements that one scheduler array may have; Submit splits beyond; 0: no limit
	MaxTime     time.Duration // that an array may take; 0: no limit, or not known
	KillWait    time.Duration // between SIGTERM and SIGKILL
	Poll        time.Duration // how often it may be asked for Status; 0: as often as one likes
	Survives    bool          // arrays go on after the submitting session has ended
	Description string        // one line for a person
}

// Report is how an array stands.
type Report struct {
	ID       ID
	State    job.State // Pending until the first element runs; ended when all have
	Reason   string    // why it is pending, in the engine's words
	Elements []Element // one each, in order; nil when the array is gone
}

// Element is how one element of an array stands.
type Element struct {
	Index   int // from 1
	State   job.State
	Exit    job.Exit // Code and Signal, when ended
	Node    string
	Restart int       // how often the engine has started it again
	Started time.Time // zero: not yet
	Ended   time.Time
}
