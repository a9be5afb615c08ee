package admit

import (
	"os"

	"muster/internal/node"
)

// Here is the machine that the programs are started on, by this process.
type Here struct {
	Host    node.Host
	Scratch string // folder below which the programs' files are made
}

func (h Here) Room() node.Room { return h.Host.RoomFor(h.Scratch) }

func (h Here) Pulse() (node.Pulse, error) { return h.Host.Pulse() }

func (h Here) Own() (node.Tree, error) { return h.Host.TreeBelow(os.Getpid()) }

func (h Here) Footprint(pid int) (int64, error) { return h.Host.Footprint(pid) }
