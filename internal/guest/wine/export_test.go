package wine

// SetClients makes every server of an instance take n programs only.
func SetClients(of any, n int) { of.(*instance).crowd.Each = n }

// SetFiles makes the guest plan instances as if servers could open so many files.
func (g *Guest) SetFiles(n uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, node := range g.nodes {
		node.files = n
	}
}

// FilesFor is a limit under which a server takes n programs.
func FilesFor(n int) uint64 { return filesReserved + uint64(n)*filesPerClient }
