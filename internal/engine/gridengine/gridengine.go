// Package gridengine is the engine for sites with Grid Engine (Son of Grid Engine
// and its kin). It uses nothing but the commands that every user of such a site
// has, and an ordinary user's rights.
//
// Grid Engine knows jobs and forgets them when they end, its accounting comes
// late and cannot be read everywhere, and it changes the environment that it is
// given. So each array has a folder below Options.Root (folder.go), which nodes see
// too: the submitter writes there what it submits, and a small supervisor that
// Grid Engine starts for each element (element.go) what becomes of it. Whether an
// element has ended is for Grid Engine to say; how it ended, for that folder.
package gridengine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/proc"
)

// Options says how Grid Engine is reached. Table, Root and Environ are needed.
type Options struct {
	Table   *proc.Table // the owner of this process's children
	Root    string      // muster's state folder, absolute and the same on nodes; arrays are remembered in Root/gridengine
	Environ []string    // where PATH, SGE_ROOT, SGE_CELL and the like are taken from
	Command []string    // what leads to Element on a node, when the folder and the first element are appended; nil: this program, "gridengine-element"

	KillWait time.Duration // between SIGTERM and SIGKILL; 0: 30 s
	Patience time.Duration // how long a command may take to answer; 0: 30 s
	Parallel int           // elements of one array that may run at once (-tc); 0: as many as Grid Engine likes
}

// Engine is the Grid Engine driver. It holds nothing that needs closing.
type Engine struct {
	o Options

	mu    sync.Mutex
	known *site // as last asked; see site
	asked time.Time
}

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Shower = (*Engine)(nil)
)

// New returns the engine. It asks and touches nothing.
func New(o Options) (*Engine, error) {
	if o.Table == nil || !filepath.IsAbs(o.Root) {
		return nil, fmt.Errorf("the Grid Engine driver needs an absolute state folder (%q) and an owner of processes", o.Root)
	}
	if o.Command == nil {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding this program's file: %w", err)
		}
		o.Command = []string{self, "gridengine-element"}
	}
	if o.KillWait == 0 {
		o.KillWait = 30 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	return &Engine{o: o}, nil
}

// base is the folder that holds the arrays' folders.
func (e *Engine) base() string { return filepath.Join(e.o.Root, "gridengine") }

// siteAge is how long what was asked of the site is believed. Limits and queues
// are changed by people, not by jobs.
const siteAge = 5 * time.Minute

// site tells what can be had here, as asked within siteAge.
func (e *Engine) site(ctx context.Context) (*site, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known != nil && time.Since(e.asked) < siteAge {
		return e.known, nil
	}
	s, err := e.askSite(ctx)
	if err != nil {
		return nil, err
	}
	e.known, e.asked = s, time.Now()
	return s, nil
}

// Info tells what Grid Engine offers to somebody who asks for want.
func (e *Engine) Info(ctx context.Context, want job.Resource) (engine.Info, error) {
	s, err := e.askSite(ctx)
	if err != nil {
		return engine.Info{}, fmt.Errorf("asking Grid Engine what it has: %w", err)
	}
	e.mu.Lock()
	e.known, e.asked = s, time.Now()
	e.mu.Unlock()
	queues, err := s.queuesFor(want.Partition)
	if err != nil {
		return engine.Info{}, err
	}
	info := engine.Info{
		Name:     "gridengine",
		Version:  s.version,
		MaxArray: s.maxTasks,
		Poll:     5 * time.Second,
		Survives: true,
		KillWait: e.o.KillWait,
		MaxTime:  s.maxTime(queues),
	}
	hosts := s.hostsOf(queues)
	if len(hosts) == 0 {
		return engine.Info{}, fmt.Errorf("%w: no node of %s is up (qstat -f)", engine.ErrRefused, queueNames(queues))
	}
	info.Nodes = len(hosts)
	info.CPUs, info.Memory, info.Mixed = smallest(hosts)
	info.Description = fmt.Sprintf("%s, %s: %d nodes with %d slots", s.version, queueNames(queues), info.Nodes, info.CPUs)
	return info, nil
}

func queueNames(queues []queue) string {
	names := make([]string, len(queues))
	for i, q := range queues {
		names[i] = q.name
	}
	if len(names) == 1 {
		return "queue " + names[0]
	}
	return "queues " + strings.Join(names, ", ")
}
