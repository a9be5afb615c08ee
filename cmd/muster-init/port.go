package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"muster/internal/guest/vm/wire"
)

// openPort opens the virtio-serial port that the host speaks on, when it is there.
func openPort() (*port, error) {
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			b, err := os.ReadFile(file)
			if err != nil || strings.TrimSpace(string(b)) != wire.PortName {
				continue
			}
			f, err := os.OpenFile("/dev/"+filepath.Base(filepath.Dir(file)), os.O_RDWR, 0)
			switch {
			case err == nil:
				return &port{file: f}, nil
			case !errors.Is(err, os.ErrNotExist): // else its node is about to be made
				return nil, err
			}
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("the machine has no virtio-serial port %q", wire.PortName)
		}
	}
}

// port is a stream that has no end: while no host is at the other end, reading waits for one.
type port struct {
	file   *os.File
	closed atomic.Bool
}

func (p *port) Read(b []byte) (int, error) {
	for {
		n, err := p.file.Read(b)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) || p.closed.Load() {
			return n, err
		}
		time.Sleep(5 * time.Millisecond) // nobody is there, and no way to wait for somebody
	}
}

func (p *port) Write(b []byte) (int, error) { return p.file.Write(b) }

func (p *port) Close() error {
	p.closed.Store(true)
	return p.file.Close()
}
