package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"muster/internal/engine"
	"muster/internal/job"
)

// Submit hands over the array with one sbatch, or with one for each piece where the array is
// larger than the site's MaxArraySize. Pieces are held until the last one is there: either all
// of them run or none.
func (e *Engine) Submit(ctx context.Context, a job.Array) (engine.ID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := engine.Check(a); err != nil {
		return "", err
	}
	id, err := e.submit(ctx, a)
	if err != nil {
		return "", fmt.Errorf("submitting array %q: %w", a.Tag, refused(err))
	}
	return id, nil
}

func (e *Engine) submit(ctx context.Context, a job.Array) (engine.ID, error) {
	c, err := e.config(ctx)
	if err != nil {
		return "", err
	}
	if err := e.fits(ctx, a); err != nil {
		return "", err
	}
	marks := split(a, c.maxArray)
	if len(marks) == 1 {
		number, err := e.sbatch(ctx, a, 1, marks[0], a.Hold)
		if err != nil {
			return "", err
		}
		return idOf([]int{number}), nil
	}
	// What an earlier attempt with a lost answer has left is taken over.
	found, err := e.pieces(ctx, a.Tag)
	if err != nil {
		return "", err
	}
	var jobs []int
	for i, m := range marks {
		number := 0
		if at := slices.IndexFunc(found, func(p piece) bool { return p.mark == m }); at >= 0 {
			number = found[at].job
		} else if number, err = e.sbatch(ctx, a, i+1, m, true); err != nil {
			if !errors.Is(err, engine.ErrUnavailable) && len(jobs) > 0 {
				err = errors.Join(err, e.Control(context.WithoutCancel(ctx), idOf(jobs), job.OpCancel))
			}
			return "", err
		}
		jobs = append(jobs, number)
	}
	id := idOf(jobs)
	if !a.Hold {
		if err := e.Control(ctx, id, job.OpRelease); err != nil {
			return "", err
		}
	}
	return id, nil
}

// sbatch submits piece number n of an array. The elements' environment goes through a
// descriptor, never through sbatch's own environment, where SBATCH_* and the like would have a meaning,
// and never through a file. What describes the submitter's own job stays behind.
func (e *Engine) sbatch(ctx context.Context, a job.Array, n int, m mark, hold bool) (int, error) {
	args, err := arguments(a, m, hold)
	if err != nil {
		return 0, err
	}
	text := script(a, m, e.scontrol())
	if a.Scripts != "" {
		if err := keep(a, n, job.QuoteWords(append([]string{"sbatch"}, args...)), text); err != nil {
			return 0, err
		}
	}
	out, err := e.run(ctx, call{program: "sbatch", args: args, stdin: []byte(text), third: exported(a.Env)})
	if err != nil {
		return 0, err
	}
	// NUMBER, or NUMBER;CLUSTER
	word, _, _ := strings.Cut(strings.TrimSpace(out), ";")
	number, err := strconv.Atoi(word)
	if err != nil || number < 1 {
		return 0, fmt.Errorf("%w: sbatch answered %q, which is no job's number", engine.ErrUnavailable, out)
	}
	return number, nil
}

// scontrol is the command's path, as it most likely is on the nodes too.
func (e *Engine) scontrol() string {
	if path, err := e.find("scontrol"); err == nil {
		return path
	}
	return "scontrol"
}

// exported is an environment in the form of sbatch --export-file.
func exported(env []string) []byte {
	out := []byte{}
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "SLURM_") || strings.HasPrefix(name, "SBATCH_") || name == engine.EnvElement || name == engine.EnvArray {
			continue
		}
		out = append(append(out, kv...), 0)
	}
	return out
}

// keep writes down what Slurm is given, for people: command line and script of piece n. A run's
// arrays have one folder for that.
func keep(a job.Array, n int, command, text string) error {
	name := filepath.Join(a.Scripts, strings.ReplaceAll(a.Tag, "/", "_"))
	if n > 1 {
		name += "-" + strconv.Itoa(n)
	}
	err := errors.Join(os.WriteFile(name+".sh", []byte(text), 0o600), os.WriteFile(name+".command", []byte(command+"\n"), 0o600))
	if err != nil {
		return fmt.Errorf("keeping what Slurm is given: %w", err)
	}
	return nil
}

// Show returns the whole array as it is submitted where the site's limit allows.
func (e *Engine) Show(a job.Array) (argv []string, text string, err error) {
	m := split(a, e.o.MaxArray)[0]
	args, err := arguments(a, m, a.Hold || !m.unsplit())
	if err != nil {
		return nil, "", err
	}
	return append([]string{"sbatch"}, args...), script(a, m, e.scontrol()), nil
}

// pieces returns this user's Slurm arrays with that tag that slurmctld still knows.
func (e *Engine) pieces(ctx context.Context, tag string) ([]piece, error) {
	out, err := e.run(ctx, call{program: "squeue", args: []string{
		"--noheader", "--user=" + strconv.Itoa(os.Getuid()), "--states=all", "--format=%F|%k",
	}})
	if err != nil {
		return nil, err
	}
	return parsePieces(out, tag), nil
}

// parsePieces reads squeue's "%F|%k". Lines that are none of muster's are passed over.
func parsePieces(out, tag string) []piece {
	var found []piece
	for line := range strings.Lines(out) {
		number, comment, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "|")
		m, ok := parseMark(comment)
		j, err := strconv.Atoi(number)
		if !ok || err != nil || m.tag != tag || slices.ContainsFunc(found, func(p piece) bool { return p.job == j }) {
			continue
		}
		found = append(found, piece{j, m})
	}
	slices.SortFunc(found, func(a, b piece) int { return a.job - b.job })
	return found
}

// Find looks at the jobs' comments, which slurmctld keeps for MinJobAge beyond their end. An array of which not
// all pieces are there was never taken: submitting it again under its tag completes it. One
// whose pieces are there and were not let go yet is let go.
func (e *Engine) Find(ctx context.Context, tag string) ([]engine.ID, error) {
	found, err := e.pieces(ctx, tag)
	if err != nil {
		return nil, fmt.Errorf("looking for array %q: %w", tag, err)
	}
	var ids []engine.ID
	for _, set := range sets(found) {
		if !whole(set) {
			continue
		}
		jobs := make([]int, len(set))
		for i, p := range set {
			jobs[i] = p.job
		}
		id := idOf(jobs)
		if len(set) > 1 && !set[0].mark.held {
			if err := e.Control(ctx, id, job.OpRelease); err != nil {
				return nil, err
			}
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// sets puts pieces together: each set has every range of elements at most once.
func sets(found []piece) [][]piece {
	var out [][]piece
next:
	for _, p := range found {
		for i, set := range out {
			if !slices.ContainsFunc(set, func(q piece) bool { return q.mark.first == p.mark.first }) {
				out[i] = append(set, p)
				continue next
			}
		}
		out = append(out, []piece{p})
	}
	return out
}
