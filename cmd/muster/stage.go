package main

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/guest/vm"
	"muster/internal/node"
	"muster/internal/scratch"
	"muster/internal/stage"
	"muster/internal/ui"
	"muster/internal/ui/human"
)

// stageCommand looks after what runs have brought to this machine's own disk, and the guests that they saved there.
func (a *app) stageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stage",
		Short: "Look after what was brought to this machine: images, programs' folders, saved VMs",
		Long: `With --stage, image and program of a run are brought from the central storage to each node's own disk, and stay there for the next
run. So do the virtual machines that a run with --guest vm has booted and saved. What was not used for longest goes by itself when room is
needed; these commands show what is on this machine, and free the disk.`,
		Example: "  muster stage ls\n  muster stage clear\n  srun -w n017 muster stage clear",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	cmd.AddCommand(a.stageListCommand(), a.stageClearCommand())
	return cmd
}

// scratchHomes are the user's scratch folders on this machine.
func (a *app) scratchHomes() ([]string, error) {
	roots, _ := node.StageRoots(a.scratchEnv)
	var homes []string
	for _, r := range roots {
		home, err := scratch.Home(r.Path)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(homes, home) {
			homes = append(homes, home)
		}
	}
	return homes, nil
}

// stages opens the stages that there are on this machine.
func (a *app) stages() ([]*stage.Store, error) {
	homes, err := a.scratchHomes()
	if err != nil {
		return nil, err
	}
	var out []*stage.Store
	for _, home := range homes {
		dir := filepath.Join(home, stage.Folder)
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		s, err := stage.Open(dir, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// stagedJSON is a tree in stage ls --json.
type stagedJSON struct {
	What      string    `json:"what"`
	From      string    `json:"from"`
	Directory string    `json:"directory"`
	Size      int64     `json:"size_bytes"`
	LastUsed  time.Time `json:"last_used"`
	InUse     bool      `json:"in_use"`
	Whole     bool      `json:"whole"`
}

func (a *app) stageListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List what was staged on this machine",
		Example: "  muster stage ls",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			stores, err := a.stages()
			if err != nil {
				return err
			}
			all := []stagedJSON{}
			for _, s := range stores {
				list, err := s.List()
				if err != nil {
					return err
				}
				for _, i := range list {
					all = append(all, stagedJSON{i.What, i.From, i.Dir, i.Size, i.LastUsed, i.InUse, i.Whole})
				}
			}
			saved, err := a.savedGuests()
			if err != nil {
				return err
			}
			all = append(all, saved...)
			if asJSON {
				return a.printJSON(map[string]any{"version": 1, "staged": all})
			}
			a.printStaged(all)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// savedHomes are the folders below which guests may have been saved: also where nothing would be staged.
func (a *app) savedHomes() ([]string, error) {
	homes, err := a.scratchHomes()
	if err != nil {
		return nil, err
	}
	root, _, err := node.ScratchRoot(a.scratchEnv)
	if err != nil {
		return homes, nil // then no guest runs here either
	}
	home, err := scratch.Home(root)
	if err != nil || slices.Contains(homes, home) {
		return homes, err
	}
	return append(homes, home), nil
}

// savedGuests are the VMs that were saved on this machine, as staged.
func (a *app) savedGuests() (all []stagedJSON, err error) {
	homes, err := a.savedHomes()
	if err != nil {
		return nil, err
	}
	for _, home := range homes {
		saved, err := vm.ListSaved(home)
		if err != nil {
			return nil, err
		}
		for _, s := range saved {
			all = append(all, stagedJSON{"a saved guest", s.Image, s.Dir, s.Size, s.LastUsed, s.InUse, s.Whole})
		}
	}
	return all, nil
}

func (a *app) printStaged(all []stagedJSON) {
	p := a.print()
	if len(all) == 0 {
		p.Err.Printf("nothing is staged on this machine\n")
		return
	}
	t := &ui.Table{Columns: []ui.Column{
		{Title: "WHAT"}, {Title: "FROM", Path: true, Flex: true}, {Title: "SIZE", Right: true}, {Title: "USED", Right: true}, {Title: "STATE"}, {Title: "DIRECTORY", Path: true, Flex: true},
	}}
	for _, s := range all {
		state := "ready"
		switch {
		case !s.Whole && s.InUse:
			state = "coming"
		case !s.Whole:
			state = "unfinished"
		case s.InUse:
			state = "in use"
		}
		t.Cells(ui.Cell{Text: s.What}, ui.Cell{Text: s.From}, ui.Cell{Text: human.Bytes(s.Size)}, ui.Cell{Text: human.Duration(time.Since(s.LastUsed))}, ui.Cell{Text: state}, ui.Cell{Text: s.Directory})
	}
	p.Out.Table(t)
}

func (a *app) stageClearCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "clear",
		Short:   "Remove what was staged on this machine and is not in use",
		Example: "  muster stage clear",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			stores, err := a.stages()
			if err != nil {
				return err
			}
			count, size := 0, int64(0)
			for _, s := range stores {
				gone, err := s.Clear()
				for _, i := range gone {
					count, size = count+1, size+i.Size
				}
				if err != nil {
					return err
				}
			}
			a.print().Out.Printf("removed %s, %s\n", human.Plural(count, "staged tree"), human.Bytes(size))
			return a.clearSavedGuests()
		},
	}
}

func (a *app) clearSavedGuests() error {
	homes, err := a.savedHomes()
	if err != nil {
		return err
	}
	count, size := 0, int64(0)
	for _, home := range homes {
		gone, err := vm.ClearSaved(home)
		for _, s := range gone {
			count, size = count+1, size+s.Size
		}
		if err != nil {
			return err
		}
	}
	if count > 0 {
		a.print().Out.Printf("removed %s, %s\n", human.Plural(count, "saved guest"), human.Bytes(size))
	}
	return nil
}
