package inputs

import (
	"path/filepath"
	"strings"
)

// pathMaker makes names absolute.
type pathMaker struct {
	dir   string            // what relative names are relative to
	heads map[string]string // paths that end in "..", and where they lead
}

// abs makes a name absolute, without "." and "..". Behind a link ".." is not
// the folder that the text suggests, so the disk is asked where it leads.
func (p pathMaker) abs(name string) string {
	if !filepath.IsAbs(name) {
		name = p.dir + "/" + name
	}
	end := strings.LastIndex(name+"/", "/../")
	if end < 0 {
		return filepath.Clean(name)
	}
	head, rest := name[:end+len("/..")], name[end+len("/.."):]
	real, ok := p.heads[head]
	if !ok {
		var err error
		if real, err = filepath.EvalSymlinks(head); err != nil {
			real = filepath.Clean(head) // not there; the caller will find that out
		}
		p.heads[head] = real
	}
	return filepath.Clean(real + "/" + rest)
}
