package inside

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"muster/internal/guest/vm/wire"
	"muster/internal/guest/vm/wire/link"
)

// drain bounds how long is waited for one more byte of an output stream after everything of the program was
// killed: somebody who cannot be killed may hold it.
const drain = 5 * time.Second

// streams are a program's standard streams: the ends that are its own, and ours.
type streams struct {
	theirs [3]*os.File
	in     *os.File // we write
	out    [2]*os.File
	to     [2]*link.Writer
	work   sync.WaitGroup
	over   atomic.Bool // the program has ended
}

// openStreams makes pipes for what is wanted; the rest is /dev/null.
func openStreams(p *program, r wire.StartRequest) (s *streams, err error) {
	s = &streams{}
	defer func() {
		if err != nil {
			s.closeTheirs()
			s.closeOurs()
		}
	}()
	if r.Input {
		if s.theirs[0], s.in, err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	for i, wanted := range []bool{r.Output, r.Errors} {
		if wanted {
			if s.out[i], s.theirs[1+i], err = os.Pipe(); err != nil {
				return nil, err
			}
			s.to[i] = p.server.link.Writer(p.id + wire.Output + uint32(i))
		}
	}
	if r.Merged {
		s.theirs[2] = s.theirs[1]
	}
	for i := range s.theirs {
		if s.theirs[i] == nil {
			if s.theirs[i], err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func (s *streams) fds() []uintptr {
	var fds []uintptr
	for _, f := range s.theirs {
		fds = append(fds, f.Fd())
	}
	return fds
}

func (s *streams) closeTheirs() {
	for _, f := range s.theirs {
		_ = f.Close() // nil or closed: an error, and none of ours
	}
}

// closeOurs lets go of all when the program did not start.
func (s *streams) closeOurs() {
	_ = s.in.Close()
	for i, f := range s.out {
		_ = f.Close()
		if s.to[i] != nil {
			s.to[i].Abort(errNotStarted)
		}
	}
}

var errNotStarted = errors.New("the program did not start")

// begin begins to carry bytes.
func (s *streams) begin(p *program) {
	if s.in != nil {
		s.work.Go(func() {
			_, err := io.Copy(plainWriter{s.in}, p.in)
			_ = s.in.Close()
			if err != nil {
				p.in.Stop(err) // the program wants no more
			}
		})
	}
	for i := range s.out {
		if s.out[i] != nil {
			s.work.Go(func() { s.carry(s.out[i], s.to[i]) })
		}
	}
}

type plainWriter struct{ io.Writer }

// carry sends what the program writes.
func (s *streams) carry(from *os.File, to *link.Writer) {
	defer func() { _ = from.Close() }() // if the host wants no more, the program hears of it
	buf := make([]byte, 64<<10)
	for {
		if s.over.Load() {
			_ = from.SetReadDeadline(time.Now().Add(drain))
		}
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded):
			_ = to.Close()
			return
		default:
			to.Abort(err)
			return
		}
	}
}

// finish waits until all that the program wrote has been sent.
func (s *streams) finish(p *program) {
	if p.in != nil {
		_ = s.in.SetWriteDeadline(time.Now()) // nobody reads any more
		p.in.Stop(errEnded)
	}
	s.over.Store(true)
	for _, f := range s.out {
		_ = f.SetReadDeadline(time.Now().Add(drain)) // of a read that waits already
	}
	s.work.Wait()
}

var errEnded = errors.New("the program has ended")
