package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// source is the short console task: it copies its input to its output.
const source = `#include <stdio.h>
int main(int argc, char **argv)
{
	FILE *in = argc == 3 ? fopen(argv[1], "rb") : NULL, *out = in ? fopen(argv[2], "wb") : NULL;
	int c;
	if (!out)
		return 1;
	while ((c = getc(in)) != EOF)
		putc(c, out);
	return fclose(out) != 0;
}
`

// wine: 500 short console tasks, in instances by lane and by task, against a full
// boot of Wine for each.
func wine(ctx context.Context, b *bench) ([]row, error) {
	n := b.count(500)
	dir, err := b.fresh("wine")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "copy.exe")
	if err := os.WriteFile(filepath.Join(dir, "copy.c"), []byte(source), 0o644); err != nil {
		return nil, err
	}
	if _, _, err := b.timed(ctx, "x86_64-w64-mingw32-gcc", "-O2", "-static", "-s", "-o", exe, filepath.Join(dir, "copy.c")); err != nil {
		return nil, err
	}
	in := filepath.Join(dir, "in")
	for i := range n {
		if err := errors.Join(os.MkdirAll(in, 0o755), os.WriteFile(filepath.Join(in, fmt.Sprintf("t%04d", i+1)), []byte("hello\n"), 0o644)); err != nil {
			return nil, err
		}
	}

	full, err := fullBoots(ctx, b, dir, exe, filepath.Join(in, "t0001"))
	if err != nil {
		return nil, err
	}
	// The image is built once for a user, so it is not part of a run's time.
	if _, _, err := b.timed(ctx, b.muster, "image", "build", "wine"); err != nil {
		return nil, err
	}
	rates := map[string]float64{}
	for _, isolation := range []string{"lane", "task"} {
		took, err := median(rounds, func() (time.Duration, error) {
			out, err := b.fresh("wine/out")
			if err != nil {
				return 0, err
			}
			took, _, err := b.timed(ctx, b.muster, "map", "--lanes", strconv.Itoa(b.lanes), "--isolation", isolation,
				"--mapper", exe, "--input", in, "--output", out)
			if err != nil {
				return 0, err
			}
			files, err := os.ReadDir(out)
			if err == nil && countPlain(files) != n {
				err = fmt.Errorf("isolation %s: %d of %d outputs are there", isolation, countPlain(files), n)
			}
			return took, err
		})
		if err != nil {
			return nil, err
		}
		rates[isolation] = perSecond(n, took)
	}
	loop := fmt.Sprintf("`wine`, full boot each, servers taken down, %d in flight, %d tasks: %s", b.lanes, full.tasks, perSec(full.whole))
	rows := []row{
		{fmt.Sprintf("%d short console tasks, isolation lane", n), perSec(rates["lane"]), loop, ratio(rates["lane"] / full.whole), "≥ 40"},
		{fmt.Sprintf("%d short console tasks, isolation task", n), perSec(rates["task"]), loop, ratio(rates["task"] / full.whole), "≥ 15"},
	}
	ended := "the same, as if taking the servers down took no time: " + perSec(full.untilEnded)
	return append(rows,
		row{"isolation lane", perSec(rates["lane"]), ended, ratio(rates["lane"] / full.untilEnded), ""},
		row{"isolation task", perSec(rates["task"]), ended, ratio(rates["task"] / full.untilEnded), ""},
	), nil
}

// bootRates are how fast plain Wine boots anew for each task: as a loop that
// takes the servers down before the next task, without which the next boot is no
// fresh one; and as if that took no time.
type bootRates struct {
	tasks      int
	whole      float64 // per second
	untilEnded float64
}

// fullBoots runs a loop for each lane, in a prepared prefix of its own.
func fullBoots(ctx context.Context, b *bench, dir, exe, in string) (r bootRates, err error) {
	const each = 6
	var prefixes []string
	defer func() { err = errors.Join(err, b.stopWine(prefixes)) }()
	for lane := range b.lanes {
		prefix := filepath.Join(dir, fmt.Sprintf("prefix%d", lane))
		prefixes = append(prefixes, prefix)
		if err := b.plainWine(ctx, prefix, "wineboot", "-i"); err != nil {
			return r, fmt.Errorf("preparing a prefix: %w", err)
		}
	}
	if err := b.stopWine(prefixes); err != nil {
		return r, err
	}
	errs := make([]error, b.lanes)
	ran := make([]time.Duration, b.lanes)
	var wg sync.WaitGroup
	began := time.Now()
	for lane, prefix := range prefixes {
		wg.Go(func() {
			for range each {
				start := time.Now()
				err := b.plainWine(ctx, prefix, "wine", exe, in, filepath.Join(dir, fmt.Sprintf("plain%d", lane)))
				ran[lane] += time.Since(start)
				if errs[lane] = errors.Join(err, b.stopWine([]string{prefix})); errs[lane] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	whole := time.Since(began)
	r.tasks = each * b.lanes
	r.whole = perSecond(r.tasks, whole)
	for _, d := range ran {
		r.untilEnded += perSecond(each, d)
	}
	return r, errors.Join(errs...)
}

// plainWine runs a command of Wine's. Its streams are no pipes: servers that it
// starts would keep them open.
func (b *bench) plainWine(ctx context.Context, prefix string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(b.env, "WINEPREFIX="+prefix, "WINEDLLOVERRIDES=mscoree,mshtml=;winemenubuilder.exe=d")
	cmd.Dir = b.work
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}

// stopWine ends all that runs in the prefixes: the servers, and the services that
// outlive them.
func (b *bench) stopWine(prefixes []string) error {
	deadline := time.Now().Add(20 * time.Second)
	for _, prefix := range prefixes {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		_ = b.plainWine(ctx, prefix, "wineserver", "-k") // fails when none runs; what counts is looked at below
		cancel()
	}
	for {
		left := 0
		for _, prefix := range prefixes {
			for _, p := range processes() {
				if p.hasEnv("WINEPREFIX=" + prefix) {
					left++
					_ = syscall.Kill(p.pid, syscall.SIGKILL) // gone meanwhile is as good
				}
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of plain wine do not end", left)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
