package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/proc"
	"muster/internal/ui/human"
)

// PlainWine is Wine as it is without muster: what the baselines are made of. Nothing
// in its prefixes is trimmed. Close it.
type PlainWine struct {
	Table  *proc.Table
	Loader string // Wine's own binary, not the script that starts it
	Server string
	Dir    string   // for prefixes; made, and removed by Close
	Env    []string // HOME, PATH, LANG …
	Probe  Probe

	mu       sync.Mutex
	prepared bool
}

// InFlight is how many programs the baselines start at the same time.
const InFlight = 8

// mark is the variable by which everything is found again that a baseline has
// started: Wine's services survive their server.
const mark = "MUSTER_BENCH="

// takesPrefix is what a prefix takes on disk.
const takesPrefix = 750 << 20

// prefix is the prepared prefix.
func (w *PlainWine) prefix() string { return filepath.Join(w.Dir, "prefix") }

// prepare makes the prefix, once.
func (w *PlainWine) prepare(ctx context.Context, say func(string)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.prepared {
		return nil
	}
	say("plain Wine makes a prefix, about 10 s")
	// Wine puts its sockets below TMPDIR, and wants nobody else in there.
	for _, dir := range []string{w.Dir, filepath.Join(w.Dir, "tmp")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("preparing plain Wine: %w", err)
		}
	}
	word := w.Probe.Word + "-prefix"
	defer w.kill(word)
	// The first start makes the prefix; when the server has ended, it is written.
	for _, argv := range [][]string{{w.Loader, "wineboot", "-i"}, {w.Server, "-w"}} {
		out, err := w.Table.Run(ctx, w.command(w.prefix(), word, argv...))
		if err == nil && !out.Exit.OK() {
			err = fmt.Errorf("it ended with code %d: %s", out.Exit.Code, lastLine(out.Stderr))
		}
		if err != nil {
			return fmt.Errorf("making a prefix with %s: %w", filepath.Base(argv[0]), err)
		}
	}
	w.prepared = true
	return nil
}

// Close ends everything and removes the prefixes. Idempotent.
func (w *PlainWine) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), goneTakes)
	defer cancel()
	_, err := proc.KillMarked(ctx, func(env []string) bool {
		return slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, mark+w.Probe.Word) })
	})
	return errors.Join(err, os.RemoveAll(w.Dir))
}

func (w *PlainWine) command(prefix, word string, argv ...string) proc.Cmd {
	env := []string{"WINEPREFIX=" + prefix, "TMPDIR=" + filepath.Join(w.Dir, "tmp"), "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=;winemenubuilder.exe=d", mark + word}
	// Of a name that is there twice programs take the first, and shells, as which
	// Debian's wineserver begins, the last.
	for _, kv := range w.Env {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(env, func(own string) bool { return strings.HasPrefix(own, name+"=") }) {
			env = append(env, kv)
		}
	}
	// Randomized, one start of Debian's Wine in some thousands ends at once (see docs/guests-wine.md),
	// and the whole measurement with it.
	return proc.Cmd{Path: argv[0], Args: argv, Dir: w.Dir, Env: env, FixedLayout: true}
}

// kill ends everything that was started with the word, whoever has started it.
func (w *PlainWine) kill(word string) error {
	ctx, cancel := context.WithTimeout(context.Background(), goneTakes)
	defer cancel()
	_, err := proc.KillMarked(ctx, func(env []string) bool { return slices.Contains(env, mark+word) })
	return err
}

// begin starts one probe with that word and returns when it has reported.
func (w *PlainWine) begin(ctx context.Context, prefix, word string, index int) error {
	r, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	c := w.command(prefix, word, w.Loader, w.Probe.Path, strconv.Itoa(index), word)
	c.Stdout = stdout
	child, err := w.Table.Start(c)
	err = errors.Join(err, stdout.Close())
	if err != nil {
		return err
	}
	told := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(r).ReadString('\n') // ends with r at the latest
		told <- err
	}()
	select {
	case err := <-told:
		if err != nil {
			return fmt.Errorf("program %d has not reported: %w", index, err)
		}
		return nil
	case <-child.Done():
		return fmt.Errorf("program %d ended before it had reported", index)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// FullBoot is the baseline of a prepared prefix for each program, in which Wine
// boots in full.
type FullBoot struct {
	Wine  *PlainWine
	Limit int // its Most
}

// Name implements Contender.
func (f *FullBoot) Name() string { return "plain wine, full boot each" }

// Most implements Contender.
func (f *FullBoot) Most() int { return f.Limit }

// Prepare implements Contender.
func (f *FullBoot) Prepare(ctx context.Context, say func(string)) error {
	if err := f.Wine.prepare(ctx, say); err != nil {
		return err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(f.Wine.Dir, &disk); err != nil {
		return fmt.Errorf("asking how much disk is free: %w", err)
	}
	need, free := int64(f.Limit)*takesPrefix, int64(disk.Bavail)*disk.Bsize
	if need > free {
		return fmt.Errorf("a prefix for each of %d programs takes %s, and %s are free in %s", f.Limit, human.Bytes(need), human.Bytes(free), f.Wine.Dir)
	}
	return nil
}

// Close implements Contender; the PlainWine is its owner's to close.
func (f *FullBoot) Close() error { return nil }

// Launch implements Contender. Prefixes are copied first, and that is measured as
// copying, not as launching: they are prepared ones.
func (f *FullBoot) Launch(ctx context.Context, n int) (s Sample, err error) {
	w := f.Wine
	s = Sample{Nodes: 1, Source: FromProc, Copies: true}
	copies := filepath.Join(w.Dir, "copies")
	defer func() { err = errors.Join(err, w.kill(w.Probe.Word), os.RemoveAll(copies)) }()
	prefixes := make([]string, n)
	began := time.Now()
	for i := range prefixes {
		prefixes[i] = filepath.Join(copies, strconv.Itoa(i+1))
		if err := os.CopyFS(prefixes[i], os.DirFS(w.prefix())); err != nil {
			return s, fmt.Errorf("copying a prefix: %w", err)
		}
	}
	s.Copy = time.Since(began)
	return s, measure(ctx, w.Probe, n, &s, func(ctx context.Context) error {
		return eachInFlight(ctx, n, func(ctx context.Context, i int) error { return w.begin(ctx, prefixes[i], w.Probe.Word, i+1) })
	}, func() error { return w.kill(w.Probe.Word) })
}

// eachInFlight calls f for 0 … n-1, InFlight at a time, and returns the first error.
func eachInFlight(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, InFlight) {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// upTakes is how long programs that have reported may take to be seen in /proc.
const upTakes = 30 * time.Second

// measure brings n probes up, has them counted, takes them down, and writes into s
// what was seen.
func measure(ctx context.Context, p Probe, n int, s *Sample, up func(context.Context) error, down func() error) (err error) {
	watch, err := NewWatch(p.prey(), n)
	if err != nil {
		return err
	}
	began := time.Now()
	err = up(ctx)
	s.Launch = time.Since(began)
	if err == nil {
		patient, cancel := context.WithTimeout(ctx, upTakes)
		err = watch.WaitUp(patient)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			err = nil // how many there were tells it better
		}
	}
	err = errors.Join(err, down())
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), goneTakes)
	defer cancel()
	seen, ended := watch.End(patient)
	s.Alive, s.Memory, s.CPU, s.Down = seen.Most, seen.Memory, seen.CPU, seen.Down
	return errors.Join(err, ended)
}
