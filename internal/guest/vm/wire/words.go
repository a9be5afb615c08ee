// Package wire is what a host and the guest in a virtual machine say to each other over
// one byte stream, and the host's half of it. The guest's half is in wire/inside.
//
// The host asks and the guest answers; a guest never begins. So nothing of an earlier
// conversation is on its way when a saved guest is resumed: the host greets it, and goes on.
//
// Whatever comes from a guest is hostile: bounded, checked, and never a path that leaves its folder.
package wire

import (
	"net/netip"
	"time"

	"muster/internal/guest/vm/wire/link"
)

// Version is the protocol's. Both sides have to be of the same.
const Version = 2

// PortName is the name of the virtio-serial port that the guest listens on.
const PortName = "muster"

// Scratch is the guest's folder on the disk that is thrown away with it; there, a new file costs least.
const Scratch = "/muster"

// What is said. A conversation has an id, a multiple of Stride, chosen by the host; its channels have
// the ids that follow.
const (
	Greet    = link.Message + iota // host: Greeting; always the first
	Welcome                        // guest: Hello
	Settle                         // host: Settings
	Start                          // host: StartRequest; its channels: Input, Output, Errors
	Signal                         // host: SignalRequest
	Put                            // host: TreeRequest, then a tree in Input
	Get                            // host: TreeRequest; a tree comes in Output
	Remove                         // host: TreeRequest
	PowerOff                       // host: nothing
	Answer                         // guest: Reply, to all but Greet
	Ended                          // guest: Exit of the program of that id; what it wrote was sent before
	More                           // host: the beginning of a long message; what follows is added to it
	Rest                           // host: nothing; the guest is about to be saved
)

// MaxMessage bounds a message that comes in several frames: a program's arguments and environment have to fit.
const MaxMessage = 8 << 20

// Stride is the distance between ids of conversations; Input, Output and Errors are the channels between.
const (
	Stride = 4
	Input  = 1
	Output = 2
	Errors = 3
)

// Greeting is the host's first word, also to a guest that it has resumed.
type Greeting struct {
	Version int    `json:"version"`
	Nonce   uint64 `json:"nonce"` // comes back in Hello
}

// Hello is what a guest says of itself.
type Hello struct {
	Version int    `json:"version"`
	Nonce   uint64 `json:"nonce"`
	Boot    string `json:"boot"`   // the kernel's boot id: the same in all that were resumed from one state
	Kernel  string `json:"kernel"` // its release
	CPUs    int    `json:"cpus"`
	Memory  int64  `json:"memory"` // bytes
	Cells   bool   `json:"cells"`  // programs live in control groups: they end as a whole, and running out of memory is told
	UpTime  int64  `json:"uptime"` // nanoseconds since the kernel began
}

// Settings make a guest itself, and no twin of others that came from the same state.
type Settings struct {
	Hostname  string            `json:"hostname,omitempty"`
	MachineID string            `json:"machine_id,omitempty"` // 32 hexadecimal digits; "": one is drawn from the random pool
	Now       time.Time         `json:"now"`                  // zero: the clock stays as it is
	Entropy   []byte            `json:"entropy,omitempty"`    // mixed into the random pool and counted; 32 bytes at least
	Net       []Interface       `json:"net,omitempty"`
	Hosts     map[string]string `json:"hosts,omitempty"` // name → address, for /etc/hosts
	DNS       []netip.Addr      `json:"dns,omitempty"`
	Mounts    []Mount           `json:"mounts,omitempty"` // in this order
}

// Interface is a network interface, found by the address of its hardware before Settle, or by its name.
type Interface struct {
	Name    string       `json:"name"`              // eth0
	MAC     string       `json:"mac,omitempty"`     // what it gets; "": it keeps its own
	Address netip.Prefix `json:"address"`           // 10.0.2.15/24
	Gateway netip.Addr   `json:"gateway,omitempty"` // of everything else; invalid: none
}

// Mount shows a disk, or a folder that is there already, at a place.
type Mount struct {
	Device string `json:"device,omitempty"` // its serial number, as the machine gave it, or its name below /dev; what the kernel remembers of its content is dropped first
	Type   string `json:"type,omitempty"`   // of the file system: erofs
	From   string `json:"from,omitempty"`   // without a device: the folder
	At     string `json:"at"`               // made if it is not there
	Write  bool   `json:"write,omitempty"`  // read-only otherwise
}

// StartRequest asks for a program. Its texts are bytes, since JSON would mend what is no UTF-8.
type StartRequest struct {
	Path []byte   `json:"path"` // absolute
	Args [][]byte `json:"args"` // without the program's name
	Env  [][]byte `json:"env"`  // NAME=VALUE; all of it
	Dir  []byte   `json:"dir"`
	Make [][]byte `json:"make,omitempty"` // folders that are made before

	Input  bool `json:"input"`  // standard input comes in its channel; otherwise there is none
	Output bool `json:"output"` // standard output is wanted
	Errors bool `json:"errors"` // standard error is wanted
	Merged bool `json:"merged"` // both are one, and come in Output
}

// SignalRequest asks for a signal; see Program.Signal for whom it reaches.
type SignalRequest struct {
	Program uint32 `json:"program"` // the id of its conversation
	Signal  int    `json:"signal"`
}

// TreeRequest names a folder in the guest.
type TreeRequest struct {
	Dir []byte `json:"dir"`
}

// Reply answers a request: it was done, or why not.
type Reply struct {
	Error string `json:"error,omitempty"`
	Errno int    `json:"errno,omitempty"` // the system's number for it, where there is one
}

// Exit is how a program ended.
type Exit struct {
	Code        int           `json:"code"`             // 0–255; 0 when a signal ended it
	Signal      int           `json:"signal,omitempty"` //
	User        time.Duration `json:"user"`             // CPU time of the program and its waited-for children
	System      time.Duration `json:"system"`           //
	MaxRSS      int64         `json:"maxrss"`           // bytes, of the largest process
	OutOfMemory bool          `json:"oom,omitempty"`    // the guest's kernel killed something of it for lack of memory
	Lost        string        `json:"lost,omitempty"`   // output that could not be had, and why
}
