package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// errMonitor means that QEMU's monitor has gone, as a rule because QEMU has.
var errMonitor = errors.New("QEMU's monitor has closed")

// maxLine bounds a line of the monitor's. The longest that we ask for are a few hundred bytes.
const maxLine = 1 << 20

// monitor speaks QMP, QEMU's protocol of JSON lines. One goroutine reads: it gives answers to
// those who wait for them, by number, and events to heard. It ends when QEMU does, or at Close.
type monitor struct {
	conn  *net.UnixConn
	heard func(event) // called by the reader: must not wait
	ended chan struct{}

	writing sync.Mutex

	mu      sync.Mutex
	next    int
	waiting map[int]chan message
	err     error // why nothing more can be asked; set before ended is closed
}

// event is what QEMU tells unasked.
type event struct {
	Name string
	Data json.RawMessage
}

// message is any line of the monitor's: a greeting, an answer, or an event.
type message struct {
	ID     *int            `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// refusal is what QEMU answers when it will not do something.
type refusal struct{ command, desc string }

func (r *refusal) Error() string { return "QEMU refused " + r.command + ": " + r.desc }

// newMonitor begins the conversation. It does not wait for QEMU, which reads what it was sent when it is up.
func newMonitor(conn *net.UnixConn, heard func(event)) *monitor {
	m := &monitor{conn: conn, heard: heard, ended: make(chan struct{}), waiting: map[int]chan message{}}
	go m.read()
	// Should QEMU have ended already, the reader finds that out.
	_, _ = m.send(context.Background(), "qmp_capabilities", nil, nil)
	return m
}

// do gives a command and waits for the answer. It never outlives ctx or QEMU.
func (m *monitor) do(ctx context.Context, command string, arguments, answer any) error {
	return m.doWith(ctx, command, arguments, nil, answer)
}

// doWith also hands QEMU a file.
func (m *monitor) doWith(ctx context.Context, command string, arguments any, file *os.File, answer any) error {
	got, err := m.send(ctx, command, arguments, file)
	if err != nil {
		return err
	}
	return m.answer(ctx, command, got, answer)
}

// answer waits for what a send has brought.
func (m *monitor) answer(ctx context.Context, command string, got sent, answer any) error {
	select {
	case a := <-got.answer:
		return a.judge(command, answer)
	case <-ctx.Done():
		m.forget(got.id)
		return fmt.Errorf("waiting for QEMU's answer to %s: %w", command, ctx.Err())
	case <-m.ended:
	}
	select { // it may have come just before the end
	case a := <-got.answer:
		return a.judge(command, answer)
	default:
		return fmt.Errorf("%s: %w", command, m.failure())
	}
}

func (a message) judge(command string, answer any) error {
	if a.Error != nil {
		return &refusal{command, a.Error.Desc}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(a.Return, answer); err != nil {
		return fmt.Errorf("reading QEMU's answer to %s: %w", command, err)
	}
	return nil
}

// sent is a command that was given.
type sent struct {
	id     int
	answer chan message
}

// send gives a command without waiting for the answer, so that several can be on their way.
func (m *monitor) send(ctx context.Context, command string, arguments any, file *os.File) (sent, error) {
	s := sent{answer: make(chan message, 1)}
	m.mu.Lock()
	if m.err != nil {
		defer m.mu.Unlock()
		return s, fmt.Errorf("%s: %w", command, m.err)
	}
	m.next++
	s.id = m.next
	m.waiting[s.id] = s.answer
	m.mu.Unlock()

	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        int    `json:"id"`
	}{command, arguments, s.id})
	if err != nil {
		m.forget(s.id)
		return s, err
	}
	if err := m.write(ctx, append(line, '\n'), file); err != nil {
		m.forget(s.id)
		return s, fmt.Errorf("giving QEMU the command %s: %w", command, err)
	}
	return s, nil
}

func (m *monitor) write(ctx context.Context, line []byte, file *os.File) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	// A QEMU that hangs does not read; ctx ends the writing then.
	late := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		m.conn.SetWriteDeadline(time.Unix(1, 0))
		close(late)
	})
	defer func() {
		if !stop() { // it may be under way, and is not to meet the next one's writing
			<-late
			m.conn.SetWriteDeadline(time.Time{})
		}
	}()
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	n, _, err := m.conn.WriteMsgUnix(line, rights, nil)
	if err == nil && n < len(line) {
		_, err = m.conn.Write(line[n:])
	}
	if err != nil && n > 0 {
		// Half a line is with QEMU: nothing that follows would be understood.
		m.conn.Close()
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return err
}

func (m *monitor) forget(id int) {
	m.mu.Lock()
	delete(m.waiting, id)
	m.mu.Unlock()
}

// failure is why the monitor has ended.
func (m *monitor) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *monitor) read() {
	err := m.lines(m.conn)
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, unix.ECONNRESET) {
		err = errMonitor
	} else {
		err = fmt.Errorf("%w: %w", errMonitor, err)
	}
	m.conn.Close()
	m.mu.Lock()
	m.err = err
	m.waiting = nil
	m.mu.Unlock()
	close(m.ended)
}

// lines reads until the end, or until something comes that is not QMP.
func (m *monitor) lines(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var msg message
		if err := json.Unmarshal(lines.Bytes(), &msg); err != nil {
			return fmt.Errorf("it said %.80q: %w", lines.Bytes(), err)
		}
		switch {
		case msg.Event != "":
			m.heard(event{msg.Event, msg.Data})
		case msg.ID != nil:
			m.mu.Lock()
			got := m.waiting[*msg.ID]
			delete(m.waiting, *msg.ID)
			m.mu.Unlock()
			if got != nil { // else somebody who no longer waits
				got <- msg
			}
		}
		// The rest is the greeting, and what has no number: complaints about lines that were
		// not ours to begin with.
	}
	return lines.Err()
}

// Close ends the conversation.
func (m *monitor) Close() {
	m.conn.Close()
	<-m.ended
}
