package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/guest/vm/wire"
)

// TestBystander: on a descriptor it serves without touching the machine that it runs on.
func TestBystander(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	c := exec.Command(built(t), "-fd", "3")
	c.Stderr = os.Stderr
	c.ExtraFiles = []*os.File{theirs}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	stream, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	h, err := wire.Dial(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	before, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Settle(t.Context(), wire.Settings{Hostname: "another"}); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Hostname(); err != nil || after != before {
		t.Errorf("the host's name is %s now, %v", after, err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// The host's end is not among what programs inherit.
	p, err := h.Start(t.Context(), wire.Command{Path: "/bin/sh", Args: []string{"-c", "echo words; [ ! -e /proc/$$/fd/3 ] || exit 9; exit 5"}}, wire.Streams{Out: out}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := p.Wait(t.Context()); err != nil || e.Code != 5 {
		t.Errorf("%+v, %v", e, err)
	}
	if b, err := os.ReadFile(out.Name()); err != nil || string(b) != "words\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := h.PowerOff(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); err != nil {
		t.Error("it ended with", err)
	}
}
