package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"muster/internal/node"
	"muster/internal/proc"
	"muster/internal/ui/human"
)

// nodeCommand says what this machine is.
func (a *app) nodeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "node",
		Short:   "Say what this machine is: CPUs, memory, limits, folders",
		Long:    "Says what of this machine muster can use, what bounds how much can be started, and where things are kept.",
		Example: "  muster node\n  muster node --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			table, err := a.table()
			if err != nil {
				return err
			}
			host := node.This()
			host.Probe = func(ctx context.Context) error { return probeNamespace(ctx, table) }
			n, err := host.Describe(cmd.Context())
			if err != nil {
				return err
			}
			folders := a.nodeFolders()
			if asJSON {
				return a.printJSON(struct {
					Version int `json:"version"`
					node.Node
					Lanes   int                    `json:"lanes"`
					Folders map[string]node.Folder `json:"folders"`
				}{1, n, n.Lanes(), folders})
			}
			for _, line := range nodeLines(n, folders) {
				a.print().Out.Printf("%s\n", line)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// probeNamespace tries whether a child can have a PID namespace of its own.
func probeNamespace(ctx context.Context, table *proc.Table) error {
	child, err := table.Start(proc.Cmd{Path: "/bin/true", Args: []string{"true"}, Env: os.Environ(), Isolate: proc.Isolate{PID: true}})
	if err != nil {
		return err
	}
	e, err := child.Wait(ctx)
	if err == nil && !e.OK() {
		err = errors.New("the trial ended with " + e.String())
	}
	return err
}

// nodeFolders are the folders that muster uses here; one that cannot be looked
// at is left out.
func (a *app) nodeFolders() map[string]node.Folder {
	out := map[string]node.Folder{}
	add := func(name, dir string) {
		if dir == "" {
			return
		}
		if f, err := node.Stat(dir); err == nil {
			out[name] = f
		}
	}
	add("state", a.cfg.Text("state"))
	add("images", a.cfg.Text("images"))
	if dir, _, err := node.ScratchRoot(a.scratchEnv); err == nil {
		add("scratch", dir)
	}
	return out
}

func nodeLines(n node.Node, folders map[string]node.Folder) []string {
	var lines []string
	add := func(label, format string, args ...any) {
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%-10s  %s", label, fmt.Sprintf(format, args...)), " "))
	}
	add("host", "%s, Linux %s", human.Escape(n.Host), human.Escape(n.Kernel))
	quota := ""
	if n.CPUQuota > 0 {
		quota = fmt.Sprintf(", of which the control groups allow %.1f", n.CPUQuota)
	}
	add("CPUs", "%d%s: %s by default", len(n.CPUs), quota, human.Plural(n.Lanes(), "lane"))
	limit := ""
	if n.Memory.Limit != "" {
		limit = ", bounded by " + human.Escape(n.Memory.Limit)
	}
	add("memory", "%s, %s available%s", human.Bytes(n.Memory.Total), human.Bytes(n.Memory.Available), limit)
	add("processes", "%s more can be started", bound(n.Limits.Threads(os.Geteuid() == 0)))
	add("files", "%s open in each process", bound(int64(min(n.Limits.Files.Hard, 1<<62))))
	add("namespaces", "%s", ability(n.Namespaces))
	group := "none"
	if n.Cgroup.Version != "" {
		group = "version " + n.Cgroup.Version
		if n.Cgroup.Delegated {
			group += ", delegated to this user"
		} else if n.Cgroup.Why != "" {
			group += ", not delegated: " + human.Escape(n.Cgroup.Why)
		}
	}
	add("cgroups", "%s", group)
	for _, name := range sortedKeys(folders) {
		f := folders[name]
		text := fmt.Sprintf("%s on %s, %s free", human.Escape(f.Path), f.FS, human.Bytes(f.Free))
		for _, fact := range []struct {
			is   bool
			text string
		}{{f.NoExec, "noexec"}, {f.ReadOnly, "read-only"}, {f.Network, "network"}, {f.InMemory, "in memory"}} {
			if fact.is {
				text += ", " + fact.text
			}
		}
		add(name, "%s", text)
	}
	for _, u := range n.Unknown {
		add("unknown", "%s", human.Escape(u))
	}
	return lines
}

func bound(n int64) string {
	if n < 0 || n >= 1<<60 {
		return "any number"
	}
	return human.Count(n)
}

func ability(a node.Ability) string {
	s := "no"
	if a.OK {
		s = "yes"
	}
	if !a.Tried {
		s += " (not tried)"
	}
	if a.Why != "" {
		s += ": " + human.Escape(a.Why)
	}
	return s
}
