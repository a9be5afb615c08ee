package ui

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ErrNoKeyboard means that there is no terminal to read keys from.
var ErrNoKeyboard = errors.New("standard input is no terminal of this command's own")

// Keys reads single keys from a terminal, without echo and without waiting for
// Enter, until ctx ends. Ctrl-C goes on making SIGINT. What is typed while a
// progress display is on the screen would otherwise be echoed into it. When it
// returns, the terminal is as it was. The key is called for each byte, and must not
// block. Errors: ErrNoKeyboard, also when the command runs in the background.
func Keys(ctx context.Context, terminal *os.File, key func(byte)) error {
	end, ended, err := os.Pipe() // readable when ctx has ended
	if err != nil {
		return err
	}
	defer end.Close()
	defer ended.Close()
	defer context.AfterFunc(ctx, func() { ended.Close() })()
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return ErrNoKeyboard
	}
	if !ownsTerminal(fd) {
		return ErrNoKeyboard
	}
	single := *before
	single.Lflag &^= unix.ICANON | unix.ECHO
	single.Cc[unix.VMIN], single.Cc[unix.VTIME] = 1, 0
	defer func() {
		if ownsTerminal(fd) {
			_ = unix.IoctlSetTermios(fd, unix.TCSETS, before)
		}
	}()

	for ctx.Err() == nil {
		// Looking five times a second whose the terminal is.
		fds := []unix.PollFd{{Fd: int32(end.Fd()), Events: unix.POLLIN}}
		if ownsTerminal(fd) {
			// Each time round: a shell that has stopped and continued this command
			// leaves its own mode behind.
			if now, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil && now.Lflag != single.Lflag {
				if err := unix.IoctlSetTermios(fd, unix.TCSETS, &single); err != nil {
					return ErrNoKeyboard
				}
			}
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
		n, err := unix.Poll(fds, 200)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n <= 0 || len(fds) < 2 || fds[1].Revents == 0 {
			continue
		}
		var b [16]byte
		n, err = unix.Read(fd, b[:])
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil || n == 0 { // the terminal has gone away
			return err
		}
		for _, c := range b[:n] {
			key(c)
		}
	}
	return nil
}

// ownsTerminal reports whether this process is in the terminal's foreground. Another
// one that reads from it or changes its mode is stopped (SIGTTIN, SIGTTOU).
func ownsTerminal(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// KeyEvent is what a key means to an Interrupt.
func KeyEvent(key byte) InterruptEvent {
	switch key {
	case 'd', 'D':
		return EventDetachKey
	case 'c', 'C':
		return EventCancelKey
	}
	return EventOtherKey
}
