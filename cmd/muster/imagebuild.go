package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"muster/internal/guest"
	"muster/internal/guest/vm/guestinit"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/guest/wine"
	"muster/internal/image"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/scratch"
	"muster/internal/ui/human"
)

func (a *app) imageBuildCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build an image, or find it when it is there already",
		Long: `Builds an image: what instances of a guest are clones of. An image is built once, however many ask for it at the same time,
and found again by what it was built from.`,
		Example: "  muster image build wine --name office --run setup.exe -- /S\n  muster image build vm --name deb --suite bookworm",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return job.BadInputf("muster image build takes the kind of image: muster image build wine, or muster image build vm")
			}
			return unknownCommand(cmd, args[0])
		},
	}
	cmd.AddCommand(a.imageBuildWineCommand(), a.imageBuildVMCommand())
	return cmd
}

func (a *app) imageBuildWineCommand() *cobra.Command {
	var b wine.Build
	var boot string
	cmd := &cobra.Command{
		Use:   "wine [-- ARGS…]",
		Short: "Build an image for Windows programs",
		Long: `Builds an image for Windows programs. --add copies a folder to C:\muster\NAME in it, --run runs a setup program in it, whose
arguments stand after --. --boot starts an instance of it once, to see that it works. Lean instances run a Wine with cheaper starts;
--keep leaves parts of that out (full ones run Wine as it is installed).`,
		Example: `  muster image build wine
  muster image build wine --name office --run setup.exe -- /S
  muster image build wine --name mine --wine ~/wine.tar.xz --boot lean`,
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				args = args[:dash]
			}
			return noArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			b.RunArgs = args
			if len(b.RunArgs) > 0 && b.Run == "" {
				return job.BadInputf("arguments after -- are for the program of --run, and there is none")
			}
			if boot != "" && boot != wine.BootLean && boot != wine.BootFull {
				return job.BadInputf("--boot %s: choose lean or full", boot)
			}
			b.Wine = a.cfg.Text("wine")
			return a.buildImage(cmd.Context(), &b.Name, wine.DefaultImage, func(ctx context.Context, kit buildKit) (built image.Built, err error) {
				if built, err = wine.NewFront(kit.table, kit.store, a.getenv).Build(ctx, b, kit.say); err != nil || boot == "" {
					return built, err
				}
				kit.say("trying it")
				return built, a.tryImage(ctx, built, boot)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&b.Name, "name", "", "what the image is called (default "+wine.DefaultImage+")")
	f.StringVar(&b.Add, "add", "", "folder that is copied into it")
	f.StringVar(&b.Run, "run", "", "setup program that is run in it")
	f.StringSliceVar(&b.Keep, "keep", nil, "parts of Wine that lean instances are to have untrimmed ("+strings.Join(wine.TrimNames(), ", ")+")")
	f.StringVar(&boot, "boot", "", "start an instance once to try it (lean, full)")
	setting(f, "wine")
	setting(f, "progress")
	return cmd
}

func (a *app) imageBuildVMCommand() *cobra.Command {
	var b vmimage.Build
	cmd := &cobra.Command{
		Use:   "vm",
		Short: "Build an image for virtual machines",
		Long: `Builds an image for virtual machines: a Debian system, made with mmdebstrap and without root, or what you bring.

--strip full (the default) leaves out everything that a program does not need: no services, a read-only root, muster's own init. --strip none
is the ordinary system, with systemd, as its packages leave it. --rootfs makes the root of a folder or a tar archive instead, with a kernel of
Debian's. --disk takes a whole disk, which boots as it is and gets its job through cloud-init.`,
		Example: `  muster image build vm --name deb --from debian --suite bookworm
  muster image build vm --name sci --packages python3-numpy,octave
  muster image build vm --name mine --rootfs rootfs.tar.gz
  muster image build vm --name cloud --disk debian-12-genericcloud-amd64.qcow2`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.buildImage(cmd.Context(), &b.Name, defaultVM, func(ctx context.Context, kit buildKit) (image.Built, error) {
				return vmimage.NewBuilder(kit.table, kit.store, a.getenv, guestinit.Bytes).Build(ctx, b, kit.say)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&b.Name, "name", "", "what the image is called (default "+defaultVM+")")
	f.StringVar(&b.From, "from", "", "distribution that it is a system of (debian)")
	f.StringVar(&b.Suite, "suite", "", "its release (default "+vmimage.DefaultSuite+")")
	f.StringSliceVar(&b.Packages, "packages", nil, "further packages in it")
	f.StringVar(&b.Strip, "strip", "", "what is left out: full (all that programs do not need; the default), none")
	f.StringVar(&b.Mirror, "mirror", "", "where packages come from (default: where this host's apt gets them)")
	f.StringVar(&b.Rootfs, "rootfs", "", "folder or tar archive that becomes the root")
	f.StringVar(&b.Disk, "disk", "", "disk that boots as it is (qcow2 or raw)")
	f.StringVar(&b.Kernel, "kernel", "", "kernel for that disk (default: its own)")
	f.StringVar(&b.Initrd, "initrd", "", "initrd for that kernel")
	f.StringVar(&b.Words, "cmdline", "", "what that kernel is told (default: root=/dev/vda1 rw)")
	setting(f, "progress")
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{vmimage.FromDebian}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("strip", cobra.FixedCompletions([]string{vmimage.StripFull, vmimage.StripNone}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// defaultVM is what an image for VMs is called when nobody says otherwise.
const defaultVM = "vm"

// buildKit is what images are built with.
type buildKit struct {
	table *proc.Table
	store *image.Store
	say   func(string)
}

// buildImage builds an image with progress, and says what is there now. name is what it is to be called; "": other.
func (a *app) buildImage(ctx context.Context, name *string, other string, build func(context.Context, buildKit) (image.Built, error)) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *name == "" {
		*name = other
	}
	if err := image.CheckName(*name); err != nil {
		return job.BadInputf("--name: %w", err)
	}
	table, err := a.table()
	if err != nil {
		return err
	}
	store, err := a.images()
	if err != nil {
		return err
	}
	progress, err := a.progress(false)
	if err != nil {
		return err
	}
	defer progress.Close()
	var built image.Built
	err = progress.Do(ctx, "building the image", 0, func(ctx context.Context, say func(string)) (err error) {
		built, err = build(ctx, buildKit{table, store, say})
		return err
	})
	progress.Close()
	if err != nil {
		return err
	}
	p := a.print()
	if built.Took == 0 {
		p.Out.Printf("image %s is there already: %s\n", *name, built.Manifest.Key)
		return nil
	}
	p.Out.Printf("built image %s in %s, %s: %s\n", *name, human.Duration(built.Took), human.Bytes(built.Manifest.Size), built.Manifest.Key)
	return nil
}

// tryImage starts an instance of an image and ends it again.
func (a *app) tryImage(ctx context.Context, built image.Built, boot string) error {
	return a.withInstance(ctx, "wine", guest.Node{Image: built.Dir, ImageKey: built.Manifest.Key, Boot: boot}, guest.Folders{}, nil,
		func(guest.Instance, *scratch.Folder) error { return nil })
}
