package clock

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Rounds of one comparison through files. Between them the clock that stamps,
// which moves in steps, moves on, so that together they tell more than each does.
const (
	fileRounds = 8
	filePause  = 3 * time.Millisecond
	// fileStep is how far behind a stamp may be: kernels stamp files with a clock
	// that moves once in a tick, and the slowest ticks (HZ=100) take so long.
	fileStep = 10 * time.Millisecond
	// coarseStep is the same where file systems keep whole seconds.
	coarseStep = time.Second
)

// Stamper has a file stamped, and returns the stamp.
type Stamper func() (time.Time, error)

// ThroughFiles compares the clock now with the one that stamps what is made in
// dir. It takes some 30 ms and eight folders, made and removed; ctx is looked at between
// them. Nothing is compared where each machine stamps by its own clock: then Why
// says so, as it says what went wrong. On a disk of its own a machine is compared with itself: that
// tells something about others only if they reach that disk through NFS.
func ThroughFiles(ctx context.Context, dir, name string, now func() time.Time) Reading {
	local, why := whoStamps(dir)
	if why != "" {
		return Reading{Method: Files, Why: why}
	}
	r := CompareStamps(ctx, now, folderStamper(dir, name), filePause)
	r.Local = local
	return r
}

// CompareStamps is ThroughFiles for any stamps, with a pause between one and the next.
func CompareStamps(ctx context.Context, now func() time.Time, stamp Stamper, pause time.Duration) Reading {
	type sample struct{ before, stamp, after time.Time }
	var all []sample
	step := coarseStep
	for n := range fileRounds {
		if n > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
		if err := ctx.Err(); err != nil {
			return Reading{Method: Files, Why: "it took too long: " + err.Error()}
		}
		before := now()
		at, err := stamp()
		after := now()
		if err != nil {
			return Reading{Method: Files, Why: err.Error()}
		}
		all = append(all, sample{before, at, after})
		if at.Nanosecond() != 0 {
			step = fileStep
		}
	}
	ranges := make([]Range, len(all))
	for i, s := range all {
		// The server's clock was between the stamp and a step after it, at some
		// moment between before and after.
		ranges[i] = Range{s.before.Sub(s.stamp) - step, s.after.Sub(s.stamp)}
	}
	return Reading{Method: Files, Ahead: moment(ranges, all[len(all)-1].after.Sub(all[0].before))}
}

// folderStamper makes a folder each time, and removes it. Nothing changes a new
// folder, so its stamp is the same however late and from whose cache it is read;
// clients may stamp files that they hold open for writing by themselves.
func folderStamper(dir, name string) Stamper {
	n, own := 0, name+"-"+rand.Text()
	return func() (time.Time, error) {
		n++
		path := filepath.Join(dir, own+"."+strconv.Itoa(n))
		if err := os.Mkdir(path, 0o700); err != nil {
			return time.Time{}, fmt.Errorf("having a folder stamped: %w", err)
		}
		fi, err := os.Lstat(path)
		if rmErr := os.Remove(path); err == nil {
			err = rmErr
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("having a folder stamped: %w", err)
		}
		return fi.ModTime(), nil
	}
}

// whoStamps tells whether this machine's kernel stamps what is made in dir, or why
// stamps tell nothing. NFS asks its server to stamp; a machine that keeps the files on its own disk
// may be that server. Lustre, GPFS, Ceph and others stamp by the clock of the machine
// that writes. What is not known is not trusted.
func whoStamps(dir string) (local bool, why string) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return false, fmt.Sprintf("looking at the file system of %s: %v", dir, err)
	}
	switch int64(fs.Type) {
	case unix.NFS_SUPER_MAGIC:
		return false, ""
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.F2FS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, zfsMagic:
		return true, ""
	case lustreMagic:
		return false, eachItsOwn("Lustre")
	case gpfsMagic:
		return false, eachItsOwn("GPFS")
	case unix.CEPH_SUPER_MAGIC:
		return false, eachItsOwn("Ceph")
	case gfs2Magic:
		return false, eachItsOwn("GFS2")
	case unix.OCFS2_SUPER_MAGIC:
		return false, eachItsOwn("OCFS2")
	}
	return false, "the run directory's file system does not promise that one clock stamps its files (NFS does)"
}

func eachItsOwn(name string) string {
	return "on " + name + " each machine stamps files by its own clock"
}

// What statfs(2) says of file systems that are not in the kernel's own tree, or not in x/sys.
const (
	lustreMagic = 0x0bd00bd0
	gpfsMagic   = 0x47504653
	gfs2Magic   = 0x01161970
	zfsMagic    = 0x2fc12fc1
)
