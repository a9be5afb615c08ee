package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"muster/internal/config"
	"muster/internal/guest"
	"muster/internal/guest/native"
	"muster/internal/guest/vm"
	"muster/internal/guest/wine"
	"muster/internal/image"
	"muster/internal/job"
	"muster/internal/node"
	"muster/internal/proc"
	"muster/internal/run"
	"muster/internal/rundir"
	"muster/internal/ui"
)

// app is what the commands share: settings, streams, and what they are wired
// to. Everything is made when it is first needed.
type app struct {
	argv    []string
	environ []string

	cfg     *config.Config
	printer *ui.Printer
	procs   *proc.Table
}

func newApp(argv, environ []string) *app { return &app{argv: argv, environ: environ} }

func (a *app) close() {
	if a.procs != nil {
		a.procs.Close()
	}
}

func (a *app) getenv(name string) string {
	for _, kv := range a.environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// settle reads the settings, the command's flags among them.
func (a *app) settle(cmd *cobra.Command) error {
	flags := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if _, ok := config.Lookup(f.Name); ok {
			flags[f.Name] = f.Value.String()
		}
	})
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the present folder: %w", err)
	}
	a.cfg, err = config.Load(config.Options{Getenv: a.getenv, Flags: flags, Dir: dir})
	var wrong *config.Error
	switch {
	case err == nil:
		a.printer = nil // --color counts from here on
	case errors.As(err, &wrong) && wrong.Source.Kind == "flag":
		// Whoever typed it knows where it came from.
		text := strings.TrimPrefix(wrong.Err.Error(), wrong.Key+" ")
		if text == wrong.Err.Error() {
			text = ": " + text
		} else {
			text = " " + text
		}
		return job.BadInputf("--%s%s", wrong.Key, text)
	}
	return err
}

func (a *app) print() *ui.Printer {
	if a.printer == nil {
		color := ui.ColorAuto
		if a.cfg != nil {
			color = ui.ColorMode(a.cfg.Text("color"))
		}
		a.printer = ui.New(ui.Options{Stdout: os.Stdout, Stderr: os.Stderr, Getenv: a.getenv, Color: color})
	}
	return a.printer
}

func (a *app) table() (*proc.Table, error) {
	if a.procs == nil {
		t, err := proc.NewTable()
		if err != nil {
			return nil, err
		}
		a.procs = t
	}
	return a.procs, nil
}

func (a *app) images() (*image.Store, error) {
	dir := a.cfg.Text("images")
	if dir == "" {
		return nil, job.BadInputf("there is no place for images: set HOME or MUSTER_IMAGES")
	}
	return image.Open(dir)
}

func (a *app) store() (*rundir.Store, error) {
	root := a.cfg.Text("state")
	if root == "" {
		return nil, job.BadInputf("there is no place for runs: set HOME or MUSTER_STATE")
	}
	s, err := rundir.OpenStore(root, rundir.Options{TrustGroup: a.cfg.Text("trust-group") != ""})
	var path *fs.PathError
	if errors.As(err, &path) && !errors.Is(err, rundir.ErrUnsafe) {
		return nil, job.BadInputf("runs cannot be kept in %s: %v; name another folder with --state or MUSTER_STATE", root, path.Err)
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, job.BadInputf("%v; name another folder with --state or MUSTER_STATE", err)
	}
	return s, err
}

// fronts are the submitting halves of the guests, in the order in which --guest
// auto asks them.
func (a *app) fronts() ([]guest.Front, error) {
	table, err := a.table()
	if err != nil {
		return nil, err
	}
	store, err := a.images()
	if err != nil {
		return nil, err
	}
	return []guest.Front{wine.NewFront(table, store, a.getenv), vm.NewFront(store), native.Front{}}, nil
}

// guestOf makes the node half of a guest.
func guestOf(name string, table *proc.Table) (guest.Guest, error) {
	switch name {
	case "native":
		return native.New(table), nil
	case "wine":
		return wine.New(table), nil
	case "vm":
		return vm.New(table), nil
	}
	return nil, job.BadInputf("there is no guest %q", name)
}

// conductor wires everything that runs need.
func (a *app) conductor(tell func(string)) (*run.Conductor, error) {
	store, err := a.store()
	if err != nil {
		return nil, err
	}
	engines, clusters, err := a.engines()
	if err != nil {
		return nil, err
	}
	fronts, err := a.fronts()
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding muster's own program: %w", err)
	}
	scratch, _, err := node.ScratchRoot(a.scratchEnv)
	if err != nil {
		return nil, err
	}
	environ := a.environ
	if set := a.cfg.Text("scratch"); set != "" {
		environ = append(environ, "MUSTER_SCRATCH="+set)
	}
	return &run.Conductor{
		Store: store, Engines: engines, Clusters: clusters, Fronts: fronts,
		Agent:   []string{exe, "agent", "--built", version, "--contain", a.cfg.Text("contain")},
		Environ: environ, Scratch: scratch, Tell: tell,
	}, nil
}

// scratchEnv is getenv with the settled scratch folder.
func (a *app) scratchEnv(name string) string {
	if name == "MUSTER_SCRATCH" {
		return a.cfg.Text("scratch")
	}
	return a.getenv(name)
}

// logger is for the processes that nobody sees: their log is a file.
func logger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

// usage makes cobra's complaints about flags muster's own.
func usage(cmd *cobra.Command, err error) error {
	text := strings.TrimPrefix(err.Error(), "unknown flag: ")
	if text == err.Error() {
		return job.BadInputf("%w; %s --help lists the flags", err, cmd.CommandPath())
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
	if close := job.Closest(text, known); close != "" {
		return job.BadInputf("there is no flag %s; did you mean %s?", text, close)
	}
	return job.BadInputf("there is no flag %s; %s --help lists the flags", text, cmd.CommandPath())
}
