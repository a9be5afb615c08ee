package main

import (
	"github.com/spf13/cobra"

	"muster/internal/config"
	"muster/internal/job"
	"muster/internal/ui"
)

// configCommand shows settings and where they came from.
func (a *app) configCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config [KEY]",
		Short: "Show the settings, and where each came from",
		Long: `Shows every setting with its value and where that came from. A flag beats the environment (MUSTER_LANES), which beats
~/.config/muster/config.toml, which beats /etc/muster/config.toml. With a key it prints the value alone.`,
		Example: "  muster config\n  muster config lanes",
		Args:    argsBetween(0, 1, "one setting"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var out []cobra.Completion
			for _, k := range config.Keys() {
				out = append(out, cobra.CompletionWithDesc(k.Name, k.Help))
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			p := a.print()
			if len(args) == 1 {
				v, ok := a.cfg.Value(args[0])
				if !ok {
					return noSetting(args[0])
				}
				if asJSON {
					return a.printJSON(struct {
						Version int `json:"version"`
						config.Value
					}{1, v})
				}
				p.Out.Printf("%s\n", v.Text)
				return nil
			}
			if asJSON {
				return a.printJSON(map[string]any{"version": 1, "settings": a.cfg.All()})
			}
			t := &ui.Table{Columns: []ui.Column{{Title: "SETTING"}, {Title: "VALUE", Path: true, Flex: true}, {Title: "FROM", Path: true}, {Title: "MEANING", Flex: true}}}
			for _, v := range a.cfg.All() {
				k, _ := config.Lookup(v.Key)
				style := ui.Dim
				if v.Source.Kind != "default" {
					style = ui.Bold
				}
				value := v.Text
				if value == "" {
					value = "-"
				}
				t.Cells(ui.Cell{Text: v.Key}, ui.Cell{Text: value, Style: style}, ui.Cell{Text: v.Source.String()}, ui.Cell{Text: k.Help})
			}
			p.Out.Table(t)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func noSetting(name string) error {
	var known []string
	for _, k := range config.Keys() {
		known = append(known, k.Name)
	}
	if close := job.Closest(name, known); close != "" {
		return job.BadInputf("there is no setting %q; did you mean %s?", name, close)
	}
	return job.BadInputf("there is no setting %q; muster config lists them", name)
}
