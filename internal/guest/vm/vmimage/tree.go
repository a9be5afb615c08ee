package vmimage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/erofs/go-erofs"
)

// tree is what a read-only file system is to hold. It is an fs.FS, which is what the library reads; files
// are opened when their content is written, and closed again, so that a tree costs no descriptors.
type tree struct {
	nodes map[string]*node // by path, "." is the root
}

// node is a file, folder, link or device of a tree.
type node struct {
	name  string
	mode  fs.FileMode
	size  int64
	uid   int
	gid   int
	rdev  uint64
	mtime time.Time
	link  string                        // where a symbolic link leads
	open  func() (io.ReadCloser, error) // of a file
	names []string                      // what is in a folder, unsorted
}

func newTree() *tree {
	return &tree{map[string]*node{".": {name: ".", mode: fs.ModeDir | 0o755}}}
}

// add puts n at the path p, below the folders that are missing, in the place of what may be there. A
// folder that is there keeps what is in it.
func (t *tree) add(p string, n *node) error {
	p = path.Clean(strings.TrimLeft(p, "/"))
	if !filepath.IsLocal(p) { // fs.ValidPath wants UTF-8; file systems do not
		return fmt.Errorf("%q is no path of a file system", p)
	}
	old := t.nodes[p]
	n.name = path.Base(p)
	if old != nil && old.mode.IsDir() && n.mode.IsDir() {
		n.names = old.names
	} else if old != nil && old.mode.IsDir() && len(old.names) > 0 {
		return fmt.Errorf("%s is a folder", p)
	}
	t.nodes[p] = n
	if old != nil {
		return nil
	}
	parent, err := t.folder(path.Dir(p))
	if err != nil {
		return err
	}
	parent.names = append(parent.names, n.name)
	return nil
}

// folder returns the folder p, and makes what of it is missing.
func (t *tree) folder(p string) (*node, error) {
	n := t.nodes[p]
	if n == nil {
		n = &node{mode: fs.ModeDir | 0o755}
		if err := t.add(p, n); err != nil {
			return nil, err
		}
	}
	if !n.mode.IsDir() {
		return nil, fmt.Errorf("%s is no folder", p)
	}
	return n, nil
}

// paths are all paths of the tree, folders before what is in them.
func (t *tree) paths() []string { return slices.Sorted(maps.Keys(t.nodes)) }

// read returns a file's content.
func (t *tree) read(p string) ([]byte, error) {
	f, err := t.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// writeErofs writes the tree as an uncompressed erofs to f, an empty file.
func (t *tree) writeErofs(f *os.File) error {
	// The same tree gives the same bytes: no time of its own.
	w := erofs.Create(f, erofs.WithBuildTime(0, 0))
	if err := w.CopyFrom(t); err != nil {
		return err
	}
	return w.Close()
}

// Open implements fs.FS.
func (t *tree) Open(name string) (fs.File, error) {
	n := t.nodes[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &lazy{node: n}, nil
}

// Stat implements fs.StatFS; it follows no links.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	n := t.nodes[name]
	if n == nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return stat{n}, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	n := t.nodes[name]
	if n == nil || !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	var out []fs.DirEntry
	for _, base := range slices.Sorted(slices.Values(n.names)) {
		out = append(out, fs.FileInfoToDirEntry(stat{t.nodes[path.Join(name, base)]}))
	}
	return out, nil
}

// ReadLink returns where a symbolic link leads.
func (t *tree) ReadLink(name string) (string, error) {
	n := t.nodes[name]
	if n == nil || n.mode.Type() != fs.ModeSymlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return n.link, nil
}

// stat is the fs.FileInfo of a node.
type stat struct{ n *node }

func (s stat) Name() string       { return s.n.name }
func (s stat) Size() int64        { return s.n.size }
func (s stat) Mode() fs.FileMode  { return s.n.mode }
func (s stat) ModTime() time.Time { return s.n.mtime }
func (s stat) IsDir() bool        { return s.n.mode.IsDir() }

// Sys is what the library takes owners and devices from.
func (s stat) Sys() any {
	links := 1
	if s.n.mode.IsDir() {
		links = 2
	}
	st := &erofs.Stat{UID: uint32(s.n.uid), GID: uint32(s.n.gid), Rdev: uint32(s.n.rdev), Nlink: links}
	if sec := s.n.mtime.Unix(); sec > 0 {
		st.Mtime, st.MtimeNs = uint64(sec), uint32(s.n.mtime.Nanosecond())
	}
	return st
}

// lazy is an open file of a tree; what it stands for is opened by the first Read and closed at its end.
type lazy struct {
	*node
	from io.ReadCloser
}

func (l *lazy) Stat() (fs.FileInfo, error) { return stat{l.node}, nil }

func (l *lazy) Read(p []byte) (int, error) {
	if l.from == nil {
		if l.node.open == nil {
			return 0, &fs.PathError{Op: "read", Path: l.node.name, Err: errors.New("is no file")}
		}
		var err error
		if l.from, err = l.node.open(); err != nil {
			return 0, err
		}
	}
	return l.from.Read(p)
}

func (l *lazy) Close() error {
	if l.from == nil {
		return nil
	}
	return l.from.Close()
}
