package stage

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// slots is how many peers a node serves at once.
	slots = 2
	// visitors is how many connections it has at once.
	visitors = 64
	// hints is how many of those that it has served it tells others of.
	hints = 16
	// chunk is what is sent within a stepLimit.
	chunk = 4 << 20
	// farewell is how long it goes on serving those that it serves already when it
	// is to end.
	farewell = 5 * time.Second
)

// Server serves the trees of this node to the other nodes of a run. It is the
// other half of Fanout.
type Server struct {
	listener net.Listener
	slots    chan struct{}
	visitors chan struct{}
	done     sync.WaitGroup // of all goroutines

	mu      sync.Mutex
	m       *meeting
	trees   map[string]*Use // nil: soon
	served  map[string][]address
	conns   map[net.Conn]bool // true: being served
	closing bool
}

// NewServer listens, and serves nothing yet. Close it.
func NewServer() (*Server, error) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		return nil, fmt.Errorf("listening for other nodes: %w", err)
	}
	return &Server{
		listener: l, slots: make(chan struct{}, slots), visitors: make(chan struct{}, visitors),
		trees: map[string]*Use{}, served: map[string][]address{}, conns: map[net.Conn]bool{},
	}, nil
}

// join begins to answer those that know the meeting's token.
func (s *Server) join(m *meeting) {
	s.m = m
	s.done.Go(s.accept)
}

// Expect says that this node is about to have the tree.
func (s *Server) Expect(t Tree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trees[t.Key] == nil {
		s.trees[t.Key] = nil
	}
}

// Serve offers a tree, as long as the claim is held.
func (s *Server) Serve(u *Use) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trees[u.Tree.Key] = u
}

// Forget says that this node will not have the tree.
func (s *Server) Forget(t Tree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.trees, t.Key)
}

// Close ends everything: whoever is being served has a few seconds.
func (s *Server) Close() error {
	err := s.listener.Close()
	if s.m != nil {
		s.m.leave()
	}
	s.mu.Lock()
	s.closing = true
	for c, busy := range s.conns {
		if !busy {
			c.Close()
		}
	}
	s.mu.Unlock()
	gone := make(chan struct{})
	go func() { s.done.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(farewell):
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		<-gone
	}
	return err
}

// addrs lists the addresses under which other nodes may reach the listener.
func (s *Server) addrs() []string {
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return nil
	}
	var out []string
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			out = append(out, net.JoinHostPort(ip.IP.String(), port))
		}
	}
	if len(out) == 0 { // a machine without a network has itself
		out = append(out, net.JoinHostPort("127.0.0.1", port))
	}
	return out
}

func (s *Server) address(id string) address {
	return address{ID: id, Host: hostname(), Addrs: s.addrs()}
}

func (s *Server) accept() {
	for {
		// Who comes while it is full waits with the kernel: a connection that is closed
		// would look like the end of this node.
		s.visitors <- struct{}{}
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, for a while
			<-s.visitors
			time.Sleep(50 * time.Millisecond)
			continue
		}
		s.mark(c, false)
		s.done.Go(func() {
			defer func() {
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
				<-s.visitors
			}()
			// Whatever goes wrong, the other side asks again or elsewhere.
			_ = s.answer(c)
		})
	}
}

func (s *Server) mark(c net.Conn, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = busy
	if s.closing && !busy {
		c.Close()
	}
}

// answer deals with one request.
func (s *Server) answer(c net.Conn) error {
	if err := greet(c, s.m.token, s.m.id); err != nil {
		return err
	}
	var w want
	if err := receive(c, &w, messageLimit); err != nil {
		return err
	}
	u, ans := s.state(w)
	if u == nil {
		return send(c, ans)
	}
	defer func() { <-s.slots }()
	s.mark(c, true)
	if err := send(c, ans); err != nil {
		return err
	}
	root, err := os.OpenRoot(u.Files())
	if err != nil {
		return err
	}
	defer root.Close()
	for _, i := range w.Files {
		e, ok := u.Tree.regular(i)
		if !ok {
			return fmt.Errorf("%w asks for file %d", errPeer, i)
		}
		if err := sendFile(c, root, e.Path, e.Size); err != nil {
			return err
		}
	}
	// Only who was served whole serves on.
	s.mu.Lock()
	defer s.mu.Unlock()
	list := append(s.served[w.Key], w.From)
	s.served[w.Key] = list[max(len(list)-hints, 0):]
	return nil
}

// state says what there is for a request. The claim is nil unless it is to be
// served, and a slot is taken then.
func (s *Server) state(w want) (*Use, answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ans := answer{Peers: s.served[w.Key]}
	u, known := s.trees[w.Key]
	switch {
	case !known || s.closing:
		ans.State = stateAbsent
	case u == nil:
		ans.State = stateSoon
	default:
		select {
		case s.slots <- struct{}{}:
			ans.State = stateSent
			return u, ans
		default:
			ans.State = stateBusy
		}
	}
	return nil, ans
}

// sendFile sends exactly size bytes of a file.
func sendFile(c net.Conn, root *os.Root, name string, size int64) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for size > 0 {
		c.SetDeadline(time.Now().Add(stepLimit))
		n, err := io.Copy(c, io.LimitReader(f, min(size, chunk)))
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		size -= n
	}
	return nil
}
