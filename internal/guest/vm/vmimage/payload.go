package vmimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// PayloadSize is how large every payload seems to be, so that a guest saved with one can be resumed with
// another. The files are sparse: they take what is in them.
const PayloadSize = 256 << 30

// PayloadFS is the payload's file system. Of those that the kernel reads (measured: 10,000 files of 20 bytes,
// one of 10 MB) erofs is made quickest: small files lie beside their inodes, the library is the file system's own
// project's and pure Go, and the guest's kernel needs the module for its root in any case.
const PayloadFS = "erofs"

// ErrPayload means that what a payload is to hold cannot be read, or is too much.
var ErrPayload = errors.New("the guest cannot be given these files")

// Source is a folder or file of the host that a payload holds.
type Source struct {
	At   string // where it is in the payload: "program", "mnt/lib"
	Host string // absolute; a link is followed
	// Follow: links below it stand for what they lead to, wherever that is, instead of for themselves.
	Follow bool
}

// WritePayload makes the file at path, which must not be there, a read-only file system (PayloadFS)
// of PayloadSize that holds the sources; everything in it belongs to root, with the host's permissions. Sockets,
// pipes and devices are left out. After an error there is no file. Errors: ErrPayload, ctx.Err().
func WritePayload(ctx context.Context, path string, sources []Source) (err error) {
	t := newTree()
	for _, s := range sources {
		if err := t.addHost(ctx, s.At, s.Host, s.Follow); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: %w", ErrPayload, err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("making the guest's payload: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(path)
		}
	}()
	if err := t.writeErofs(f); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %w", ErrPayload, err)
	}
	st, err := f.Stat()
	if err == nil && st.Size() > PayloadSize {
		return fmt.Errorf("%w: they are %d GiB, and %d is the most", ErrPayload, st.Size()>>30, int64(PayloadSize)>>30)
	}
	if err == nil {
		err = f.Truncate(PayloadSize)
	}
	if err != nil {
		return fmt.Errorf("making the guest's payload: %w", err)
	}
	return nil
}

// addHost adds what is at host to the tree, as at.
func (t *tree) addHost(ctx context.Context, at, host string, follow bool) error {
	st, err := os.Stat(host)
	if err != nil {
		return err
	}
	return t.addEntry(ctx, at, host, st, follow)
}

func (t *tree) addEntry(ctx context.Context, at, host string, st fs.FileInfo, follow bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n := &node{mode: st.Mode() & (fs.ModeType | fs.ModePerm), mtime: st.ModTime()}
	switch st.Mode().Type() {
	case 0:
		n.size = st.Size()
		n.open = func() (io.ReadCloser, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return os.Open(host)
		}
	case fs.ModeSymlink:
		link, err := os.Readlink(host)
		if err != nil {
			return err
		}
		n.link, n.size = link, int64(len(link))
	case fs.ModeDir:
	default:
		return nil
	}
	if err := t.add(at, n); err != nil || !n.mode.IsDir() {
		return err
	}
	names, err := os.ReadDir(host)
	if err != nil {
		return err
	}
	for _, name := range names {
		below := filepath.Join(host, name.Name())
		look := os.Lstat
		if follow {
			look = os.Stat // links in a circle end with ELOOP
		}
		st, err := look(below)
		if err != nil {
			return err
		}
		if err := t.addEntry(ctx, path.Join(at, name.Name()), below, st, follow); err != nil {
			return err
		}
	}
	return nil
}
