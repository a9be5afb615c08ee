package stage

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// peer is a node of a test: its own stage, in one process with the others.
type peer struct {
	store  *Store
	server *Server
	from   *Fanout
	use    *Use
}

func newPeer(t testing.TB, dir, meeting string, n int, direct Source) *peer {
	t.Helper()
	store, err := Open(filepath.Join(dir, fmt.Sprintf("node%d", n)), 0)
	if err != nil {
		t.Fatal(err)
	}
	x := &peer{store: store}
	if x.server, err = NewServer(); err != nil {
		t.Fatal(err)
	}
	if x.from, err = NewFanout(meeting, fmt.Sprintf("n%d", n), x.server); err != nil {
		t.Fatal(err)
	}
	x.from.Direct = direct
	return x
}

// get is what an agent's node does for a tree.
func (n *peer) get(ctx context.Context, tree Tree) (err error) {
	n.server.Expect(tree)
	if n.use, err = n.store.Acquire(ctx, tree, n.from); err != nil {
		n.server.Forget(tree)
		return err
	}
	n.server.Serve(n.use)
	return nil
}

func (n *peer) close() {
	n.server.Close()
	if n.use != nil {
		n.use.Close()
	}
}

func TestFanout(t *testing.T) {
	defer goleak.VerifyNone(t)
	src := program(t, 300)
	tree := describe(t, src, true)
	dir, meeting := open(t, 0).Dir(), filepath.Join(t.TempDir(), "meet")
	var central counting
	var nodes [8]*peer
	var wg sync.WaitGroup
	for i := range nodes {
		nodes[i] = newPeer(t, dir, meeting, i, &central)
		defer nodes[i].close()
	}
	for _, n := range nodes {
		wg.Go(func() {
			if err := n.get(t.Context(), tree); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if n := central.fetches.Load(); n != seats {
		t.Errorf("%d nodes read the central storage, and there are %d seats", n, seats)
	}
	peers := 0
	for _, n := range nodes {
		sameFiles(t, src, n.use.Files())
		if strings.HasPrefix(n.use.How, Peer) {
			peers++
		}
	}
	if peers != len(nodes)-seats {
		t.Errorf("%d nodes fetched from a peer", peers)
	}
}

// Those with a seat die in the middle: others take their seats, and everybody gets the tree.
func TestFanoutDeadPeers(t *testing.T) {
	defer goleak.VerifyNone(t)
	src := program(t, 300)
	tree := describe(t, src, true)
	dir, meeting := open(t, 0).Dir(), filepath.Join(t.TempDir(), "meet")
	var wg sync.WaitGroup
	// The first two stop half-way, without a farewell.
	for i := range seats {
		ctx, stop := context.WithCancel(t.Context())
		half := &counting{}
		half.before = func(int) {
			if half.files.Load() > 100 {
				stop()
			}
		}
		dead := newPeer(t, dir, meeting, 100+i, half)
		if err := dead.get(ctx, tree); err == nil {
			t.Fatal("it was to die")
		}
		dead.server.listener.Close() // its address stays, as a killed one's
		dead.server.done.Wait()
		stop()
	}
	var central counting
	var nodes [6]*peer
	for i := range nodes {
		nodes[i] = newPeer(t, dir, meeting, i, &central)
		defer nodes[i].close()
		wg.Go(func() {
			if err := nodes[i].get(t.Context(), tree); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, n := range nodes {
		sameFiles(t, src, n.use.Files())
	}
	if n := central.fetches.Load(); n != seats {
		t.Errorf("%d nodes read the central storage; the dead ones' %d seats were free", n, seats)
	}
}

// A peer that ends, hangs up or sends something else in the middle: what came
// whole counts, the rest is had elsewhere.
func TestFanoutBadPeer(t *testing.T) {
	src := program(t, 100)
	tree := describe(t, src, true)
	for name, spoil := range map[string]func(int64, []byte) ([]byte, error){
		"hangs up": func(n int64, b []byte) ([]byte, error) {
			if n > 20_000 {
				return nil, io.ErrClosedPipe
			}
			return b, nil
		},
		"flips a bit": func(n int64, b []byte) ([]byte, error) {
			if n > 20_000 {
				b[len(b)/2] ^= 4
			}
			return b, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, meeting := open(t, 0).Dir(), filepath.Join(t.TempDir(), "meet")
			good := newPeer(t, dir, meeting, 0, Central{})
			defer good.close()
			must(t, good.get(t.Context(), tree))
			// Its address is that of a go-between.
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			go between(l, good.server.listener.Addr().String(), spoil)
			var central counting
			next := newPeer(t, dir, meeting, 1, &central)
			defer next.close()
			b := &bargain{Fanout: next.from, t: &tree, here: map[int]bool{}, dead: map[string]bool{}, known: map[string]address{}}
			for i := range tree.Entries {
				if _, ok := tree.regular(i); ok {
					b.left = append(b.left, i)
				}
			}
			b.put = func(i int, c Content) error {
				content, err := io.ReadAll(c)
				if err != nil {
					return err
				}
				if digestOf(content) != tree.Entries[i].Hash {
					return ErrChanged
				}
				b.here[i] = true
				return nil
			}
			all := len(b.left)
			_, err = b.ask(t.Context(), address{ID: "n0", Addrs: []string{l.Addr().String()}})
			b.forget()
			if err == nil || len(b.left) == 0 || len(b.left) == all {
				t.Errorf("error %v, %d of %d files left; want an error, and a part", err, len(b.left), all)
			}
		})
	}
}

// Who does not know the token gets nothing, and a listener that does not know it is found out.
func TestFanoutStranger(t *testing.T) {
	src := program(t, 10)
	tree := describe(t, src, true)
	dir := open(t, 0).Dir()
	good := newPeer(t, dir, filepath.Join(t.TempDir(), "meet"), 0, Central{})
	defer good.close()
	must(t, good.get(t.Context(), tree))
	stranger := newPeer(t, dir, filepath.Join(t.TempDir(), "elsewhere"), 1, Central{})
	defer stranger.close()
	b := &bargain{Fanout: stranger.from, t: &tree, left: []int{0}}
	if _, err := b.ask(t.Context(), good.server.address("n0")); err == nil {
		t.Error("a stranger was served")
	}
	if _, err := b.ask(t.Context(), good.server.address("n7")); err == nil || !strings.Contains(err.Error(), "another one") {
		t.Errorf("the wrong node was taken for the right one: %v", err)
	}
	// A request for what is no file of the tree.
	c, err := net.Dial("tcp", good.server.listener.Addr().String())
	must(t, err)
	defer c.Close()
	must(t, introduce(c, good.server.m.token, "n0"))
	must(t, send(c, want{Key: tree.Key, Files: []int{1 << 40, -1}}))
	var a answer
	must(t, receive(c, &a, messageLimit))
	if n, err := io.Copy(io.Discard, c); n != 0 || err != nil {
		t.Errorf("it sent %d bytes (%v)", n, err)
	}
}

// Peers that nobody can reach are not waited for.
func TestFanoutAlone(t *testing.T) {
	src := program(t, 20)
	tree := describe(t, src, true)
	dir, meeting := open(t, 0).Dir(), filepath.Join(t.TempDir(), "meet")
	var central counting
	n := newPeer(t, dir, meeting, 0, &central)
	defer n.close()
	n.from.loneliness = 200 * time.Millisecond
	for i := range seats { // held by those that announce an address without anybody
		m := *n.server.m
		m.id = fmt.Sprintf("silent%d", i)
		must(t, m.announce(address{ID: m.id, Addrs: nil}))
		if ok, err := m.seat(tree.Key, seats, nil); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	must(t, n.get(t.Context(), tree))
	if n.use.How != Copied || central.fetches.Load() != 1 {
		t.Errorf("it was %s", n.use.How)
	}
}

func TestSeats(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "meet")
	var got atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		m, err := meet(dir, fmt.Sprintf("n%d", i))
		must(t, err)
		must(t, m.announce(address{ID: m.id}))
		wg.Go(func() {
			ok, err := m.seat("key", seats, nil)
			if err != nil {
				t.Error(err)
			}
			if ok {
				got.Add(1)
			}
		})
	}
	wg.Wait()
	if got.Load() != seats {
		t.Errorf("%d of 50 have a seat, and there are %d", got.Load(), seats)
	}
	if st, err := os.Stat(filepath.Join(dir, "token")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the token's mode: %v %v", st.Mode(), err)
	}
}
