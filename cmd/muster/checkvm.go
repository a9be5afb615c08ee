package main

import (
	"context"
	"errors"

	"muster/internal/guest"
	"muster/internal/guest/vm"
	"muster/internal/node"
	"muster/internal/scratch"
	"muster/internal/ui/human"
)

// checkEmulator is the line about VMs among those about all guests. That there is no QEMU is no failure: few want it.
func (a *app) checkEmulator(ctx context.Context) (guestJSON, error) {
	g := guestJSON{Guest: "vm"}
	table, err := a.table()
	if err != nil {
		return g, err
	}
	g.What, err = vm.Emulator(ctx, table)
	if errors.Is(err, guest.ErrLacking) {
		g.What = err.Error()
		return g, nil
	}
	g.OK = err == nil
	return g, err
}

// lookVM finds out how VMs run here, and what is in the image of that name, or in all.
func (a *app) lookVM(ctx context.Context, image string) (vm.Facts, error) {
	table, err := a.table()
	if err != nil {
		return vm.Facts{}, err
	}
	store, err := a.images()
	if err != nil {
		return vm.Facts{}, err
	}
	root, _, err := node.ScratchRoot(a.scratchEnv)
	if err != nil {
		return vm.Facts{}, err
	}
	home, err := scratch.Home(root)
	if err != nil {
		return vm.Facts{}, err
	}
	return vm.Look(ctx, table, store, home, image)
}

// checkVM says how VMs run here.
func (a *app) checkVM(ctx context.Context, asJSON bool) error {
	f, err := a.lookVM(ctx, a.cfg.Text("image"))
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(struct {
			Version int `json:"version"`
			vm.Facts
		}{1, f})
	}
	p := a.print()
	p.Out.Printf("accelerator  %s\n", human.Escape(f.Accelerator))
	p.Out.Printf("qemu         %s\n", human.Escape(f.QEMU))
	for _, i := range f.Images {
		p.Out.Printf("image        %s\n", human.Escape(i))
	}
	if len(f.Images) == 0 {
		p.Out.Printf("image        none; make one with: muster image build vm --name deb --from debian\n")
	}
	return nil
}
