// Package local is the engine that is always there: this machine as one node.
// Each array has a folder below Options.Root and a supervisor, a process of its
// own that outlives the submitter; what they know of each other is in the
// folder. See folder.go for the files and supervise.go for the states.
package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// Options says how arrays are run. Root and Table are needed.
type Options struct {
	Root    string      // muster's state folder, absolute; arrays live in Root/local
	Table   *proc.Table // the owner of this process's children
	Command []string    // what leads to Supervise when the array's folder is appended; nil: this program, "local-array"
	Env     []string    // environment of supervisors; nil: a short list out of this process's own

	KillWait time.Duration // between SIGTERM and SIGKILL; 0: 30 s
	Parallel int           // elements of one array that run at once; 0: 1024
	MaxArray int           // elements that share one SLURM_ARRAY_JOB_ID; 0: all
}

// Engine is the local engine. It holds nothing that needs closing.
type Engine struct {
	o Options
}

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Waiter = (*Engine)(nil)
)

// New returns the engine whose arrays live below o.Root. It touches nothing.
func New(o Options) (*Engine, error) {
	if !filepath.IsAbs(o.Root) || o.Table == nil {
		return nil, fmt.Errorf("the local engine needs an absolute state folder (%q) and an owner of processes", o.Root)
	}
	if o.Command == nil {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding this program's file: %w", err)
		}
		o.Command = []string{self, "local-array"}
	}
	if o.Env == nil {
		o.Env = supervisorEnv(os.Environ())
	}
	if o.KillWait == 0 {
		o.KillWait = 30 * time.Second
	}
	if o.Parallel == 0 {
		o.Parallel = 1024
	}
	return &Engine{o: o}, nil
}

// supervisorEnv keeps what a supervisor may need, and nothing that could change
// how it works (LD_PRELOAD, GODEBUG …). Elements get Array.Env instead.
func supervisorEnv(env []string) []string {
	keep := []string{"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LC_ALL"}
	var out []string
	for _, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(keep, name) {
			out = append(out, kv)
		}
	}
	return out
}

// Info describes this machine.
func (e *Engine) Info(ctx context.Context, _ job.Resource) (engine.Info, error) {
	if err := ctx.Err(); err != nil {
		return engine.Info{}, err
	}
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return engine.Info{}, fmt.Errorf("asking for this machine's memory: %w", err)
	}
	var un unix.Utsname
	if err := unix.Uname(&un); err != nil {
		return engine.Info{}, fmt.Errorf("asking for this machine's kernel: %w", err)
	}
	info := engine.Info{
		Name:     "local",
		Version:  "Linux " + unix.ByteSliceToString(un.Release[:]),
		Nodes:    1,
		CPUs:     runtime.NumCPU(),
		Memory:   int64(si.Totalram) * int64(si.Unit),
		MaxArray: e.o.MaxArray,
		KillWait: e.o.KillWait,
		Survives: true,
	}
	info.Description = fmt.Sprintf("this machine (%s), %d CPUs, %d GiB", unix.ByteSliceToString(un.Nodename[:]), info.CPUs, info.Memory>>30)
	return info, nil
}

// base is the folder that holds the arrays' folders.
func (e *Engine) base() string { return filepath.Join(e.o.Root, "local") }

// Find looks through all arrays that are still kept.
func (e *Engine) Find(ctx context.Context, tag string) ([]engine.ID, error) {
	numbers, err := arrays(e.base())
	if err != nil {
		return nil, err
	}
	var out []engine.ID
	for _, n := range numbers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, err := readHead(dirOf(e.base(), n))
		if err != nil {
			return nil, err
		}
		if h != nil && h.Tag == tag {
			out = append(out, idOf(n))
		}
	}
	return out, ctx.Err()
}

// Status reads each array's events; nothing is asked of the supervisors.
func (e *Engine) Status(ctx context.Context, ids ...engine.ID) ([]engine.Report, error) {
	out := make([]engine.Report, 0, len(ids))
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, err := report(e.base(), id)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, ctx.Err()
}

// Wait returns when the arrays have ended: it watches their supervisors, and what
// these have left when they were killed.
func (e *Engine) Wait(ctx context.Context, ids ...engine.ID) error {
	return waitAll(ctx, e.base(), ids, e.o.KillWait)
}

// Control leaves the request in the array's folder and wakes the supervisor.
// Suspending is the agents' own work, so it is refused here.
func (e *Engine) Control(ctx context.Context, id engine.ID, op job.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return request(e.base(), id, op)
}
