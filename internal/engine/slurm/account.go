package slurm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const accountFields = "JobID,State,ExitCode,Start,End,NodeList"

// accounted asks the site's accounting for jobs that slurmctld has forgotten. Where there
// is none, nothing is known of them any more.
func (e *Engine) accounted(ctx context.Context, jobs []int) ([]record, error) {
	words := make([]string, len(jobs))
	for i, j := range jobs {
		words[i] = strconv.Itoa(j)
	}
	out, err := e.run(ctx, call{
		program: "sacct",
		args:    []string{"--noheader", "--parsable2", "--allocations", "--jobs=" + strings.Join(words, ","), "--format=" + accountFields},
		env:     []string{timeFormat},
	})
	var f *failure
	if errors.Is(err, errMissing) || (errors.As(err, &f) && strings.Contains(f.words, "accounting storage is disabled")) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseAccount(out)
}

// parseAccount reads what sacct prints for accountFields.
func parseAccount(out string) ([]record, error) {
	var records []record
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		field := strings.Split(line, "|")
		if len(field) != 6 {
			return nil, fmt.Errorf("sacct printed %q, which does not have 6 fields", line)
		}
		array, index, _ := strings.Cut(field[0], "_")
		code, signal, _ := strings.Cut(field[2], ":")
		if strings.HasPrefix(index, "[") {
			continue // what is pending, and for slurmctld to tell
		}
		n, err := numbers(array, index, code, signal)
		if err != nil {
			return nil, fmt.Errorf("sacct printed %q: %w", line, err)
		}
		state, _, _ := strings.Cut(field[1], " ") // "CANCELLED by 1000"
		r := record{
			job: n[0], index: n[1], state: state, status: uint32(n[2]<<8 | n[3]),
			started: parseTime(field[3]), ended: parseTime(field[4]), node: field[5],
		}
		if strings.Contains(r.node, "None") {
			r.node = "" // None assigned
		}
		records = append(records, r)
	}
	return records, nil
}
