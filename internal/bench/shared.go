package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"

	"muster/internal/proc"
)

// Shared is the baseline of a script's author: one prefix, booted in full, and a
// tool of the shell that starts programs in it, InFlight at a time.
type Shared struct {
	Wine  *PlainWine
	Tool  string   // xargs or parallel
	Argv  []string // of the tool, without what it is to run for each word {} of its input
	Limit int      // its Most
	Shell string   // bash
}

// starter is what the tool runs for each program. It ends when the program has
// reported, so that the next one may be started; the program lives on.
const starter = `read -r line < <(exec "$0" "$1" "$2" "$3" </dev/null 2>/dev/null)`

// Xargs is the baseline with xargs.
func Xargs(w *PlainWine, path, shell string, limit int) *Shared {
	return &Shared{Wine: w, Tool: "xargs", Argv: []string{path, "-P" + strconv.Itoa(InFlight), "-I{}"}, Limit: limit, Shell: shell}
}

// Parallel is the baseline with GNU parallel.
func Parallel(w *PlainWine, path, shell string, limit int) *Shared {
	return &Shared{Wine: w, Tool: "parallel", Argv: []string{path, "--will-cite", "-j" + strconv.Itoa(InFlight), "-q"}, Limit: limit, Shell: shell}
}

// Name implements Contender.
func (s *Shared) Name() string {
	if s.Tool == "xargs" {
		return fmt.Sprintf("xargs -P%d, one booted prefix", InFlight)
	}
	return fmt.Sprintf("GNU parallel -j%d, one booted prefix", InFlight)
}

// Most implements Contender.
func (s *Shared) Most() int { return s.Limit }

// resident is the word by which the program is known that keeps the prefix booted.
func (s *Shared) resident() string { return s.Wine.Probe.Word + "-booted" }

// Prepare implements Contender: it boots the prefix, with a program that stays.
func (s *Shared) Prepare(ctx context.Context, say func(string)) error {
	w := s.Wine
	if err := w.prepare(ctx, say); err != nil {
		return err
	}
	return w.boot(ctx, s.resident())
}

// boot starts a program of that word in the prefix, unless one is there.
func (w *PlainWine) boot(ctx context.Context, word string) error {
	n, err := newCounter(Prey{Name: w.Probe.Name, Word: word}).count()
	if err != nil || n > 0 {
		return err
	}
	return w.begin(ctx, w.prefix(), word, 0)
}

// Launch implements Contender.
func (s *Shared) Launch(ctx context.Context, n int) (sample Sample, err error) {
	w := s.Wine
	sample = Sample{Nodes: 1, Source: FromProc}
	words, err := wordList(n)
	if err != nil {
		return sample, err
	}
	defer words.Close()
	c := w.command(w.prefix(), w.Probe.Word, append(s.Argv, s.Shell, "-c", starter, w.Loader, w.Probe.Path, "{}", w.Probe.Word)...)
	c.Stdin = words
	return sample, measure(ctx, w.Probe, n, &sample, func(ctx context.Context) error {
		out, err := w.Table.Run(ctx, c)
		if err == nil && !out.Exit.OK() {
			err = fmt.Errorf("%s ended with code %d: %s", s.Tool, out.Exit.Code, lastLine(out.Stderr))
		}
		return err
	}, func() error { return w.kill(w.Probe.Word) })
}

// Close implements Contender: the prefix's owner ends what keeps it booted.
func (s *Shared) Close() error { return nil }

// wordList is a file of the words 1 … n, a line each.
func wordList(n int) (*os.File, error) {
	var text bytes.Buffer
	for i := range n {
		fmt.Fprintln(&text, i+1)
	}
	f, err := proc.Memfile("words")
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(text.Bytes(), 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
