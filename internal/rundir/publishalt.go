package rundir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// marker is written beside a temporary before it is renamed or copied, and
// tells afterwards whether that has happened.
type marker struct {
	Final string `json:"final"`
	Dev   uint64 `json:"dev"` // of what is to have the final name; 0: a copy, not begun
	Ino   uint64 `json:"ino"`
	Size  int64  `json:"size"`
	Copy  bool   `json:"copy,omitempty"`
}

const markerPrefix = ".publish-"

// markerPath is the marker of a temporary.
func markerPath(tmp string) string {
	return path.Join(path.Dir(tmp), markerPrefix+path.Base(tmp))
}

// mark writes a marker, durably.
func (p *Publisher) mark(tmp string, m marker) error {
	if err := p.fault("mark"); err != nil {
		return err
	}
	data, err := marshal(m)
	if err != nil {
		return err
	}
	f, err := p.root.OpenFile(markerPath(tmp), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return p.syncFolder(path.Dir(tmp))
}

func (p *Publisher) readMarker(tmp string) (m marker, ok bool) {
	f, fi, err := p.open(markerPath(tmp))
	if err != nil {
		return m, false
	}
	defer f.Close()
	if !fi.Mode().IsRegular() || fi.Size() > 1<<16 {
		return m, false
	}
	data, err := io.ReadAll(io.LimitReader(f, 1<<16))
	return m, err == nil && unmarshal(data, &m) == nil
}

// rename moves tmp to final, which must be absent.
func (p *Publisher) rename(tmp string, fi fs.FileInfo, dir *os.File, final string) error {
	base := path.Base(final)
	dev, ino := inode(fi)
	if err := p.mark(tmp, marker{Final: final, Dev: dev, Ino: ino, Size: fi.Size()}); err != nil {
		return err
	}
	from, err := p.root.Open(path.Dir(tmp))
	if err != nil {
		return err
	}
	defer from.Close()
	err = p.fault("rename")
	if err == nil {
		err = unix.Renameat2(int(from.Fd()), path.Base(tmp), int(dir.Fd()), base, unix.RENAME_NOREPLACE)
		if cannotLink(err) && fi.IsDir() {
			// A folder never replaces one that has something in it, so this is
			// nearly as good; an empty one is refused here.
			if _, err := p.root.Lstat(final); !errors.Is(err, fs.ErrNotExist) {
				return ErrExists
			}
			err = unix.Renameat(int(from.Fd()), path.Base(tmp), int(dir.Fd()), base)
		}
		if err == nil {
			err = p.fault("renamed")
		}
	}
	if err == nil || isAt(dir, base, fi) {
		return nil
	}
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTEMPTY) {
		return ErrExists
	}
	return &os.SyscallError{Syscall: "rename", Err: err}
}

// renamed tells of an output that has its final name already, by its marker.
func (p *Publisher) renamed(tmp, final string) (Output, bool) {
	m, ok := p.readMarker(tmp)
	if !ok || m.Final != final || m.Dev == 0 || m.Copy {
		return Output{}, false
	}
	return p.published(m)
}

// published tells of what stands under the marker's final name, if it is what
// the marker speaks of.
func (p *Publisher) published(m marker) (Output, bool) {
	f, fi, err := p.open(m.Final)
	if err != nil {
		return Output{}, false
	}
	defer f.Close()
	if dev, ino := inode(fi); dev != m.Dev || ino != m.Ino {
		return Output{}, false
	}
	out := Output{Name: m.Final}
	if fi.IsDir() {
		out.Size, err = p.syncTree(m.Final)
	} else {
		out.Size, out.Hash, err = p.seal(f)
	}
	return out, err == nil
}

// copy is the last resort, for file systems that know neither links nor
// exclusive renames: the final name is visible before its content is whole.
func (p *Publisher) copy(f *os.File, tmp, final string) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	m := marker{Final: final, Size: fi.Size(), Copy: true}
	if err := p.mark(tmp, m); err != nil {
		return err
	}
	err = p.fault("copy")
	var to *os.File
	if err == nil {
		to, err = p.root.OpenFile(final, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fi.Mode().Perm())
	}
	if err != nil {
		// What stands there is not ours: the marker must not say so.
		err = errors.Join(err, p.root.Remove(markerPath(tmp)))
		if errors.Is(err, fs.ErrExist) {
			return ErrExists
		}
		return err
	}
	err = p.fillCopy(to, f, tmp, m)
	if err = errors.Join(err, to.Close()); err != nil {
		return errors.Join(err, p.root.Remove(final))
	}
	return nil
}

func (p *Publisher) fillCopy(to, from *os.File, tmp string, m marker) error {
	fi, err := to.Stat()
	if err != nil {
		return err
	}
	m.Dev, m.Ino = inode(fi)
	// From here on a crash leaves something that can be told to be ours.
	if err := p.mark(tmp, m); err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return errors.Join(p.fault("copied"), to.Sync())
}

func inode(fi fs.FileInfo) (dev, ino uint64) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev), st.Ino
	}
	return 0, 0
}
