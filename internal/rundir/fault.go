package rundir

import (
	"io"
	"os"
)

// FS is the file system as a journal sees it. Tests inject faults through it.
type FS interface {
	// Create makes a file for appending, mode 0600, that must not exist.
	Create(name string) (File, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
	Remove(name string) error
}

// File is an open segment of a journal.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// osFS is the real file system.
type osFS struct{}

func (osFS) Create(name string) (File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
}
func (osFS) SyncDir(dir string) error { return syncDir(dir) }
func (osFS) Remove(name string) error { return os.Remove(name) }
