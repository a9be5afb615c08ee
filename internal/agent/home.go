package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"muster/internal/image"
	"muster/internal/node"
	"muster/internal/proc"
	"muster/internal/rundir"
)

// instancesDir is the folder of instances below the scratch folder. Where the
// agent has a mount namespace it is in memory: a clone is some two hundred small files, which a
// disk's file system makes and removes ten times as slowly, and it vanishes with the namespace.
const instancesDir = "i"

// memoryDir is the mount point beside the scratch folders. On the host it is empty, and stays.
const memoryDir = "memory"

// leastForMemory is the free memory below which instances stay on the disk.
const leastForMemory = 2 << 30

// settleIn makes PID 1 of a new namespace at home: /proc, a folder in memory
// for instances, and the image (and what else was staged) write-protected even for an owner who changes its
// permissions. It does not return unless root calls it (see proc.MountProc).
func settleIn(c Config) error {
	run, err := rundir.Open(c.RunDir)
	if err != nil {
		return err
	}
	spec, err := run.Spec()
	if err != nil {
		return err
	}
	var mounts []proc.Mount
	if m, err := node.MemoryNow(); err == nil && m.Available >= leastForMemory {
		dir, err := mountPoint(c.Scratch)
		if err != nil {
			return err
		}
		mounts = append(mounts, proc.Mount{Dir: dir, Memory: m.Available / 4})
	}
	staged, err := readStaged(c.Scratch)
	if err != nil {
		return err
	}
	staged.settle(&spec)
	if spec.Image != "" {
		mounts = append(mounts, proc.Mount{Dir: image.Tree(spec.Image)})
	}
	if staged.ProgramDir != "" {
		mounts = append(mounts, proc.Mount{Dir: staged.ProgramDir})
	}
	args := slices.DeleteFunc(slices.Clone(os.Args), func(s string) bool { return s == "--namespace" })
	err = proc.MountProc(append(args, "--host-pid", strconv.Itoa(c.HostPID)), mounts...)
	if err != nil && len(mounts) > 0 {
		// The next try has no namespace, and needs a folder in its place.
		if e := os.Remove(filepath.Join(c.Scratch, instancesDir)); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// mountPoint leads the folder of instances to a folder that all agents of a user
// mount something on, each in a namespace of its own. A mount point within the scratch folder
// could not be removed by an agent whose keeper was killed.
func mountPoint(scratch string) (string, error) {
	dir := filepath.Join(filepath.Dir(scratch), memoryDir)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("making the mount point of instances: %w", err)
	}
	if err := os.Symlink(filepath.Join("..", memoryDir), filepath.Join(scratch, instancesDir)); err != nil {
		return "", fmt.Errorf("making the folder of instances: %w", err)
	}
	return dir, nil
}
