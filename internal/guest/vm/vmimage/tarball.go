package vmimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// readTar makes a tree of an archive's entries but those that skip names. Contents stay in the archive,
// which has to be open as long as the tree is in use.
func readTar(f *os.File, skip func(path string) bool) (*tree, error) {
	t := newTree()
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		p := path.Clean(strings.TrimLeft(h.Name, "/"))
		if skip(p) {
			continue
		}
		if err := t.addTar(f, p, h); err != nil {
			return nil, fmt.Errorf("%q: %w", h.Name, err)
		}
	}
}

// plainTar opens an archive, unpacked into the file spare where it is packed.
func plainTar(path, spare string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	magic := make([]byte, 6)
	n, err := f.ReadAt(magic, 0)
	if err != nil && n == 0 {
		f.Close()
		return nil, fmt.Errorf("%s: it is empty: %w", path, err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ")):
		f.Close()
		return nil, fmt.Errorf("%s is compressed with xz; unpack it first: xz -dk %s", path, path)
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		f.Close()
		return nil, fmt.Errorf("%s is compressed with zstd; unpack it first: zstd -d %s", path, path)
	case !bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		return f, nil
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", path, err)
	}
	out, err := os.OpenFile(spare, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(out, z); err == nil {
		_, err = out.Seek(0, io.SeekStart)
	}
	if err != nil {
		out.Close()
		return nil, fmt.Errorf("unpacking %s: %w", path, err)
	}
	return out, nil
}

// addTar adds the entry that the archive has just been read to.
func (t *tree) addTar(f *os.File, p string, h *tar.Header) error {
	n := &node{mode: h.FileInfo().Mode(), uid: h.Uid, gid: h.Gid, mtime: h.ModTime}
	switch h.Typeflag {
	case tar.TypeReg:
		// archive/tar reads headers without reading ahead: here the content begins.
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		for record := range h.PAXRecords {
			if strings.HasPrefix(record, "GNU.sparse.") {
				return errors.New("sparse files in archives are not known here; pack it without --sparse")
			}
		}
		n.size = h.Size
		n.open = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, at, h.Size)), nil }
	case tar.TypeDir:
	case tar.TypeSymlink:
		n.link, n.size = h.Linkname, int64(len(h.Linkname))
	case tar.TypeLink:
		to := t.nodes[path.Clean(strings.TrimLeft(h.Linkname, "/"))]
		if to == nil || to.mode.IsDir() {
			return fmt.Errorf("it is a second name of %q, which is not there", h.Linkname)
		}
		same := *to
		n = &same
	case tar.TypeChar, tar.TypeBlock:
		n.rdev = unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	case tar.TypeFifo:
	default:
		return fmt.Errorf("its kind is not known here (%q)", h.Typeflag)
	}
	return t.add(p, n)
}

// below reports whether the path p is one of the folders or in one of them.
func below(p string, folders ...string) bool {
	for _, f := range folders {
		if p == f || strings.HasPrefix(p, f+"/") {
			return true
		}
	}
	return false
}

// sub is the part of the tree below dir, moved up; nothing when there is no such folder.
func (t *tree) sub(dir string) *tree {
	out := newTree()
	for _, p := range t.paths() {
		if rel, err := filepath.Rel(dir, p); err == nil && below(p, dir) && rel != "." {
			n := *t.nodes[p]
			n.names = nil
			out.add(rel, &n) // what fitted there fits here
		}
	}
	return out
}

// without is the tree without some folders at its top.
func (t *tree) without(folders ...string) *tree {
	out := newTree()
	for _, p := range t.paths() {
		if !below(p, folders...) && p != "." {
			n := *t.nodes[p]
			n.names = nil
			out.add(p, &n) // what fitted there fits here
		}
	}
	return out
}

// glob returns the paths that match, sorted.
func (t *tree) glob(pattern string) []string {
	var out []string
	for _, p := range t.paths() {
		if ok, _ := path.Match(pattern, p); ok {
			out = append(out, p)
		}
	}
	return out
}

// mountPoints are folders that a root has to have.
var mountPoints = []string{"proc", "sys", "dev", "run", "tmp"}

// complete adds what a root may lack: mount points.
func (t *tree) complete() error {
	for _, p := range mountPoints {
		n, err := t.folder(p)
		if err != nil {
			return err
		}
		if p == "tmp" {
			n.mode = fs.ModeDir | fs.ModeSticky | 0o777
		}
	}
	return nil
}
