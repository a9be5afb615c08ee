package clock

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// Bounds of what a listener lets itself in for.
const (
	maxPeers     = 4096            // connections at once; further ones are closed
	maxStrangers = 512             // of them: that have not proved themselves yet
	peerLimit    = 5 * time.Second // for each step until a peer has proved itself
)

// Listener tells agents the time, and stamps what they tell it. It lives as long
// as somebody follows the run; nothing depends on it.
type Listener struct {
	now   func() time.Time
	hear  func(Event)
	token string
	tcp   net.Listener
	wait  sync.WaitGroup

	mu        sync.Mutex
	peers     map[net.Conn]bool // whether they have proved themselves
	strangers int
	closed    bool

	telling sync.Mutex // of hear
}

// Listen begins to listen on every address of this host, on a port that is free.
// hear is called for each event, one at a time.
func Listen(now func() time.Time, hear func(Event)) (*Listener, error) {
	tcp, err := net.Listen("tcp", ":0")
	if err != nil {
		return nil, fmt.Errorf("listening for agents that ask the time: %w", err)
	}
	l := &Listener{now: now, hear: hear, token: rand.Text(), tcp: tcp, peers: map[net.Conn]bool{}}
	l.wait.Go(l.accept)
	return l, nil
}

// Offer is what agents need to find the listener.
func (l *Listener) Offer() Offer {
	o := Offer{Token: l.token}
	o.Host, _ = os.Hostname()
	port := strconv.Itoa(l.tcp.Addr().(*net.TCPAddr).Port)
	for _, host := range append(ownAddresses(), "127.0.0.1") {
		o.Addrs = append(o.Addrs, net.JoinHostPort(host, port))
	}
	return o
}

// maxAddrs bounds what is offered; each costs an agent that cannot reach it a second.
const maxAddrs = 6

// ownAddresses are this host's addresses that others may reach. The host's name is
// not among them: nodes may know another host by it.
func ownAddresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var four, six []string
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			four = append(four, n.IP.String())
		} else {
			six = append(six, n.IP.String())
		}
	}
	found := append(four, six...)
	return found[:min(len(found), maxAddrs-1)]
}

// Close ends all connections and returns when nothing of the listener is left:
// hear is not called any more.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	for c := range l.peers {
		c.Close()
	}
	l.mu.Unlock()
	err := l.tcp.Close()
	l.wait.Wait()
	return err
}

func (l *Listener) accept() {
	for {
		c, err := l.tcp.Accept()
		if err != nil {
			l.mu.Lock()
			closed := l.closed
			l.mu.Unlock()
			if closed {
				return
			}
			time.Sleep(50 * time.Millisecond) // no descriptors, mostly: others will be given back
			continue
		}
		if !l.admit(c) {
			c.Close()
			continue
		}
		l.wait.Go(func() {
			l.serve(newSpeech(c))
			l.dismiss(c)
		})
	}
}

func (l *Listener) admit(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.peers) >= maxPeers || l.strangers >= maxStrangers {
		return false
	}
	l.peers[c] = false
	l.strangers++
	return true
}

// trust notes that a peer has proved itself.
func (l *Listener) trust(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers[c] = true
	l.strangers--
}

func (l *Listener) dismiss(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.peers[c] {
		l.strangers--
	}
	delete(l.peers, c)
	c.Close()
}

// serve talks with one peer until it goes or says what it should not.
func (l *Listener) serve(s *speech) {
	agent, ok := l.meet(s)
	if !ok {
		return
	}
	l.trust(s.conn)
	for range maxLines {
		words, err := s.hear(0) // an agent is quiet while its programs run
		if err != nil {
			return
		}
		switch {
		case len(words) == 1 && words[0] == "time":
			if s.say(peerLimit, "time %d", l.now().UnixNano()) != nil {
				return
			}
		case len(words) == 3 && words[0] == "event" && len(words[1]) <= maxName:
			stamped := l.now()
			told, err := wall(words[2])
			if err != nil {
				return
			}
			l.tell(Event{Agent: agent, Name: words[1], Told: told, Stamped: stamped})
		default:
			return
		}
	}
}

// meet has the peer prove that it has read the offer.
func (l *Listener) meet(s *speech) (agent string, ok bool) {
	nonce := rand.Text()
	if s.say(peerLimit, greeting+"%s", nonce) != nil {
		return "", false
	}
	words, err := s.hear(peerLimit)
	if err != nil || len(words) != 4 || words[0] != "hello" || !proves(words[3], l.token, "agent", nonce) {
		return "", false
	}
	return words[1], s.say(peerLimit, "ok %s", prove(l.token, "listener", words[2])) == nil
}

func (l *Listener) tell(e Event) {
	l.telling.Lock()
	defer l.telling.Unlock()
	l.hear(e)
}
