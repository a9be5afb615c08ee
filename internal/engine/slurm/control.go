package slurm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"muster/internal/engine"
	"muster/internal/job"
)

// Control is one scancel or scontrol, whatever the number of pieces and elements.
func (e *Engine) Control(ctx context.Context, id engine.ID, op job.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	jobs, ok := jobsOf(id)
	if !ok {
		return nil // no array of Slurm's, so it is gone
	}
	words := make([]string, len(jobs))
	for i, j := range jobs {
		words[i] = strconv.Itoa(j)
	}
	c := call{program: "scontrol"}
	switch op {
	case job.OpCancel:
		c = call{program: "scancel", args: words}
	case job.OpHold:
		c.args = []string{"hold", strings.Join(words, ",")}
	case job.OpRelease:
		c.args = []string{"release", strings.Join(words, ",")}
	default:
		return fmt.Errorf("%w: %s of array %s is the agents' own work", engine.ErrRefused, op, id)
	}
	_, err := e.run(ctx, c)
	var f *failure
	if errors.As(err, &f) && settled(f.words) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s of array %s: %w", op, id, refused(err))
	}
	return nil
}

// settled reports whether a command complains only that there is nothing left to do.
func settled(words string) bool {
	for _, sign := range []string{
		"Invalid job id",
		"already completing or completed",
		"already finished",
		"no longer pending execution",
		"Job is pending execution", // let go what is not held
	} {
		if strings.Contains(words, sign) {
			return true
		}
	}
	return false
}
