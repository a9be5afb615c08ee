package wine

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Crowd is how the programs of an instance are spread over Wine servers.
type Crowd struct {
	Servers int // opened before the first program is started
	Each    int // programs that one of them should carry; past it another server is opened
}

// A server keeps about five descriptors for each process; a program may start some more
// of its own, and the services of a full boot take theirs. Past its limit of
// descriptors new programs would hang without a word.
const (
	filesPerClient = 10
	filesReserved  = 128
)

// bestClients is how many programs a server should carry for the sake of speed. It
// is one thread, and looks through some of its lists at each start.
const bestClients = 1024

// fewClients is how many programs are worth a server of their own, where more servers
// would keep more processors busy.
const fewClients = 128

// Spread plans the servers for so many programs at once (0: nobody knows), where a server may
// open so many files, on so many processors.
func Spread(programs int, files uint64, cpus int) Crowd {
	c := Crowd{Servers: 1, Each: clientsUnder(files)}
	if programs <= 0 {
		return c
	}
	c.Each = min(c.Each, bestClients)
	c.Servers = max(parts(programs, c.Each), min(cpus, programs/fewClients), 1)
	return c
}

// Spread implements guest.Spreader.
func (g *Guest) Spread(programs int) int {
	return Spread(programs, openFiles(), runtime.NumCPU()).Servers
}

// parts is in how many parts of at most each n go.
func parts(n, each int) int { return (n + each - 1) / each }

// mostClients bounds the programs of a server where nothing else does.
const mostClients = 4096

func clientsUnder(files uint64) int {
	if files < filesReserved+filesPerClient {
		return 1
	}
	return int(min((files-filesReserved)/filesPerClient, mostClients))
}

// openFiles is how many files a server may open: its soft limit is raised to the hard one.
func openFiles() uint64 {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return unix.RLIM_INFINITY
	}
	return files.Max
}
