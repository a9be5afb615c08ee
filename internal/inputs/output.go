package inputs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"muster/internal/job"
)

// checkOutput finds out whether outputs can be written, and leaves nothing.
func checkOutput(r Result) error {
	existing, err := nearest(r.Output)
	if err != nil {
		return err
	}
	if !r.IsList {
		if err := apart(r.Input, r.Output, existing); err != nil {
			return err
		}
	}
	what := "output folder " + show(r.Output)
	if existing != r.Output {
		what += " cannot be made: folder " + show(existing)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, existing, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return job.BadInputf("%s cannot be written to: %w", what, err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(existing, &st); err != nil {
		return job.BadInputf("%s: cannot ask for its free space: %w", what, err)
	}
	if full(st, os.Geteuid() == 0) {
		return job.BadInputf("%s lies on a full disk: make room, or choose another --output", what)
	}
	return nil
}

// full reports whether a file system has no block or no inode left. Those that
// do not count them say 0 in all.
func full(st unix.Statfs_t, root bool) bool {
	blocks := st.Bavail
	if root {
		blocks = st.Bfree
	}
	return st.Blocks > 0 && blocks == 0 || st.Files > 0 && st.Ffree == 0
}

// nearest returns the output folder, or where it is not there yet the nearest
// folder above it that is.
func nearest(output string) (string, error) {
	for p := output; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		switch {
		case err == nil && !info.IsDir() && p == output:
			return "", job.BadInputf("output %s is not a folder", show(output))
		case err == nil && !info.IsDir():
			return "", job.BadInputf("output folder %s cannot be made: %s is not a folder", show(output), show(p))
		case err == nil:
			return p, nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			return "", job.BadInputf("output folder %s %s", show(output), trouble(err))
		}
		if _, err := os.Lstat(p); err == nil {
			return "", job.BadInputf("output folder %s cannot be made: %s is a link to nothing", show(output), show(p))
		}
	}
}

// apart refuses an output folder that is the input folder or lies inside it,
// whatever links lead there: its files would be inputs the next time.
func apart(input, output, existing string) error {
	in, err := filepath.EvalSymlinks(input)
	if err != nil {
		return job.BadInputf("input folder %s %s", show(input), trouble(err))
	}
	out, err := filepath.EvalSymlinks(existing)
	if err != nil {
		return job.BadInputf("output folder %s %s", show(output), trouble(err))
	}
	switch {
	case out == in && existing == output:
		return job.BadInputf("output folder %s is the input folder itself: choose one beside it", show(output))
	case out == in || in == "/" || strings.HasPrefix(out, in+"/"):
		return job.BadInputf("output folder %s lies inside the input folder %s: choose one beside it", show(output), show(input))
	}
	return nil
}

// present lists the tasks whose outputs are there already, and refuses them
// unless existing says what to do. Folders are listed rather than each name
// looked up: with many outputs that is much faster.
func present(ctx context.Context, r Result, existing job.Existing) ([]int, error) {
	there := map[string]map[string]bool{} // folder below the output → its names
	var indexes []int
	for _, t := range r.Tasks {
		sub := parent(t.Out)
		names, ok := there[sub]
		if !ok {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			var err error
			if names, err = list(filepath.Join(r.Output, sub)); err != nil {
				return nil, err
			}
			there[sub] = names
		}
		if names[filepath.Base(t.Out)] {
			indexes = append(indexes, t.Index)
		}
	}
	if len(indexes) == 0 || existing == job.ExistingSkip || existing == job.ExistingReplace {
		return indexes, nil
	}
	return nil, alreadyThere(r, indexes)
}

// list returns the names in a folder, none when it is not there.
func list(dir string) (map[string]bool, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, job.BadInputf("output folder %s %s", show(dir), trouble(err))
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, job.BadInputf("output folder %s cannot be made: it is there, and is not a folder", show(dir))
	}
	if err != nil {
		return nil, job.BadInputf("output folder %s %s", show(dir), trouble(err))
	}
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set, nil
}

func alreadyThere(r Result, indexes []int) error {
	var names []string
	for _, i := range indexes[:min(3, len(indexes))] {
		names = append(names, show(r.Tasks[i-1].Out))
	}
	more := ""
	if len(indexes) > len(names) {
		more = ", …"
	}
	subject := "1 output is"
	if len(indexes) > 1 {
		subject = strconv.Itoa(len(indexes)) + " outputs are"
	}
	return job.BadInputf("%s already in %s (%s%s): say --existing skip or --existing replace",
		subject, show(r.Output), strings.Join(names, ", "), more)
}
