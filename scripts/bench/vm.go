package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"

	launches "muster/internal/bench"
)

// How far the experiment with VM jobs goes here: an unoptimised guest takes the best part of a minute
// where QEMU translates its code.
const (
	vmJobs    = 4
	vmPerJob  = 2
	vmLongest = "90s"
	vmAlive   = 64 // warm clones alive at once
)

// vmPoint is what muster bench vm --json tells of a scenario.
type vmPoint struct {
	Series string
	Jobs   int
	PerJob int                      `json:"vms_per_job"`
	Launch struct{ Median float64 } `json:"launch_s"`
	Start  struct{ Median float64 } `json:"start_s"`
	Down   struct{ Median float64 } `json:"down_s"`
}

// vms repeats the experiment with VM jobs, small, as a user does, and has many clones alive at once.
func vms(ctx context.Context, b *bench) ([]row, error) {
	for _, build := range [][]string{{"--name", "deb"}, {"--name", "deb-full", "--strip", "none"}} {
		argv := append([]string{b.muster, "image", "build", "vm", "--from", "debian", "--progress", "none"}, build...)
		if _, _, err := b.timed(ctx, argv...); err != nil {
			return nil, err
		}
	}
	_, text, err := b.timed(ctx, b.muster, "bench", "vm", "--image", "deb", "--unoptimised", "deb-full", "--max-jobs", strconv.Itoa(vmJobs),
		"--max-vms", strconv.Itoa(vmPerJob), "--repeats", strconv.Itoa(rounds), "--longest", vmLongest, "--engine", "local", "--progress", "none",
		"--json", "--output", filepath.Join(b.work, "vm"))
	if err != nil {
		return nil, err
	}
	var result struct {
		Points  []vmPoint
		Runs    string `json:"accelerator"`
		LeftOut []struct {
			Series string
			Jobs   int
			PerJob int `json:"vms_per_job"`
			Reason string
		} `json:"left_out"`
		Stopped []struct{ Series, Reason string }
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return nil, fmt.Errorf("reading the results: %w", err)
	}
	rows := vmRatios(result.Points, result.Runs)
	for _, p := range result.Points {
		if p.Jobs*p.PerJob > 1 {
			rows = append(rows, row{
				fmt.Sprintf("%s, jobs: %d, VMs of each: %d; from the command until all have added two numbers", p.Series, p.Jobs, p.PerJob),
				launches.Seconds(p.Launch.Median), "", "", "",
			})
		}
	}
	for _, l := range result.LeftOut {
		rows = append(rows, row{fmt.Sprintf("%s, jobs: %d, VMs of each: %d", l.Series, l.Jobs, l.PerJob), "left out: " + l.Reason, "", "", ""})
	}
	for _, s := range result.Stopped {
		rows = append(rows, row{s.Series + ": measured no further", s.Reason, "", "", ""})
	}
	alive, err := vmMemory(ctx, b)
	return append(rows, alive), err
}

// vmRatios compares the ways to start a guest, one VM alone.
func vmRatios(points []vmPoint, runs string) []row {
	alone := map[string]vmPoint{}
	for _, p := range points {
		if p.Jobs*p.PerJob == 1 {
			alone[p.Series] = p
		}
	}
	none := vmPoint{} // a series that was measured no further, which has a row of its own
	slow, cold, warm := alone[launches.SeriesUnoptimised], alone[launches.SeriesCold], alone[launches.SeriesWarm]
	what := "one guest of 256M, " + runs + ": "
	compare := func(text string, quick, slow float64, name, wanted string) row {
		return row{what + text, launches.Seconds(quick), name + ": " + launches.Seconds(slow), ratio(slow / quick), wanted}
	}
	var rows []row
	if cold != none && slow != none {
		rows = append(rows,
			compare("booted stripped, from the command until its job has added two numbers", cold.Launch.Median, slow.Launch.Median, "unoptimised", "≥ 8"),
			compare("booted stripped, its own start", cold.Start.Median, slow.Start.Median, "unoptimised", "≥ 8"),
			compare("booted stripped, shut down and discarded", cold.Down.Median, slow.Down.Median, "unoptimised", ""))
	}
	if warm != none && cold != none {
		rows = append(rows,
			compare("resumed, from the command until its job has added two numbers", warm.Launch.Median, cold.Launch.Median, "booted stripped", ""),
			compare("resumed, its own start", warm.Start.Median, cold.Start.Median, "booted stripped", "≥ 10, ≤ 0.15 s"))
	}
	return rows
}

// vmMemory has many clones alive at once.
func vmMemory(ctx context.Context, b *bench) (row, error) {
	n := b.count(vmAlive)
	_, text, err := b.timed(ctx, b.muster, "launch", "--guest", "vm", "--image", "deb", "--boot", "warm", "--engine", "local", "-n", strconv.Itoa(n), "--hold", "10s",
		"--ready", "output:^up", "--json", "--progress", "none", "--", "/bin/sh", "-c", "echo up; exec sleep 1000")
	if err != nil {
		return row{}, err
	}
	var res struct {
		Alive int     `json:"alive_max"`
		Each  int64   `json:"bytes_each"`
		Took  float64 `json:"launch_seconds"`
	}
	if err := json.Unmarshal([]byte(text), &res); err != nil {
		return row{}, fmt.Errorf("reading the launch: %w", err)
	}
	return row{fmt.Sprintf("%d resumed guests of 256M alive at once: memory each", res.Alive), megabytes(res.Each), "all were up after " + launches.Seconds(res.Took), "", "< 40 MB"}, nil
}
