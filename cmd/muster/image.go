package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/image"
	"muster/internal/job"
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
		Example: "  muster image build wine --name office --run setup.exe\n  muster image build vm --name deb\n  muster image ls",
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
		p.Err.Printf("there are no images yet; the first run that needs one builds it, or: muster image build\n")
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
