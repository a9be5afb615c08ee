package link

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ends are two links that speak with each other over a pipe without any buffer: whatever can deadlock, will.
func ends(t testing.TB, take func(Kind, uint32, []byte) error) (a, b *Link) {
	x, y := net.Pipe()
	if take == nil {
		take = func(Kind, uint32, []byte) error { return nil }
	}
	a, b = Open(x, take), Open(y, take)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// raw is a link and the bare stream at its other end.
func raw(t testing.TB) (*Link, net.Conn) {
	x, y := net.Pipe()
	l := Open(x, func(Kind, uint32, []byte) error { return nil })
	go func() { _, _ = io.Copy(io.Discard, y) }() // what it says
	t.Cleanup(func() { y.Close(); l.Close() })
	return l, y
}

func bytesOf(f frame) []byte { return f.bytes }

// TestChannels: what is written in any channel arrives whole and in order, whoever reads how slowly.
func TestChannels(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := ends(t, nil)
		n := rapid.IntRange(1, 5).Draw(rt, "channels")
		var work sync.WaitGroup
		for i := range n {
			from, to := a, b
			if rapid.Bool().Draw(rt, "other way") {
				from, to = b, a
			}
			size := rapid.SampledFrom([]int{0, 1, chunk, Window, Window + 1, 2*Window + 5}).Draw(rt, "size")
			write := rapid.SampledFrom([]int{1000, chunk, chunk + 1, 2 * Window}).Draw(rt, "write")
			read := rapid.SampledFrom([]int{1000, 4096, 2 * Window}).Draw(rt, "read")
			r, w := to.Reader(uint32(i)), from.Writer(uint32(i))
			source := rand.NewChaCha8([32]byte{byte(i), byte(size)})
			sent, got := sha256.New(), sha256.New()
			work.Go(func() {
				_, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, sent)}, struct{ io.Reader }{io.LimitReader(source, int64(size))}, make([]byte, write))
				if err == nil {
					err = w.Close()
				}
				if err != nil {
					rt.Errorf("writing: %v", err)
				}
			})
			work.Go(func() {
				if n, err := io.CopyBuffer(struct{ io.Writer }{got}, struct{ io.Reader }{r}, make([]byte, read)); err != nil || n != int64(size) {
					rt.Errorf("%d of %d bytes were read: %v", n, size, err)
				}
			})
			defer func() {
				if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
					rt.Errorf("channel %d: what arrived differs", i)
				}
			}()
		}
		work.Wait()
		a.Close()
		b.Close()
	})
}

// TestMessages: messages keep their order, and pass channels that nobody reads.
func TestMessages(t *testing.T) {
	var got []string
	done := make(chan struct{})
	a, b := ends(t, func(kind Kind, id uint32, payload []byte) error {
		got = append(got, fmt.Sprintf("%d %d %s %d", kind, id, payload[:min(len(payload), 3)], len(payload)))
		if kind == Message+9 {
			close(done)
		}
		return nil
	})
	unread := b.Reader(1)
	w := a.Writer(1)
	if _, err := w.Write(make([]byte, Window)); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		kind Kind
		text string
	}{{Message, ""}, {Message + 3, "words"}, {255, strings.Repeat("x", MaxPayload)}, {Message + 9, "end"}} {
		if err := a.Send(t.Context(), m.kind, 7, []byte(m.text)); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	if want := "16 7  0|19 7 wor 5|255 7 xxx 262144|25 7 end 3"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %s", got, want)
	}
	if err := a.Send(t.Context(), Message, 0, make([]byte, MaxPayload+1)); err == nil {
		t.Error("a message that is too long was sent")
	}
	unread.Stop(errors.New("enough"))
}

// TestGivenUp: each side can give a channel up, and the other side is told why.
func TestGivenUp(t *testing.T) {
	a, b := ends(t, nil)
	why := errors.New("the disk is full")

	r, w := b.Reader(1), a.Writer(1)
	r.Stop(why)
	r.Stop(errors.New("again"))
	_, err := w.Write(make([]byte, 5*Window))
	if theirs := new(RemoteError); !errors.As(err, &theirs) || theirs.Text != why.Error() {
		t.Errorf("the writer got %v", err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, why) {
		t.Errorf("the reader that stopped got %v", err)
	}
	if err := w.Close(); err == nil {
		t.Error("closing says nothing of it")
	}

	r, w = b.Reader(2), a.Writer(2)
	if _, err := w.Write([]byte("begun")); err != nil {
		t.Fatal(err)
	}
	w.Abort(why)
	got, err := io.ReadAll(r)
	if theirs := new(RemoteError); string(got) != "begun" || !errors.As(err, &theirs) || theirs.Text != why.Error() {
		t.Errorf("the reader got %q, %v", got, err)
	}
	if _, err := w.Write([]byte("more")); !errors.Is(err, why) {
		t.Errorf("the writer that gave up got %v", err)
	}

	// A writer that waits is woken.
	r, w = b.Reader(3), a.Writer(3)
	woken := make(chan error, 1)
	go func() {
		_, err := w.Write(make([]byte, 2*Window))
		woken <- err
	}()
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	w.Abort(why)
	if err := <-woken; !errors.Is(err, why) {
		t.Errorf("woken with %v", err)
	}
}

// TestEnd: when the stream ends, everybody hears of it.
func TestEnd(t *testing.T) {
	l, other := raw(t)
	r, w := l.Reader(1), l.Writer(2)
	writing := make(chan error, 1)
	go func() {
		_, err := w.Write(make([]byte, 2*Window))
		writing <- err
	}()
	other.Close()
	if _, err := r.Read(make([]byte, 1)); err == nil || errors.Is(err, ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	if err := <-writing; err == nil {
		t.Error("writing goes on")
	}
	<-l.Done()
	for name, err := range map[string]error{
		"Err": l.Err(), "Send": l.Send(t.Context(), Message, 0, nil), "Flush": l.Flush(t.Context()),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := l.Reader(9).Read(make([]byte, 1)); err == nil {
		t.Error("a channel that was opened afterwards can be read")
	}
	if _, err := l.Writer(9).Write([]byte("x")); err == nil {
		t.Error("a channel that was opened afterwards can be written")
	}
}

// TestNobodyReads: a call that cannot be sent ends with its context.
func TestNobodyReads(t *testing.T) {
	x, y := net.Pipe()
	defer y.Close()
	l := Open(x, nil)
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no time")
	go func() {
		for l.Send(ctx, Message, 0, nil) == nil {
			if len(l.out.slots) == cap(l.out.slots) {
				cancel(why)
			}
		}
	}()
	<-ctx.Done()
	if err := l.Flush(ctx); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

// TestFlush: when it returns, what was sent before has been written.
func TestFlush(t *testing.T) {
	got := make(chan uint32, 100)
	a, _ := ends(t, func(_ Kind, id uint32, _ []byte) error { got <- id; return nil })
	for i := range uint32(20) {
		if err := a.Send(t.Context(), Message, i, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Close()
	for i := range uint32(20) {
		if id := <-got; id != i {
			t.Fatalf("message %d arrived as number %d", id, i)
		}
	}
}

// TestRules: who does not keep to them ends the link.
func TestRules(t *testing.T) {
	number := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for _, c := range []struct {
		name string
		send []byte
	}{
		{"frame too long", append([]byte{byte(data), 0, 0, 0, 1}, number(MaxPayload+1)...)},
		{"length of 4 GiB", []byte{byte(Message), 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}},
		{"kind 0", bytesOf(newFrame(0, 1, nil))},
		{"unknown kind", bytesOf(newFrame(Message-1, 1, nil))},
		{"more than the window", bytes.Repeat(bytesOf(newFrame(data, 1, make([]byte, chunk))), Window/chunk+1)},
		{"credit of no size", bytesOf(newFrame(credit, 2, nil))},
		{"credit that was not sent for", bytesOf(newFrame(credit, 2, number(1)))},
		{"credit of 4 GiB", bytesOf(newFrame(credit, 2, number(1<<32-1)))},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, other := raw(t)
			l.Reader(1)
			l.Writer(2)
			go func() { _, _ = other.Write(c.send) }()
			<-l.Done()
			if !errors.Is(l.Err(), ErrBroken) {
				t.Errorf("got %v", l.Err())
			}
		})
	}
}

// TestLate: frames of channels that are closed, or never were open, are dropped.
func TestLate(t *testing.T) {
	heard := make(chan struct{})
	x, y := net.Pipe()
	l := Open(x, func(Kind, uint32, []byte) error { close(heard); return nil })
	defer l.Close()
	defer y.Close()
	go func() { _, _ = io.Copy(io.Discard, y) }()
	r := l.Reader(1)
	r.Stop(errors.New("enough"))
	w := l.Writer(2)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for id := range uint32(4) {
		for _, f := range []frame{
			newFrame(data, id, make([]byte, MaxPayload)), newFrame(credit, id, []byte{0, 0, 0, 1}), newFrame(stop, id, nil), newFrame(end, id, nil),
		} {
			if _, err := y.Write(f.bytes); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := y.Write(newFrame(Message, 0, nil).bytes); err != nil {
		t.Fatal(err)
	}
	<-heard
	if l.Err() != nil {
		t.Error(l.Err())
	}
}

// FuzzFrames: no stream makes the reader of frames panic or take more than is bounded; what is written is read.
func FuzzFrames(f *testing.F) {
	f.Add(newFrame(data, 1, []byte("text")).bytes)
	f.Add(append(newFrame(end, 0, nil).bytes, newFrame(Message, 1<<32-1, []byte("{}")).bytes...))
	f.Add([]byte{byte(data), 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		buf := make([]byte, MaxPayload)
		for {
			at := len(b) - r.Len()
			kind, id, payload, err := readFrame(r, buf)
			if err != nil {
				if errors.Is(err, io.EOF) && at != len(b) {
					t.Errorf("a good end at %d of %d", at, len(b))
				}
				return
			}
			if again := newFrame(kind, id, payload).bytes; !bytes.Equal(again, b[at:len(b)-r.Len()]) {
				t.Errorf("%x was read as %d, %d, %x", b[at:len(b)-r.Len()], kind, id, payload)
			}
		}
	})
}

// FuzzLink: no stream makes a link panic or hang.
func FuzzLink(f *testing.F) {
	f.Add(bytes.Join([][]byte{newFrame(data, 1, []byte("text")).bytes, newFrame(end, 1, nil).bytes}, nil))
	f.Add(bytes.Join([][]byte{newFrame(stop, 2, []byte("why")).bytes, newFrame(credit, 2, []byte{0, 0, 0, 9}).bytes}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, y := net.Pipe()
		l := Open(x, func(Kind, uint32, []byte) error { return nil })
		defer l.Close()
		r, w := l.Reader(1), l.Writer(2)
		go func() { _, _ = io.Copy(io.Discard, y) }()
		go func() { _, _ = w.Write([]byte("something")) }()
		_, _ = y.Write(b)
		y.Close()
		if n, _ := io.Copy(io.Discard, r); n > int64(len(b)) {
			t.Errorf("%d bytes were read of %d", n, len(b))
		}
		<-l.Done()
	})
}
