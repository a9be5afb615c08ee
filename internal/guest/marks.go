package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The marks that everything an agent starts carries in its environment, so that
// it is found again whatever it does with sessions and parents.
const (
	EnvInstance = "MUSTER_INSTANCE" // PLACE@TOKEN: the instance
	EnvTask     = "MUSTER_TASK"     // RUN_TASK.ATTEMPT@TOKEN: the attempt at a task
)

// Mark returns the instance's mark ("MUSTER_INSTANCE=…") from Place.Env, which
// always has one.
func Mark(env []string) string {
	for _, kv := range env {
		if strings.HasPrefix(kv, EnvInstance+"=") {
			return kv
		}
	}
	return EnvInstance + "=" // matches no process
}

// EmptyDir removes everything in dir, also what a program has made unwritable,
// and leaves dir itself. A dir that is not there, or "", is empty.
func EmptyDir(dir string) error {
	if dir == "" {
		return nil
	}
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("emptying %s: %w", dir, err)
	}
	var errs []error
	for _, n := range names {
		errs = append(errs, RemoveAll(filepath.Join(dir, n.Name())))
	}
	return errors.Join(errs...)
}

// RemoveAll removes path and what is below it, also below folders that a
// program has made unwritable. It follows no links.
func RemoveAll(path string) error {
	err := os.RemoveAll(path)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// os.Root keeps a link that is swapped in meanwhile from leading outside.
	parent, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	base := filepath.Base(path)
	// WalkDir shows a folder before it reads it, so it can be opened up in time.
	walkErr := fs.WalkDir(parent.FS(), base, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return parent.Chmod(p, 0o700)
		}
		return nil
	})
	return errors.Join(walkErr, parent.RemoveAll(base))
}
