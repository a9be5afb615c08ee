package local

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// The submitter and the supervisor talk over the supervisor's standard input and
// output, once:
//
//	submitter  → order            (gob; the environment is in no file and no argument)
//	supervisor → "ready\n"        or a line that says what is wrong, and it ends
//	submitter: renames the folder. This is the moment from which the array exists.
//	submitter  → "17\n"           its number
//
// When the submitter dies before the rename, the supervisor reads the end of its
// input, removes the folder and ends: the array exists wholly or not at all, and
// nothing is undecided once the submitter is dead. When it dies after it, the
// supervisor finds its folder under the new name and goes on.

// order is what a supervisor is to do.
type order struct {
	Array    job.Array
	KillWait time.Duration
	Parallel int
	MaxArray int
}

const readyLine = "ready"

// bootLimit bounds how long a supervisor may take to get ready.
const bootLimit = 60 * time.Second

// Submit makes the array's folder and starts its supervisor. When ctx ends
// before the array exists, nothing is left of it.
func (e *Engine) Submit(ctx context.Context, a job.Array) (engine.ID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := engine.Check(a); err != nil {
		return "", err
	}
	for _, id := range a.After {
		if numberOf(engine.ID(id)) == 0 {
			return "", fmt.Errorf("array %q: %w: it is to wait for %q, which is no array of this engine", a.Tag, engine.ErrRefused, id)
		}
	}
	n, err := e.submit(ctx, a)
	if err != nil {
		return "", fmt.Errorf("submitting array %q: %w", a.Tag, err)
	}
	return idOf(n), nil
}

func (e *Engine) submit(ctx context.Context, a job.Array) (n int, err error) {
	if err := makeBase(e.base()); err != nil {
		return 0, err
	}
	fresh, err := os.MkdirTemp(e.base(), newPrefix)
	if err != nil {
		return 0, err
	}
	s, err := e.startSupervisor(fresh)
	if err != nil {
		os.RemoveAll(fresh)
		return 0, err
	}
	defer s.close()

	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fmt.Errorf("its supervisor was not ready after %v", bootLimit))
	defer cancel()
	n, err = s.agree(ctx, order{a, e.o.KillWait, e.o.Parallel, e.o.MaxArray}, func() (int, error) { return adopt(e.base(), fresh) })
	if err == nil {
		return n, nil
	}
	// The supervisor ends by itself when its input does; one that hangs is helped.
	s.close()
	select {
	case <-s.child.Done():
	case <-time.After(time.Second):
		s.child.Signal(syscall.SIGKILL)
		<-s.child.Done()
	}
	if last := lastLine(filepath.Join(fresh, logFile)); last != "" {
		err = fmt.Errorf("%w: %s", err, last)
	}
	os.RemoveAll(fresh)
	return 0, err
}

// boot is a supervisor that is being started, as its submitter sees it.
type boot struct {
	child *proc.Child
	in    *os.File // the submitter writes
	out   *os.File // the submitter reads
}

func (b *boot) close() {
	b.in.Close()
	b.out.Close()
}

func (e *Engine) startSupervisor(dir string) (*boot, error) {
	log, err := os.OpenFile(filepath.Join(dir, logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer inRead.Close()
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		inWrite.Close()
		return nil, err
	}
	defer outWrite.Close()
	child, err := e.o.Table.Start(proc.Cmd{
		Path:   e.o.Command[0],
		Args:   append(append([]string{}, e.o.Command...), dir),
		Dir:    "/",
		Env:    e.o.Env,
		Stdin:  inRead,
		Stdout: outWrite,
		Stderr: log,
	})
	if err != nil {
		inWrite.Close()
		outRead.Close()
		return nil, err
	}
	return &boot{child: child, in: inWrite, out: outRead}, nil
}

// agree talks to the supervisor; commit makes the array exist and returns its
// number. No error follows commit's success.
func (b *boot) agree(ctx context.Context, o order, commit func() (int, error)) (int, error) {
	stop := context.AfterFunc(ctx, func() {
		past := time.Unix(1, 0)
		b.in.SetDeadline(past)
		b.out.SetDeadline(past)
	})
	defer stop()
	w := bufio.NewWriterSize(b.in, 64<<10)
	err := gob.NewEncoder(w).Encode(o)
	if err == nil {
		err = w.Flush()
	}
	// Also when it did not listen to the end: it may say why.
	answer, readErr := bufio.NewReader(b.out).ReadString('\n')
	answer = strings.TrimSuffix(answer, "\n")
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case readErr != nil:
		return 0, errors.New("its supervisor ended at once")
	case answer != readyLine:
		return 0, fmt.Errorf("its supervisor: %s", answer)
	case err != nil:
		return 0, fmt.Errorf("telling its supervisor what to do: %w", err)
	}
	n, err := commit()
	if err != nil {
		return 0, err
	}
	stop()
	b.in.SetDeadline(time.Time{})
	// A supervisor that is dead by now does not read it; the array exists
	// nevertheless, and Status tells.
	b.in.WriteString(strconv.Itoa(n) + "\n")
	return n, nil
}

// lastLine is the end of what the supervisor said when it could not start.
func lastLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
