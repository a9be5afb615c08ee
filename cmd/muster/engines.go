package main

import (
	"os"

	"github.com/spf13/cobra"

	"muster/internal/engine"
	"muster/internal/engine/gridengine"
	"muster/internal/engine/local"
	"muster/internal/engine/slurm"
	"muster/internal/run"
)

// engines are the engines that can be reached from this host, by name, and the
// schedulers among them in the order in which --engine auto asks them.
func (a *app) engines() (map[string]engine.Engine, []run.Cluster, error) {
	table, err := a.table()
	if err != nil {
		return nil, nil, err
	}
	state := a.cfg.Text("state")
	here, err := local.New(local.Options{Root: state, Table: table})
	if err != nil {
		return nil, nil, err
	}
	s, err := slurm.New(slurm.Options{Table: table, Environ: a.environ})
	if err != nil {
		return nil, nil, err
	}
	g, err := gridengine.New(gridengine.Options{Table: table, Environ: a.environ, Root: state})
	if err != nil {
		return nil, nil, err
	}
	all := map[string]engine.Engine{
		"local": here, "slurm": engine.Pace(s), "gridengine": engine.Pace(g),
		// An allocation's arrays are looked after by the local engine. From elsewhere, or
		// after it has ended, that alone tells how they stand.
		slurmAllocation: here, gridengineAllocation: here,
	}
	clusters := []run.Cluster{{Name: "slurm", Allocation: slurmAllocation}, {Name: "gridengine", Allocation: gridengineAllocation}}
	if slurm.InAllocation(a.environ) {
		// A broken environment is that of no allocation.
		if inside, err := slurm.NewAllocation(here, slurm.Options{Table: table, Environ: a.environ}); err == nil {
			all[slurmAllocation], clusters[0].Inside = inside, true
		}
	}
	if gridengine.InAllocation(a.environ) {
		if inside, err := gridengine.NewAllocation(here, gridengine.Options{Table: table, Environ: a.environ}); err == nil {
			all[gridengineAllocation], clusters[1].Inside = inside, true
		}
	}
	return all, clusters, nil
}

// slurmAllocation is how runs in an allocation of Slurm's remember their engine. Nobody asks
// for it by name: --engine slurm means it, inside one.
const slurmAllocation = "slurm-allocation"

// gridengineAllocation is the same for parallel jobs of Grid Engine's.
const gridengineAllocation = "gridengine-allocation"

// gridengineElementCommand looks after one element of an array on a node of Grid Engine.
func (a *app) gridengineElementCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "gridengine-element DIR FIRST COMMAND…",
		Short:              "Look after an element of an array of Grid Engine (Grid Engine starts this)",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ended(gridengine.Element(cmd.Context(), args, os.Environ()))
		},
	}
}

// gridengineNodeCommand stands for an element of an array inside a parallel job of Grid Engine.
func (a *app) gridengineNodeCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "gridengine-node QRSH NODES COMMAND…",
		Short:              "Take an element to its node inside a job of Grid Engine (the local engine and qrsh start this)",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			return ended(gridengine.Node(cmd.Context(), []string{self, cmd.Name()}, args, os.Environ()))
		},
	}
}
