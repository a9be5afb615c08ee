package tree

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Links says what becomes of symbolic links.
type Links bool

const (
	Keep   Links = false // they are sent as links
	Follow Links = true  // what they lead to is sent in their place, wherever that is
)

// Send writes all that is in dir to w. When something cannot be read the receiver is told that the tree is not whole.
func Send(ctx context.Context, w io.Writer, dir string, links Links) (Count, error) {
	s := &sender{
		ctx:   ctx,
		out:   encoder{w: bufio.NewWriterSize(w, 64<<10)},
		links: links,
		seen:  map[inode]string{},
		buf:   make([]byte, 256<<10),
	}
	err := s.out.raw([]byte(magic))
	if err == nil {
		err = s.top(dir)
	}
	if err == nil {
		err = s.out.begin(finish).number(s.count.entries()).number(s.count.Skipped).write()
	} else if s.out.err == nil {
		text := err.Error()
		_ = s.out.begin(failed).text(text[:min(len(text), maxTarget)]).write()
	}
	if e := s.out.w.Flush(); err == nil {
		err = e
	}
	return s.count, err
}

type inode struct{ dev, ino uint64 }

// sender is one walk.
type sender struct {
	ctx   context.Context
	out   encoder
	links Links
	count Count
	seen  map[inode]string // files with several names: where they were sent
	above []inode          // folders on the way down
	buf   []byte
}

func (s *sender) top(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return s.folder(f, "", filepath.Clean(dir))
}

// folder sends what is in f: rel is its path in the tree, name is for people.
func (s *sender) folder(f *os.File, rel, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: name, Err: err}
	}
	here := inode{uint64(st.Dev), st.Ino}
	for _, a := range s.above {
		if a == here {
			return &os.PathError{Op: "read", Path: name, Err: unix.ELOOP}
		}
	}
	if len(s.above) >= maxDepth {
		return fmt.Errorf("%s: more than %d folders in each other", name, maxDepth)
	}
	s.above = append(s.above, here)
	defer func() { s.above = s.above[:len(s.above)-1] }()
	for {
		names, err := f.Readdirnames(1024)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := s.entry(f, n, path.Join(rel, n), name+"/"+n); err != nil {
				return err
			}
		}
	}
}

// entry sends one thing in folder f.
func (s *sender) entry(f *os.File, base, rel, name string) error {
	if err := s.ctx.Err(); err != nil {
		return context.Cause(s.ctx)
	}
	flags := unix.AT_SYMLINK_NOFOLLOW
	if s.links == Follow {
		flags = 0
	}
	at := int(f.Fd())
	var st unix.Stat_t
	if err := unix.Fstatat(at, base, &st, flags); err != nil {
		return &os.PathError{Op: "stat", Path: name, Err: err}
	}
	m := meta{mode: st.Mode & 0o777, sec: st.Mtim.Sec, nsec: uint32(st.Mtim.Nsec)}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		d, err := s.open(at, base, name, unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		defer func() { _ = d.Close() }()
		s.count.Folders++
		if err := s.out.begin(enter).text(base).meta(m).write(); err != nil {
			return err
		}
		if err := s.folder(d, rel, name); err != nil {
			return err
		}
		return s.out.begin(leave).write()
	case unix.S_IFREG:
		return s.file(at, base, rel, name, st, m)
	case unix.S_IFLNK:
		target, err := readlink(at, base)
		if err != nil {
			return &os.PathError{Op: "readlink", Path: name, Err: err}
		}
		s.count.Links++
		return s.out.begin(symlink).text(base).meta(m).text(target).write()
	default:
		s.count.Skipped++
		return nil
	}
}

func (s *sender) open(at int, base, name string, flags int) (*os.File, error) {
	flags |= unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK // a pipe that took a file's place must not hold us up
	if s.links == Keep {
		flags |= unix.O_NOFOLLOW
	}
	for {
		fd, err := unix.Openat(at, base, flags, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

func readlink(at int, base string) (string, error) {
	b := make([]byte, maxTarget+1)
	n, err := unix.Readlinkat(at, base, b)
	if err != nil {
		return "", err
	}
	if n > maxTarget {
		return "", unix.ENAMETOOLONG
	}
	return string(b[:n]), nil
}

// file sends a file: its further names as such, and otherwise its data, as much as there is when it is read.
func (s *sender) file(at int, base, rel, name string, st unix.Stat_t, m meta) error {
	if st.Nlink > 1 && len(rel) <= maxPath {
		id := inode{uint64(st.Dev), st.Ino}
		if first, ok := s.seen[id]; ok {
			s.count.Links++
			return s.out.begin(same).text(base).text(first).write()
		}
		s.seen[id] = rel
	}
	f, err := s.open(at, base, name, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	s.count.Files++
	if err := s.out.begin(file).text(base).meta(m).write(); err != nil {
		return err
	}
	if st.Blocks*512 >= st.Size {
		err = s.data(f, 1<<62)
	} else {
		err = s.sparse(f, st.Size)
	}
	if err != nil {
		return err
	}
	return s.out.begin(eof).write()
}

// sparse sends a file with holes.
func (s *sender) sparse(f *os.File, size int64) error {
	for at := int64(0); at < size; {
		next, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			next, err = size, nil // a hole until the end
		}
		if err != nil {
			return err
		}
		next = min(next, size)
		if next > at {
			if err := s.out.begin(hole).number(next - at).write(); err != nil {
				return err
			}
		}
		if next == size {
			return nil
		}
		at, err = f.Seek(next, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		at = min(at, size)
		if _, err := f.Seek(next, io.SeekStart); err != nil {
			return err
		}
		if err := s.data(f, at-next); err != nil {
			return err
		}
	}
	return nil
}

// data sends the next n bytes of f, or all that are there.
func (s *sender) data(f *os.File, n int64) error {
	for n > 0 {
		got, err := f.Read(s.buf[:min(n, int64(len(s.buf)))])
		if got > 0 {
			s.count.Bytes += int64(got)
			head := [5]byte{extent, byte(got >> 24), byte(got >> 16), byte(got >> 8), byte(got)}
			if err := s.out.raw(head[:]); err != nil {
				return err
			}
			if err := s.out.raw(s.buf[:got]); err != nil {
				return err
			}
			n -= int64(got)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
	}
	return nil
}
