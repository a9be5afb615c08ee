package admit

import (
	"muster/internal/guest"
	"muster/internal/job"
)

// ownFiles are muster's own for each program: a work folder, and a file for each stream.
const ownFiles = 3

// Servers is what so many servers take in any case, that come before the first program of isolation node.
func Servers(t guest.Traits, n int) Need {
	i, k := t.Instance, int64(n)
	return Need{Memory: k * i.Memory, Tasks: k * i.Tasks, Files: k * i.Open, Inodes: k * i.Inodes}
}

// Least is what one more program of a kind of guest takes in any case.
func Least(t guest.Traits, isolation job.Isolation) Need {
	n := Need{Memory: t.Program.Memory, Tasks: t.Program.Tasks, Files: t.Program.Open, Inodes: t.Program.Inodes + ownFiles}
	if isolation != job.IsolateNode { // an instance each
		i := t.Instance
		n.Memory, n.Tasks, n.Files, n.Inodes = n.Memory+i.Memory, n.Tasks+i.Tasks, n.Files+i.Open, n.Inodes+i.Inodes
	}
	return n
}
