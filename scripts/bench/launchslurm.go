package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
)

// launchSlurmMost is how many are alive at once over the nodes of the little
// cluster. Each node has an agent and a server of its own, all in the memory of one
// machine, which is full long before the published 64 on each.
const launchSlurmMost = publishedNodes * 16

// launchSlurm repeats the published geometry over the nodes of a real Slurm, as a user
// does: one instance on each of 1, 2, 4 … nodes, then more on each.
func launchSlurm(ctx context.Context, b *bench) ([]row, error) {
	return b.withSlurm(ctx, publishedNodes, publishedLanes, nil, func(b *bench) ([]row, error) {
		_, text, err := b.timed(ctx, b.muster, "bench", "launch", "--engine", "slurm", "--nodes", strconv.Itoa(publishedNodes),
			"--max", strconv.Itoa(b.count(launchSlurmMost)), "--repeats", "1", "--against", "none", "--progress", "none",
			"--json", "--output", filepath.Join(b.work, "launch"))
		if err != nil {
			return nil, err
		}
		var result struct {
			Points []struct {
				Instances int
				Nodes     int
				Launch    struct{ Median float64 } `json:"launch_s"`
				Rate      struct{ Median float64 } `json:"rate_per_s"`
				Copy      struct{ Median float64 } `json:"copy_s"`
				Alive     int
				CountedBy string `json:"counted_by"`
			}
			Stopped []struct{ Reason string }
		}
		if err := json.Unmarshal([]byte(text), &result); err != nil {
			return nil, fmt.Errorf("reading the results: %w", err)
		}
		var rows []row
		for _, p := range result.Points {
			what := fmt.Sprintf("%s alive at once (by %[3]s), nodes: %[2]d; from the command to the last alive", thousands(p.Alive), p.Nodes, p.CountedBy)
			rows = append(rows, row{what, fmt.Sprintf("%.2f s (%s), copying %.2f s", p.Launch.Median, perSec(p.Rate.Median), p.Copy.Median), "", "", ""})
		}
		for _, s := range result.Stopped {
			rows = append(rows, row{"measured no further", s.Reason, "", "", ""})
		}
		return rows, nil
	})
}
