package proc

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
)

// Family is a part of what is below this process: children that Start made,
// everything below them, and what carries a mark of the family's among the orphans
// that fell to this process and what is below those. Kill and SignalAll walk through
// all that is below this process; a family costs a look at its members and at the
// orphans, however many others there are.
type Family struct {
	table *Table
	child *Child // nil: every child with one of the marks
	marks map[string]bool
	spare func(Info) bool // not of the family all the same; may be nil
}

// Family is the family of those marks ("NAME=VALUE"): of all children that were given one of
// them in their environment.
func (t *Table) Family(marks ...string) Family { return Family{table: t, marks: set(marks)} }

// Family is what is below a child, with the child itself, and the orphans with one of those marks.
func (c *Child) Family(marks ...string) Family {
	return Family{table: c.table, child: c, marks: set(marks)}
}

func set(marks []string) map[string]bool {
	in := make(map[string]bool, len(marks))
	for _, m := range marks {
		in[m] = true
	}
	return in
}

// But is the family without those that spare says yes to.
func (f Family) But(spare func(Info) bool) Family {
	f.spare = spare
	return f
}

func (f Family) marked(env []string) bool {
	return slices.ContainsFunc(env, func(kv string) bool { return f.marks[kv] })
}

// Kill ends the family, by SIGKILL, again and again until none of it is left, like Table.Kill.
func (f Family) Kill(ctx context.Context) (int, error) {
	return killAll(ctx, f.lister())
}

// Signal sends sig to the family, like SignalAll.
func (f Family) Signal(sig syscall.Signal) error {
	return f.table.signalAll(f.lister(), func(Info) bool { return true }, sig)
}

// lister lists the family, each time anew: who has carried a mark once is not
// asked again.
func (f Family) lister() func() ([]Info, error) {
	ours := map[[2]uint64]bool{}
	return func() ([]Info, error) { return f.list(ours) }
}

func (f Family) list(ours map[[2]uint64]bool) ([]Info, error) {
	var out []Info
	for _, c := range f.roots() {
		i, ok := stat(c.pid)
		if !ok || i.ended() || !f.table.owns(c) {
			continue // its children are orphans by now
		}
		i.Depth, i.Known = 1, true
		below, err := f.table.walk(c.pid, 2, -1)
		if err != nil {
			return nil, err
		}
		out = append(append(out, i), below...)
	}
	if len(f.marks) > 0 {
		orphans, err := f.orphans(ours)
		if err != nil {
			return nil, err
		}
		out = append(out, orphans...)
	}
	if f.spare != nil {
		out = slices.DeleteFunc(out, f.spare)
	}
	return out, nil
}

// roots are the living children of the family.
func (f Family) roots() (roots []*Child) {
	f.table.mu.Lock()
	defer f.table.mu.Unlock()
	if f.child != nil {
		return []*Child{f.child}
	}
	for _, c := range f.table.children {
		if f.marked(c.env) {
			roots = append(roots, c)
		}
	}
	return roots
}

// owns reports whether c is alive, or ended without having been collected: its
// number is its own.
func (t *Table) owns(c *Child) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.children[c.pid] == c
}

// orphans lists those of the family among the orphans and what is below them.
func (f Family) orphans(ours map[[2]uint64]bool) ([]Info, error) {
	strays, err := f.table.Strays()
	if err != nil {
		return nil, err
	}
	var out []Info
	for _, s := range strays {
		below, err := f.table.walk(s.PID, 2, -1)
		if err != nil {
			return nil, fmt.Errorf("looking below process %d: %w", s.PID, err)
		}
		in := map[int]bool{}
		for _, i := range append([]Info{s}, below...) { // parents before their children
			key := i.key()
			if in[i.PPID] || ours[key] || f.marked(i.Env()) {
				in[i.PID], ours[key] = true, true
				out = append(out, i)
			}
		}
	}
	return out, nil
}

// KillAll ends everything below this process, by SIGKILL, like Kill. alone says that this
// process is PID 1 of a PID namespace of its own: one call of kill(2) then reaches all, be they thousands, and
// what is left to do is to wait.
func (t *Table) KillAll(ctx context.Context, alone bool) (int, error) {
	if alone && os.Getpid() == 1 {
		// Whom it may not reach is found, and named, below.
		_ = syscall.Kill(-1, syscall.SIGKILL)
	}
	return t.Kill(ctx, func(Info) bool { return true })
}
