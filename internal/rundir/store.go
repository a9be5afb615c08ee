package rundir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/job"
)

// Options of a Store.
type Options struct {
	TrustGroup bool // accept ancestors that their group can write (--trust-group)
}

// Store is the folder of runs.
type Store struct{ dir string }

// DefaultRoot is where muster keeps its state: MUSTER_STATE, else
// XDG_STATE_HOME/muster, else ~/.local/state/muster. Runs are in its folder
// "runs". getenv is os.Getenv or its likeness.
func DefaultRoot(getenv func(string) string) (string, error) {
	if dir := getenv("MUSTER_STATE"); dir != "" {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("MUSTER_STATE: %w", err)
		}
		return dir, nil
	}
	// The convention says that a relative path is to be ignored.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "muster"), nil
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", errors.New("nowhere to keep runs: HOME is not set; name a folder in MUSTER_STATE")
	}
	return filepath.Join(home, ".local", "state", "muster"), nil
}

// OpenStore opens ROOT/runs and makes it if it is missing, readable for its
// owner only. It is ErrUnsafe when other users could change what is in it; the
// error names the folder and what to do. Nothing is made then.
func OpenStore(root string, opt Options) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("folder for runs: %w", err)
	}
	if err := checkAncestors(root, opt.TrustGroup); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for runs: %w", err)
	}
	s := &Store{dir: filepath.Join(root, "runs")}
	if err := makePrivate(s.dir); err != nil {
		return nil, err
	}
	return s, checkAncestors(s.dir, opt.TrustGroup)
}

// Dir is the folder of runs.
func (s *Store) Dir() string { return s.dir }

// staleAfter is the age from which a run that was never finished being written
// is removed. Writing takes seconds; clocks may be hours apart.
const staleAfter = 24 * time.Hour

// Create makes a run with the next free number. The tasks' indexes count from 1
// in order. When it fails nothing is left.
func (s *Store) Create(spec job.Spec, tasks []job.Task) (*Run, error) {
	spec.Version = job.SpecVersion
	spec.Tasks = len(tasks)
	s.sweep()
	tmp, err := os.MkdirTemp(s.dir, tempPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a run: %w", err)
	}
	dir, err := s.fill(tmp, spec, tasks)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a run: %w", err), os.RemoveAll(tmp))
	}
	if err := syncDir(s.dir); err != nil {
		return nil, errors.Join(fmt.Errorf("make a run: %w", err), os.RemoveAll(dir))
	}
	return newRun(dir), nil
}

// fill writes the run in tmp, and gives it the next free number.
func (s *Store) fill(tmp string, spec job.Spec, tasks []job.Task) (dir string, err error) {
	for _, name := range runFolders {
		if err := os.Mkdir(filepath.Join(tmp, name), 0o700); err != nil {
			return "", err
		}
	}
	err = writeFile(filepath.Join(tmp, tasksFile), func(w io.Writer) error { return encodeTasks(w, tasks) })
	if err != nil {
		return "", err
	}
	data, err := marshal(spec)
	if err != nil {
		return "", err
	}
	err = writeFile(filepath.Join(tmp, specFile), func(w io.Writer) error { _, err := w.Write(data); return err })
	if err != nil {
		return "", err
	}
	n, err := s.Last()
	if err != nil && !errors.Is(err, ErrNoRun) {
		return "", err
	}
	for {
		// A rename onto a folder that has something in it fails, so of two at
		// once one goes on to the next number.
		n++
		dir := filepath.Join(s.dir, strconv.Itoa(n))
		err := unix.Rename(tmp, dir)
		switch {
		case err == nil:
			return dir, nil
		case errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.ENOTDIR):
		default:
			return "", fmt.Errorf("name the run %d: %w", n, err)
		}
	}
}

// sweep removes what a killed Create has left. Its errors are nobody's concern.
func (s *Store) sweep() {
	names, err := readNames(s.dir)
	if err != nil {
		return
	}
	for _, name := range names {
		if !strings.HasPrefix(name, tempPrefix) {
			continue
		}
		path := filepath.Join(s.dir, name)
		if fi, err := os.Lstat(path); err == nil && time.Since(fi.ModTime()) > staleAfter {
			os.RemoveAll(path)
		}
	}
}

// Open opens run n. Errors: ErrNoRun, ErrNewer, ErrUnsafe.
func (s *Store) Open(n int) (*Run, error) {
	return Open(filepath.Join(s.dir, strconv.Itoa(n)))
}

// List gives the numbers of all runs in ascending order.
func (s *Store) List() ([]int, error) {
	names, err := readNames(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var ns []int
	for _, name := range names {
		if n, ok := parseNumbers(name, 1, 1); ok {
			ns = append(ns, n[0])
		}
	}
	slices.Sort(ns)
	return ns, nil
}

// Last is the highest number of a run, or ErrNoRun.
func (s *Store) Last() (int, error) {
	ns, err := s.List()
	if err != nil {
		return 0, err
	}
	if len(ns) == 0 {
		return 0, fmt.Errorf("%w: there is none yet in %s", ErrNoRun, s.dir)
	}
	return ns[len(ns)-1], nil
}

// Run is a run directory. It holds no open files.
type Run struct {
	Number int    // 0 when the folder's name is no number
	Dir    string // absolute
}

func newRun(dir string) *Run {
	r := &Run{Dir: dir}
	if n, ok := parseNumbers(filepath.Base(dir), 1, 1); ok {
		r.Number = n[0]
	}
	return r
}

// Open opens a run directory. Errors: ErrNoRun, ErrNewer, ErrUnsafe. It changes
// nothing.
func Open(dir string) (*Run, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	r := newRun(dir)
	data, err := r.readSpec()
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil, fmt.Errorf("open run %s: %w", dir, err)
	}
	if int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%w: run %s belongs to another user (%d)", ErrUnsafe, dir, st.Uid)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := unmarshal(data, &head); err != nil {
		return nil, &DamageError{File: r.SpecPath(), What: err.Error()}
	}
	if head.Version > job.SpecVersion {
		return nil, fmt.Errorf("%w: %s has format %d, this muster knows %d", ErrNewer, dir, head.Version, job.SpecVersion)
	}
	return r, nil
}

func (r *Run) readSpec() ([]byte, error) {
	data, err := readFile(r.SpecPath())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%w: %s", ErrNoRun, r.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	return data, nil
}

// Spec reads what the run is to do.
func (r *Run) Spec() (job.Spec, error) {
	var spec job.Spec
	data, err := r.readSpec()
	if err != nil {
		return spec, err
	}
	if err := unmarshal(data, &spec); err != nil {
		return spec, &DamageError{File: r.SpecPath(), What: err.Error()}
	}
	return spec, nil
}

// readNames lists a folder, in no order.
func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
