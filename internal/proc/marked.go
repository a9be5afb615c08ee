package proc

import (
	"context"
	"fmt"
	"os"
	"strconv"
)

// KillMarked ends, by SIGKILL, every process of this machine whose environment
// match says yes to, and what is below it, again and again until none is left. It is
// for what a dead process has left behind, which is below nobody who could
// look after it; what has lost both its parent and its environment is not found. It returns how
// many it killed, and an error when some could not be brought to an end before
// ctx was done.
func KillMarked(ctx context.Context, match func(env []string) bool) (int, error) {
	return killAll(ctx, func() ([]Info, error) { return marked(match) })
}

// marked lists the living processes that match, and those below them.
func marked(match func(env []string) bool) ([]Info, error) {
	names, err := readNames("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	below := map[int][]Info{} // by parent
	var out []Info
	seen := map[int]bool{os.Getpid(): true}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		i, ok := stat(pid)
		if !ok || i.ended() {
			continue
		}
		below[i.PPID] = append(below[i.PPID], i)
		if !seen[pid] && match(i.Env()) {
			seen[pid] = true
			out = append(out, i)
		}
	}
	for n := 0; n < len(out); n++ {
		for _, i := range below[out[n].PID] {
			if !seen[i.PID] {
				seen[i.PID] = true
				out = append(out, i)
			}
		}
	}
	return out, nil
}
