package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A process of this machine, as /proc shows it.
type process struct{ pid int }

func processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var ps []process
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			ps = append(ps, process{pid})
		}
	}
	return ps
}

// file reads a file of the process; "" when it has ended or is another's.
func (p process) file(name string) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), name))
	if err != nil {
		return ""
	}
	return string(text)
}

// hasEnv reports whether the process was started with a setting, and lives.
func (p process) hasEnv(setting string) bool {
	env := p.file("environ") // empty for zombies
	return strings.HasPrefix(env, setting+"\x00") || strings.Contains(env, "\x00"+setting+"\x00")
}

// peak is the most memory that the process ever had resident, in bytes.
func (p process) peak() int64 {
	for line := range strings.Lines(p.file("status")) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// peaks watches processes that run a program until stop is called, which returns
// the greatest peak for each first argument (map, agent, …).
func peaks(ctx context.Context, program string) (stop func() map[string]int64) {
	ctx, cancel := context.WithCancel(ctx)
	found := map[string]int64{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			for _, p := range processes() {
				if exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(p.pid), "exe")); err != nil || exe != program {
					continue
				}
				argv := strings.Split(p.file("cmdline"), "\x00")
				if len(argv) > 1 {
					found[argv[1]] = max(found[argv[1]], p.peak())
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	return func() map[string]int64 {
		cancel()
		wg.Wait()
		return found
	}
}
