package rundir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// An output is published in steps, and a crash between any two of them can be
// told apart afterwards (see Recover):
//
//	1 the temporary file is durable            nothing happened: the task runs again
//	2 it has its final name as a second link   published, by link count and inode
//	3 the record is committed                  published, by the record
//	4 the final folder is durable, and the     done
//	  temporary is gone
//
// A folder, and a file where links are unknown, has one name at a time: a
// marker beside the temporary then tells beforehand which inode goes where.
// Rename is used only onto absent names, so an attempt that was stopped and
// goes on much later replaces nothing.

// PublisherOptions may be zero.
type PublisherOptions struct {
	// Fault is called before each step, and as "linked" and "renamed" after
	// these; its error becomes the step's. For tests.
	Fault func(step string) error
}

// Publisher publishes outputs below one output folder, for one agent. Its
// methods may be called by several goroutines at once. Whatever a program has put
// in the way, no name leads it outside the output folder.
type Publisher struct {
	folder string   // the output folder
	root   *os.Root // open
	temp   string   // name of the temporary folder in it
	fault  func(step string) error

	mu     sync.Mutex
	spare  []string        // names of empty folders below temp, for attempts to come
	spares int             // of these ever made
	made   map[string]bool // parent folders that exist
	dirty  map[string]bool // folders with names that are not durable yet
}

// NewPublisher makes the temporary folder OUTPUT/.muster-N-TOKEN, 0700. The
// output folder must exist. Close closes it.
func NewPublisher(output string, run int, token string, opt PublisherOptions) (*Publisher, error) {
	if token == "" || strings.ContainsAny(token, "/\x00") {
		return nil, fmt.Errorf("publish below %s: %q is no token", output, token)
	}
	root, err := os.OpenRoot(output)
	if err != nil {
		return nil, fmt.Errorf("open the output folder: %w", err)
	}
	p := newPublisher(output, root, TempDirName(run, token), opt.Fault)
	if err := root.Mkdir(p.temp, 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("make a temporary folder for outputs: %w", err), root.Close())
	}
	return p, nil
}

func newPublisher(output string, root *os.Root, temp string, fault func(string) error) *Publisher {
	if fault == nil {
		fault = func(string) error { return nil }
	}
	return &Publisher{folder: output, root: root, temp: temp, fault: fault, made: map[string]bool{".": true}, dirty: map[string]bool{}}
}

// Dir is the temporary folder.
func (p *Publisher) Dir() string { return filepath.Join(p.folder, p.temp) }

// Publish puts the file or folder tmp, a path below Dir ("T.A/NAME"), under the
// name final, a path below the output folder whose parents are made. The
// temporary stays until Release, which belongs behind the commit of the record.
// Publishing again what was published succeeds. Errors: ErrNoOutput, ErrExists,
// ErrKind, or what the file system says.
func (p *Publisher) Publish(tmp, final string) (Output, error) {
	out, err := p.publish(tmp, final)
	if err != nil {
		return Output{}, fmt.Errorf("publish %s: %w", final, err)
	}
	p.mu.Lock()
	p.dirty[path.Dir(final)] = true
	p.mu.Unlock()
	return out, nil
}

func (p *Publisher) publish(tmp, final string) (Output, error) {
	if !filepath.IsLocal(tmp) || !filepath.IsLocal(final) || path.Clean(final) == "." {
		return Output{}, fmt.Errorf("%q or %q is no path below the output folder", tmp, final)
	}
	tmp, final = path.Join(p.temp, tmp), path.Clean(final)
	f, fi, err := p.open(tmp)
	if errors.Is(err, fs.ErrNotExist) {
		// A rename may have been the last thing that a lost call has done.
		if out, ok := p.renamed(tmp, final); ok {
			return out, nil
		}
		return Output{}, fmt.Errorf("%w: %w", ErrNoOutput, err)
	}
	if err != nil {
		return Output{}, err
	}
	defer f.Close()
	out := Output{Name: final}
	if fi.IsDir() {
		out.Size, err = p.syncTree(tmp)
	} else {
		out.Size, out.Hash, err = p.seal(f)
	}
	if err != nil {
		return Output{}, err
	}
	dir, err := p.parent(final)
	if err != nil {
		return Output{}, err
	}
	defer dir.Close()
	if fi.IsDir() {
		return out, p.rename(tmp, fi, dir, final)
	}
	err = p.link(f, fi, dir, tmp, final)
	if !cannotLink(err) && !errors.Is(err, unix.EXDEV) {
		return out, err
	}
	err = p.rename(tmp, fi, dir, final)
	if !cannotLink(err) && !errors.Is(err, unix.EXDEV) {
		return out, err
	}
	return out, p.copy(f, tmp, final)
}

// open opens a file or folder below the output folder without following a link
// in its last place.
func (p *Publisher) open(name string) (*os.File, fs.FileInfo, error) {
	before, err := p.root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !before.IsDir() && !before.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%w: %s", ErrKind, describe(before.Mode()))
	}
	// Should a named pipe have taken its place, opening must not wait.
	f, err := p.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	fi, err := f.Stat()
	if err == nil && !os.SameFile(before, fi) {
		err = fmt.Errorf("%w: it was replaced meanwhile", ErrKind)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, fi, nil
}

func describe(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "it is a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "it is a named pipe"
	case m&fs.ModeSocket != 0:
		return "it is a socket"
	}
	return "it is a device"
}

// seal makes a file durable and tells its size and hash.
func (p *Publisher) seal(f *os.File) (size int64, hash string, err error) {
	if err := errors.Join(p.fault("sync"), f.Sync()); err != nil {
		return 0, "", err
	}
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, "sha256:" + hex.EncodeToString(h.Sum(nil)), err
}

// syncTree makes a folder with all that is in it durable, and tells the size of its files.
func (p *Publisher) syncTree(dir string) (size int64, err error) {
	if err := p.fault("sync"); err != nil {
		return 0, err
	}
	names, err := rootNames(p.root, dir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		n, err := p.syncEntry(path.Join(dir, name))
		if err != nil {
			return 0, err
		}
		size += n
	}
	return size, p.syncFolder(dir)
}

func (p *Publisher) syncEntry(name string) (size int64, err error) {
	fi, err := p.root.Lstat(name)
	if err != nil {
		return 0, err
	}
	if fi.IsDir() {
		return p.syncTree(name)
	}
	if !fi.Mode().IsRegular() {
		return 0, nil // links and the like have nothing to sync but their name
	}
	f, fi, err := p.open(name)
	if err != nil {
		return 0, err
	}
	return fi.Size(), errors.Join(f.Sync(), f.Close())
}

// parent makes and opens the folder that final is in.
func (p *Publisher) parent(final string) (*os.File, error) {
	dir := path.Dir(final)
	p.mu.Lock()
	made := p.made[dir]
	p.mu.Unlock()
	if made {
		if d, err := p.root.Open(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return d, err
		}
	}
	if err := p.fault("mkdir"); err != nil {
		return nil, err
	}
	if err := p.root.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.made[dir] = true
	// The names of all folders on the way may be new.
	for up := dir; up != "."; {
		up = path.Dir(up)
		p.dirty[up] = true
	}
	p.mu.Unlock()
	return p.root.Open(dir)
}

// link gives the open file f, which is tmp, the name final in dir. Whatever link(2) answers, what
// counts is whether the name then is the file: a network file system may lose an answer.
func (p *Publisher) link(f *os.File, fi fs.FileInfo, dir *os.File, tmp, final string) error {
	base := path.Base(final)
	err := p.fault("link")
	if err == nil {
		// By its descriptor, so that it is this very file, whatever its name has
		// become meanwhile.
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), int(dir.Fd()), base, unix.AT_SYMLINK_FOLLOW)
		if errors.Is(err, unix.ENOENT) {
			// No /proc here: by its name, and what came of it is checked below.
			err = p.root.Link(tmp, final)
			if err == nil && !isAt(dir, base, fi) {
				err = fmt.Errorf("%w: it was replaced meanwhile", ErrKind)
			}
		}
		if err == nil {
			err = p.fault("linked")
		}
	}
	if err == nil || isAt(dir, base, fi) {
		return nil
	}
	if errors.Is(err, unix.EEXIST) {
		return ErrExists
	}
	return &os.SyscallError{Syscall: "link", Err: err}
}

// isAt reports whether the name base in dir is the file fi.
func isAt(dir *os.File, base string, fi fs.FileInfo) bool {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false
	}
	dev, ino := inode(fi)
	return uint64(st.Dev) == dev && st.Ino == ino
}

// Retract takes back what Publish(tmp, final) has done, as long as the name is
// still what it was given to. It is for an attempt of which only a part could be published.
func (p *Publisher) Retract(tmp, final string) error {
	if err := p.retract(path.Join(p.temp, tmp), path.Clean(final)); err != nil {
		return fmt.Errorf("take back %s: %w", final, err)
	}
	return nil
}

func (p *Publisher) retract(under, final string) error {
	now, err := p.root.Lstat(final)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi, err := p.root.Lstat(under); err == nil && os.SameFile(fi, now) {
		return p.root.Remove(final)
	}
	// It was renamed or copied: its marker tells which it is.
	m, ok := p.readMarker(under)
	if dev, ino := inode(now); !ok || m.Final != final || m.Dev != dev || m.Ino != ino {
		return nil
	}
	if err := removeTree(p.root, final); err != nil {
		return err
	}
	// Its number may soon be another file's.
	return p.root.Remove(markerPath(under))
}

// Release removes the temporary folders of these attempts ("T.A"), whose
// records have been committed, after it has made the names of all that was
// published durable. When it fails, what is left is found by Recover.
func (p *Publisher) Release(attempts ...string) error {
	if err := p.syncFolders(); err != nil {
		return fmt.Errorf("make published outputs durable: %w", err)
	}
	var errs []error
	for _, a := range attempts {
		errs = append(errs, p.recycle(a))
	}
	return errors.Join(errs...)
}

// syncFolders makes the names of what was published durable.
func (p *Publisher) syncFolders() error {
	p.mu.Lock()
	dirty := p.dirty
	p.dirty = map[string]bool{}
	p.mu.Unlock()
	var errs []error
	for dir := range dirty {
		if err := p.syncFolder(dir); err != nil {
			errs = append(errs, err)
			p.mu.Lock()
			p.dirty[dir] = true
			p.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

func (p *Publisher) syncFolder(dir string) error {
	if err := p.fault("sync-folder"); err != nil {
		return err
	}
	d, err := p.root.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil // as in syncDir
	}
	return errors.Join(err, d.Close())
}
