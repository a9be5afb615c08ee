package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrScratch means that there is no folder for scratch files on this node (exit
// code 3). The message says why, the Hint of the error what to do.
var ErrScratch = errors.New("no folder for scratch files")

// LeastScratch is how much a scratch folder must have free to be of any use:
// room for a few clones.
const LeastScratch = 64 << 20

// ScratchRoot finds the node-local folder below which everything that is not to
// be kept is made, and says in a few words why it was chosen: MUSTER_SCRATCH, else
// SLURM_TMPDIR, else TMPDIR, else /tmp. One that muster was told by name is taken
// or refused; of the others the first that will do is taken. The error is
// ErrScratch.
func ScratchRoot(getenv func(string) string) (dir, why string, err error) {
	return This().ScratchRoot(getenv)
}

// ScratchRoot is the function of that name, for any host.
func (h Host) ScratchRoot(getenv func(string) string) (dir, why string, err error) {
	if dir := getenv("MUSTER_SCRATCH"); dir != "" {
		f, err := h.fit(dir)
		if err != nil {
			return "", "", &scratchError{[]string{"MUSTER_SCRATCH: " + err.Error()}}
		}
		why := "MUSTER_SCRATCH"
		if f.Network { // the user's word counts, but not in silence
			why += ", on " + f.FS + ": slower than a disk of this node"
		}
		return f.Path, why, nil
	}
	var refused []string
	for _, name := range []string{"SLURM_TMPDIR", "TMPDIR", ""} {
		dir, from := getenv(name), name
		if name == "" {
			dir, from = "/tmp", "the usual place"
		} else if dir == "" {
			continue
		}
		f, err := h.fit(dir)
		if err == nil && f.Network {
			err = fmt.Errorf("%s is on %s, not on this node", dir, f.FS)
		}
		if err == nil {
			why := from
			if len(refused) > 0 {
				why += "; " + strings.Join(refused, "; ")
			}
			return f.Path, why, nil
		}
		if name != "" {
			refused = append(refused, name+": "+err.Error())
		} else {
			refused = append(refused, err.Error())
		}
	}
	return "", "", &scratchError{refused}
}

type scratchError struct{ reasons []string }

func (e *scratchError) Error() string {
	return ErrScratch.Error() + ": " + strings.Join(e.reasons, "; ")
}

func (e *scratchError) Unwrap() error { return ErrScratch }

// Hint says what to do.
func (e *scratchError) Hint() string {
	return "name a folder of this machine with --scratch DIR or MUSTER_SCRATCH, for instance below /var/tmp"
}

// ErrorCode is what `muster explain` expands.
func (e *scratchError) ErrorCode() string { return "no-scratch" }

// fit checks that scratch files can live in dir. The error is one clause that
// names dir.
func (h Host) fit(dir string) (Folder, error) {
	if !filepath.IsAbs(dir) {
		return Folder{}, fmt.Errorf("%q is not an absolute path", dir)
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Folder{}, fmt.Errorf("%s does not exist", dir)
	case err != nil:
		return Folder{}, fmt.Errorf("%s cannot be looked at (%w)", dir, err)
	case !info.IsDir():
		return Folder{}, fmt.Errorf("%s is not a folder", dir)
	}
	f, err := h.Stat(dir)
	if err != nil {
		return Folder{}, fmt.Errorf("%s cannot be looked at (%w)", dir, err)
	}
	f.Path = filepath.Clean(dir)
	if err := refuse(f); err != nil {
		return Folder{}, err
	}
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return Folder{}, fmt.Errorf("%s is not writable for you", dir)
	}
	return f, guarded(dir)
}

// refuse says what makes a folder unfit of what is known of its file system.
func refuse(f Folder) error {
	switch {
	case f.ReadOnly:
		return fmt.Errorf("%s is on a file system that can only be read", f.Path)
	case f.NoExec:
		return fmt.Errorf("%s is mounted noexec: programs there cannot be started", f.Path)
	case f.Free < LeastScratch:
		return fmt.Errorf("%s has %d MiB free, and needs at least %d", f.Path, f.Free>>20, LeastScratch>>20)
	case f.Inodes == 0:
		return fmt.Errorf("%s has no room for more files (no inodes are free)", f.Path)
	}
	return nil
}

// nobody is the owner that everything of users outside of this user namespace
// seems to have, root's included (/proc/sys/kernel/overflowuid): it tells nothing.
const nobody = 65534

// guarded checks that other users cannot rename or replace what is below dir: no
// folder on the way is one that everyone can write, or that belongs to another ordinary
// user, unless it is sticky as /tmp is.
func guarded(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("%s cannot be looked at (%w)", dir, err)
	}
	for at := real; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return fmt.Errorf("%s cannot be looked at (%w)", at, err)
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("everyone can write %s, and it is not sticky: others could replace what is in it (chmod +t %s)", at, at)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && st.Uid != nobody && int(st.Uid) != os.Geteuid() && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("%s belongs to another user (%d), who could replace what is in it", at, st.Uid)
		}
		if at == "/" {
			return nil
		}
	}
}
