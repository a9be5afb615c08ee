package slurm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"muster/internal/engine"
	"muster/internal/proc"
)

// A call is one command of Slurm's.
type call struct {
	program string   // its name
	args    []string // without the name
	env     []string // beyond commandEnv
	stdin   []byte
	third   []byte // what descriptor 3 reads; nil: it is closed
}

// errMissing means that this host leads to no Slurm: there is no command, or no configuration.
var errMissing = fmt.Errorf("%w: this host leads to no Slurm", engine.ErrMissing)

// failure is a command that has said no, in its own words.
type failure struct {
	program string
	words   string // one line
	code    int
}

func (f *failure) Error() string {
	if f.words == "" {
		return fmt.Sprintf("%s ended with exit code %d and said nothing", f.program, f.code)
	}
	return f.program + ": " + f.words
}

// maxOutput bounds what is read of a command's answer: 10,000 elements are 2 MiB.
const maxOutput = 256 << 20

// run runs a command and returns its standard output. Errors: ctx's; ErrUnavailable when
// the controller does not answer; errMissing; *failure for everything else it complains of.
func (e *Engine) run(ctx context.Context, c call) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	path, err := e.find(c.program)
	if err != nil {
		return "", err
	}
	if err := e.configured(); err != nil {
		return "", err
	}
	cmd := proc.Cmd{Path: path, Args: append([]string{c.program}, c.args...), Env: append(commandEnv(e.o.Environ), c.env...), Dir: "/"}
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	memory := func(name string, content []byte) (*os.File, error) {
		f, err := proc.Memfile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		if _, err := f.Write(content); err != nil {
			return nil, err
		}
		_, err = f.Seek(0, io.SeekStart)
		return f, err
	}
	if cmd.Stdout, err = memory("stdout", nil); err != nil {
		return "", err
	}
	if cmd.Stderr, err = memory("stderr", nil); err != nil {
		return "", err
	}
	if c.stdin != nil {
		if cmd.Stdin, err = memory("stdin", c.stdin); err != nil {
			return "", err
		}
	}
	if c.third != nil {
		third, err := memory("third", c.third)
		if err != nil {
			return "", err
		}
		cmd.Files = []*os.File{third}
	}
	child, err := e.o.Table.Start(cmd)
	if err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, e.o.Patience)
	defer cancel()
	exit, err := child.Wait(limited)
	if err != nil {
		child.SignalGroup(syscall.SIGKILL)
		<-child.Done()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
	said, readErr := io.ReadAll(io.NewSectionReader(cmd.Stderr, 0, 1<<20))
	if readErr != nil {
		return "", readErr
	}
	words := clean(string(said))
	if err != nil {
		if words != "" {
			words = " (" + words + ")"
		}
		if unconfigured(words) {
			return "", fmt.Errorf("%w: %s", errMissing, words)
		}
		return "", fmt.Errorf("%w: %s got no answer within %v%s", engine.ErrUnavailable, c.program, e.o.Patience, words)
	}
	out, err := io.ReadAll(io.NewSectionReader(cmd.Stdout, 0, maxOutput))
	if err != nil {
		return "", err
	}
	if exit.OK() {
		return string(out), nil
	}
	if unconfigured(words) {
		return "", fmt.Errorf("%w: %s: %s", errMissing, c.program, words)
	}
	if unanswered(words) {
		return "", fmt.Errorf("%w: %s: %s", engine.ErrUnavailable, c.program, words)
	}
	return string(out), &failure{c.program, words, exit.Code}
}

// find looks for a command on the PATH. Relative entries do not count.
func (e *Engine) find(program string) (string, error) {
	path := ""
	for _, kv := range e.o.Environ {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, program)
		if !filepath.IsAbs(file) {
			continue
		}
		if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("%w: no %s on the PATH (%s); is this a host that jobs are submitted from?", errMissing, program, path)
}

// configured refuses a configuration that is not there: the commands would look for
// it for a minute.
func (e *Engine) configured() error {
	for _, kv := range commandEnv(e.o.Environ) {
		if file, ok := strings.CutPrefix(kv, "SLURM_CONF="); ok {
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%w: SLURM_CONF names %s, which does not exist", errMissing, file)
			}
		}
	}
	return nil
}

// clean makes one line of what a command has said on standard error.
func clean(said string) string {
	var out []string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		for _, program := range []string{"sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "srun"} {
			line = strings.TrimPrefix(line, program+": ")
		}
		line = strings.TrimPrefix(line, "error: ")
		line = strings.TrimPrefix(line, "fatal: ")
		if line != "" && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	const enough = 5
	if len(out) > enough {
		out = out[len(out)-enough:]
	}
	return strings.Join(out, "; ")
}

// unconfigured reports whether the words say that nobody has told this host where a controller is.
func unconfigured(words string) bool {
	return strings.Contains(words, "Could not establish a configuration source") || strings.Contains(words, "s_p_parse_file: cannot stat file") ||
		strings.Contains(words, "s_p_parse_file: unable to status file")
}

// unanswered reports whether the words are about the way to the controller, or
// about it being too busy: asking again later may help.
func unanswered(words string) bool {
	for _, sign := range []string{
		"Unable to contact slurm controller",
		"Socket timed out",
		"Connection refused",
		"Connection timed out",
		"Connection reset",
		"Transport endpoint is not connected",
		"Zero Bytes were transmitted",
		"standby mode",
		"temporarily unable to accept job",
		"Resource temporarily unavailable",
		"Unexpected message received", // a controller that is just starting
		"Munge encode failed",
		"authentication credential",
		"Protocol authentication error",
		"RPC limit",
		"Unable to process configuration file",
	} {
		if strings.Contains(words, sign) {
			return true
		}
	}
	return false
}

// refused puts what a failed call to do something means into the contract's terms.
func refused(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return fmt.Errorf("%w: %w", engine.ErrRefused, err)
	}
	return err
}
