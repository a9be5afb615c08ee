package run

import (
	"path/filepath"
	"strings"

	"muster/internal/node"
)

// visible says what a cluster's nodes will probably not see. Only they know: so it is
// said, and not refused.
func (c *Conductor) visible(p *Prepared) {
	if p.engine.name == local {
		return
	}
	var hidden []string
	for _, f := range []struct{ what, path string }{
		{"the run's folder", c.Store.Dir()}, {"muster itself", c.Agent[0]}, {"the output folder", p.Spec.Output},
	} {
		if f.path != "" && private(f.path) {
			hidden = append(hidden, f.what+" ("+f.path+")")
		}
	}
	if len(hidden) > 0 {
		c.tell("nodes rarely share temporary folders: they may not see %s", strings.Join(hidden, ", "))
	}
}

// private reports whether a folder is most likely this host's alone: memory, or a folder for
// temporary files.
func private(path string) bool {
	f, err := node.Stat(path)
	if err != nil || f.Network || f.InMemory {
		return f.InMemory
	}
	for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
		mounted := f.Mount != dir && below(f.Mount, dir) // something of its own
		if below(path, dir) && !mounted {
			return true
		}
	}
	return false
}

func below(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
