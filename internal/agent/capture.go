package agent

import (
	"fmt"
	"io"
	"os"
)

// capture is the file that a lane's programs write one of their streams to. It
// is a file and no pipe, since servers that inherit a pipe keep it open for
// ever. Its content is carried into the agent's stream; one file serves all of a
// lane's programs, one after the other.
type capture struct {
	f    *os.File
	fd   int // 1 or 2
	a    *agent
	off  int64 // carried over so far
	kept int64 // of the present program, all in all
	buf  []byte
}

func newCapture(name string, fd int, a *agent) (*capture, error) {
	// Appending, so that the file can be emptied under a program's hands.
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making a file for a program's output: %w", err)
	}
	return &capture{f: f, fd: fd, a: a}, nil
}

// pump carries over what is new. Once more has come than is kept, it empties the
// file, so that a flood fills no disk.
func (c *capture) pump(task, attempt int) error {
	st, err := c.f.Stat()
	if err != nil {
		return err
	}
	if st.Size() < c.off {
		c.off = 0 // the program has emptied it: "> /dev/stderr" does
	}
	for c.off < st.Size() && !c.drowned() {
		if c.buf == nil {
			c.buf = make([]byte, 64<<10)
		}
		n, err := c.f.ReadAt(c.buf[:min(int64(len(c.buf)), st.Size()-c.off)], c.off)
		if n > 0 {
			c.off += int64(n)
			c.kept += int64(n)
			if err := c.a.stream.Write(task, attempt, c.fd, c.buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if rest := st.Size() - c.off; rest > 0 && c.drowned() {
		// Reading what nobody keeps would take longer than writing it.
		c.kept += rest
		c.off = st.Size()
		if err := c.a.stream.Cut(task, attempt, c.fd, rest); err != nil {
			return err
		}
	}
	if c.flooded() && c.off > 0 {
		c.off = 0
		return c.f.Truncate(0)
	}
	return nil
}

// drowned reports that nothing more of what the program writes is kept.
func (c *capture) drowned() bool { return c.flooded() && c.a.spec.MaxLog > 0 }

// flooded reports whether the program has written more than is kept.
func (c *capture) flooded() bool { return c.kept > c.a.spec.MaxLog }

// reset empties the file for the next program.
func (c *capture) reset() {
	c.kept = 0
	if st, err := c.f.Stat(); err == nil && st.Size() == 0 {
		c.off = 0
		return
	}
	c.off = 0
	if err := c.f.Truncate(0); err != nil {
		c.a.Log.Error("emptying a program's output", "err", err)
	}
}

func (c *capture) close() { c.f.Close() }
