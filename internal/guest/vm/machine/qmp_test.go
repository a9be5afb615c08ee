package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// endless is how long a test waits for what must come at once.
const endless = 30 * time.Second

// fake is the other end of a monitor's: a QEMU that says what the test has it say.
type fake struct {
	t    *testing.T
	conn net.Conn
	said chan string // lines of the monitor's
}

func newFake(t *testing.T, heard func(event)) (*fake, *monitor) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	var e ends
	p := e.pair()
	if e.err != nil {
		t.Fatal(e.err)
	}
	conn, err := net.FileConn(p.theirs)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.close(false); err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, conn: conn, said: make(chan string, 100)}
	if heard == nil {
		heard = func(event) {}
	}
	m := newMonitor(p.ours, heard)
	t.Cleanup(func() { f.conn.Close(); m.Close() })
	return f, m
}

// expect reads what the monitor has written, up to a line's end.
func (f *fake) expect(want string) {
	f.t.Helper()
	f.conn.SetReadDeadline(time.Now().Add(endless))
	got := make([]byte, len(want)+1)
	if _, err := io.ReadFull(f.conn, got); err != nil || string(got) != want+"\n" {
		f.t.Fatalf("QEMU was told %q (%v), want %q", got, err, want)
	}
}

func (f *fake) say(text string) {
	f.t.Helper()
	if _, err := io.WriteString(f.conn, text); err != nil {
		f.t.Fatal(err)
	}
}

const (
	greeting     = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2+dfsg-7+deb12u18+b2"}, "capabilities": ["oob"]}}` + "\r\n"
	capabilities = `{"execute":"qmp_capabilities","id":1}`
)

// TestMonitor plays conversations recorded from QEMU 7.2 and such as it never had. In testdata/qmp, "<" is what QEMU says,
// ">" what it is told; the last lines tell what came of the commands, in the order in which they were given.
func TestMonitor(t *testing.T) {
	files, err := filepath.Glob("testdata/qmp/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			play(t, strings.Split(strings.TrimSpace(string(text)), "\n"))
		})
	}
}

func play(t *testing.T, lines []string) {
	events := make(chan string, 100)
	f, m := newFake(t, func(e event) { events <- e.Name })
	ctx, stop := context.WithTimeout(t.Context(), endless)
	defer stop()
	given := []sent{}
	for _, line := range lines {
		what, text, _ := strings.Cut(line, " ")
		switch what {
		case "#":
		case "<":
			f.say(text + "\r\n")
		case "<half":
			f.say(text)
		case "<end":
			f.conn.Close()
		case ">":
			if text != capabilities {
				command := text[strings.Index(text, `":"`)+3:]
				s, err := m.send(ctx, command[:strings.Index(command, `"`)], nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				given = append(given, s)
			}
			f.expect(text)
		case "event":
			select {
			case got := <-events:
				if got != text {
					t.Errorf("event %q, want %q", got, text)
				}
			case <-ctx.Done():
				t.Fatalf("event %q never came", text)
			}
		case "ok", "refused", "lost":
			var err error
			if err = m.answer(ctx, "it", given[0], nil); what == "ok" && err != nil ||
				what == "refused" && (err == nil || err.Error() != "QEMU refused it: "+text) ||
				what == "lost" && (!errors.Is(err, errMonitor) || !strings.Contains(err.Error(), text)) {
				t.Errorf("got %v, want: %s", err, line)
			}
			given = given[1:]
		default:
			t.Fatalf("line %q", line)
		}
	}
}

// TestMonitorWaits: a QEMU that says nothing, and one that reads nothing, hold nobody for ever.
func TestMonitorWaits(t *testing.T) {
	f, m := newFake(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() { waited <- m.do(ctx, "stop", nil, nil) }()
	f.expect(capabilities)
	f.expect(`{"execute":"stop","id":2}`)
	stop()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v from a command that was given up", err)
	}
	// The answer comes when nobody waits any more; the next one gets its own.
	f.say(greeting + `{"return": {}, "id": 1}` + "\r\n" + `{"return": {}, "id": 2}` + "\r\n")
	go func() { waited <- m.do(t.Context(), "cont", nil, nil) }()
	f.expect(`{"execute":"cont","id":3}`)
	f.say(`{"return": {}, "id": 3}` + "\r\n")
	if err := <-waited; err != nil {
		t.Error(err)
	}

	ctx, stop = context.WithCancel(t.Context())
	go func() {
		var err error
		for err == nil { // until the socket is full, and longer
			_, err = m.send(ctx, "x", strings.Repeat("x", 4096), nil)
		}
		waited <- err
	}()
	time.AfterFunc(50*time.Millisecond, stop)
	if err := <-waited; err == nil {
		t.Error("writing to a QEMU that does not read succeeded for ever")
	}
}

// TestMonitorGivenUp: who gives up at any moment takes nothing from those who come after.
func TestMonitorGivenUp(t *testing.T) {
	f, m := newFake(t, nil)
	go io.Copy(io.Discard, f.conn) // ends with the connection
	for i := range 3000 {
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			for range i % 100 { // sooner or later
				runtime.Gosched()
			}
			stop()
		}()
		if _, err := m.send(ctx, "stop", nil, nil); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("giving up the %d. time: %v", i, err)
		}
		if _, err := m.send(t.Context(), "cont", nil, nil); err != nil {
			t.Fatalf("after the %d. time: %v", i, err)
		}
		stop()
	}
}

// TestMonitorFile: a file reaches QEMU with the command that speaks of it.
func TestMonitorFile(t *testing.T) {
	f, m := newFake(t, nil)
	f.expect(capabilities)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	waited := make(chan error)
	go func() { waited <- m.doWith(t.Context(), "getfd", map[string]string{"fdname": "devices"}, file, nil) }()
	line, rights := make([]byte, 200), make([]byte, 200)
	n, oob, _, _, err := f.conn.(*net.UnixConn).ReadMsgUnix(line, rights)
	if err != nil || string(line[:n]) != `{"execute":"getfd","arguments":{"fdname":"devices"},"id":2}`+"\n" || oob == 0 {
		t.Errorf("QEMU got %q with %d bytes beside it (%v)", line[:n], oob, err)
	}
	closeRights(t, rights[:oob])
	f.say(`{"return": {}, "id": 2}` + "\r\n")
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

// FuzzMonitor: whatever is read, the reading ends, and everybody who waits is told.
func FuzzMonitor(f *testing.F) {
	f.Add([]byte(greeting))
	f.Add([]byte(`{"return": {}, "id": 1}` + "\r\n" + `{"error": {"class": "GenericError", "desc": "no"}, "id": 1}`))
	f.Add([]byte(`{"event": "SHUTDOWN", "data": null}` + "\n\n[]\n"))
	f.Add([]byte(`{"id": null}{"id": -1}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &monitor{heard: func(event) {}, waiting: map[int]chan message{1: make(chan message, 1)}}
		if err := m.lines(bytes.NewReader(b)); err != nil && len(fmt.Sprint(err)) > 1000 {
			t.Errorf("an error of %d characters", len(fmt.Sprint(err)))
		}
	})
}

// closeRights closes the files that came with a message.
func closeRights(t *testing.T, rights []byte) {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range messages {
		fds, err := unix.ParseUnixRights(&message)
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}
