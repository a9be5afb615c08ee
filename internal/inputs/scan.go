package inputs

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"muster/internal/job"
)

// scan lists the inputs of a folder, and with Subdir of the folders below it.
func (o reader) scan(ctx context.Context, root string) (found, error) {
	s := scanner{root: root, subdir: o.Subdir, visited: map[fileID]bool{}}
	if ext := strings.TrimPrefix(o.ExtSearch, "."); ext != "" {
		s.suffix = "." + ext
	}
	info, err := os.Stat(root)
	if err != nil {
		return found{}, job.BadInputf("input folder %s %s", show(root), trouble(err))
	}
	s.visited[idOf(info)] = true
	if err := s.walk(ctx); err != nil {
		return found{}, err
	}
	if len(s.names) == 0 {
		return found{}, s.nothing()
	}
	slices.Sort(s.names)
	return found{path: root, items: s.items()}, nil
}

// scanner collects the inputs of a tree. A folder that several names lead to is
// read once, under its own name if it has one in the tree, so loops of links
// come to an end.
type scanner struct {
	root   string
	suffix string // of the inputs wanted, with its dot; "" for all
	subdir bool

	names   []string // inputs, relative to root
	links   []string // links to folders, for when all true folders have been read
	visited map[fileID]bool

	hidden, other, folders int // what was left out, for the message when nothing is left
}

// fileID tells a folder apart from all others of the machine.
type fileID struct{ dev, ino uint64 }

func idOf(info fs.FileInfo) fileID {
	st := info.Sys().(*syscall.Stat_t) // always so on Linux
	return fileID{dev: uint64(st.Dev), ino: st.Ino}
}

func (s *scanner) walk(ctx context.Context) error {
	if err := s.folder(ctx, ""); err != nil {
		return err
	}
	for len(s.links) > 0 {
		links := s.links
		s.links = nil
		slices.Sort(links)
		for _, rel := range links {
			if err := s.enter(ctx, rel); err != nil {
				return err
			}
		}
	}
	return nil
}

// enter reads a folder unless it has been read under another name.
func (s *scanner) enter(ctx context.Context, rel string) error {
	info, err := os.Stat(filepath.Join(s.root, rel))
	if err != nil {
		return job.BadInputf("folder %s in the input %s", show(filepath.Join(s.root, rel)), trouble(err))
	}
	id := idOf(info)
	if s.visited[id] {
		return nil
	}
	s.visited[id] = true
	return s.folder(ctx, rel)
}

// folder reads one folder.
func (s *scanner) folder(ctx context.Context, rel string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := filepath.Join(s.root, rel)
	entries, err := os.ReadDir(path)
	if err != nil {
		return job.BadInputf("input folder %s %s", show(path), trouble(err))
	}
	for _, e := range entries {
		name := e.Name()
		if name[0] == '.' {
			s.hidden++
			continue
		}
		if rel != "" {
			name = rel + "/" + name
		}
		if err := s.entry(ctx, name, e.Type()); err != nil {
			return err
		}
	}
	return nil
}

// entry takes up one name of a folder.
func (s *scanner) entry(ctx context.Context, rel string, mode fs.FileMode) error {
	isLink := mode&fs.ModeSymlink != 0
	if isLink {
		info, err := os.Stat(filepath.Join(s.root, rel))
		switch {
		case err == nil:
			mode = info.Mode().Type()
		case !strings.HasSuffix(rel, s.suffix):
			s.other++
			return nil
		default:
			return job.BadInputf("input %s is a link whose target %s", show(filepath.Join(s.root, rel)), trouble(err))
		}
	}
	switch {
	case mode.IsRegular() && strings.HasSuffix(rel, s.suffix):
		s.names = append(s.names, rel)
	case !mode.IsDir():
		s.other++
	case !s.subdir:
		s.folders++
	case isLink:
		s.links = append(s.links, rel)
	default:
		return s.enter(ctx, rel)
	}
	return nil
}

// items makes an item of each name.
func (s *scanner) items() []item {
	items := make([]item, len(s.names))
	in := make([]job.Input, len(s.names))
	prefix := s.root + "/"
	if s.root == "/" {
		prefix = "/"
	}
	for i, rel := range s.names {
		in[i] = job.Input{Word: prefix + rel, File: true}
		items[i] = item{in: in[i : i+1 : i+1], base: rel}
		if slash := strings.LastIndexByte(rel, '/'); slash >= 0 {
			items[i].sub, items[i].base = rel[:slash], rel[slash+1:]
		}
	}
	return items
}

// nothing says why a folder holds no input.
func (s *scanner) nothing() error {
	root := show(s.root)
	switch {
	case s.other > 0 && s.suffix != "":
		return job.BadInputf("input folder %s holds no file that ends in %s (others: %d)", root, s.suffix, s.other)
	case s.folders > 0:
		return job.BadInputf("input folder %s holds no file of its own, only folders (%d): --subdir goes into them", root, s.folders)
	case s.other > 0:
		return job.BadInputf("input folder %s holds no regular file", root)
	case s.hidden > 0:
		return job.BadInputf("input folder %s holds only names that begin with a dot, and these are left out", root)
	}
	return job.BadInputf("input folder %s is empty", root)
}
