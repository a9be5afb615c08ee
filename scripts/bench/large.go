package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// large: a run of 100,000 tasks, cancelled half-way and resumed.
func large(ctx context.Context, b *bench) ([]row, error) {
	n := b.count(100_000)
	list, err := b.words(n)
	if err != nil {
		return nil, err
	}
	command := func(more ...string) []string {
		argv := append([]string{b.muster, "map", "--lanes", strconv.Itoa(b.lanes), "--input", list}, more...)
		return append(argv, "--", "/bin/true", "{in}")
	}

	plan, err := median(rounds, func() (time.Duration, error) {
		took, _, err := b.timed(ctx, command("--dry-run")...)
		return took, err
	})
	if err != nil {
		return nil, err
	}

	// A whole run, with the command staying until its end.
	stop := peaks(ctx, b.muster)
	whole, text, err := b.timed(ctx, command("--json")...)
	peak := stop()
	if err != nil {
		return nil, err
	}
	result, err := lastResult(text)
	if err != nil {
		return nil, err
	}
	if result.Completed != n {
		return nil, fmt.Errorf("%d of %d tasks completed", result.Completed, n)
	}
	status, err := b.status(ctx, result.Run)
	if err != nil {
		return nil, err
	}

	// Another, cancelled half-way.
	_, text, err = b.timed(ctx, command("--detach", "--quiet")...)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("--detach --quiet did not print a run's number: %q", text)
	}
	select {
	case <-time.After(whole / 2):
	case <-ctx.Done():
	}
	if _, _, err := b.timed(ctx, b.muster, "cancel", strconv.Itoa(number)); err != nil {
		return nil, err
	}
	// wait ends with the run's own exit code, which is no success here.
	_, _, _ = b.timed(ctx, b.muster, "wait", strconv.Itoa(number))
	half, err := b.status(ctx, number)
	if err != nil {
		return nil, err
	}
	resume, _, err := b.timed(ctx, b.muster, "resume", strconv.Itoa(number), "--detach")
	if err != nil {
		return nil, err
	}
	if _, _, err := b.timed(ctx, b.muster, "wait", strconv.Itoa(number)); err != nil {
		return nil, fmt.Errorf("the resumed run: %w", err)
	}

	what := thousands(n) + " tasks: "
	return []row{
		{what + "plan (`map --dry-run`, whole command)", seconds(plan), "", "", "< 1 s"},
		{what + "peak memory of the agent", mega(peak["agent"]), "", "", "< 100 MB"},
		{what + "peak memory of the command", mega(peak["map"]), "", "", "< 100 MB"},
		{what + "`muster status`, all done", seconds(status), "", "", "< 0.2 s"},
		{what + "`muster status`, cancelled half-way", seconds(half), "", "", "< 0.2 s"},
		{what + "`muster resume` until it is under way", seconds(resume), "", "", "< 1 s"},
		{what + "the whole run of `/bin/true`", perSec(perSecond(n, whole)), "", "", ""},
	}, nil
}

// status times `muster status`.
func (b *bench) status(ctx context.Context, run int) (time.Duration, error) {
	return median(rounds, func() (time.Duration, error) {
		took, _, err := b.timed(ctx, b.muster, "status", strconv.Itoa(run))
		return took, err
	})
}

// mapResult is what the last line of map --json says.
type mapResult struct {
	Run       int `json:"run"`
	Completed int `json:"completed"`
}

func lastResult(text string) (mapResult, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var r mapResult
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		return r, fmt.Errorf("reading the result of map --json: %w", err)
	}
	return r, nil
}
