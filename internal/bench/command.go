package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"muster/internal/proc"
)

// enough is what is read of a command's streams.
const enough = 1 << 20

// finish runs a command to its end. When ctx ends first, the command is asked to
// end, by SIGTERM, as by a Ctrl-C, and gets so much time to clean up: killing it
// would leave what it has started. The streams are memory files: what it leaves
// behind may keep them open, as it would keep a pipe that somebody waits for.
func finish(ctx context.Context, t *proc.Table, c proc.Cmd, patience time.Duration) (out proc.Output, err error) {
	for _, f := range []**os.File{&c.Stdout, &c.Stderr} {
		if *f, err = proc.Memfile("stream"); err != nil {
			return out, err
		}
		defer (*f).Close()
	}
	child, err := t.Start(c)
	if err != nil {
		return out, err
	}
	out.Exit, err = child.Wait(ctx)
	if err != nil {
		if err := child.Signal(syscall.SIGTERM); err != nil {
			return out, err
		}
		select {
		case <-child.Done():
			return out, err
		case <-time.After(patience):
			return out, fmt.Errorf("%s does not end, although it was asked to", filepath.Base(c.Path))
		}
	}
	if out.Stdout, err = io.ReadAll(io.NewSectionReader(c.Stdout, 0, enough)); err != nil {
		return out, err
	}
	out.Stderr, err = io.ReadAll(io.NewSectionReader(c.Stderr, 0, enough))
	return out, err
}
