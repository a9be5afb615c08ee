package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"muster/internal/config"
	"muster/internal/job"
)

// version is set when muster is built.
var version = "dev"

// root is the tree of commands.
func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "muster",
		Short: "Launch thousands of software environments and run a program in each",
		Long: `muster launches thousands of software environments as fast as the machine
allows, and runs a program in each: Windows programs under Wine, everything else
natively. One line maps a program over a folder of inputs.`,
		Example: `  muster map --input in --output out -- sim.exe /i {in} /o {out}
  muster status last
  muster report last --png launch.png`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.settle(cmd)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
		Args: cobra.ArbitraryArgs,
	}
	cmd.SetFlagErrorFunc(usage)
	cmd.CompletionOptions.HiddenDefaultCmd = false
	for _, name := range []string{"state", "images", "scratch", "trust-group", "color"} {
		setting(cmd.PersistentFlags(), name)
	}
	cmd.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "look", Title: "Look:"},
		&cobra.Group{ID: "act", Title: "Act:"},
		&cobra.Group{ID: "machine", Title: "This machine:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			cmd.AddCommand(c)
		}
	}
	add("run", a.mapCommand(), a.launchCommand(), a.execCommand(), a.resumeCommand())
	add("look", a.psCommand(), a.statusCommand(), a.logsCommand(), a.waitCommand(), a.reportCommand(), a.explainCommand())
	add("act", a.suspendCommand(), a.continueCommand(), a.holdCommand(), a.releaseCommand(), a.cancelCommand(), a.rmCommand())
	add("machine", a.checkCommand(), a.imageCommand(), a.stageCommand(), a.nodeCommand(), a.benchCommand(), a.configCommand())
	cmd.AddCommand(a.agentCommand(), a.localArrayCommand(), a.gridengineElementCommand(), a.gridengineNodeCommand(), a.manCommand())
	a.completeSettings(cmd)
	tidyHelp(cmd)
	cmd.SetHelpCommandGroupID("machine")
	cmd.SetCompletionCommandGroupID("machine")
	return cmd
}

// unknownCommand says that parent has no such command, and which may be meant.
func unknownCommand(parent *cobra.Command, word string) error {
	var known []string
	for _, c := range parent.Commands() {
		if !c.Hidden {
			known = append(known, c.Name())
		}
	}
	path := parent.CommandPath()
	if close := job.Closest(word, known); close != "" {
		return job.BadInputf("there is no command %q; did you mean %s %s?", path+" "+word, path, close)
	}
	return job.BadInputf("there is no command %q; %s --help lists them", path+" "+word, path)
}

// completeSettings offers the words of settings where flags set them.
func (a *app) completeSettings(cmd *cobra.Command) {
	for _, c := range append(cmd.Commands(), cmd) {
		if c != cmd {
			a.completeSettings(c)
		}
		for _, k := range config.Keys() {
			if len(k.Words) == 0 || c.LocalFlags().Lookup(k.Name) == nil {
				continue
			}
			// The error means that it has a completion already.
			_ = c.RegisterFlagCompletionFunc(k.Name, cobra.FixedCompletions(k.Words, cobra.ShellCompDirectiveNoFileComp))
		}
		if c.LocalFlags().Lookup("image") != nil {
			_ = c.RegisterFlagCompletionFunc("image", a.completeImages)
		}
	}
}

// sortedKeys are the keys of a map in their order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
