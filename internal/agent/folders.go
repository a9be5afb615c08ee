package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"muster/internal/guest"
)

// folders hands out folders in dir, one for each attempt, under the attempt's
// name. What comes back is emptied and used again under another name: making and
// removing a folder for every task is dear (see rundir's attempt.go).
type folders struct {
	dir   string
	mu    sync.Mutex
	spare []string // names
	made  int
}

func newFolders(dir string) (*folders, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	return &folders{dir: dir}, nil
}

func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the agent's folders: %w", err)
	}
	return nil
}

// take returns an empty folder of that name.
func (f *folders) take(name string) (string, error) {
	full := filepath.Join(f.dir, name)
	f.mu.Lock()
	n := len(f.spare)
	var spare string
	if n > 0 {
		spare, f.spare = f.spare[n-1], f.spare[:n-1]
	}
	f.mu.Unlock()
	if spare != "" && os.Rename(filepath.Join(f.dir, spare), full) == nil {
		return full, nil
	}
	if err := os.Mkdir(full, 0o700); err != nil {
		return "", fmt.Errorf("making a task's folder: %w", err)
	}
	return full, nil
}

// give takes a folder back, with all that is in it.
func (f *folders) give(full string) error {
	st, err := os.Lstat(full)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	if st.Mode() != os.ModeDir|0o700 { // a program has changed it
		return guest.RemoveAll(full)
	}
	if err := guest.EmptyDir(full); err != nil {
		return err
	}
	f.mu.Lock()
	f.made++
	spare := "spare-" + strconv.Itoa(f.made)
	f.mu.Unlock()
	if err := os.Rename(full, filepath.Join(f.dir, spare)); err != nil {
		return guest.RemoveAll(full)
	}
	f.mu.Lock()
	f.spare = append(f.spare, spare)
	f.mu.Unlock()
	return nil
}
