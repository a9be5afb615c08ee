// muster-init runs in a guest in a virtual machine and does what its host asks for: it starts programs, carries
// files, sets the clock, takes the power away (see package wire).
//
// As the first process (/init of an initramfs) it is all that runs in the guest: it loads modules, mounts the root
// with a layer for changes over it, and collects orphans. Started by something else, it is a service of an ordinary system. With "-fd N" it serves on
// that descriptor and changes nothing of the machine that it runs on: for tests.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest/vm/wire/inside"
)

func main() {
	first := os.Getpid() == 1
	err := run(first)
	if err != nil {
		say(err)
	}
	switch {
	case first:
		// An end of this process would be a panic of the kernel's; so the console's last line is ours.
		say(cutPower())
		select {}
	case err != nil:
		os.Exit(1)
	}
}

// say writes a line to the console, or to the service's log.
func say(what any) { fmt.Fprintln(os.Stderr, "muster-init:", what) }

func run(first bool) error {
	if len(os.Args) == 3 && os.Args[1] == "-fd" {
		return serveOn(os.Args[2])
	}
	if len(os.Args) > 1 && !first {
		return errors.New("usage: muster-init [-fd N]")
	}
	if first {
		// Somebody who signals the first process is not to end the guest. Not ignored: programs would inherit that.
		signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
		if err := boot(); err != nil {
			return err
		}
	}
	here := &system{first: first, hello: hello()}
	if first {
		here.own = makeOwn()
	}
	children, err := inside.NewChildren()
	if err != nil {
		return err
	}
	defer children.Close()
	for {
		port, err := openPort()
		if err != nil {
			return err
		}
		err = inside.Serve(port, here, children)
		if err == nil {
			return nil
		}
		say(fmt.Errorf("the host: %w", err))
		time.Sleep(10 * time.Millisecond) // another one may come
	}
}

// serveOn serves on an inherited descriptor until its other end is closed.
func serveOn(text string) error {
	fd, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("-fd %q: %w", text, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that closing wakes who reads
		return fmt.Errorf("-fd %d: %w", fd, err)
	}
	unix.CloseOnExec(fd)
	children, err := inside.NewChildren()
	if err != nil {
		return err
	}
	defer children.Close()
	err = inside.Serve(os.NewFile(uintptr(fd), "host"), bystander{}, children)
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		return nil // the host has gone
	}
	return err
}
