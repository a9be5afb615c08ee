package proc

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"muster/internal/job"
)

// Output is what a short command wrote and how it ended.
type Output struct {
	Stdout, Stderr []byte
	Exit           job.Exit
}

// Run runs a short command to its end and returns the first 1 MiB of each of
// its streams. The streams are memory files, not pipes, so a server that the
// command leaves behind cannot keep Run waiting. When ctx ends first, the command's process
// group is killed and ctx.Err() returned.
func (t *Table) Run(ctx context.Context, c Cmd) (Output, error) {
	var out Output
	stdout, err := Memfile("stdout")
	if err != nil {
		return out, err
	}
	defer stdout.Close()
	stderr, err := Memfile("stderr")
	if err != nil {
		return out, err
	}
	defer stderr.Close()
	c.Stdout, c.Stderr = stdout, stderr
	child, err := t.Start(c)
	if err != nil {
		return out, err
	}
	out.Exit, err = child.Wait(ctx)
	if err != nil {
		child.SignalGroup(syscall.SIGKILL)
		<-child.Done()
		return out, err
	}
	if out.Stdout, err = head(stdout); err != nil {
		return out, err
	}
	out.Stderr, err = head(stderr)
	return out, err
}

const maxOutput = 1 << 20

func head(f *os.File) ([]byte, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxOutput))
	if err != nil {
		return nil, fmt.Errorf("reading captured output: %w", err)
	}
	return b, nil
}

// Memfile makes a file that lives in memory until it is closed (memfd_create(2)).
func Memfile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a memory file: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
