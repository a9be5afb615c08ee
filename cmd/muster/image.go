package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/image"
	"muster/internal/job"
	"muster/internal/scratch"
	"muster/internal/ui"
	"muster/internal/ui/human"
)

// imageCommand looks after images.
func (a *app) imageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build and look after images: prepared environments",
		Long: `An image is a prepared environment, such as a Windows system folder under Wine. It is built once and never changed; instances
are clones of it. The default one is built by the first run that needs it.`,
		Example: "  muster image build wine --name office --run setup.exe\n  muster image ls",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	cmd.AddCommand(a.imageBuildCommand(), a.imageListCommand(), a.imageShowCommand(), a.imageRemoveCommand(), a.imageCollectCommand(), a.imageVerifyCommand())
	return cmd
}

func (a *app) imageBuildCommand() *cobra.Command {
	var b wine.Build
	var boot string
	cmd := &cobra.Command{
		Use:   "build wine",
		Short: "Build an image, or find it when it is there already",
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
			if len(args) != 1 || args[0] != "wine" {
				return job.BadInputf("muster image build takes the kind of image: muster image build wine")
			}
			return nil
		},
		ValidArgs: []cobra.Completion{cobra.CompletionWithDesc("wine", "for Windows programs")},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			b.RunArgs = args[1:]
			if len(b.RunArgs) > 0 && b.Run == "" {
				return job.BadInputf("arguments after -- are for the program of --run, and there is none")
			}
			if boot != "" && boot != wine.BootLean && boot != wine.BootFull {
				return job.BadInputf("--boot %s: choose lean or full", boot)
			}
			if b.Name != "" {
				if err := image.CheckName(b.Name); err != nil {
					return job.BadInputf("--name: %w", err)
				}
			}
			b.Wine = a.cfg.Text("wine")
			return a.buildImage(ctx, b, boot)
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

// buildImage builds an image with progress, tries it when asked to, and says
// what is there now.
func (a *app) buildImage(ctx context.Context, b wine.Build, boot string) error {
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
		if built, err = wine.NewFront(table, store, a.getenv).Build(ctx, b, say); err != nil || boot == "" {
			return err
		}
		say("trying it")
		return a.tryImage(ctx, built, boot)
	})
	progress.Close()
	if err != nil {
		return err
	}
	name := b.Name
	if name == "" {
		name = wine.DefaultImage
	}
	p := a.print()
	if built.Took == 0 {
		p.Out.Printf("image %s is there already: %s\n", name, built.Manifest.Key)
		return nil
	}
	p.Out.Printf("built image %s in %s, %s: %s\n", name, human.Duration(built.Took), human.Bytes(built.Manifest.Size), built.Manifest.Key)
	return nil
}

// tryImage starts an instance of an image and ends it again.
func (a *app) tryImage(ctx context.Context, built image.Built, boot string) error {
	return a.withInstance(ctx, "wine", guest.Node{Image: built.Dir, ImageKey: built.Manifest.Key, Boot: boot}, guest.Folders{}, nil,
		func(guest.Instance, *scratch.Folder) error { return nil })
}

func (a *app) imageListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the images",
		Example: "  muster image ls",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			store, err := a.images()
			if err != nil {
				return err
			}
			all, err := store.List()
			if err != nil {
				return err
			}
			if asJSON {
				list := []imageJSON{}
				for _, i := range all {
					list = append(list, imageOf(i))
				}
				return a.printJSON(map[string]any{"version": 1, "images": list})
			}
			a.printImages(all)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// imageJSON is an image in image ls --json and image show --json.
type imageJSON struct {
	Version  int               `json:"version,omitempty"`
	Guest    string            `json:"guest"`
	Key      string            `json:"key"`
	Names    []string          `json:"names"`
	Size     int64             `json:"size_bytes"`
	Created  time.Time         `json:"created"`
	LastUsed time.Time         `json:"last_used"`
	InUse    bool              `json:"in_use"`
	Dir      string            `json:"directory"`
	Meta     map[string]string `json:"meta,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func imageOf(i image.Info) imageJSON {
	j := imageJSON{
		Guest: i.Guest, Key: i.Key, Names: append([]string{}, i.Names...), Size: i.Manifest.Size, Created: i.Manifest.Created,
		LastUsed: i.LastUsed, InUse: i.InUse, Dir: i.Dir, Meta: i.Manifest.Meta,
	}
	if i.Err != nil {
		j.Error = i.Err.Error()
	}
	return j
}

func (a *app) printImages(all []image.Info) {
	p := a.print()
	if len(all) == 0 {
		p.Err.Printf("there are no images yet; the first run that needs one builds it, or: muster image build wine\n")
		return
	}
	t := &ui.Table{Columns: []ui.Column{
		{Title: "NAME", Flex: true}, {Title: "GUEST"}, {Title: "KEY"}, {Title: "SIZE", Right: true}, {Title: "AGE", Right: true},
		{Title: "USED", Right: true}, {Title: "STATE"},
	}}
	for _, i := range all {
		name := strings.Join(i.Names, ", ")
		if name == "" {
			name = "-"
		}
		state := ui.Cell{}
		switch {
		case i.Err != nil:
			state = ui.Cell{Text: "damaged", Style: ui.Red}
		case i.InUse:
			state = ui.Cell{Text: "in use", Style: ui.Green}
		}
		t.Cells(ui.Cell{Text: name}, ui.Cell{Text: i.Guest}, ui.Cell{Text: i.Key[:min(12, len(i.Key))]}, ui.Cell{Text: human.Bytes(i.Manifest.Size)},
			ui.Cell{Text: human.Duration(time.Since(i.Manifest.Created))}, ui.Cell{Text: human.Duration(time.Since(i.LastUsed))}, state)
	}
	p.Out.Table(t)
}

func (a *app) imageShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "show IMAGE",
		Short:             "Tell what an image is",
		Example:           "  muster image show default",
		Args:              argsBetween(1, 1, "an image"),
		ValidArgsFunction: a.completeImages,
		RunE: func(_ *cobra.Command, args []string) error {
			_, i, err := a.findImage(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				j := imageOf(i)
				j.Version = 1
				return a.printJSON(j)
			}
			p := a.print()
			line := func(label, text string) { p.Out.Printf("%-8s  %s\n", label, human.Escape(text)) }
			line("image", strings.Join(i.Names, ", "))
			line("guest", i.Guest)
			line("key", i.Key)
			line("folder", i.Dir)
			if i.Err != nil {
				line("damaged", i.Err.Error())
				return nil
			}
			line("size", human.Bytes(i.Manifest.Size))
			line("built", i.Manifest.Created.Format("2006-01-02 15:04:05")+", in "+human.Duration(i.Manifest.Took))
			used := human.Duration(time.Since(i.LastUsed)) + " ago"
			if i.InUse {
				used = "now"
			}
			line("used", used)
			for _, k := range sortedKeys(i.Manifest.Meta) {
				if v := i.Manifest.Meta[k]; v != "" {
					line(k, v)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// findImage finds an image by its name or the beginning of its key.
func (a *app) findImage(name string) (*image.Store, image.Info, error) {
	store, err := a.images()
	if err != nil {
		return nil, image.Info{}, err
	}
	i, err := store.Find(name)
	if errors.Is(err, image.ErrNotFound) {
		err = job.BadInputf("there is no image %q; muster image ls lists them", name)
	}
	return store, i, err
}

func (a *app) imageRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "rm IMAGE…",
		Short:             "Remove images",
		Example:           "  muster image rm office",
		Args:              argsBetween(1, 0, "an image"),
		ValidArgsFunction: a.completeImages,
		RunE: func(_ *cobra.Command, args []string) error {
			var errs []error
			for _, name := range args {
				store, i, err := a.findImage(name)
				if err == nil {
					err = store.Remove(i)
				}
				if errors.Is(err, image.ErrInUse) {
					err = job.BadInputf("image %s is in use; muster ps lists the runs", name)
				}
				if err != nil {
					errs = append(errs, err)
					continue
				}
				a.print().Err.Printf("removed image %s\n", human.Escape(name))
			}
			return errors.Join(errs...)
		},
	}
}

func (a *app) imageCollectCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "gc",
		Short:   "Remove images that nothing asks for any more",
		Long:    "Removes images without a name, and what killed builds have left. Images in use stay.",
		Example: "  muster image gc",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			store, err := a.images()
			if err != nil {
				return err
			}
			removed, size, err := store.Collect()
			if err != nil {
				return err
			}
			a.print().Err.Printf("removed %s, %s\n", human.Plural(len(removed), "image"), human.Bytes(size))
			return nil
		},
	}
}

func (a *app) imageVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "verify [IMAGE…]",
		Short:             "Read images whole, and compare them with what was built",
		Example:           "  muster image verify",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := a.images()
			if err != nil {
				return err
			}
			var which []image.Info
			if len(args) == 0 {
				if which, err = store.List(); err != nil {
					return err
				}
			}
			for _, name := range args {
				_, i, err := a.findImage(name)
				if err != nil {
					return err
				}
				which = append(which, i)
			}
			var errs []error
			for _, i := range which {
				name := strings.Join(append(i.Names, i.Key[:min(12, len(i.Key))]), ", ")
				if err := image.Verify(i.Dir, i.Key, true); err != nil {
					errs = append(errs, job.BadInputf("%s: %w; the next run that needs it builds it again, or: muster image rm %s", name, err, i.Key[:min(12, len(i.Key))]))
					continue
				}
				a.print().Out.Printf("%s: whole\n", name)
			}
			return errors.Join(errs...)
		},
	}
}

func (a *app) completeImages(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if a.settle(cmd) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	store, err := a.images()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	all, err := store.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []cobra.Completion
	for _, i := range all {
		for _, n := range i.Names {
			out = append(out, cobra.CompletionWithDesc(n, i.Guest+", "+human.Bytes(i.Manifest.Size)))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
