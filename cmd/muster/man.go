package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the man pages.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the man pages to a folder",
		Hidden:  true,
		Example: "  muster man /usr/local/share/man/man1",
		Args:    argsBetween(1, 1, "a folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("making the folder of man pages: %w", err)
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			// The same pages from the same source, whenever they are made.
			var epoch time.Time
			header := &doc.GenManHeader{Title: "MUSTER", Section: "1", Source: "muster " + version, Manual: "muster", Date: &epoch}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fmt.Errorf("writing man pages: %w", err)
			}
			return nil
		},
	}
}
