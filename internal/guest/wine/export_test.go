package wine

// SetClients makes every server of the guest's instances take n programs only.
func (g *Guest) SetClients(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, node := range g.nodes {
		node.clients = n
	}
}
