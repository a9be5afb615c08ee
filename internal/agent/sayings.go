package agent

import "sync"

// sayings is what the guest's driver has to tell a person. There is no journal yet while it prepares the node.
type sayings struct {
	mu   sync.Mutex
	open bool // there is
	kept []string
}

// said implements guest.Node.Tell.
func (a *agent) said(line string) {
	s := &a.sayings
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		s.kept = append(s.kept, line)
		return
	}
	a.note("%s: %s", nodeName(a.Environ, a.machine), line)
}

// passOn notes what was said before there was a journal.
func (a *agent) passOn() {
	s := &a.sayings
	s.mu.Lock()
	s.open = true
	kept := s.kept
	s.kept = nil
	s.mu.Unlock()
	for _, line := range kept {
		a.said(line)
	}
}
