package rundir

import (
	"errors"
	"fmt"
)

var (
	// ErrNewer means that a run was written by a newer muster. Nothing was changed.
	ErrNewer = errors.New("the run was made by a newer muster")
	// ErrNoRun means that there is no such run.
	ErrNoRun = errors.New("no such run")
	// ErrUnsafe means that others could change what is in the folder.
	ErrUnsafe = errors.New("the folder is not safe")
	// ErrExists means that the output's final name is taken.
	ErrExists = errors.New("the output is there already")
	// ErrNoOutput means that the program has not written the output.
	ErrNoOutput = errors.New("the output is not there")
	// ErrKind means that an output is neither a file nor a folder.
	ErrKind = errors.New("the output is neither a file nor a folder")
	// ErrFull means that the journal holds as much as it may in memory while its
	// file system takes nothing.
	ErrFull = errors.New("the journal cannot be written, and holds as much as it may")
	// ErrClosed means that the journal or stream has been closed.
	ErrClosed = errors.New("already closed")
	// ErrBusy means that another process conducts the run.
	ErrBusy = errors.New("another muster conducts this run")
)

// DamageError says that a file is damaged before its end. What could be read
// of it, before and behind the damage, has been read.
type DamageError struct {
	File    string
	Offset  int64  // of the first damaged byte's line
	Missing int    // records that are lost, by their sequence numbers; 0: not known
	What    string // what is wrong there
}

func (e *DamageError) Error() string {
	lost := ""
	if e.Missing > 0 {
		lost = fmt.Sprintf("; %d records are lost", e.Missing)
	}
	return fmt.Sprintf("%s is damaged at byte %d: %s%s", e.File, e.Offset, e.What, lost)
}
