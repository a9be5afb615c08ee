package main

import (
	"github.com/spf13/pflag"

	"muster/internal/guest/vm"
	"muster/internal/job"
	"muster/internal/run"
)

// addMounts adds the flag for folders that VMs see.
func addMounts(fl *pflag.FlagSet, mounts *[]string) {
	fl.StringArrayVar(mounts, "mount", nil, "a folder that the guest sees read-only below /mnt, DIR or DIR:NAME (VM)")
}

// vmRequest adds to a request what only VMs have.
func (a *app) vmRequest(r *run.Request, mounts []string, dir string) error {
	isVM := r.Guest == "vm"
	o, err := a.vmOptions(isVM, mounts, dir)
	if err != nil {
		return err
	}
	r.GuestOpts = o
	if !isVM {
		return nil
	}
	if r.Mem == 0 {
		r.Mem = vm.DefaultMemory
	}
	if v, _ := a.cfg.Value("env"); v.Source.Kind == "default" {
		r.Env = "none" // another system's paths and settings are of no use there
	}
	return nil
}

// vmOptions are the settings that only VMs have; other guests are refused them.
func (a *app) vmOptions(isVM bool, mounts []string, dir string) (map[string]string, error) {
	net, boot := a.cfg.Text("net"), a.cfg.Text("boot")
	switch {
	case isVM:
	case boot == vm.BootCold, boot == vm.BootWarm:
		return nil, job.BadInputf("--boot %s is for VMs: add --guest vm", boot)
	case net != vm.NetNone:
		return nil, job.BadInputf("--net %s is for VMs: add --guest vm", net)
	case len(mounts) > 0:
		return nil, job.BadInputf("--mount %s is for VMs: add --guest vm", mounts[0])
	default:
		return nil, nil
	}
	text, err := vm.Mounts(mounts, dir)
	if err != nil {
		return nil, err
	}
	return map[string]string{vm.OptNet: net, vm.OptMounts: text}, nil
}
