package stage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A fan-out from node to node: of the nodes of a run only the first few, those
// with a seat, read the central storage; each other one fetches from a node that has
// the tree, and then serves it as well. They meet in a folder that all see, the
// run's own:
//
//	token            a secret that all peers prove to know
//	seat.KEY.N       taken by link(2); names who may read the central storage
//	peer.ID          where a node listens; there before the node has anything
//
// Only the meeting goes through the shared folder. Whether a peer lives and what
// it has is asked over the network, which tells at once; a listing of a network
// file system may be half a minute old, so peers also tell of one another.

// seats is how many nodes read the central storage at once. The seat of one that died is
// taken by another.
const seats = 2

// address is a peer's file.
type address struct {
	ID    string   `json:"id"`
	Host  string   `json:"host"`
	Addrs []string `json:"addrs"` // of the same listener, in the order in which to try them
}

// meeting is the folder in which peers meet.
type meeting struct {
	dir   string
	id    string // our own
	token []byte
}

// meet opens the folder and agrees on the token.
func meet(dir, id string) (*meeting, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the folder in which nodes meet: %w", err)
	}
	m := &meeting{dir: dir, id: id}
	err := m.create("token", []byte(rand.Text()))
	if err == nil || errors.Is(err, fs.ErrExist) {
		m.token, err = os.ReadFile(filepath.Join(dir, "token"))
	}
	if err == nil && len(m.token) < 26 {
		err = errors.New("it is too short")
	}
	if err != nil {
		return nil, fmt.Errorf("the nodes' token: %w", err)
	}
	return m, nil
}

// create makes a file of that name and content; of several at once one succeeds
// and the others get fs.ErrExist.
func (m *meeting) create(name string, content []byte) error {
	f, err := os.CreateTemp(m.dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	to := filepath.Join(m.dir, name)
	err = os.Link(f.Name(), to)
	if err == nil {
		return nil
	}
	// NFS repeats a request whose answer was lost, and then says that the link exists.
	a, errA := os.Stat(f.Name())
	b, errB := os.Stat(to)
	if errA == nil && errB == nil && os.SameFile(a, b) {
		return nil
	}
	return err
}

// seat takes a free seat of a tree, as long as fewer than n are held by peers that
// are neither dead nor have left.
func (m *meeting) seat(key string, n int, dead map[string]bool) (bool, error) {
	for i := 1; n > 0; i++ {
		name := fmt.Sprintf("seat.%s.%d", key, i)
		err := m.create(name, []byte(m.id))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return false, err
		}
		holder, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil {
			return false, err
		}
		_, left := os.Stat(filepath.Join(m.dir, "peer."+string(holder)))
		if !dead[string(holder)] && !errors.Is(left, fs.ErrNotExist) {
			n--
		}
	}
	return false, nil
}

// announce says where we listen.
func (m *meeting) announce(a address) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return m.create("peer."+m.id, text)
}

// leave takes our address away.
func (m *meeting) leave() { os.Remove(filepath.Join(m.dir, "peer."+m.id)) }

// others lists the peers that have announced themselves.
func (m *meeting) others() []address {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return nil
	}
	var out []address
	for _, e := range entries {
		id, ok := strings.CutPrefix(e.Name(), "peer.")
		if !ok || id == m.id {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.dir, e.Name()))
		var a address
		if err == nil && json.Unmarshal(text, &a) == nil && a.ID == id {
			out = append(out, a)
		}
	}
	return out
}

// How long a node is patient before it reads the central storage all the same.
const (
	loneliness = 10 * time.Second // without any peer that lives
	patience   = 5 * time.Minute  // while those that live have nothing for it
	relist     = 2 * time.Second  // between looks into the shared folder
)

// Fanout is the source of a node that takes part in a fan-out.
type Fanout struct {
	server *Server
	m      *meeting
	Direct Source // the central storage

	loneliness, patience time.Duration
}

// NewFanout joins the fan-out that meets in dir; id is unique in it. server serves what
// this node has, and is told of by the folder. Close the server to leave.
func NewFanout(dir, id string, server *Server) (*Fanout, error) {
	m, err := meet(dir, id)
	if err != nil {
		return nil, err
	}
	server.join(m)
	if err := m.announce(address{ID: id, Host: hostname(), Addrs: server.addrs()}); err != nil {
		return nil, fmt.Errorf("telling the other nodes where this one listens: %w", err)
	}
	return &Fanout{server: server, m: m, Direct: Central{}, loneliness: loneliness, patience: patience}, nil
}

func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return "?"
	}
	return h
}

// Fetch implements Source. What has no checksums is read from the central storage:
// nobody could tell whether a peer sent the right thing.
func (f *Fanout) Fetch(ctx context.Context, t *Tree, want []int, put Put) (string, error) {
	if len(want) == 0 || !t.summed() {
		return f.Direct.Fetch(ctx, t, want, put)
	}
	here := make(map[int]bool, len(want))
	b := &bargain{Fanout: f, t: t, dead: map[string]bool{}, known: map[string]address{}, left: want}
	b.put = func(i int, c Content) error {
		err := put(i, c)
		if err == nil {
			here[i] = true
		}
		return err
	}
	b.here = here
	how, err := b.run(ctx)
	if err != nil || len(b.left) == 0 {
		return how, err
	}
	direct, err := f.Direct.Fetch(ctx, t, b.left, put)
	if how == "" {
		how = direct
	}
	return how, err
}

// bargain is one tree's way to this node.
type bargain struct {
	*Fanout
	t      *Tree
	put    Put
	here   map[int]bool // files that have come
	left   []int
	known  map[string]address
	dead   map[string]bool
	looked time.Time
}

// run fetches from peers what it can, and returns when the rest, which may be
// everything, is to be read from the central storage.
func (b *bargain) run(ctx context.Context) (how string, err error) {
	began := time.Now()
	alive := began
	for {
		if b.look() {
			if ok, err := b.m.seat(b.t.Key, seats, b.dead); err != nil || ok {
				return how, nil // where no seat can be had at all, everybody reads for himself
			}
		}
		for id, a := range b.known {
			if b.dead[id] {
				continue
			}
			state, err := b.ask(ctx, a)
			b.forget()
			switch {
			case ctx.Err() != nil:
				return how, ctx.Err()
			case errors.Is(err, errPeer):
				b.dead[id] = true
				continue
			case err != nil:
				return how, err // our own disk
			case state == stateSent:
				return Peer + " " + a.Host, nil
			case state != stateAbsent:
				alive = time.Now()
			}
		}
		if time.Since(alive) > b.loneliness || time.Since(began) > b.patience {
			return how, nil
		}
		select {
		case <-ctx.Done():
			return how, ctx.Err()
		case <-time.After(50*time.Millisecond + min(time.Since(began)/10, time.Second)):
		}
	}
}

// look lists the peers and reports true, or does nothing: it is done not too often.
func (b *bargain) look() bool {
	if !b.looked.IsZero() && time.Since(b.looked) < relist {
		return false
	}
	b.looked = time.Now()
	for _, a := range b.m.others() {
		b.known[a.ID] = a
	}
	return true
}

// forget takes the files that have come off the list.
func (b *bargain) forget() {
	var left []int
	for _, i := range b.left {
		if !b.here[i] {
			left = append(left, i)
		}
	}
	b.left = left
}
