package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"muster/internal/guest"
	"muster/internal/guest/vm"
	"muster/internal/guest/wine"
	"muster/internal/job"
	"muster/internal/node"
	"muster/internal/proc"
	"muster/internal/run"
	"muster/internal/scratch"
	"muster/internal/ui/human"
)

// execCommand runs one program in an instance of its own.
func (a *app) execCommand() *cobra.Command {
	var drive, mounts []string
	cmd := &cobra.Command{
		Use:   "exec [flags] PROGRAM [ARGS…]",
		Short: "Run one program in an instance, with this terminal's streams",
		Long: `Opens an instance here, runs the program in it with the streams of this command, and closes the instance. The program sees the
present folder as its own (W: under Wine), and its arguments as they are written. A VM has a copy of it, to read; what the program
writes there goes with the VM. The exit code is the program's own; 128 and
the signal's number when one ended it; 126 when it could not be started.

Inside a script that a run started with --guest wine, it starts the program in the script's own instance instead.`,
		Example: "  muster exec sim.exe /help\n  muster exec --boot full setup.exe /S\n  muster exec --guest vm --image deb uname -a",
		Args:    argsBetween(1, 0, "a program"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			extra, err := drives(drive)
			if err != nil {
				return err
			}
			return a.exec(ctx, args[0], args[1:], extra, mounts)
		},
	}
	f := cmd.Flags()
	// What follows the program is the program's.
	f.SetInterspersed(false)
	for _, name := range []string{"guest", "image", "wine", "boot", "mem", "net", "progress"} {
		setting(f, name)
	}
	f.StringArrayVar(&drive, "drive", nil, "a further drive, LETTER=FOLDER (Wine)")
	addMounts(f, &mounts)
	return cmd
}

// exitCannotStart is exec's answer when the program could not be started at all.
const exitCannotStart = 126

func (a *app) exec(ctx context.Context, word string, args []string, extra map[string]string, mounts []string) error {
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the present folder: %w", err)
	}
	in, inside, err := wine.FindInside(a.environ)
	if err != nil {
		return err
	}
	if inside {
		return a.execInside(in, word, dir, args)
	}
	c, err := a.conductor(nil)
	if err != nil {
		return err
	}
	program, err := c.Find(word, dir)
	if err != nil {
		return err
	}
	front, err := frontFor(c.Fronts, a.cfg.Text("guest"), program)
	if err != nil {
		return err
	}
	req := a.guestRequest(program)
	env := slices.DeleteFunc(slices.Clone(a.environ), func(kv string) bool { return strings.HasPrefix(kv, "MUSTER_") })
	folders := guest.Folders{Work: dir, Program: filepath.Dir(program)}
	if req.Options, err = a.vmOptions(front.Name() == "vm", mounts, dir); err != nil {
		return err
	}
	if front.Name() == "vm" {
		env, folders.Work = nil, ""
		if req.Options[vm.OptMounts], err = vm.Present(req.Options[vm.OptMounts], dir); err != nil {
			return err
		}
	}
	v, err := front.Check(ctx, req)
	if err != nil {
		return err
	}
	progress, err := a.progress(false)
	if err != nil {
		return err
	}
	defer progress.Close()
	var img guest.Image
	err = progress.Do(ctx, "building the image", 0, func(ctx context.Context, say func(string)) (err error) {
		img, err = front.Image(ctx, req, say)
		return err
	})
	progress.Close() // the streams are the program's from here on
	if err != nil {
		return err
	}
	n := guest.Node{Image: img.Dir, ImageKey: img.Key, Boot: v.Boot, Options: img.Options}
	var exit job.Exit
	err = a.withInstance(ctx, front.Name(), n, folders, extra, func(inst guest.Instance, s *scratch.Folder) error {
		p, err := inst.Start(ctx, guest.Command{
			Program: program, Args: args, Dir: dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			Env: append(env, guest.EnvTask+"=exec@"+s.Token),
		})
		if err != nil {
			a.print().Problem(err)
			return exitError(exitCannotStart)
		}
		exit, err = p.Wait(ctx)
		return err
	})
	switch {
	case err != nil:
		return err
	case exit.Signal != 0:
		a.print().Err.Printf("muster exec: %s\n", human.Escape(exit.Detail))
		return exitError(128 + exit.Signal)
	case exit.Code != 0:
		if exit.Cause != job.CauseExit && exit.Detail != "" {
			a.print().Err.Printf("muster exec: %s: %s  [%s]\n", filepath.Base(program), human.Escape(exit.Detail), exit.Cause)
		}
		return exitError(exit.Code)
	case exit.Cause != "":
		a.print().Err.Printf("muster exec: %s: %s  [%s]\n", filepath.Base(program), human.Escape(exit.Detail), exit.Cause)
		return exitError(exitTaskFailed)
	}
	return nil
}

// execInside makes this process the Windows program, in the instance that a
// script of a run was started in.
func (a *app) execInside(in wine.Inside, word, dir string, args []string) error {
	c := &run.Conductor{Environ: a.environ}
	program, err := c.Find(word, dir)
	if err != nil {
		// Beside the script is where it mostly lies.
		var beside error
		if program, beside = c.Find(filepath.Join(in.Program(), word), dir); beside != nil {
			return err
		}
	}
	path, argv, env, err := in.Command(program, args)
	if err != nil {
		return err
	}
	return fmt.Errorf("starting %s: %w", path, syscall.Exec(path, argv, env))
}

// withInstance opens an instance of a guest on this machine, has f use it, and
// takes everything of it down again.
func (a *app) withInstance(ctx context.Context, name string, n guest.Node, folders guest.Folders, extra map[string]string, f func(guest.Instance, *scratch.Folder) error) (err error) {
	table, err := a.table()
	if err != nil {
		return err
	}
	root, _, err := node.ScratchRoot(a.scratchEnv)
	if err != nil {
		return err
	}
	s, err := scratch.New(root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Remove()) }()
	g, err := guestOf(name, table)
	if err != nil {
		return err
	}
	n.Scratch, n.Keep = s.Dir, filepath.Dir(s.Dir)
	n.Tell = func(line string) { a.print().Err.Printf("note: %s\n", human.Escape(line)) }
	if err := g.Prepare(ctx, n); err != nil {
		return err
	}
	place := guest.Place{
		ID: "exec", Dir: filepath.Join(s.Dir, "i"), Node: n, Folders: folders, Drives: extra,
		Env: []string{guest.EnvInstance + "=exec@" + s.Token},
	}
	if err := os.Mkdir(place.Dir, 0o700); err != nil {
		return fmt.Errorf("making the instance's folder: %w", err)
	}
	inst, err := g.Open(ctx, place)
	if err != nil {
		return err
	}
	defer func() {
		// Whatever became of ctx: nothing of it may be left.
		done := context.WithoutCancel(ctx)
		closeErr := inst.Close(done)
		_, killErr := table.Kill(done, func(proc.Info) bool { return true })
		err = errors.Join(err, closeErr, killErr)
	}()
	return f(inst, s)
}
