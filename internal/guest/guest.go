// Package guest holds the contract between an agent and the kinds of
// environment that it can open: native, wine, later vm and container.
//
// The agent knows nothing of what an instance is made of; a driver knows nothing
// of runs, plans or outputs. Drivers live in the packages below this one, and
// each passes the conformance suite in guesttest.
package guest

import (
	"context"
	"errors"
	"os"

	"muster/internal/job"
)

var (
	// ErrLacking means that this host lacks something that the guest needs; the
	// message says what, and how to get it (exit code 3).
	ErrLacking = errors.New("this host lacks something")
	// ErrUnfit means that the program cannot run in this guest (exit code 2).
	ErrUnfit = errors.New("the program cannot run here")
	// ErrBoot means that an instance did not come up (state BOOT_FAIL).
	ErrBoot = errors.New("the instance did not start")
	// ErrDead means that the instance has ended and can start nothing more. The
	// agent closes it and opens another.
	ErrDead = errors.New("the instance has ended")
	// ErrPath means that the guest has no name for a host path.
	ErrPath = errors.New("the guest cannot name this path")
)

// Guest is the node half of a driver. Its methods may be called by several
// goroutines at once.
type Guest interface {
	// Traits tells what the agent has to know of this kind of guest. Constant.
	Traits() Traits

	// Prepare makes sure, once for each node and before any Open, that what
	// instances are made from is here, whole and verified. It builds nothing.
	// Errors: ErrLacking.
	Prepare(ctx context.Context, n Node) error

	// Open makes an instance and waits until programs can be started in it. It
	// reports the phases cloned and booted to p.Events as each ends. When it
	// fails, nothing is left of the instance. Errors: ErrBoot, ErrLacking,
	// ctx.Err().
	Open(ctx context.Context, p Place) (Instance, error)
}

// Traits are facts about a kind of guest.
type Traits struct {
	Name string

	// Folders: programs see inputs, outputs, work and program folders only under
	// names of the guest's own (drives), so the agent gives each task a folder in
	// Folders.In, .Out and .Work with links to the true inputs. Without it,
	// programs get host paths.
	Folders bool

	// Carries: programs do not see the host's files, but copies: what a program is to find is
	// brought in before it starts, and what it has left is brought back before its end is told
	// (Command.In, Out and Dir). A file that it writes is not to be seen on the host before that; its
	// standard streams are, as it writes them. Nothing that a program has started outlives its end. Goes with Folders.
	Carries bool

	// Pin: programs and servers of an instance talk to each other so much that they
	// are best kept on one lane's CPUs, where a round trip wakes no other core.
	Pin bool

	// Hears: programs hear a request to end (Process.Terminate), and to ask one of them costs a
	// system call. Without it, many programs are best ended by force.
	Hears bool

	// PerInstance bounds how many programs one instance of isolation node should
	// run at once; 0: no bound.
	PerInstance int

	// Program and Instance are what one more of them takes in any case, on a good day: a launch for
	// which not even that is there is refused before anything is started. Of isolation node,
	// Instance is what each server takes (Spreader).
	Program, Instance Load
}

// Load is what something takes of a machine.
type Load struct {
	Memory int64 // bytes
	Tasks  int64 // processes and threads
	Open   int64 // files that are open
	Inodes int64 // files that it makes below Place.Dir and Place.Temp
}

// Node describes to a driver the node that the agent runs on.
type Node struct {
	Scratch  string            // node-local folder, private (0700) to this agent; the agent removes it
	Image    string            // folder of the image, "" where the guest has none
	ImageKey string            // what the image must be
	Boot     string            // the driver's word for how to boot
	Options  map[string]string // the driver's own settings from Spec.GuestOpts
	Keep     string            // node-local folder of the user's alone (0700), for what a driver makes here to use again in later runs; "": there is none
	Width    int               // how many CPUs an instance is meant to use where its Place names none; 0: one
	Tell     func(line string) // tells a person what a driver did for want of something better; may be nil, and called by several goroutines at once
}

// Folders are the host folders that an instance shows its programs.
type Folders struct {
	In      string // inputs: a folder per task, with links to the true files
	Out     string // outputs in the making: a folder per task, on the output's file system
	Work    string // work folders: a folder per task
	Program string // the program's own folder, or ""
}

// Place says where an instance is to live.
type Place struct {
	ID      string            // unique within the agent: "lane3", "task12.1", "node0"
	Dir     string            // exists, empty, 0700: everything of the instance lives below it; it may be in memory
	Temp    string            // exists, empty, 0700, on a disk: for programs' temporary files; "": they go below Dir
	Node    Node              //
	Folders Folders           //
	Drives  map[string]string // extra: drive letter → host folder
	Env     []string          // environment that everything of the instance inherits, with the marks (see Mark)
	CPUs    []int             // CPUs to run on; nil: all
	Events  Events            // told of phases; may be nil

	// Group names the instances that share a lane with this one, and Members says how many they are; Number, from 0, is its
	// own among them. Other instances may have it at another time. "": it is alone.
	Group           string
	Number, Members int

	// Programs is how many programs will be running in the instance at the same time, as
	// well as the caller knows; 0: not known. A driver gets ready for so many in Open, so
	// that no Start has to wait for what could have been there. It is no limit: more than
	// that can be started, which may then take longer.
	Programs int
}

// Events is told when a phase of an instance has ended.
type Events interface {
	// Phase says that phase p has just ended (it began when the one before it
	// ended, the first with Open).
	Phase(p job.Phase)
}

// Instance is a clone of an image, alive. Start may be called by several
// goroutines at once.
type Instance interface {
	// Start starts a program. Errors: ErrDead when the instance has ended;
	// anything else is the program's own trouble (not found, not executable).
	Start(ctx context.Context, c Command) (Process, error)

	// Path says how a program in the instance names a host file. Errors: ErrPath.
	Path(host string) (string, error)

	// Alive reports, without waiting, whether the instance can start programs.
	Alive() bool

	// Owns tells whether a process that was found running after its task belongs
	// to the instance itself (a server, a service) rather than to a task. env is
	// the environment that the process was started with.
	Owns(pid int, env []string) bool

	// Control suspends or continues everything in the instance.
	Control(ctx context.Context, op job.Op) error

	// Close ends everything of the instance. When it returns nil no process,
	// mount, socket or file of it is left; Place.Dir and Place.Temp are there, and empty.
	// Idempotent. A cancelled ctx shortens the grace, never the cleaning.
	Close(ctx context.Context) error
}

// Crowded is an Instance that carries its programs in several parts which can
// end one by one: servers, for example. The programs of a part that has ended have ended with it
// (job.CauseInstance); the instance is alive, and starts new ones, as long as one part is.
type Crowded interface {
	// Parts is how many parts are up, and how many programs each should carry at most.
	Parts() (up, each int)
}

// Spreader is a Guest whose instances carry their programs in servers.
type Spreader interface {
	// Spread is how many servers an instance would have on this machine for so many programs at the same
	// time, for a person who asks beforehand.
	Spread(programs int) int
}

// Command is a program to start in an instance.
type Command struct {
	Program string   // host path of the executable
	Args    []string // its arguments without the program's name, in the guest's own words
	Dir     string   // host path of the working folder
	Env     []string // NAME=VALUE; the program's whole environment but for what the guest itself needs
	CPUs    []int    // nil: the instance's

	// In and Out are the folders below Folders.In and Folders.Out that are the program's own. A guest that
	// carries (Traits.Carries) brings both, and Dir, into the instance as they are when the program is started; of In it brings what the
	// links lead to. Before Ended is called and Wait tells of the end it brings Out and Dir back, whatever the end was; what cannot be
	// brought back is an end with job.CausePublish. Other guests have no use for them.
	In, Out []string

	// Private gives the program a folder for temporary files of its own, empty at first, and the guest's
	// likeness of a home (in Windows, the user's profile), also where it shares its instance with
	// others. They are gone once Wait has told of the end, or with the instance. Without it, programs share those of the instance.
	Private bool

	// Ended, if not nil, is called once when the program's first process has ended, from when
	// on Wait does not wait. It must not wait for anything itself, and may come before Start returns.
	Ended func()

	// Streams. The caller opens and closes them. They are files, never pipes:
	// servers that inherit a pipe keep it open for ever.
	Stdin, Stdout, Stderr *os.File
}

// Readier is a Process whose program does not run yet when Start returns: something else of
// the guest's has to load it first.
type Readier interface {
	// Ready reports, at little cost and without waiting, whether the program's own code runs, or
	// has run. Once true it stays so.
	Ready() bool
}

// Process is a program that was started in an instance.
type Process interface {
	// Wait waits for the program's end and says how it came, with the guest's
	// own knowledge of codes (job.Cause). It returns ctx.Err() when ctx ends first;
	// the program then runs on, and Wait may be called again.
	Wait(ctx context.Context) (job.Exit, error)

	// Control: OpCancel ends the program at once, by force; OpSuspend and
	// OpContinue stop and continue it. Idempotent; no error when it has ended.
	Control(ctx context.Context, op job.Op) error

	// Terminate asks the program to end (SIGTERM or the guest's likeness).
	Terminate(ctx context.Context) error

	// PID is the host's number of the program's first process.
	PID() int
}
