package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/job"
	"muster/internal/ui"
	"muster/internal/ui/human"
)

// checkCommand says whether a program can run here.
func (a *app) checkCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [PROGRAM]",
		Short: "Say whether a program can run here, before anything is started",
		Long: `Examines a program: what it is, which DLLs it needs and whether they are there, and how much of Windows has to be started for
it. map does the same first. Without a program it says which guests can run here; with --guest vm, how: the QEMU, what it runs
guests with, and the images. The exit code is 0 when it can run, 2 when it
cannot, 3 when this machine lacks something.`,
		Example: "  muster check sim.exe\n  muster check --image office sim.exe --json\n  muster check\n  muster check --guest vm",
		Args:    argsBetween(0, 1, "one program"),
		RunE: func(cmd *cobra.Command, args []string) error {
			fronts, err := a.fronts()
			if err != nil {
				return err
			}
			if len(args) == 0 && a.cfg.Text("guest") == "vm" {
				return a.checkVM(cmd.Context(), asJSON)
			}
			if len(args) == 0 {
				return a.checkGuests(cmd.Context(), fronts, asJSON)
			}
			program, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if _, err := os.Stat(program); err != nil {
				return job.BadInputf("the program %s is not there", args[0])
			}
			return a.checkProgram(cmd.Context(), fronts, program, asJSON)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	for _, name := range []string{"guest", "image", "wine", "boot"} {
		setting(f, name)
	}
	return cmd
}

// checkJSON is what check --json prints of a program.
type checkJSON struct {
	Version int      `json:"version"`
	Program string   `json:"program"`
	Guest   string   `json:"guest"`
	OK      bool     `json:"ok"`
	Verdict string   `json:"verdict"` // one line
	Details []string `json:"details"`
	Boot    string   `json:"boot,omitempty"`
	Why     string   `json:"why,omitempty"` // that boot
}

func (a *app) checkProgram(ctx context.Context, fronts []guest.Front, program string, asJSON bool) error {
	front, err := frontFor(fronts, a.cfg.Text("guest"), program)
	if err != nil {
		return err
	}
	v, err := front.Check(ctx, a.guestRequest(program))
	if asJSON {
		j := checkJSON{Version: 1, Program: program, Guest: front.Name(), OK: err == nil, Verdict: v.Line, Details: v.Details, Boot: v.Boot, Why: v.Why}
		if err != nil {
			j.Verdict = err.Error()
		}
		if j.Details == nil {
			j.Details = []string{}
		}
		if printErr := a.printJSON(j); err == nil || printErr != nil {
			return printErr
		}
		return exitError(exitCode(err))
	}
	if err != nil {
		return err
	}
	p := a.print()
	p.Out.Printf("%s\n", human.Escape(v.Line))
	for _, d := range v.Details {
		p.Out.Printf("  %s\n", human.Escape(d))
	}
	return nil
}

// guestRequest is what the flags and settings ask of a guest for a program.
func (a *app) guestRequest(program string) guest.Request {
	r := guest.Request{
		Program: program, Dirs: []string{filepath.Dir(program)},
		Image: a.cfg.Text("image"), Boot: a.cfg.Text("boot"), Wine: a.cfg.Text("wine"), Mem: a.cfg.Memory("mem"),
	}
	return r
}

// frontFor chooses the guest for a program, as --guest says.
func frontFor(fronts []guest.Front, name, program string) (guest.Front, error) {
	for _, f := range fronts {
		if name != "" && name != "auto" {
			if f.Name() == name {
				return f, nil
			}
			continue
		}
		yes, _, err := f.Recognise(program)
		if err != nil {
			return nil, err
		}
		if yes {
			return f, nil
		}
	}
	return nil, job.BadInputf("--guest %s: there is no such guest", name)
}

// guestJSON is a guest in check --json without a program.
type guestJSON struct {
	Guest string `json:"guest"`
	OK    bool   `json:"ok"`
	What  string `json:"what"` // what there is, or what is missing
}

// checkGuests says which guests can run on this machine.
func (a *app) checkGuests(ctx context.Context, fronts []guest.Front, asJSON bool) error {
	var all []guestJSON
	var lacking, err error
	for _, f := range fronts {
		g := guestJSON{Guest: f.Name(), OK: true, What: "programs of this system"}
		if w, ok := f.(*wine.Front); ok {
			found, err := w.Installed(ctx)
			switch {
			case errors.Is(err, guest.ErrLacking):
				lacking = err
				g.OK, g.What = false, err.Error()
			case err != nil:
				return err
			default:
				g.What = found.Version + ", 64-bit programs"
				if found.Wine32 {
					g.What = found.Version + ", 64-bit and 32-bit programs"
				}
			}
		}
		if f.Name() == "vm" {
			if g, err = a.checkEmulator(ctx); err != nil {
				return err
			}
		}
		all = append(all, g)
	}
	if asJSON {
		return a.printJSON(map[string]any{"version": 1, "guests": all})
	}
	t := &ui.Table{Columns: []ui.Column{{Title: "GUEST"}, {Title: "HERE"}, {Title: "WHAT", Flex: true}}}
	for _, g := range all {
		here := ui.Cell{Text: "yes", Style: ui.Green}
		if !g.OK {
			here = ui.Cell{Text: "no", Style: ui.Red}
		}
		t.Cells(ui.Cell{Text: g.Guest}, here, ui.Cell{Text: g.What})
	}
	a.print().Out.Table(t)
	if lacking != nil {
		return exitError(exitLacking)
	}
	return nil
}
