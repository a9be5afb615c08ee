package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	"muster/internal/job"
)

// The programs of a launch write to a file each for standard output and error, which are
// closed here as soon as a program has them: no descriptor is kept for a living program. Most of them
// write nothing, so the files' sizes are looked at now and then, and only what has grown is read.

// streamsDir is where they are: in memory where the agent has some for its own (instancesDir),
// since a disk's file system makes thousands of files slowly, and the more so when it has just removed as
// many.
func (a *agent) streamsDir() (dir string, memory bool) {
	const name = "streams"
	instances := filepath.Join(a.Scratch, instancesDir)
	if st, err := os.Lstat(instances); err == nil && st.Mode().Type() == fs.ModeSymlink {
		return filepath.Join(instances, name), true
	}
	return filepath.Join(a.Scratch, name), false
}

// carryEvery is how often the output of all living programs is looked for, at most.
const carryEvery = 2 * time.Second

// written is what a program has written to one of its streams.
type written struct {
	off     int64  // carried over so far, in the file as it is
	kept    int64  // all in all
	rest    []byte // of a line that has not ended, while lines are looked at
	matched bool   // a line has told that the program is alive
}

func (l *launching) streamPath(p *program, fd int) string {
	return filepath.Join(l.streams, attemptName(p.call, 0)+"."+strconv.Itoa(fd))
}

// command composes what is started for a program, and opens its files.
func (l *launching) command(p *program) (_ *command, err error) {
	a := l.a
	cmd := &command{Command: guest.Command{
		Program: a.spec.Program, Dir: a.spec.WorkDir, Env: l.environment(p), Private: a.spec.Isolation == job.IsolateNode,
	}}
	defer func() {
		if err != nil {
			cmd.close()
		}
	}()
	if a.spec.WorkDir == job.PrivateWork {
		if p.work, err = a.works.take(attemptName(p.call, 0)); err != nil {
			return nil, err
		}
		cmd.Dir = p.work
	}
	if cmd.Args, err = a.args.Expand(p.values()); err != nil {
		return nil, err
	}
	for fd := 1; fd <= 2; fd++ {
		f, err := os.OpenFile(l.streamPath(p, fd), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("making a file for a program's output: %w", err)
		}
		cmd.open = append(cmd.open, f)
	}
	cmd.Stdout, cmd.Stderr = cmd.open[0], cmd.open[1]
	return cmd, nil
}

// prepareEnv puts together what all programs' environments have in common.
func (l *launching) prepareEnv() {
	a := l.a
	own := l.ownEnv(&program{call: &call{tasks: []int{0}, attempt: []int{0}}})
	all := override(a.env, append(append(a.threads(), "MUSTER_RUN="+strconv.Itoa(a.run.Number)), own...))
	l.env = all[:len(all)-len(own)] // what a program has for itself stands behind it
}

// ownEnv is what each program has in its environment for itself alone.
func (l *launching) ownEnv(p *program) []string {
	a := l.a
	return append(element(a.share).Process(p.call.number, p.call.number, a.run.LogsDir(a.Generation)).Env(),
		"MUSTER_INDEX="+strconv.Itoa(p.task()),
		"MUSTER_LANE="+strconv.Itoa(p.lane),
		a.taskMark(p.call),
	)
}

func (l *launching) environment(p *program) []string {
	own := l.ownEnv(p)
	env := make([]string, 0, len(l.env)+len(own))
	return append(append(env, l.env...), own...)
}

// carryAll carries over what living programs have written lately.
func (l *launching) carryAll() {
	for _, p := range l.startedPrograms() {
		l.carry(p)
	}
}

// carryLast carries over the last that a program has written.
func (l *launching) carryLast(p *program) {
	l.carry(p)
	l.a.stream.Finish(p.task(), p.attempt())
}

// carry brings what a program has written so far into the agent's stream. Only tend
// and, at its very end, whoever started it in vain call it.
func (l *launching) carry(p *program) {
	for i := range p.out {
		err := l.carryStream(p, i+1, &p.out[i])
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.a.Log.Error("keeping a program's output", "err", err)
		}
	}
}

func (l *launching) carryStream(p *program, fd int, w *written) error {
	name := l.streamPath(p, fd)
	st, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if st.Size() < w.off {
		w.off = 0 // the program has emptied it
	}
	if st.Size() == w.off {
		return nil
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, min(64<<10, st.Size()-w.off))
	for w.off < st.Size() {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), st.Size()-w.off)], w.off)
		if n > 0 {
			w.off += int64(n)
			w.kept += int64(n)
			if l.ready.line != nil && !w.matched {
				w.match(l.ready.line, buf[:n])
			}
			if err := l.a.stream.Write(p.task(), p.attempt(), fd, buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	switch {
	case w.kept > l.a.spec.MaxLog: // a flood fills no disk
		w.off = 0
		return os.Truncate(name, 0)
	case l.memory: // what is kept elsewhere need not be kept here
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, w.off)
	}
	return nil
}
