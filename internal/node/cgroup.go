package node

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Cgroup is what this process can do with control groups. Version 1 controllers
// and a version 2 tree can both be there: the tree's cgroup.kill and
// cgroup.freeze work without any controller.
type Cgroup struct {
	Version     string   `json:"version"`               // "1", "2", "1+2", "" for none
	Path        string   `json:"path,omitempty"`        // folder of this process in the version 2 tree
	Delegated   bool     `json:"delegated"`             // this user may make groups below Path and move own processes there
	Kill        bool     `json:"kill"`                  // such groups have cgroup.kill
	Controllers []string `json:"controllers,omitempty"` // of version 2, at Path
	Why         string   `json:"why,omitempty"`         // why not delegated
}

// groups are the control groups that this process is in.
type groups struct {
	v1 map[string]group // by controller
	v2 group
}

// group is one control group: where its files are, and how far up its limits count.
type group struct {
	top string // where the hierarchy is mounted, "" when it is not
	dir string // the group's folder, top or below it
	out bool   // the true group lies outside of what is mounted here
}

// groups finds them: /proc/self/cgroup says the groups' names, mountinfo where
// the hierarchies are mounted.
func (h Host) groups() (groups, error) {
	g := groups{v1: map[string]group{}}
	mounts, err := h.mounts()
	if err != nil {
		return g, err
	}
	text, err := os.ReadFile(h.Proc + "/self/cgroup")
	if err != nil {
		return g, err
	}
	for line := range strings.Lines(string(text)) {
		// "4:memory:/jobs/12" in version 1, "0::/user.slice" in version 2.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		for _, controller := range strings.Split(fields[1], ",") {
			for _, m := range mounts {
				if fields[0] == "0" && m.kind == "cgroup2" {
					g.v2 = h.group(m, fields[2])
				} else if controller != "" && m.kind == "cgroup" && slices.Contains(m.options, controller) {
					g.v1[controller] = h.group(m, fields[2])
				}
			}
		}
	}
	return g, nil
}

// group places the group called name in the hierarchy mounted at m. A container
// may see only a part of the hierarchy, and a name that lies outside of it.
func (h Host) group(m mount, name string) group {
	top := h.at(m.point)
	below, ok := strings.CutPrefix(path.Clean(name), strings.TrimSuffix(m.root, "/"))
	if !ok || strings.Contains(name, "..") {
		return group{top: top, dir: top, out: true}
	}
	dir := filepath.Join(top, below)
	if _, err := os.Stat(dir); err != nil {
		return group{top: top, dir: top, out: true}
	}
	return group{top: top, dir: dir}
}

// at is where a path of the machine is read.
func (h Host) at(p string) string {
	for from, to := range map[string]string{"/sys": h.Sys, "/proc": h.Proc} {
		if rest, ok := strings.CutPrefix(p, from); ok && (rest == "" || rest[0] == '/') {
			return to + rest
		}
	}
	return p
}

// up returns the folders of g and of the groups above it: a limit of any of
// them holds.
func (g group) up() []string {
	if g.top == "" {
		return nil
	}
	dirs := []string{g.dir}
	for dir := g.dir; dir != g.top && strings.HasPrefix(dir, g.top+"/"); {
		dir = filepath.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

// number reads a file with one number. ok is false when it is not there, is no
// number, or says "max".
func number(dir, name string) (n int64, ok bool) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}

// field reads a number from a file of lines "name number".
func field(path, name string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && strings.TrimSuffix(f[0], ":") == name {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// cpuQuota is how many CPUs' worth of time all groups allow, 0 for no limit.
func (g groups) cpuQuota() float64 {
	quota := 0.0
	tighten := func(time, period int64) {
		if time > 0 && period > 0 {
			if q := float64(time) / float64(period); quota == 0 || q < quota {
				quota = q
			}
		}
	}
	for _, dir := range g.v2.up() {
		b, err := os.ReadFile(filepath.Join(dir, "cpu.max"))
		if f := strings.Fields(string(b)); err == nil && len(f) == 2 {
			time, _ := strconv.ParseInt(f[0], 10, 64) // "max" gives 0: no limit
			period, _ := strconv.ParseInt(f[1], 10, 64)
			tighten(time, period)
		}
	}
	for _, dir := range g.v1["cpu"].up() {
		time, _ := number(dir, "cpu.cfs_quota_us") // −1: no limit
		period, _ := number(dir, "cpu.cfs_period_us")
		tighten(time, period)
	}
	return quota
}

// cgroup says what this user can do in the version 2 tree.
func (h Host) cgroup(g groups) Cgroup {
	c := Cgroup{}
	switch {
	case len(g.v1) > 0 && g.v2.top != "":
		c.Version = "1+2"
	case g.v2.top != "":
		c.Version = "2"
	case len(g.v1) > 0:
		c.Version = "1"
	}
	if g.v2.top == "" {
		c.Why = "there is no cgroup v2 tree"
		return c
	}
	if g.v2.out {
		c.Why = "the group of this process is not visible here"
		return c
	}
	c.Path = g.v2.dir
	if b, err := os.ReadFile(filepath.Join(c.Path, "cgroup.controllers")); err == nil {
		c.Controllers = strings.Fields(string(b))
	}
	// cgroup.kill came with Linux 5.14. The root group has none, groups below it have.
	_, err := os.Stat(filepath.Join(c.Path, "cgroup.kill"))
	release, _ := h.line("sys/kernel/osrelease")
	c.Kill = err == nil || atLeast(release, 5, 14)
	// To move a process, the writer needs the cgroup.procs of the group that is
	// above both ends: here that is Path itself.
	for _, need := range []string{c.Path, filepath.Join(c.Path, "cgroup.procs")} {
		if err := unix.Faccessat(unix.AT_FDCWD, need, unix.W_OK, unix.AT_EACCESS); err != nil {
			c.Why = "this user may not write " + need
			return c
		}
	}
	c.Delegated = true
	return c
}

// atLeast compares a kernel's release ("6.1.0-18-amd64") with a version.
func atLeast(release string, major, minor int) bool {
	parts := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) < 2 {
		return false
	}
	a, _ := strconv.Atoi(parts[0])
	b, _ := strconv.Atoi(parts[1])
	return a > major || a == major && b >= minor
}
