package stage

import (
	"fmt"
	"strings"

	"muster/internal/node"
)

// Words for how image and program come to the nodes (job.Spec.Stage).
const (
	Auto   = "auto"   // as Direct, where they are on a network file system
	None   = "none"   // they are read where they are
	Direct = "direct" // each node copies from the central storage
	Fan    = "tree"   // a few do, the others copy from one another
)

// system are folders that belong to a machine: what is there on a disk of this
// one, the nodes have as well.
var system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc"}

// Wanted reports whether a folder is to be staged, by the word and by the file
// system that it is on.
func Wanted(word, dir string) (bool, error) {
	if dir == "" || word == "" || word == None {
		return false, nil
	}
	f, err := node.Stat(dir)
	if err != nil {
		return false, fmt.Errorf("looking at the file system of %s: %w", dir, err)
	}
	if f.Network || word == Auto {
		return f.Network, nil
	}
	for _, s := range system {
		if dir == s || strings.HasPrefix(dir, s+"/") {
			return false, nil
		}
	}
	return true, nil
}
