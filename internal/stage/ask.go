package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"muster/internal/image"
)

// ask asks a peer for what is left, and takes it when it comes. An error is
// errPeer, or our own disk's; files that came before it count.
func (b *bargain) ask(ctx context.Context, a address) (state, error) {
	c, err := dial(ctx, a)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errPeer, err)
	}
	defer c.Close()
	// Whatever hangs, the end of ctx ends it.
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := introduce(c, b.m.token, a.ID); err != nil {
		return "", err
	}
	if err := send(c, want{Key: b.t.Key, Files: b.left, From: b.server.address(b.m.id)}); err != nil {
		return "", err
	}
	var ans answer
	if err := receive(c, &ans, messageLimit); err != nil {
		return "", err
	}
	for _, p := range ans.Peers {
		if _, known := b.known[p.ID]; !known && p.ID != b.m.id {
			b.known[p.ID] = p
		}
	}
	if ans.State != stateSent {
		return ans.State, nil
	}
	in := patient{c}
	for _, i := range b.left {
		size := b.t.Entries[i].Size
		err := b.put(i, Content{io.LimitReader(in, size), size})
		if errors.Is(err, ErrChanged) {
			err = fmt.Errorf("%w: %w", errPeer, err)
		}
		if err != nil {
			return "", err
		}
	}
	return stateSent, nil
}

// dial connects to a peer.
func dial(ctx context.Context, a address) (net.Conn, error) {
	ctx, done := context.WithTimeout(ctx, dialLimit)
	defer done()
	err := errors.New("it has no address")
	for _, addr := range a.Addrs {
		var d net.Dialer
		var c net.Conn
		if c, err = d.DialContext(ctx, "tcp", addr); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// regular reports whether i is the number of a file of the tree.
func (t *Tree) regular(i int) (image.Entry, bool) {
	if i < 0 || i >= len(t.Entries) || !t.Entries[i].Mode.IsRegular() {
		return image.Entry{}, false
	}
	return t.Entries[i], true
}
