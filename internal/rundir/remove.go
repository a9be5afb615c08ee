package rundir

import (
	"fmt"
	"os"
	"path/filepath"
)

// Remove removes a run directory. Nothing of the run may be alive: that is for
// the caller to know. The run has gone at once; when the removal of its files is interrupted,
// a later Create finishes it.
func (s *Store) Remove(r *Run) error {
	grave, err := os.MkdirTemp(s.dir, tempPrefix)
	if err != nil {
		return fmt.Errorf("remove run %d: %w", r.Number, err)
	}
	if err := os.Rename(r.Dir, filepath.Join(grave, "run")); err != nil {
		os.Remove(grave)
		return fmt.Errorf("remove run %d: %w", r.Number, err)
	}
	if err := os.RemoveAll(grave); err != nil {
		return fmt.Errorf("remove run %d: %w", r.Number, err)
	}
	return nil
}
