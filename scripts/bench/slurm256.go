package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"muster/internal/node"
)

// The published geometry: 256 nodes with 64 instances each ("Interactive launch of
// 16,000 Microsoft Windows instances on a supercomputer", 2018).
const (
	publishedNodes   = 256
	publishedLanes   = 64
	publishedSeconds = 300.0
)

// probe writes its first argument to the file that its second names: the trace by which
// each program is accounted for without muster.
const probe = `#include <stdio.h>
int main(int argc, char **argv)
{
	FILE *f = argc == 3 ? fopen(argv[2], "wb") : NULL;
	if (!f || fputs(argv[1], f) < 0)
		return 1;
	return fclose(f) != 0;
}
`

// slurm256: 16,384 Windows programs in one array of 256 elements, from one command.
func slurm256(ctx context.Context, b *bench) ([]row, error) {
	// All daemons share two processors or so with all programs: as patient as Slurm is by
	// itself, or nodes would count as lost.
	patient := []string{"CLUSTER_NODE_TIMEOUT=300", "CLUSTER_MESSAGE_TIMEOUT=100"}
	return b.withSlurm(ctx, publishedNodes, publishedLanes, patient, func(b *bench) ([]row, error) {
		n := publishedNodes * publishedLanes
		dir, err := b.fresh("probes")
		if err != nil {
			return nil, err
		}
		exe := filepath.Join(dir, "probe.exe")
		if err := b.compile(ctx, probe, exe); err != nil {
			return nil, err
		}
		list, err := b.words(n)
		if err != nil {
			return nil, err
		}
		if _, _, err := b.timed(ctx, b.muster, "image", "build", "wine"); err != nil {
			return nil, err
		}
		if _, err := b.calls(ctx); err != nil {
			return nil, err
		}
		out := filepath.Join(dir, "out")
		most := mostAlive(ctx, "probe.exe")
		took, text, err := b.timed(ctx, b.muster, "map", "--engine", "slurm", "--json", "--progress", "none",
			"--np", fmt.Sprintf("[%d,%d,1]", publishedNodes, publishedLanes), "--isolation", "node", "--stage", "direct",
			"--input", list, "--output", out, "--", exe, "{in}", "{out}")
		peak, memory := most()
		if err != nil {
			return nil, err
		}
		calls, err := b.calls(ctx)
		if err != nil {
			return nil, err
		}
		if err := accounted(out, n); err != nil {
			return nil, err
		}
		result, err := lastResult(text)
		if err != nil {
			return nil, err
		}
		r, err := b.report(ctx, result.Run)
		if err != nil {
			return nil, err
		}
		published := fmt.Sprintf("published: about %.0f s on 256 machines", publishedSeconds)
		rate := float64(n) / r.Programs.Last
		return []row{
			{thousands(n) + " Windows programs, 256 nodes × 64 in one array, every output accounted for: from command to last start", fmt.Sprintf("%.0f s", r.Programs.Last), published, ratio(publishedSeconds / r.Programs.Last), ""},
			{"the same, from command to prompt", fmt.Sprintf("%.0f s", took.Seconds()), "", "", ""},
			{"launch rate", perSec(rate), fmt.Sprintf("published: %.0f/s", float64(n)/publishedSeconds), ratio(rate / (float64(n) / publishedSeconds)), ""},
			{"copy time of a node: median, longest", fmt.Sprintf("%.2f s, %.2f s", r.Phases["staged"].Median, r.Phases["staged"].Max), "", "", ""},
			{"most programs alive at once", thousands(peak), "published: 16,384", "", ""},
			{"memory in use at the most", fmt.Sprintf("%.1f GiB", float64(memory)/(1<<30)), "", "", ""},
			{"calls to the controller", strconv.Itoa(calls), "", "", ""},
		}, nil
	})
}

// accounted checks that each word's output holds the word.
func accounted(out string, n int) error {
	for i := range n {
		word := fmt.Sprintf("w%06d", i+1)
		got, err := os.ReadFile(filepath.Join(out, word+".out"))
		if err != nil {
			return err
		}
		if string(got) != word {
			return fmt.Errorf("the output of %s is %q", word, got)
		}
	}
	return nil
}

// figures are what the measurement needs of a report.
type figures struct {
	Programs struct {
		Last float64 `json:"last_s"`
	} `json:"programs"`
	Phases map[string]struct {
		Median float64 `json:"median_s"`
		Max    float64 `json:"max_s"`
	} `json:"phases"`
}

func (b *bench) report(ctx context.Context, run int) (r figures, err error) {
	_, text, err := b.timed(ctx, b.muster, "report", strconv.Itoa(run), "--json")
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("reading a report: %w", err)
	}
	return r, nil
}

// mostAlive counts the processes of that name until stop is called, which returns the
// most that were there at once, and by how many bytes at the most the machine's
// available memory has shrunk meanwhile.
func mostAlive(ctx context.Context, name string) (stop func() (programs int, memory int64)) {
	ctx, cancel := context.WithCancel(ctx)
	most, before, least := 0, available(), available()
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			now := 0
			for _, p := range processes() {
				if p.file("comm") == name+"\n" {
					now++
				}
			}
			most, least = max(most, now), min(least, available())
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	return func() (int, int64) {
		cancel()
		wg.Wait()
		return most, before - least
	}
}

// available is the machine's available memory in bytes; 0 when that cannot be told.
func available() int64 {
	m, err := node.MemoryNow()
	if err != nil {
		return 0
	}
	return m.Available
}
