package admit

import (
	"fmt"
	"strings"
	"testing"

	"muster/internal/goldentest"
	"muster/internal/node"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// desk is a machine of 24 GiB with nothing special about it.
func desk() node.Room {
	return node.Room{
		Memory:      []node.Bound{{By: "this machine's memory", Limit: 24 * gib, Used: 2 * gib}},
		Tasks:       []node.Bound{{By: "kernel.pid_max", Limit: 32768, Used: 358, Raise: "root raises it with sysctl -w kernel.pid_max=N"}, {By: "kernel.threads-max", Limit: 192686, Used: 358}},
		Descriptors: []node.Bound{{By: "RLIMIT_NOFILE", Limit: 20000, Used: 12}},
		Files:       []node.Bound{{By: "fs.file-max", Limit: 2465610, Used: 2874}},
		Disk:        []node.Bound{{By: "the disk of /tmp", Limit: 100 * gib, Used: 40 * gib}},
		Inodes:      []node.Bound{{By: "the inodes of /tmp", Limit: 6000000}},
	}
}

// in is desk with another bound on a resource.
func in(r Resource, b node.Bound) node.Room {
	room := desk()
	switch r {
	case Memory:
		room.Memory = append(room.Memory, b)
	case Tasks:
		room.Tasks = append(room.Tasks, b)
	case Inodes:
		room.Inodes = []node.Bound{b}
	}
	return room
}

var probe = Need{Memory: 11 * mib / 10, Tasks: 1, Files: 15, Disk: 8192, Inodes: 3}

var asks = []struct {
	name   string
	ask    Ask
	room   node.Room
	atOnce int
	by     string // of the tightest bound
}{
	{"fits", Ask{Programs: 16384, Each: probe, How: "measured over 64 programs, 10 % added"}, desk(), 16384, "this machine's memory"},
	{"a cgroup of 4 GiB", Ask{Programs: 16384, Each: probe, How: "measured over 64 programs, 10 % added"},
		in(Memory, node.Bound{By: "memory cgroup /user.slice", Limit: 4 * gib, Used: 100 * mib, Raise: "whoever made the group can raise it, in memory.max"}), 3400, "memory cgroup /user.slice"},
	{"servers come before", Ask{Programs: 16384, Each: probe, Fixed: Need{Memory: gib, Tasks: 120}},
		in(Memory, node.Bound{By: "memory cgroup /user.slice", Limit: 4 * gib, Used: 100 * mib}), 2469, "memory cgroup /user.slice"},
	{"a floor that was asked for", Ask{Programs: 100, Each: Need{Memory: gib}, Floor: 20 * gib}, desk(), 2, "this machine's memory"},
	{"nothing is left", Ask{Programs: 10, Each: probe},
		in(Memory, node.Bound{By: "memory cgroup /full", Limit: gib, Used: gib}), 0, "memory cgroup /full"},
	{"more in use than allowed", Ask{Programs: 10, Each: probe},
		in(Memory, node.Bound{By: "memory cgroup /shrunk", Limit: gib, Used: 2 * gib}), 0, "memory cgroup /shrunk"},
	{"numbers of processes", Ask{Programs: 16384, Each: Need{Memory: mib, Tasks: 2}}, desk(), 16077, "kernel.pid_max"},
	{"an ordinary user's processes", Ask{Programs: 1000, Each: Need{Memory: mib, Tasks: 1}},
		in(Tasks, node.Bound{By: "RLIMIT_NPROC of user 1000", Limit: 600, Used: 44, Raise: "ulimit -u raises it for this shell"}), 519, "RLIMIT_NPROC of user 1000"},
	{"descriptors", Ask{Programs: 16384, Each: Need{Descriptors: 2}}, desk(), 9962, "RLIMIT_NOFILE"},
	{"inodes", Ask{Programs: 1000, Each: probe}, in(Inodes, node.Bound{By: "the inodes of /dev/shm", Limit: 1000}), 312, "the inodes of /dev/shm"},
	{"one program", Ask{Programs: 1, Each: probe}, desk(), 1, "kernel.pid_max"},
	{"nothing is bounded", Ask{Programs: 10, Each: probe}, node.Room{Unknown: []string{"memory: no such file"}}, 10, ""},
}

func TestJudge(t *testing.T) {
	for _, c := range asks {
		t.Run(c.name, func(t *testing.T) {
			d := Judge(c.ask, c.room)
			if d.AtOnce != c.atOnce || d.OK() != (c.atOnce >= c.ask.Programs) {
				t.Errorf("%d at once (OK: %v), want %d\n%s", d.AtOnce, d.OK(), c.atOnce, d.Table())
			}
			if check, _ := d.Tightest(); c.by != "" && !d.OK() && check.Bound.By != c.by {
				t.Errorf("%q decides, want %q", check.Bound.By, c.by)
			}
		})
	}
}

// TestText shows what a person reads.
func TestText(t *testing.T) {
	var b strings.Builder
	for _, c := range asks {
		d := Judge(c.ask, c.room)
		fmt.Fprintf(&b, "== %s\n%s\nwaves: %s\nhint: %s\n%sneeds\n%s\n", c.name, d.Line(), d.WavesLine(), d.Hint(), d.Table(), c.ask.Needs())
	}
	goldentest.Check(t, "text.golden", b.String())
}

func TestFloor(t *testing.T) {
	for _, c := range []struct{ limit, asked, want int64 }{
		{24 * gib, 0, 24 * gib / 20}, {4 * gib, 0, 256 * mib}, {256 * mib, 0, 128 * mib}, {24 * gib, 7 * mib, 7 * mib},
	} {
		if got := Floor(node.Bound{Limit: c.limit}, c.asked); got != c.want {
			t.Errorf("floor of %d, asked %d: %d, want %d", c.limit, c.asked, got, c.want)
		}
	}
	// Whoever asks for room and floor gets the room.
	for _, bytes := range []int64{1, mib, gib, 5*gib - 1, 100 * gib} {
		for _, asked := range []int64{0, mib, gib} {
			limit := bytes + FloorBeside(bytes, asked)
			if left := limit - Floor(node.Bound{Limit: limit}, asked); left < bytes {
				t.Errorf("of %d for %d bytes, floor %d, only %d are left", limit, bytes, asked, left)
			}
		}
	}
}
