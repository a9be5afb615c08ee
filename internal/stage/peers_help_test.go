package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"sync"
	"time"
)

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// between passes bytes on from a server to its clients, and spoils them.
func between(l net.Listener, to string, spoil func(sent int64, b []byte) ([]byte, error)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			s, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer s.Close()
			go io.Copy(s, c)
			var sent int64
			b := make([]byte, 4096)
			for {
				n, err := s.Read(b)
				if err != nil {
					return
				}
				sent += int64(n)
				out, err := spoil(sent, b[:n])
				if err != nil {
					return
				}
				if _, err := c.Write(out); err != nil {
					return
				}
			}
		}()
	}
}

// slow is a central storage that gives all its readers together so many bytes a
// second.
type slow struct {
	rate int64
	mu   sync.Mutex
	free time.Time // when the next byte can go
}

func (s *slow) Fetch(ctx context.Context, t *Tree, want []int, put Put) (string, error) {
	return Central{}.Fetch(ctx, t, want, func(i int, content Content) error {
		return put(i, Content{slowReader{s, content}, content.Size})
	})
}

type slowReader struct {
	s *slow
	r io.Reader
}

func (r slowReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b[:min(len(b), 32<<10)])
	r.s.mu.Lock()
	if now := time.Now(); r.s.free.Before(now) {
		r.s.free = now
	}
	r.s.free = r.s.free.Add(time.Duration(n) * time.Second / time.Duration(r.s.rate))
	until := r.s.free
	r.s.mu.Unlock()
	time.Sleep(time.Until(until))
	return n, err
}
