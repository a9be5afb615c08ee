package clock

import (
	"os"
	"strings"
)

// Method is how clocks were compared.
type Method string

const (
	Files   Method = "files"   // through the clock that stamps files on the shared folder
	Socket  Method = "socket"  // by asking a listener on the submitting host
	Machine Method = "machine" // not at all: node and host are one machine, with one clock
	None    Method = "none"    // not at all: the node's clock is taken to be right
)

// Reading is what one comparison gave. Through files it tells by how much the
// clock is ahead of the file server's, through a socket of the submitting host's.
type Reading struct {
	Method Method `json:"method"`
	Ahead  Range  `json:"ahead"`
	Local  bool   `json:"local,omitempty"` // through files: they are on this machine's own disk, its kernel stamps
	Why    string `json:"why,omitempty"`   // nothing was found, for this reason; Ahead says nothing then
}

// Host is what the submitting host knows of its own clock.
type Host struct {
	Boot  string  `json:"boot"`           // see BootID
	Files Reading `json:"files,omitzero"` // against the file server's; zero: not compared
}

// BootID names this machine from its start to its end: where two are the same, one
// kernel keeps the time of both. "" where the kernel does not tell.
func BootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
