package node

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Root is a node-local folder in which files may be kept for later runs.
type Root struct {
	Folder
	Why     string // where it comes from
	Passing bool   // it is the job's own: what is in it vanishes with the job
}

// StageRoots lists the folders of this node in which to keep what was brought to
// it, the best first, and says of the others why not: MUSTER_SCRATCH alone where it is set; else
// TMPDIR, /tmp and /var/tmp, before folders that are the job's own (SLURM_TMPDIR, and a TMPDIR
// with the job's number in it), and those on a disk before those in memory.
func StageRoots(getenv func(string) string) (roots []Root, refused []string) {
	return This().StageRoots(getenv)
}

// StageRoots is the function of that name, for any host.
func (h Host) StageRoots(getenv func(string) string) (roots []Root, refused []string) {
	try := func(dir, why string, passing bool) {
		if dir == "" || slices.ContainsFunc(roots, func(r Root) bool { return r.Path == filepath.Clean(dir) }) {
			return
		}
		f, err := h.fit(dir)
		if err == nil && f.Network {
			err = fmt.Errorf("%s is on %s, not on this node", dir, f.FS)
		}
		if err != nil {
			refused = append(refused, why+": "+err.Error())
			return
		}
		roots = append(roots, Root{f, why, passing})
	}
	if dir := getenv("MUSTER_SCRATCH"); dir != "" {
		try(dir, "MUSTER_SCRATCH", false)
		return roots, refused
	}
	own := ofJob(getenv("TMPDIR"), getenv)
	if !own {
		try(getenv("TMPDIR"), "TMPDIR", false)
	}
	try("/tmp", "the usual place", false)
	try("/var/tmp", "the usual place", false)
	try(getenv("SLURM_TMPDIR"), "SLURM_TMPDIR", true)
	if own {
		try(getenv("TMPDIR"), "TMPDIR", true)
	}
	slices.SortStableFunc(roots, func(a, b Root) int { return cmp.Compare(memory(a), memory(b)) })
	return roots, refused
}

func memory(r Root) int {
	if r.InMemory {
		return 1
	}
	return 0
}

// ofJob reports whether dir is made for one job, by a scheduler or its prolog:
// it bears the job's number (Grid Engine: /tmp/JOB.TASK.QUEUE).
func ofJob(dir string, getenv func(string) string) bool {
	if dir == "" {
		return false
	}
	if dir == getenv("SLURM_TMPDIR") {
		return true
	}
	for _, name := range []string{"SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "JOB_ID"} {
		id := getenv(name)
		if id == "" {
			continue
		}
		words := strings.FieldsFunc(dir, func(r rune) bool { return strings.ContainsRune("/._-", r) })
		if slices.Contains(words, id) {
			return true
		}
	}
	return false
}
