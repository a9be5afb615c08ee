// Command muster launches software environments as fast as the machine allows,
// and runs a program in each. This package holds flags, wiring and exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"muster/internal/admit"
	"muster/internal/engine"
	"muster/internal/guest"
	"muster/internal/image"
	"muster/internal/job"
	"muster/internal/node"
	"muster/internal/run"
	"muster/internal/rundir"
)

// muster's own exit codes. A program's code is in the JSON, never here.
const (
	exitOK          = 0
	exitTaskFailed  = 1
	exitBadInput    = 2
	exitLacking     = 3
	exitMuster      = 4
	exitInterrupted = 130
)

// exitError carries an exit code; what there is to say has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	// The parent-death signals of what supervisors and keepers start are tied to
	// the thread that starts it: the main thread lives as long as the process.
	runtime.LockOSThread()
	os.Exit(muster(os.Args, os.Environ()))
}

// muster is the command without the exit, for tests.
func muster(argv, environ []string) int {
	a := newApp(argv, environ)
	defer a.close()
	cmd := a.root()
	args := argv[1:]
	cmd.SetArgs(joinSwitches(mapAlone(argv[0], args)))
	err := cmd.ExecuteContext(context.Background())
	code := exitCode(err)
	var silent exitError
	switch {
	case err == nil || errors.As(err, &silent):
	case code == exitInterrupted:
		a.print().Err.Printf("interrupted\n")
	default:
		a.print().Problem(err)
	}
	return code
}

// mapAlone makes the name LLMapReduce mean muster map. Its command line begins
// with an option always; with a command it is muster that calls itself.
func mapAlone(name string, args []string) []string {
	if filepath.Base(name) == "LLMapReduce" && (len(args) == 0 || strings.HasPrefix(args[0], "-")) {
		return append([]string{"map"}, args...)
	}
	return args
}

// exitCode is muster's answer to an error.
func exitCode(err error) int {
	var code exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, new(*run.Unfit)), errors.As(err, new(*admit.Refusal)), errors.Is(err, engine.ErrMissing), errors.Is(err, engine.ErrUnavailable):
		return exitLacking
	case errors.Is(err, guest.ErrLacking), errors.Is(err, node.ErrScratch), errors.Is(err, image.ErrOwner), errors.Is(err, image.ErrSpace),
		errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return exitLacking
	case errors.Is(err, job.ErrBadInput), errors.Is(err, engine.ErrRefused), errors.Is(err, guest.ErrUnfit), errors.Is(err, rundir.ErrNoRun),
		errors.Is(err, rundir.ErrUnsafe), errors.Is(err, rundir.ErrNewer):
		return exitBadInput
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES): // not of what the user named
		return exitLacking
	}
	return exitMuster
}
