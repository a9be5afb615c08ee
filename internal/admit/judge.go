// Package admit decides whether a number of programs fits on a machine, and holds
// starts back while the machine is short of memory. A launch brings up all its programs at
// once, so what they need is known before most of them are started: it is refused with
// the arithmetic, or goes in waves, and the machine never goes down with it.
//
// Judge, Survey and Waves are pure; Gate puts them together with a machine.
package admit

import (
	"math"

	"muster/internal/node"
)

// Need is what something takes of each resource.
type Need struct {
	Memory      int64 // bytes
	Tasks       int64 // processes and threads
	Descriptors int64 // in the process that starts programs
	Files       int64 // open in the whole machine
	Disk        int64 // bytes in the scratch folder
	Inodes      int64 // files in the scratch folder
}

// Ask is what somebody wants to have alive at the same time.
type Ask struct {
	Programs int
	Each     Need   // of one more program
	Fixed    Need   // of what comes before the first: servers
	Floor    int64  // bytes of memory that must stay free; 0: see Floor
	How      string // where Each.Memory comes from, for a person: "measured over 32 programs"
}

// reserve is what is left to others: a person must still be able to log in and
// look, and muster to take everything down. Of a small bound, a sixteenth.
var reserve = Need{Tasks: 256, Descriptors: 64, Files: 1024, Disk: 64 << 20, Inodes: 256}

// Check is the arithmetic for one resource: the tightest bound on it.
type Check struct {
	Resource Resource
	Bound    node.Bound
	Each     int64
	Fixed    int64
	Keep     int64 // stays free
	Fits     int   // how many programs the bound allows at once
}

// Free is what programs can have of it.
func (c Check) Free() int64 { return max(0, c.Bound.Free()-c.Keep-c.Fixed) }

// Decision is what became of an Ask.
type Decision struct {
	Programs int
	AtOnce   int     // how many of them fit at the same time; Programs when all do
	Checks   []Check // one for each resource that is bounded, in the order of Resources
	How      string  // as asked
	Unknown  []string
}

// OK reports whether all fit at once.
func (d Decision) OK() bool { return d.AtOnce >= d.Programs }

// Tightest is the check that allows the fewest programs; ok is false when nothing
// is bounded.
func (d Decision) Tightest() (c Check, ok bool) {
	for i, check := range d.Checks {
		if i == 0 || check.Fits < c.Fits {
			c = check
		}
	}
	return c, len(d.Checks) > 0
}

// Judge compares what is asked for with what there is. It is pure.
func Judge(a Ask, room node.Room) Decision {
	d := Decision{Programs: a.Programs, AtOnce: a.Programs, How: a.How, Unknown: room.Unknown}
	for _, r := range Resources() {
		bounds, each := r.of(room), r.need(a.Each)
		if each <= 0 {
			continue
		}
		var tightest Check
		for i, b := range bounds {
			c := Check{Resource: r, Bound: b, Each: each, Fixed: r.need(a.Fixed), Keep: min(r.need(reserve), b.Limit/16)}
			if r == Memory {
				c.Keep = Floor(b, a.Floor)
			}
			c.Fits = int(min(c.Free()/each, math.MaxInt32))
			if i == 0 || c.Fits < tightest.Fits {
				tightest = c
			}
		}
		if len(bounds) > 0 {
			d.Checks = append(d.Checks, tightest)
			d.AtOnce = min(d.AtOnce, tightest.Fits)
		}
	}
	return d
}

// leastFloor is what stays free of a bound on memory that is not very small.
const leastFloor = 256 << 20

// Floor is how much of a bound on memory stays free: what was asked for, else 5 %,
// at least 256 MiB; of a very small bound, half.
func Floor(b node.Bound, asked int64) int64 {
	if asked > 0 {
		return asked
	}
	return min(max(b.Limit/20, leastFloor), b.Limit/2)
}

// FloorBeside is the floor of a bound that is to hold so much beside it.
func FloorBeside(bytes, asked int64) int64 {
	if asked > 0 {
		return asked
	}
	return max(bytes/19+1, leastFloor)
}

// Resource is one of the things that can run out.
type Resource string

const (
	Memory      Resource = "memory"
	Tasks       Resource = "processes"
	Descriptors Resource = "descriptors"
	Files       Resource = "open files"
	Disk        Resource = "disk"
	Inodes      Resource = "inodes"
)

// Resources lists all, in the order in which they are shown.
func Resources() []Resource {
	return []Resource{Memory, Tasks, Descriptors, Files, Disk, Inodes}
}

func (r Resource) of(room node.Room) []node.Bound {
	switch r {
	case Memory:
		return room.Memory
	case Tasks:
		return room.Tasks
	case Descriptors:
		return room.Descriptors
	case Files:
		return room.Files
	case Disk:
		return room.Disk
	}
	return room.Inodes
}

func (r Resource) need(n Need) int64 { return *r.in(&n) }

// in is where a Need keeps what it says of r.
func (r Resource) in(n *Need) *int64 {
	switch r {
	case Memory:
		return &n.Memory
	case Tasks:
		return &n.Tasks
	case Descriptors:
		return &n.Descriptors
	case Files:
		return &n.Files
	case Disk:
		return &n.Disk
	}
	return &n.Inodes
}
