package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// RecoverOptions say what Recover needs to know of a run.
type RecoverOptions struct {
	// Final says where what a task has written as NAME in its temporary folder
	// belongs below the output folder; "": nowhere.
	Final func(task int, name string) string
	// Main reports whether NAME is the output that decides: it is published after all
	// that goes with it, so without it the rest is taken back. nil: each stands for itself.
	Main func(task int, name string) bool
	// Completed reports whether a record says that the task is completed.
	Completed func(task int) bool
	// Live reports whether the agent with this token is alive: its folder is left
	// alone. nil: none is.
	Live func(token string) bool
}

// Recovered is an output of an agent that is gone.
type Recovered struct {
	Task, Attempt int
	Token         string
	Output        Output
}

// Recovery is what Recover has found.
type Recovery struct {
	// Published have been published though no record says so: a record is to be
	// committed for each.
	Published []Recovered
	// Restored had a record, but a crash of the machine had taken the name from
	// the output folder again; they have been published again.
	Restored []Recovered

	output string
	dirs   []string // temporary folders of agents that are gone
}

// Recover looks at what agents of a run that are gone have left in the
// temporary folders below the output folder, and tells which outputs are in fact
// published. A missing output folder is an empty one. No temporary is removed before Clean.
func Recover(ctx context.Context, output string, run int, opt RecoverOptions) (*Recovery, error) {
	r := &Recovery{output: output}
	root, err := os.OpenRoot(output)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for published outputs: %w", err)
	}
	defer root.Close()
	names, err := rootNames(root, ".")
	if err != nil {
		return nil, fmt.Errorf("look for published outputs: %w", err)
	}
	for _, name := range names {
		token, ok := strings.CutPrefix(name, TempDirName(run, ""))
		if !ok || token == "" || opt.Live != nil && opt.Live(token) {
			continue
		}
		if fi, err := root.Lstat(name); err != nil || !fi.IsDir() {
			continue // not ours, and not to be touched
		}
		p := newPublisher(output, root, name, nil)
		if err := r.folder(ctx, p, token, opt); err != nil {
			return nil, fmt.Errorf("look for published outputs in %s: %w", p.Dir(), err)
		}
		if err := p.syncFolders(); err != nil {
			return nil, fmt.Errorf("make published outputs durable: %w", err)
		}
		r.dirs = append(r.dirs, name)
	}
	return r, nil
}

// folder looks at one temporary folder.
func (r *Recovery) folder(ctx context.Context, p *Publisher, token string, opt RecoverOptions) error {
	attempts, err := rootNames(p.root, p.temp)
	if err != nil {
		return err
	}
	for _, attempt := range attempts {
		if err := ctx.Err(); err != nil {
			return err
		}
		ns, ok := parseNumbers(attempt, 2, 2)
		if !ok {
			continue
		}
		dir := path.Join(p.temp, attempt)
		if fi, err := p.root.Lstat(dir); err != nil || !fi.IsDir() {
			continue // a program's doing
		}
		if err := openUp(p.root, dir); err != nil {
			return err
		}
		names, err := rootNames(p.root, dir)
		if err != nil {
			return err
		}
		before := len(r.Published)
		done := map[string]bool{}
		var finals [][2]string // temporary and final names of what has been published
		for _, name := range names {
			// A marker stands for a temporary that may have been renamed away.
			name = strings.TrimPrefix(name, markerPrefix)
			final := opt.Final(ns[0], name)
			if final == "" || done[name] || !filepath.IsLocal(final) {
				continue
			}
			done[name] = true
			rec := Recovered{Task: ns[0], Attempt: ns[1], Token: token}
			found := len(r.Published)
			if err := r.temporary(p, rec, path.Join(attempt, name), final, opt.Completed(ns[0])); err != nil {
				return err
			}
			if len(r.Published) > found {
				finals = append(finals, [2]string{name, final})
			}
		}
		if opt.Main == nil || slices.ContainsFunc(finals, func(f [2]string) bool { return opt.Main(ns[0], f[0]) }) {
			continue
		}
		r.Published = r.Published[:before]
		for _, f := range finals {
			if err := p.Retract(path.Join(attempt, f[0]), f[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// temporary looks at one temporary: rec is what is found if it was published.
func (r *Recovery) temporary(p *Publisher, rec Recovered, tmp, final string, completed bool) error {
	under := path.Join(p.temp, tmp)
	if m, ok := p.readMarker(under); ok && m.Final == final {
		out, whole, err := p.judge(under, m)
		if err != nil {
			return err
		}
		if whole && !completed {
			p.dirty[path.Dir(final)] = true
			rec.Output = out
			r.Published = append(r.Published, rec)
		}
		if whole {
			return nil
		}
	}
	before, err := p.root.Lstat(under)
	if err != nil || !before.Mode().IsRegular() {
		return nil
	}
	after, err := p.root.Lstat(final)
	switch {
	case err == nil && os.SameFile(before, after) && !completed:
		if rec.Output, err = p.Publish(tmp, final); err != nil {
			return err
		}
		r.Published = append(r.Published, rec)
	case errors.Is(err, fs.ErrNotExist) && completed:
		if rec.Output, err = p.Publish(tmp, final); err != nil {
			return err
		}
		r.Restored = append(r.Restored, rec)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// judge tells whether what a marker announces has happened. A copy that was cut
// short is removed: the marker says by its inode that it is ours.
func (p *Publisher) judge(tmp string, m marker) (Output, bool, error) {
	if m.Copy && m.Dev == 0 {
		// It was about to be made, or has just been: then it is empty.
		if fi, err := p.root.Lstat(m.Final); err == nil && fi.Mode().IsRegular() && fi.Size() == 0 {
			return Output{}, false, p.root.Remove(m.Final)
		}
		return Output{}, false, nil
	}
	out, ok := p.published(m)
	if !ok || !m.Copy {
		return out, ok, nil
	}
	f, _, err := p.open(tmp)
	if err != nil {
		return out, false, err
	}
	defer f.Close()
	size, hash, err := p.seal(f)
	if err != nil {
		return out, false, err
	}
	if size == out.Size && hash == out.Hash {
		return out, true, nil
	}
	return out, false, p.root.Remove(m.Final)
}

// Clean removes the temporary folders of agents that are gone. It belongs
// behind the commit of the records.
func (r *Recovery) Clean() error {
	if len(r.dirs) == 0 {
		return nil
	}
	root, err := os.OpenRoot(r.output)
	if err != nil {
		return fmt.Errorf("remove temporary folders: %w", err)
	}
	defer root.Close()
	var errs []error
	for _, dir := range r.dirs {
		if err := removeTree(root, dir); err != nil {
			errs = append(errs, fmt.Errorf("remove a temporary folder: %w", err))
		}
	}
	return errors.Join(errs...)
}

// rootNames lists a folder below root, in order.
func rootNames(root *os.Root, dir string) ([]string, error) {
	d, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}
