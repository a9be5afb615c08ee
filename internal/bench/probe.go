package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"muster/examples/probe"
	"muster/internal/job"
	"muster/internal/proc"
)

// compilers make a probe of its source: for Windows without a C runtime, so that
// nothing is measured but what Wine takes.
var compilers = map[string]struct {
	name, compiler string
	flags          []string
	source         []byte
	where          string
}{
	"wine": {
		"probe.exe", "x86_64-w64-mingw32-gcc",
		[]string{"-Os", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-Wl,--entry,start", "-Wl,--subsystem,console", "-s"},
		probe.Source, "Debian: apt-get install gcc-mingw-w64-x86-64",
	},
	"native": {"probe-crt", "gcc", []string{"-Os"}, probe.PlainSource, "Debian: apt-get install gcc libc6-dev"},
}

// BuildProbe builds the probe for a guest into dir. find looks a command up; the
// error is the reader's to act on when there is no compiler.
func BuildProbe(ctx context.Context, t *proc.Table, env []string, find func(string) (string, error), guest, dir string) (Probe, error) {
	c, ok := compilers[guest]
	if !ok {
		return Probe{}, job.BadInputf("there is no probe for guest %q", guest)
	}
	compiler, err := find(c.compiler)
	if err != nil {
		return Probe{}, &NoCompilerError{c.compiler, c.where}
	}
	source, exe := filepath.Join(dir, "probe.c"), filepath.Join(dir, c.name)
	if err := os.WriteFile(source, c.source, 0o644); err != nil {
		return Probe{}, err
	}
	args := append([]string{compiler}, c.flags...)
	args = append(args, "-o", exe, source)
	if guest == "wine" {
		args = append(args, "-lkernel32")
	}
	out, err := t.Run(ctx, proc.Cmd{Path: compiler, Args: args, Dir: dir, Env: env})
	if err == nil && !out.Exit.OK() {
		err = fmt.Errorf("%s ended with code %d: %s", c.compiler, out.Exit.Code, lastLine(out.Stderr))
	}
	if err != nil {
		return Probe{}, fmt.Errorf("building the probe: %w", err)
	}
	return NewProbe(exe)
}

// NoCompilerError means that the probe cannot be built here.
type NoCompilerError struct{ Compiler, Where string }

func (e *NoCompilerError) Error() string {
	return fmt.Sprintf("the program that is launched is built with %s, which is not here (%s); or name one that is built already: --probe FILE", e.Compiler, e.Where)
}

// NewProbe is a probe that is built, with a word of its own.
func NewProbe(path string) (Probe, error) {
	word := make([]byte, 6)
	if _, err := rand.Read(word); err != nil {
		return Probe{}, err
	}
	return Probe{Path: path, Name: filepath.Base(path), Word: "bench-" + hex.EncodeToString(word)}, nil
}
