package tree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receive makes what comes from r in dir, which exists. What is there already stays, unless a file or a link
// of the same name arrives, or a folder in place of a file: then it is replaced, never written
// through. When it fails, dir may hold a part of the tree. r may hold more than the tree: it is read somewhat beyond it.
func Receive(r io.Reader, dir string, most Limits) (Count, error) {
	top, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Count{}, err
	}
	rc := &receiver{
		in:      decoder{r: bufio.NewReaderSize(r, 64<<10)},
		folders: []folder{{file: top, name: dir}},
		most:    most,
		buf:     make([]byte, 64<<10),
	}
	defer rc.close()
	err = rc.run()
	return rc.count, err
}

// A folder is one that is being filled.
type folder struct {
	file *os.File
	name string // for people
	meta meta
}

// receiver makes one tree.
type receiver struct {
	in      decoder
	folders []folder // the last one is where things are made
	most    Limits
	count   Count
	buf     []byte
}

func (rc *receiver) close() {
	for _, f := range rc.folders {
		_ = f.file.Close()
	}
}

func (rc *receiver) here() folder { return rc.folders[len(rc.folders)-1] }

func (rc *receiver) at() int { return int(rc.here().file.Fd()) }

// trouble says what went wrong with which name.
func (rc *receiver) trouble(doing, name string, err error) error {
	return &os.PathError{Op: doing, Path: rc.here().name + "/" + name, Err: err}
}

func (rc *receiver) run() error {
	b := make([]byte, len(magic))
	if err := rc.in.full(b); err != nil {
		return err
	}
	if string(b) != magic {
		return fmt.Errorf("%w: it begins with %q", ErrBroken, b)
	}
	for {
		kind, err := rc.in.kind()
		if err != nil {
			return err
		}
		switch kind {
		case enter:
			err = rc.enter()
		case leave:
			err = rc.leave()
		case file:
			err = rc.file()
		case symlink:
			err = rc.symlink()
		case same:
			err = rc.same()
		case finish:
			return rc.finish()
		case failed:
			text, err := rc.in.text(maxTarget)
			if err != nil {
				return err
			}
			return &SenderError{Text: text}
		default:
			return fmt.Errorf("%w: an entry of kind %d", ErrBroken, kind)
		}
		if err != nil {
			return err
		}
		if rc.most.Entries > 0 && rc.count.entries() > rc.most.Entries {
			return fmt.Errorf("the tree has more than %d entries", rc.most.Entries)
		}
	}
}

// SenderError is why a sender could not go on, in its words: nothing to be trusted.
type SenderError struct{ Text string }

func (e *SenderError) Error() string { return e.Text }

func (rc *receiver) finish() error {
	n, err := rc.in.number(8)
	if err != nil {
		return err
	}
	if len(rc.folders) != 1 || n != rc.count.entries() {
		return fmt.Errorf("%w: %d of %d entries arrived, %d folders deep", ErrBroken, rc.count.entries(), n, len(rc.folders)-1)
	}
	rc.count.Skipped, err = rc.in.number(8)
	return err
}

// enter makes a folder and goes into it. Its permissions are set when it is left.
func (rc *receiver) enter() error {
	name, m, err := rc.nameMeta()
	if err != nil {
		return err
	}
	if len(rc.folders) > maxDepth {
		return fmt.Errorf("%w: more than %d folders in each other", ErrBroken, maxDepth)
	}
	err = unix.Mkdirat(rc.at(), name, 0o700)
	if errors.Is(err, unix.EEXIST) {
		if err = rc.makeWay(name, unix.S_IFDIR); err == nil {
			err = unix.Mkdirat(rc.at(), name, 0o700)
		}
		if errors.Is(err, unix.EEXIST) {
			err = rc.openUp(name)
		}
	}
	if err != nil {
		return rc.trouble("mkdir", name, err)
	}
	fd, err := openat(rc.at(), name, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		return rc.trouble("open", name, err)
	}
	full := rc.here().name + "/" + name
	rc.folders = append(rc.folders, folder{file: os.NewFile(uintptr(fd), full), name: full, meta: m})
	rc.count.Folders++
	return nil
}

// openUp gives the owner the right to fill a folder that is there already; its permissions are set when it is left.
func (rc *receiver) openUp(name string) error {
	fd, err := openat(rc.at(), name, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&0o700 == 0o700 {
		return err
	}
	return unix.Fchmod(fd, st.Mode&0o777|0o700)
}

func (rc *receiver) leave() error {
	if len(rc.folders) == 1 {
		return fmt.Errorf("%w: it leaves its own top", ErrBroken)
	}
	f := rc.here()
	rc.folders = rc.folders[:len(rc.folders)-1]
	err := settle(int(f.file.Fd()), f.meta)
	if e := f.file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return &os.PathError{Op: "close", Path: f.name, Err: err}
	}
	return nil
}

// settle sets permissions and time of what is open.
func settle(fd int, m meta) error {
	if err := unix.Fchmod(fd, m.mode); err != nil {
		return err
	}
	times := m.times()
	// Without a name it is the file itself: futimens(3).
	if _, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func (m meta) times() [2]unix.Timespec {
	return [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: m.sec, Nsec: int64(m.nsec)}}
}

func (rc *receiver) nameMeta() (string, meta, error) {
	name, err := rc.in.name()
	if err != nil {
		return "", meta{}, err
	}
	m, err := rc.in.meta()
	return name, m, err
}

// openat opens without following a link.
func openat(at int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// makeWay removes what has a name that is wanted. A folder is never removed: it stays where one is
// wanted, and is an error otherwise.
func (rc *receiver) makeWay(name string, wanted uint32) error {
	var st unix.Stat_t
	err := unix.Fstatat(rc.at(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if wanted == unix.S_IFDIR {
			return nil
		}
		return unix.EISDIR
	}
	err = unix.Unlinkat(rc.at(), name, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// anew calls do, and once more with room made when the name is taken.
func (rc *receiver) anew(doing, name string, do func() error) error {
	err := do()
	if errors.Is(err, unix.EEXIST) {
		if err = rc.makeWay(name, 0); err == nil {
			err = do()
		}
	}
	if err != nil {
		return rc.trouble(doing, name, err)
	}
	return nil
}

func (rc *receiver) symlink() error {
	name, m, err := rc.nameMeta()
	if err != nil {
		return err
	}
	target, err := rc.in.text(maxTarget)
	if err != nil {
		return err
	}
	if err := rc.anew("symlink", name, func() error { return unix.Symlinkat(target, rc.at(), name) }); err != nil {
		return err
	}
	times := m.times()
	if err := unix.UtimesNanoAt(rc.at(), name, times[:], unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return rc.trouble("set the time of", name, err)
	}
	rc.count.Links++
	return nil
}

// same makes another name of a file that has arrived.
func (rc *receiver) same() error {
	name, err := rc.in.name()
	if err != nil {
		return err
	}
	to, err := rc.in.text(maxPath)
	if err != nil {
		return err
	}
	at := int(rc.folders[0].file.Fd())
	parts := strings.Split(to, "/")
	for i, p := range parts {
		if err := checkName(p); err != nil {
			return err
		}
		if i == len(parts)-1 {
			break
		}
		fd, err := openat(at, p, unix.O_DIRECTORY|unix.O_PATH, 0)
		if err != nil {
			return rc.trouble("link to "+to, name, err)
		}
		defer func() { _ = unix.Close(fd) }()
		at = fd
	}
	// A name that is given again while it is its own target would be removed to make way for itself.
	base := parts[len(parts)-1]
	var a, b unix.Stat_t
	if err := unix.Fstatat(at, base, &a, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return rc.trouble("link to "+to, name, err)
	}
	if a.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%w: %q is another name of what is no file", ErrBroken, name)
	}
	if unix.Fstatat(rc.at(), name, &b, unix.AT_SYMLINK_NOFOLLOW) != nil || a.Ino != b.Ino || a.Dev != b.Dev {
		if err := rc.anew("link", name, func() error { return unix.Linkat(at, base, rc.at(), name, 0) }); err != nil {
			return err
		}
	}
	rc.count.Links++
	return nil
}

// file makes a file of what comes.
func (rc *receiver) file() error {
	name, m, err := rc.nameMeta()
	if err != nil {
		return err
	}
	fd := -1
	if err := rc.anew("create", name, func() (err error) {
		fd, err = openat(rc.at(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
		return err
	}); err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), rc.here().name+"/"+name)
	err = rc.fill(f)
	if err == nil {
		err = settle(fd, m)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		_ = unix.Unlinkat(rc.at(), name, 0)
		return fmt.Errorf("receiving %s: %w", rc.here().name+"/"+name, err)
	}
	rc.count.Files++
	return nil
}

// fill writes extents and holes to f.
func (rc *receiver) fill(f *os.File) error {
	size := int64(0)
	trailing := false // the file ends in a hole
	for {
		kind, err := rc.in.kind()
		if err != nil {
			return err
		}
		var n int64
		switch kind {
		case extent:
			n, err = rc.in.number(4)
			if err == nil && n > maxExtent {
				err = fmt.Errorf("%w: %d bytes at once", ErrBroken, n)
			}
		case hole:
			n, err = rc.in.number(8)
		case eof:
			if trailing {
				return f.Truncate(size)
			}
			return nil
		default:
			err = fmt.Errorf("%w: a part of a file of kind %d", ErrBroken, kind)
		}
		if err != nil {
			return err
		}
		if n > 1<<62-size || rc.most.Size > 0 && n > rc.most.Size-size {
			return unix.EFBIG
		}
		at := size
		size += n
		if trailing = kind == hole; trailing {
			continue
		}
		rc.count.Bytes += n
		if rc.most.Bytes > 0 && rc.count.Bytes > rc.most.Bytes {
			return fmt.Errorf("the tree has more than %d bytes", rc.most.Bytes)
		}
		if err := rc.copy(f, at, n); err != nil {
			return err
		}
	}
}

// copy writes the next n bytes to f, from at on.
func (rc *receiver) copy(f *os.File, at, n int64) error {
	for n > 0 {
		b := rc.buf[:min(n, int64(len(rc.buf)))]
		if err := rc.in.full(b); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, at); err != nil {
			return err
		}
		at, n = at+int64(len(b)), n-int64(len(b))
	}
	return nil
}
