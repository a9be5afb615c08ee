package wire

import (
	"context"
	"errors"
	"fmt"

	"muster/internal/guest/vm/wire/link"
	"muster/internal/guest/vm/wire/tree"
)

// Put makes all that is in hostDir in guestDir, which is made if it is not there: whole, or an error. What the guest has there
// already stays, unless something of the same name comes. With tree.Follow, links of the host's are replaced by what they lead to.
func (h *Host) Put(ctx context.Context, guestDir, hostDir string, links tree.Links) (tree.Count, error) {
	doing := fmt.Sprintf("bringing %s into the guest", hostDir)
	id := h.conversation()
	w := h.link.Writer(id + Input)
	answer := h.expect(id)
	defer h.forget(id)
	if err := h.say(ctx, Put, id, TreeRequest{Dir: []byte(guestDir)}); err != nil {
		w.Abort(err)
		return tree.Count{}, fmt.Errorf("%s: %w", doing, err)
	}
	release := context.AfterFunc(ctx, func() { w.Abort(context.Cause(ctx)) })
	count, err := tree.Send(ctx, w, hostDir, links)
	release()
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		w.Abort(err)
		if ctx.Err() != nil {
			return count, fmt.Errorf("%s: %w", doing, context.Cause(ctx))
		}
	}
	// Why the guest wanted no more, it says in its answer.
	if e := h.hear(ctx, answer, doing); e != nil && (err == nil || errors.As(err, new(*remote))) {
		return count, e
	}
	if err != nil {
		return count, fmt.Errorf("%s: %w", doing, err)
	}
	return count, nil
}

// Get makes all that is in guestDir in hostDir, which exists: whole, or an error, and then a part of it may be there. What the host has
// there already stays, unless something of the same name comes; nothing outside hostDir is touched, whatever the guest sends.
func (h *Host) Get(ctx context.Context, guestDir, hostDir string, most tree.Limits) (tree.Count, error) {
	doing := fmt.Sprintf("bringing %s from the guest", guestDir)
	id := h.conversation()
	r := h.link.Reader(id + Output)
	answer := h.expect(id)
	defer h.forget(id)
	if err := h.say(ctx, Get, id, TreeRequest{Dir: []byte(guestDir)}); err != nil {
		r.Stop(err)
		return tree.Count{}, fmt.Errorf("%s: %w", doing, err)
	}
	release := context.AfterFunc(ctx, func() { r.Stop(context.Cause(ctx)) })
	count, err := tree.Receive(r, hostDir, most)
	release()
	r.Stop(errEnough) // of what comes after the tree, and of the rest after an error
	if ctx.Err() != nil && err != nil {
		return count, fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	}
	e := h.hear(ctx, answer, doing)
	if e != nil && (err == nil || theirs(err)) {
		return count, e
	}
	if err != nil {
		return count, fmt.Errorf("%s: %w", doing, err)
	}
	return count, nil
}

// Remove removes guestDir and all that is in it; no error when it is not there.
func (h *Host) Remove(ctx context.Context, guestDir string) error {
	return h.ask(ctx, Remove, h.conversation(), TreeRequest{Dir: []byte(guestDir)}, "removing "+guestDir+" in the guest")
}

// errEnough is why nothing more is wanted of a tree.
var errEnough = errors.New("enough")

// remote is what the guest says in a channel.
type remote = link.RemoteError

// theirs: the other side's trouble, of which its answer says more.
func theirs(err error) bool {
	return errors.As(err, new(*remote)) || errors.As(err, new(*tree.SenderError)) || errors.Is(err, tree.ErrBroken)
}
