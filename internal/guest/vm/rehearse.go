package vm

import (
	"context"
	"errors"
	"os"
	"path"
	"time"

	"muster/internal/guest/vm/wire"
	"muster/internal/guest/vm/wire/tree"
)

// quiet is how long a guest is left alone before it is saved: its kernel puts off some work, which each clone
// would have to do otherwise, and nothing tells when that is done.
const quiet = 300 * time.Millisecond

// rehearse has a guest that is about to be saved do once what each of its clones will do. What is the same for all is done then,
// and not in each: the shell and its libraries are in memory, folders are there, muster-init has its threads. An emulated
// processor has to translate what runs, each time anew; so what need not run saves most. Clones are no
// twins by it: each is settled anew.
func rehearse(ctx context.Context, h *wire.Host) error {
	ctx, done := context.WithTimeout(ctx, settleLimit)
	defer done()
	if err := h.Settle(ctx, wire.Settings{Hostname: "muster", Now: time.Now(), Entropy: random(64)}); err != nil {
		return err
	}
	var dirs []string
	for _, dir := range []string{inDir, outDir, workDir, ownDir} {
		dirs = append(dirs, path.Join(dir, "rehearsal"))
	}
	if err := rehearseProgram(ctx, h, dirs); err != nil && !errors.As(err, new(*wire.GuestError)) { // it need not have a shell
		return err
	}
	for _, dir := range dirs {
		if err := h.Remove(ctx, dir); err != nil {
			return err
		}
	}
	if err := h.Rest(ctx); err != nil {
		return err
	}
	select {
	case <-time.After(quiet):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// rehearseProgram runs the shell, and brings back a folder in which nothing is.
func rehearseProgram(ctx context.Context, h *wire.Host, dirs []string) error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	c := wire.Command{Path: "/bin/sh", Args: []string{"-c", "echo"}, Env: environ(nil, tempDir), Dir: dirs[0], Make: dirs}
	p, err := h.Start(ctx, c, wire.Streams{Out: null, Err: null}, nil)
	if err != nil {
		return err
	}
	if _, err := p.Wait(ctx); err != nil {
		return err
	}
	to, err := os.MkdirTemp("", "muster-rehearsal-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(to)
	_, err = h.Get(ctx, dirs[0], to, tree.Limits{})
	return err
}
