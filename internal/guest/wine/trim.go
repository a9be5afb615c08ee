package wine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/wine/trim"
)

// A cut makes every start of a program cheaper and changes nothing that a program
// computes. It is an edit of one of Wine's own files, in the image's own root
// (see tree.go), and is done only where the code to be changed is found exactly as it is known.
type cut struct {
	name  string // for --keep, and in the image's meta data
	apply func(*wineTree) error
}

// cuts are all that there are, with what each saves of one start of a program
// that imports kernel32 only (Wine 8.0).
var cuts = []cut{
	// 240 page faults and 960 KiB of memory, for each thread.
	{"stack", func(t *wineTree) error { return t.edit(t.pe("ntdll.dll"), trim.ForgetStack) }},
	// 430 round trips to the server.
	{"timezone", func(t *wineTree) error { return t.edit(t.pe("kernelbase.dll"), trim.LeaveTimeZone) }},
	// 27 files of /sys for each processor. Before the next: it knows ntdll.so as a whole.
	{"topology", func(t *wineTree) error { return t.edit(t.unix("ntdll.so"), trim.LazyTopology) }},
	// 170 page faults.
	{"locale", indexLocales},
}

// keepAll is the word of --keep for all cuts.
const keepAll = "all"

// trimRegistry is the one trim that is no cut in Wine's code (see registry.go).
const trimRegistry = "registry"

// TrimNames are the words that --keep takes.
func TrimNames() []string {
	var names []string
	for _, c := range cuts {
		names = append(names, c.name)
	}
	return append(names, trimRegistry, keepAll)
}

// checkKeep makes one list, sorted and without doubles, of what is to be kept.
func checkKeep(keep []string) ([]string, error) {
	keep = slices.Clone(keep)
	for _, k := range keep {
		if !slices.Contains(TrimNames(), k) {
			return nil, fmt.Errorf("%w: --keep %s: choose from %s", guest.ErrUnfit, k, strings.Join(TrimNames(), ", "))
		}
	}
	if slices.Contains(keep, keepAll) {
		return []string{keepAll}, nil
	}
	slices.Sort(keep)
	return slices.Compact(keep), nil
}

// trim makes the image's own root of Wine, with every cut but those that are to
// be kept and those that do not fit this Wine. Without any left there is no root.
func (b *builder) trim() error {
	if b.build.keeps(keepAll) {
		return nil
	}
	if !b.build.keeps(trimRegistry) {
		if err := makeLeanRegistry(b.tree, time.Now().Year()); err != nil {
			return err
		}
		b.trimmed = append(b.trimmed, trimRegistry)
	}
	t, err := b.newTree()
	if errors.Is(err, trim.ErrOther) {
		b.other(err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("making the image's own root of Wine: %w", err)
	}
	for _, c := range cuts {
		if b.build.keeps(c.name) {
			continue
		}
		switch err := c.apply(t); {
		case errors.Is(err, trim.ErrOther):
			b.other(c.name + ": " + err.Error())
		case err != nil:
			return fmt.Errorf("trimming Wine's %s: %w", c.name, err)
		default:
			b.trimmed = append(b.trimmed, c.name)
		}
	}
	if !slices.ContainsFunc(cuts, func(c cut) bool { return slices.Contains(b.trimmed, c.name) }) {
		return t.remove()
	}
	b.wine.Plain, b.wine.Loader = b.wine.Loader, t.loader
	return nil
}

// other tells, and keeps for the meta data, what of Wine is left as it is.
func (b *builder) other(what string) {
	b.progress("left as it is: " + what)
	b.untrimmed = append(b.untrimmed, what)
}

func (b Build) keeps(name string) bool { return slices.Contains(b.Keep, name) }

// localZone is the time zone of this machine, as a hash. Wine writes its name into the registry at each
// start, the trimmed one does not.
func localZone() string {
	b, err := os.ReadFile("/etc/localtime")
	if err != nil {
		return "none"
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))[:16]
}

// Each start reads the 700 KB of locale.nls into memory of its own, looks up
// the number of one or two locales by name, and forgets it all (init_locale in ntdll.so). Programs have the
// file mapped, all the same one. So the image has a second file with nothing but
// names and numbers, 20 KB, in the same form, and ntdll.so reads that. It takes
// its name from the end of the other's, so that the code need not get longer.
const (
	localeFile  = "locale.nls"
	localeIndex = "cale.nls"
)

// indexLocales gives ntdll.so the smaller file. Other versions of Wine might read more of it.
func indexLocales(t *wineTree) error {
	if !strings.HasPrefix(t.version, "wine-8.0") {
		return fmt.Errorf("%w: it is known of Wine 8.0 only", trim.ErrOther)
	}
	whole, err := os.ReadFile(t.nls(localeFile))
	if err != nil {
		return err
	}
	index, err := trim.LocaleIndex(whole)
	if err != nil {
		return fmt.Errorf("%s: %w", localeFile, err)
	}
	if exists(t.nls(localeIndex)) {
		return fmt.Errorf("%w: there is a file %s", trim.ErrOther, localeIndex)
	}
	err = t.edit(t.unix("ntdll.so"), func(b []byte) ([]byte, error) {
		return trim.RenameString(b, localeFile, uint32(len(localeFile)-len(localeIndex)))
	})
	if err != nil {
		return err
	}
	return os.WriteFile(t.nls(localeIndex), index, 0o600)
}
