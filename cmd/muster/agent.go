package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/agent"
	"muster/internal/engine/local"
	"muster/internal/job"
	"muster/internal/node"
	"muster/internal/rundir"
	"muster/internal/salvage"
)

// agentCommand is what engines start: a keeper, and below it the agent itself.
func (a *app) agentCommand() *cobra.Command {
	var c agent.Config
	var contain, guestName, built string
	var began int64
	cmd := &cobra.Command{
		Use:    "agent",
		Short:  "Run a share of a run's tasks on this node (engines start this)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			// Taken and passed over: programs would inherit that it is ignored.
			signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
			// The scheduler's word that the time is nearly over.
			warned := make(chan os.Signal, 1)
			signal.Notify(warned, syscall.SIGUSR1, syscall.SIGUSR2)
			c.Warned = warned
			if began > 0 {
				c.Began = time.Unix(began, 0)
			}
			c.Log = logger()
			c.Guest = guestOf
			c.Environ = a.environ
			c.Element = 1
			if e := a.getenv("MUSTER_ELEMENT"); e != "" {
				n, err := strconv.Atoi(e)
				if err != nil {
					return job.BadInputf("MUSTER_ELEMENT is %q, no number", e)
				}
				c.Element = n
			}
			if c.Scratch != "" {
				code, err := agent.Inside(ctx, c)
				return ended(code, err)
			}
			if err := fitAgent(built); err != nil {
				return agent.Refuse(c, err)
			}
			return a.keep(ctx, c, contain, guestName)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.RunDir, "run-dir", "", "the run's folder")
	f.IntVar(&c.Generation, "generation", 0, "the submission")
	f.BoolVar(&c.Reduce, "reduce", false, "this is the reduce step")
	f.StringVar(&c.Scratch, "scratch-dir", "", "the agent's own folder: this is the agent, not its keeper")
	f.BoolVar(&c.Namespace, "namespace", false, "this process is PID 1 of a namespace of its own")
	f.Int64Var(&began, "began", 0, "when the keeper began, in seconds since 1970")
	f.IntVar(&c.HostPID, "host-pid", 0, "this process's number on the host")
	f.StringVar(&contain, "contain", string(agent.ContainAuto), "how processes are held together")
	f.StringVar(&built, "built", "", "version of the muster that submitted the run")
	f.StringVar(&guestName, "guest", "native", "kind of guest")
	return cmd
}

// fitAgent says why this muster, here, cannot be an agent of the run.
func fitAgent(built string) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding muster's own program: %w", err)
	}
	return errors.Join(agent.SameBuild(built, version, exe), agent.FitAddressSpace())
}

// ended turns the agent's exit code and error into the command's.
func ended(code int, err error) error {
	if err != nil {
		logger().Error(err.Error())
	}
	if code == 0 {
		return nil
	}
	return exitError(code)
}

// keep is the keeper.
func (a *app) keep(ctx context.Context, c agent.Config, contain, guestName string) error {
	began := time.Now()
	root, why, err := node.ScratchRoot(a.getenv)
	if err != nil {
		return agent.Refuse(c, err)
	}
	c.Log.Info("scratch", "root", root, "why", why)
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding muster's own program: %w", err)
	}
	args := []string{"agent", "--run-dir", c.RunDir, "--generation", strconv.Itoa(c.Generation), "--began", strconv.FormatInt(began.Unix(), 10)}
	if c.Reduce {
		args = append(args, "--reduce")
	}
	k := agent.Keeper{
		Exe: exe, Args: args, Env: a.environ, Root: root,
		Contain: agent.Contain(contain), UserNamespace: guestName == "wine" || guestName == "vm", Warned: c.Warned, Log: c.Log,
		Stage: &agent.Staging{RunDir: c.RunDir, Generation: c.Generation, Reduce: c.Reduce, Getenv: a.getenv, Log: c.Log},
		Bury: func(token string) error {
			r, err := rundir.Open(c.RunDir)
			if err != nil {
				return err
			}
			return salvage.Run(context.Background(), r, c.Generation, c.Element, token)
		},
	}
	return ended(k.Run(ctx))
}

// localArrayCommand is the local engine's supervisor of one array.
func (a *app) localArrayCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "local-array DIR",
		Short:  "Look after an array of the local engine (muster starts this)",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return local.Supervise(cmd.Context(), filepath.Clean(args[0]))
		},
	}
}
