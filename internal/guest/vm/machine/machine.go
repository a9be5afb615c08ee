// Package machine is one QEMU process as an object: its command line, its life, what it says while it
// dies, and its state, saved and resumed. It hands out the byte stream to the guest and knows nothing of
// what is said on it, and nothing of what is in the images that it boots.
//
// A machine makes no file and no named socket: the monitor, the stream and the console are socket pairs whose
// other ends QEMU inherits. So nothing of it is left on disk, however it ends.
package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/proc"
)

// Host is what machines are started with on this host.
type Host struct {
	Table *proc.Table
	QEMU  QEMU
}

// Machine is a QEMU process. Its methods may be called by several goroutines at once. Close it.
type Machine struct {
	config  Config
	child   *proc.Child
	monitor *monitor
	stream  net.Conn
	console *log // the guest's serial port
	stderr  *log // QEMU's own complaints
	resumed chan struct{}
	pinned  chan struct{}
	pinErr  error // valid once pinned is closed
	moved   chan string

	mu        sync.Mutex
	saving    string // the folder that its memory is in, to be saved there; ""
	why       string // reason of the shutdown, in QEMU's word
	lastWords string // the kernel's last words
	killed    bool

	closing  sync.Once
	closeErr error
}

// Boot starts a machine. It returns when the process runs; how far the guest is, its stream tells, and that QEMU
// could do nothing with what it was given, Wait.
func (h Host) Boot(ctx context.Context, c Config) (*Machine, error) {
	return h.start(ctx, c, memory{}, nil)
}

// start starts the process; state is what an incoming one is to read.
func (h Host) start(ctx context.Context, c Config, mem memory, state *os.File) (_ *Machine, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	var ends ends
	defer func() { ends.close(err != nil) }()
	qmp, stream, console := ends.pair(), ends.pair(), ends.pair()
	stderr := ends.pipe()
	if ends.err != nil {
		return nil, fmt.Errorf("making QEMU's sockets: %w", ends.err)
	}
	files := []*os.File{fdQMP - 3: qmp.theirs, fdStream - 3: stream.theirs, fdConsole - 3: console.theirs}
	if c.Net.Socket != nil {
		files = append(files, c.Net.Socket)
	}
	if state != nil {
		files = append(files, state)
	}

	limits, err := c.limits(unix.Getrlimit)
	if err != nil {
		return nil, err
	}

	m := &Machine{
		config: c, stream: stream.ours,
		resumed: make(chan struct{}), pinned: make(chan struct{}), moved: make(chan string, 8),
	}
	m.child, err = h.Table.Start(proc.Cmd{
		Path:   h.QEMU.Path,
		Args:   append([]string{program}, c.args(mem, state != nil)...),
		Dir:    "/", // keeps no folder in use
		Env:    c.Env,
		Files:  files,
		Stderr: stderr.theirs,
		CPUs:   c.CPUs,
		Limits: limits,
	})
	if err != nil {
		return nil, err
	}
	m.console = newLog(console.ours, m.look)
	m.stderr = newLog(stderr.from, nil)
	m.monitor = newMonitor(qmp.ours, m.hear)
	go m.pin()
	return m, nil
}

// hear takes an event in, for the monitor's reader.
func (m *Machine) hear(e event) {
	switch e.Name {
	case "SHUTDOWN":
		var data struct{ Reason string }
		if json.Unmarshal(e.Data, &data) == nil {
			m.mu.Lock()
			m.why = data.Reason
			m.mu.Unlock()
		}
	case "RESUME":
		select {
		case <-m.resumed:
		default:
			close(m.resumed)
		}
	case "MIGRATION":
		var data struct{ Status string }
		if json.Unmarshal(e.Data, &data) == nil {
			select {
			case m.moved <- data.Status:
			default: // nobody is saving
			}
		}
	}
}

var panicLine = regexp.MustCompile(`^(?:\[ *\d+\.\d+\] )?Kernel panic - not syncing: (.*?)\r?$`)

// afterPanic is how long a kernel has to say why, and to reset itself as its command line asks, before the
// machine is ended.
const afterPanic = 2 * time.Second

// look looks at a line of the console, for its reader.
func (m *Machine) look(line []byte) {
	found := panicLine.FindSubmatch(line)
	if found == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lastWords == "" {
		m.lastWords = readable(string(found[1]))
		time.AfterFunc(afterPanic, func() { m.child.Signal(syscall.SIGKILL) })
	}
}

// PID is the number of the QEMU process.
func (m *Machine) PID() int { return m.child.PID() }

// Stream is the guest's virtio-serial port named "muster": what the guest writes is read here, and the other way
// round. It ends (io.EOF) when QEMU does. It has deadlines (net.Conn), and is closed with the machine.
func (m *Machine) Stream() io.ReadWriteCloser { return m.stream }

// Console returns the last lines that the guest has written to its serial console, fit to be shown.
func (m *Machine) Console(lines int) string { return m.console.last(lines) }

// Suspend stops the guest: its vCPUs, not its memory.
func (m *Machine) Suspend(ctx context.Context) error { return m.monitor.do(ctx, "stop", nil, nil) }

// Continue lets a suspended guest go on.
func (m *Machine) Continue(ctx context.Context) error { return m.monitor.do(ctx, "cont", nil, nil) }

// PowerDown presses the power button. What follows is the guest's decision: Wait tells.
func (m *Machine) PowerDown(ctx context.Context) error {
	return m.monitor.do(ctx, "system_powerdown", nil, nil)
}

// Kill ends the process by force. It does not wait.
func (m *Machine) Kill() error {
	m.mu.Lock()
	m.killed = true
	m.mu.Unlock()
	return m.child.Signal(syscall.SIGKILL)
}

// slowest is how long a killed process may take to go: longer means that the system has lost it in a disk or
// a file server.
const slowest = 20 * time.Second

// Close ends the machine, by force if it still runs. When it returns nil the process and its sockets are gone, and the memory
// file of a machine that was to be saved and was not. Idempotent.
func (m *Machine) Close() error {
	m.closing.Do(func() { m.closeErr = m.close() })
	return m.closeErr
}

func (m *Machine) close() error {
	err := m.Kill()
	late := time.NewTimer(slowest)
	defer late.Stop()
	select {
	case <-m.child.Done():
	case <-late.C:
		return errors.Join(err, fmt.Errorf("QEMU (process %d) was killed and has not ended in %v", m.child.PID(), slowest))
	}
	m.monitor.Close()
	<-m.pinned
	<-m.console.ended
	<-m.stderr.ended
	// Closed by the one who reads it before, as a rule.
	if e := m.stream.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	if dir := m.unsaved(); dir != "" {
		err = errors.Join(err, discard(dir))
	}
	return err
}
