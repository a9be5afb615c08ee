package main

import (
	"github.com/spf13/cobra"

	"muster/internal/explain"
	"muster/internal/job"
	"muster/internal/ui"
)

// explainCommand expands codes.
func (a *app) explainCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [CODE]",
		Short: "Say what a code means, and what to do about it",
		Long: `Says what a code means that stands in brackets behind a failure, a state (TIMEOUT), or one of muster's own exit codes; what
it mostly comes from; and what to do. Without a code it lists them all.`,
		Example: "  muster explain missing-dll\n  muster explain",
		Args:    argsBetween(0, 1, "one code"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var out []cobra.Completion
			for _, t := range explain.Topics() {
				out = append(out, cobra.CompletionWithDesc(t.Code, t.Meaning))
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			p := a.print()
			if len(args) == 0 {
				if asJSON {
					return a.printJSON(map[string]any{"version": 1, "codes": explain.Topics()})
				}
				t := &ui.Table{Columns: []ui.Column{{Title: "CODE"}, {Title: "KIND"}, {Title: "MEANING", Flex: true}}}
				for _, topic := range explain.Topics() {
					t.Row(topic.Code, string(topic.Kind), topic.Meaning)
				}
				p.Out.Table(t)
				return nil
			}
			topic, ok := explain.Explain(args[0])
			if !ok {
				if near := explain.Nearest(args[0]); near != "" {
					return job.BadInputf("there is no code %q; did you mean %s? muster explain lists them", args[0], near)
				}
				return job.BadInputf("there is no code %q; muster explain lists them", args[0])
			}
			if asJSON {
				return a.printJSON(struct {
					Version int `json:"version"`
					explain.Topic
				}{1, topic})
			}
			for _, line := range topic.Lines(p.Out.Width()) {
				p.Out.Printf("%s\n", line)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
