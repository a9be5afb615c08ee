// Package slurm is the engine of clusters under Slurm. It needs the ordinary
// commands (sbatch, squeue, scancel, scontrol, sinfo; sacct where there is accounting) and the
// rights of an ordinary user. It keeps nothing of its own: what it must know of an array later
// travels in the job's comment (see mark).
//
// The scheduler is called rarely: one sbatch per array, one squeue for the state of any
// number of arrays, never anything per element.
package slurm

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/internal/engine"
	"muster/internal/proc"
)

// Options says how Slurm is reached. Table is needed.
type Options struct {
	Table    *proc.Table   // the owner of this process's children
	Environ  []string      // where PATH, SLURM_CONF and SLURM_JWT are taken from; nothing else of it reaches Slurm's commands
	Patience time.Duration // for one command, which tries for minutes if it is let; 0: 30 s
	MaxArray int           // elements of one Slurm array, where the site has a higher limit; 0: the site's
}

// Engine is Slurm. It holds nothing that needs closing.
type Engine struct {
	o Options

	mu    sync.Mutex
	known *config // what slurmctld has last said of itself
}

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Shower = (*Engine)(nil)
)

// New returns the engine. It touches nothing, and asks nobody.
func New(o Options) (*Engine, error) {
	if o.Table == nil {
		return nil, fmt.Errorf("the Slurm engine needs an owner of processes")
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	return &Engine{o: o}, nil
}

// commandEnv is the environment of Slurm's commands: where the cluster is and who asks. SBATCH_*
// and SQUEUE_* would change what they do, as would LD_PRELOAD.
func commandEnv(environ []string) []string {
	keep := []string{"SLURM_CONF", "SLURM_JWT"}
	var out []string
	for _, kv := range environ {
		if name, value, _ := strings.Cut(kv, "="); slices.Contains(keep, name) && value != "" {
			out = append(out, kv)
		}
	}
	return out
}
