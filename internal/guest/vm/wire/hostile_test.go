package wire_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/guest/vm/wire"
	"muster/internal/guest/vm/wire/link"
	"muster/internal/guest/vm/wire/tree"
)

// forger is a guest that says what a test wants it to say.
type forger struct {
	t      *testing.T
	stream net.Conn
	asked  chan asked // what the host has asked for
}

type asked struct {
	kind link.Kind
	id   uint32
}

// newForger starts a forger that answers the greeting, and the host that believes it.
func newForger(t *testing.T) (*forger, *wire.Host) {
	t.Helper()
	ours, theirs := net.Pipe()
	f := &forger{t: t, stream: theirs, asked: make(chan asked, 100)}
	go func() {
		f.welcome(wire.Version)
		known := map[uint32]bool{}
		for {
			kind, id, _, err := f.hear()
			if err != nil {
				return
			}
			if kind >= link.Message {
				known[id] = true
				f.asked <- asked{kind, id}
			} else if !known[id-id%wire.Stride] {
				t.Errorf("a frame of kind %d in channel %d came before what it is for", kind, id)
			}
		}
	}()
	h, err := wire.Dial(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close(); h.Close() })
	return f, h
}

// hear reads what the host says.
func (f *forger) hear() (link.Kind, uint32, []byte, error) {
	var head [9]byte
	if _, err := io.ReadFull(f.stream, head[:]); err != nil {
		return 0, 0, nil, err
	}
	payload := make([]byte, binary.BigEndian.Uint32(head[5:]))
	_, err := io.ReadFull(f.stream, payload)
	return link.Kind(head[0]), binary.BigEndian.Uint32(head[1:]), payload, err
}

// welcome answers the host's greeting.
func (f *forger) welcome(version int) {
	var g wire.Greeting
	_, _, payload, err := f.hear()
	if err == nil {
		err = json.Unmarshal(payload, &g)
	}
	if err != nil {
		f.t.Error("the greeting:", err)
	}
	b, err := json.Marshal(wire.Hello{Version: version, Nonce: g.Nonce})
	if err != nil {
		f.t.Error(err)
	}
	f.say(wire.Welcome, 0, string(b))
}

// say sends a frame.
func (f *forger) say(kind link.Kind, id uint32, payload string) {
	b := binary.BigEndian.AppendUint32([]byte{byte(kind)}, id)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	_, _ = f.stream.Write(append(b, payload...)) // the host may have gone
}

// The link's own kinds of frames, as they are on the wire.
const (
	dataFrame link.Kind = 1
	endFrame  link.Kind = 2
)

// TestNonsense: a guest that talks nonsense is gone, and whoever waits hears of it.
func TestNonsense(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    link.Kind
		payload string
	}{
		{"no JSON", wire.Answer, "{"},
		{"answer of another type", wire.Answer, `{"errno":"x"}`},
		{"exit of another type", wire.Ended, `[]`},
		{"a host's word", wire.Start, `{}`},
		{"unknown word", 250, ``},
		{"much more than a channel takes", dataFrame, strings.Repeat("x", link.MaxPayload)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, h := newForger(t)
			to, err := os.Create(filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			ended := make(chan error, 1)
			go func() {
				_, err := h.Start(t.Context(), wire.Command{Path: "/bin/true"}, wire.Streams{}, nil)
				ended <- err
			}()
			a := <-f.asked
			// Of a tree nothing is read before its end is known, so its channel fills.
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			if c.kind == dataFrame {
				go func() { _, _ = h.Start(t.Context(), wire.Command{Path: "/bin/true"}, wire.Streams{Out: w}, nil) }()
				a = <-f.asked
				a.id += wire.Output
			}
			go func() {
				for range 10 {
					f.say(c.kind, a.id, c.payload)
				}
			}()
			<-h.Done()
			go func() { _, _ = io.Copy(io.Discard, r) }()
			if err := <-ended; !errors.Is(err, wire.ErrGone) || !errors.Is(err, link.ErrBroken) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestLies: a guest may lie about what is its own; what it says is made harmless.
func TestLies(t *testing.T) {
	f, h := newForger(t)
	go func() {
		a := <-f.asked
		f.say(wire.Answer, a.id+400, `{}`) // to nobody
		f.say(wire.Ended, a.id+400, `{}`)
		f.say(wire.Welcome, 0, `{"nonce":1}`)
		f.say(wire.Answer, a.id, `{"error":"\u001b[2J\nfatal \u202e","errno":2}`)
		f.say(wire.Answer, a.id, `{}`) // again
		a = <-f.asked
		f.say(wire.Answer, a.id, `{"error":"`+strings.Repeat("x", 100_000)+`","errno":99999}`)
		a = <-f.asked
		f.say(wire.Answer, a.id, `{}`)
		f.say(wire.Ended, a.id, `{"code":-1,"signal":99,"user":-5,"maxrss":-1}`)
		f.say(wire.Ended, a.id, `{"code":7}`)
	}()
	err := h.Settle(t.Context(), wire.Settings{})
	if !errors.Is(err, syscall.ENOENT) || strings.ContainsAny(err.Error(), "\x1b\n\u202e") {
		t.Errorf("got %q", err)
	}
	if err := h.Settle(t.Context(), wire.Settings{}); err == nil || len(err.Error()) > 2000 {
		t.Errorf("got %d bytes", len(err.Error()))
	}
	p, err := h.Start(t.Context(), wire.Command{Path: "/x"}, wire.Streams{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := p.Wait(t.Context()); err != nil || e != (wire.Exit{Code: 255, Signal: 64}) {
		t.Errorf("got %+v, %v", e, err)
	}
}

// TestInputFollows: a channel is not used before the guest was asked for what it belongs to; newForger looks for that.
func TestInputFollows(t *testing.T) {
	f, h := newForger(t)
	go func() {
		for a := range f.asked {
			f.say(wire.Answer, a.id, "{}")
			f.say(wire.Ended, a.id, "{}")
		}
	}()
	defer close(f.asked)
	for range 100 {
		s, _ := streams(t, "words")
		p, err := h.Start(t.Context(), wire.Command{Path: "/x"}, wire.Streams{In: s.In}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestForgedTree: a tree that is none, or half of one, is an error; a guest that says nothing is left when the time is over.
func TestForgedTree(t *testing.T) {
	for _, c := range []struct {
		name string
		tree string
		end  bool
		want error
	}{
		{"none", "this is none, and long enough to tell", true, tree.ErrBroken},
		{"half", "mtree\x00\x00\x01D\x00\x01d", true, tree.ErrBroken},
		{"above", "mtree\x00\x00\x01D\x00\x02..", true, tree.ErrBroken},
		{"never", "mtree\x00\x00\x01", false, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, h := newForger(t)
			go func() {
				a := <-f.asked
				f.say(dataFrame, a.id+wire.Output, c.tree)
				if c.end {
					f.say(endFrame, a.id+wire.Output, "")
					f.say(wire.Answer, a.id, "{}")
				}
			}()
			ctx := t.Context()
			if !c.end {
				short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
				defer cancel()
				ctx = short
			}
			if _, err := h.Get(ctx, "/x", t.TempDir(), tree.Limits{}); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestDeafGuest: a guest that reads nothing holds nobody longer than asked, and letting go of it takes no time.
func TestDeafGuest(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go (&forger{t: t, stream: theirs}).welcome(wire.Version) // and then nothing more
	h, err := wire.Dial(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	from := t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "large"), make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := h.Put(ctx, "/x", from, tree.Keep); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put: %v", err)
	}
	s, _ := streams(t, "input")
	if _, err := h.Start(ctx, wire.Command{Path: "/x"}, s, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Start: %v", err)
	}
	if err := h.PowerOff(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("PowerOff: %v", err)
	}
	h.Close()
}

// TestOtherVersion: a guest of another version is refused with what to do.
func TestOtherVersion(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go (&forger{t: t, stream: theirs}).welcome(wire.Version + 1)
	if _, err := wire.Dial(t.Context(), ours); err == nil || !strings.Contains(err.Error(), "build the image again") {
		t.Errorf("got %v", err)
	}
}
