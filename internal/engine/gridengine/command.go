package gridengine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// answer is what a command of Grid Engine's said.
type answer struct {
	stdout string
	words  string // what it said beside that, as one line
	exit   job.Exit
}

// ok reports whether the command did what it was asked.
func (a answer) ok() bool { return a.exit.OK() }

// maxAnswer bounds how much of an answer is read: a site's whole queue is some megabytes.
const maxAnswer = 1 << 28

// ask runs one of Grid Engine's commands to its end. Errors: ErrMissing,
// ErrUnavailable when it gives no answer in time, ctx.Err().
func (e *Engine) ask(ctx context.Context, stdin *os.File, extra []string, name string, args ...string) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	path, err := e.find(name)
	if err != nil {
		return answer{}, err
	}
	limited, cancel := context.WithTimeout(ctx, e.o.Patience)
	defer cancel()
	a, err := e.run(limited, proc.Cmd{
		Path: path,
		Args: append([]string{name}, args...),
		// Neither the folder that muster was started in nor its user's home may hold a
		// request file that changes what we ask; qsub's -clear ends the rest of them.
		Dir:   "/",
		Env:   append(e.commandEnv(), extra...),
		Stdin: stdin,
	})
	switch {
	case ctx.Err() != nil:
		return a, ctx.Err()
	case limited.Err() != nil:
		return a, fmt.Errorf("%w: %s gave no answer within %v", engine.ErrUnavailable, name, e.o.Patience)
	case err != nil:
		return a, err
	case !a.ok() && unconfigured(a.words):
		return a, fmt.Errorf("%w: %s: %s", engine.ErrMissing, name, a.words)
	case !a.ok() && unavailable(a.words):
		return a, fmt.Errorf("%w: %s: %s", engine.ErrUnavailable, name, a.words)
	}
	return a, nil
}

// run is proc.Table.Run for answers of any length.
func (e *Engine) run(ctx context.Context, c proc.Cmd) (a answer, err error) {
	var out, words *os.File
	if out, err = proc.Memfile("stdout"); err != nil {
		return a, err
	}
	defer out.Close()
	if words, err = proc.Memfile("stderr"); err != nil {
		return a, err
	}
	defer words.Close()
	c.Stdout, c.Stderr = out, words
	child, err := e.o.Table.Start(c)
	if err != nil {
		return a, err
	}
	if a.exit, err = child.Wait(ctx); err != nil {
		child.SignalGroup(syscall.SIGKILL)
		<-child.Done()
		return a, err
	}
	if a.stdout, err = readAll(out); err != nil {
		return a, err
	}
	said, err := readAll(words)
	if !a.ok() {
		said += " " + a.stdout // some commands complain there
	}
	a.words = strings.Join(strings.Fields(said), " ")
	return a, err
}

func readAll(f *os.File) (string, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("reading an answer: %w", err)
	}
	return string(b), nil
}

// unconfigured reports whether the words say that nobody has told this host where a
// qmaster is: Debian's package leaves it so.
func unconfigured(words string) bool {
	return strings.Contains(words, "unable to read qmaster name") || strings.Contains(words, "Please set the environment variable SGE_ROOT")
}

// unavailable tells complaints about sge_qmaster's silence from its refusals.
func unavailable(words string) bool {
	for _, sign := range []string{
		"commlib error", "unable to contact qmaster", "unable to send message to qmaster", "can't get configuration from qmaster",
		"qmaster is not running", "got no connection to qmaster", "failed receiving gdi request", "got send error",
	} {
		if strings.Contains(words, sign) {
			return true
		}
	}
	return false
}

// find looks for a command in the PATH that was given, and in SGE_ROOT.
func (e *Engine) find(name string) (string, error) {
	env := environment(e.o.Environ)
	folders := filepath.SplitList(env["PATH"])
	if root := env["SGE_ROOT"]; root != "" {
		arch, _ := filepath.Glob(filepath.Join(root, "bin", "lx*")) // the pattern is sound
		folders = append(folders, arch...)
	}
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 && filepath.IsAbs(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %s is not in PATH; load the site's Grid Engine settings (settings.sh, or a module), which also set SGE_ROOT", engine.ErrMissing, name)
}

// environment reads NAME=VALUE; the last one counts.
func environment(environ []string) map[string]string {
	env := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	return env
}

// commandEnv is what Grid Engine's commands need of the environment, and nothing
// that could change what they do.
func (e *Engine) commandEnv() []string {
	env := environment(e.o.Environ)
	out := []string{"HOME=/", "LANG=C", "LC_ALL=C"}
	for _, name := range []string{
		"PATH", "TZ", "USER", "LOGNAME", "LD_LIBRARY_PATH",
		"SGE_ROOT", "SGE_CELL", "SGE_ARCH", "SGE_CLUSTER_NAME", "SGE_QMASTER_PORT", "SGE_EXECD_PORT", "SGE_CONFDIR",
	} {
		if value, ok := env[name]; ok {
			out = append(out, name+"="+value)
		}
	}
	return out
}

// refused is the error for a command that answered no.
func refused(name string, a answer) error {
	if a.words == "" {
		return fmt.Errorf("%w: %s ended with %s and said nothing", engine.ErrRefused, name, a.exit)
	}
	return fmt.Errorf("%w: %s: %s", engine.ErrRefused, name, a.words)
}

// asTold is a command's answer, or the error that it stands for.
func (e *Engine) asTold(ctx context.Context, name string, args ...string) (string, error) {
	a, err := e.ask(ctx, nil, nil, name, args...)
	if err != nil {
		return "", err
	}
	if !a.ok() {
		return "", refused(name, a)
	}
	return a.stdout, nil
}

// isRefused reports an answer that is no, as opposed to none.
func isRefused(err error) bool { return errors.Is(err, engine.ErrRefused) }
