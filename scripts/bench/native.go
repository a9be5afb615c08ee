package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// rounds of each native measurement; the median counts.
const rounds = 3

// native: 10,000 times /bin/true. The things compared take turns, so that a slow
// moment of the machine meets all of them.
func native(ctx context.Context, b *bench) ([]row, error) {
	n := b.count(10_000)
	list, err := b.words(n)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	lanes := strconv.Itoa(b.lanes)
	out := ""
	var outs []string
	commands := []struct {
		name string
		argv func() ([]string, error)
	}{
		{"bare", func() ([]string, error) {
			return []string{self, "spawn", strconv.Itoa(n), lanes, "/bin/true"}, nil
		}},
		{"muster", func() ([]string, error) {
			return []string{b.muster, "map", "--lanes", lanes, "--input", list, "--", "/bin/true", "{in}"}, nil
		}},
		{"publish", func() ([]string, error) {
			// A folder of its own for each round: removing the outputs of the round before
			// would slow this one down, for ext4 goes round inodes that were just freed.
			var err error
			out, err = b.fresh(fmt.Sprintf("native-out/%d", len(outs)))
			outs = append(outs, out)
			return []string{b.muster, "map", "--lanes", lanes, "--input", list, "--output", out, "--stdout", "--", "/bin/true", "{in}"}, err
		}},
		{"parallel", func() ([]string, error) {
			return []string{"parallel", "-j", lanes, "-a", list, "/bin/true", "{}"}, nil
		}},
	}
	times := map[string][]time.Duration{}
	for range rounds {
		for _, c := range commands {
			argv, err := c.argv()
			if err != nil {
				return nil, err
			}
			took, _, err := b.timed(ctx, argv...)
			if err != nil {
				return nil, err
			}
			times[c.name] = append(times[c.name], took)
		}
	}
	files, err := os.ReadDir(out)
	if err != nil {
		return nil, err
	}
	if published := countPlain(files); published != n {
		return nil, fmt.Errorf("%d of %d outputs were published", published, n)
	}
	for _, out := range outs {
		if err := os.RemoveAll(out); err != nil {
			return nil, err
		}
	}

	rate := func(name string) float64 {
		i := 0
		took, _ := median(rounds, func() (time.Duration, error) { i++; return times[name][i-1], nil })
		return perSecond(n, took)
	}
	bare, muster, publish, parallel := rate("bare"), rate("muster"), rate("publish"), rate("parallel")
	what := fmt.Sprintf("%s × `/bin/true`, journal and streams kept", thousands(n))
	return []row{
		{what, perSec(muster), "bare Go spawn loop: " + perSec(bare), ratio(muster / bare), "≥ 0.6"},
		{what, perSec(muster), "GNU parallel: " + perSec(parallel), ratio(muster / parallel), "≥ 4"},
		{"the same, an output file published each", perSec(publish), "bare Go spawn loop: " + perSec(bare), ratio(publish / bare), "≥ 0.4"},
	}, nil
}

// countPlain counts the entries that are not hidden.
func countPlain(entries []os.DirEntry) int {
	n := 0
	for _, e := range entries {
		if e.Name()[0] != '.' {
			n++
		}
	}
	return n
}

// spawn is the bare loop: N times PROGRAM from WORKERS goroutines, nothing kept.
func spawn(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: bench spawn N WORKERS PROGRAM")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	workers, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				if exec.Command(args[2]).Run() != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		return fmt.Errorf("%d of %d programs failed", failed.Load(), n)
	}
	return nil
}
