package vm

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
)

// The network of --net slot: the instances of one lane are on a segment that nobody else is on. Each machine has one end of a
// pair of sockets, in which a datagram is a frame; the segment has the other, and passes on.

// segments are those of a node, by the name of the group.
type segments struct {
	mu  sync.Mutex
	all map[string]*segment
}

// segment is one. It lasts as long as a machine is on it.
type segment struct {
	mu    sync.Mutex
	ports map[*port]bool
}

// port is a machine's place on a segment.
type port struct {
	segments *segments
	segment  *segment
	group    string
	ours     *os.File
	ended    chan struct{}
}

// maxFrame bounds a frame: what is longer no card of a guest's takes.
const maxFrame = 64 << 10

// pair makes the two ends.
func pair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making the guest's network: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "segment"), os.NewFile(uintptr(fds[1]), "card"), nil
}

// join puts a machine on the segment of its group. theirs is for the machine; the caller closes it when that runs.
func (s *segments) join(group string) (_ *port, theirs *os.File, err error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seg := s.all[group]
	if seg == nil {
		seg = &segment{ports: map[*port]bool{}}
		if s.all == nil {
			s.all = map[string]*segment{}
		}
		s.all[group] = seg
	}
	p := &port{segments: s, segment: seg, group: group, ours: ours, ended: make(chan struct{})}
	seg.mu.Lock()
	seg.ports[p] = true
	seg.mu.Unlock()
	go p.pass()
	return p, theirs, nil
}

// pass gives what the machine sends to all others. A machine that does not keep up misses frames, as on any network.
func (p *port) pass() {
	defer close(p.ended)
	frame := make([]byte, maxFrame)
	for {
		n, err := p.ours.Read(frame)
		if err != nil {
			return
		}
		p.segment.mu.Lock()
		for other := range p.segment.ports {
			if other != p {
				other.send(frame[:n])
			}
		}
		p.segment.mu.Unlock()
	}
}

// send hands a frame to the machine, unless that would have to be waited for.
func (p *port) send(frame []byte) {
	raw, err := p.ours.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Write(func(fd uintptr) bool {
		_ = unix.Sendto(int(fd), frame, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		return true // sent, or dropped
	})
}

// leave takes the machine from the segment.
func (p *port) leave() error {
	p.segments.mu.Lock()
	p.segment.mu.Lock()
	delete(p.segment.ports, p)
	if len(p.segment.ports) == 0 && p.segments.all[p.group] == p.segment {
		delete(p.segments.all, p.group)
	}
	p.segment.mu.Unlock()
	p.segments.mu.Unlock()
	err := p.ours.Close()
	<-p.ended
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// slotName is what the member of that number (from 0) of a group is called by the others.
func slotName(number int) string { return fmt.Sprintf("slot%d", number+1) }

// slotAddress is its address.
func slotAddress(number int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte((number + 1) >> 8), byte(number + 1)})
}

// slotBits is the length of the network's part in it.
const slotBits = 16

// slotHosts are all members, for /etc/hosts.
func slotHosts(p guest.Place) map[string]string {
	hosts := map[string]string{}
	for k := range max(p.Members, 1) {
		hosts[slotName(k)] = slotAddress(k).String()
	}
	return hosts
}
