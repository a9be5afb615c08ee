package wine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"muster/internal/guest"
	"muster/internal/guest/wine/winname"
	"muster/internal/guest/wine/winpe"
	"muster/internal/image"
)

// Recognise implements guest.Front: what begins as a PE file does, batch files,
// and what is called .exe and is nothing that Linux runs, so that Check can say
// what is wrong with it.
func (f *Front) Recognise(program string) (bool, string, error) {
	start, err := beginning(program)
	if err != nil {
		return false, "", fmt.Errorf("%w: %w", guest.ErrUnfit, err)
	}
	if winpe.IsScript(program) {
		return true, "batch file", nil
	}
	if bytes.HasPrefix(start, []byte("MZ")) {
		if info, err := winpe.Read(program); err == nil {
			return true, info.String(), nil
		}
		return true, "Windows or DOS program", nil
	}
	return strings.EqualFold(filepath.Ext(program), ".exe") && !native(program), "Windows program by its name", nil
}

// beginning reads a file's first bytes; none of a folder.
func beginning(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if st, err := file.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, err
	}
	b := make([]byte, 4)
	n, err := io.ReadFull(file, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return b[:n], nil
}

// Aliases implements guest.Front.
func (f *Front) Aliases(program string) func(names []string) []string {
	info, err := winpe.Read(program)
	if err != nil || !info.Narrow() {
		return winname.Aliases
	}
	lang := f.getenv("LC_ALL")
	for _, name := range []string{"LC_CTYPE", "LANG"} {
		if lang == "" {
			lang = f.getenv(name)
		}
	}
	can := winname.ANSI(lang)
	return func(names []string) []string { return winname.AliasesFor(names, can) }
}

// Check implements guest.Front. It builds nothing, unless the Wine that the
// program is to run in is still in an archive.
func (f *Front) Check(ctx context.Context, r guest.Request) (guest.Verdict, error) {
	switch r.Boot {
	case "", "auto", BootLean, BootFull:
	default:
		return guest.Verdict{}, fmt.Errorf("%w: --boot %s: choose auto, lean or full", guest.ErrUnfit, r.Boot)
	}
	w, system32, err := f.wineFor(ctx, r)
	if err != nil {
		return guest.Verdict{}, err
	}
	c := &check{request: r, wine: w, system32: system32, name: filepath.Base(r.Program)}
	err = c.examine()
	if err != nil && !r.Force {
		return guest.Verdict{}, err
	}
	if err != nil {
		c.Line = fmt.Sprintf("%v (--force: started all the same)", err)
		c.settleBoot()
	}
	c.OK = err == nil
	return c.Verdict, nil
}

// wineFor is the Wine that the request's program will run in, and the system32
// of its image, "" while there is none.
func (f *Front) wineFor(ctx context.Context, r guest.Request) (Install, string, error) {
	name := r.Image
	if name == "" {
		name = DefaultImage
	}
	if r.Wine == "" || r.Image != "" {
		if info, err := f.store.Find(name); err == nil && info.Err == nil && info.Guest == f.Name() {
			tree := image.Tree(info.Dir)
			w, err := imageWine(ctx, f.table, tree, info.Manifest.Meta)
			if err == nil {
				return w, filepath.Join(tree, prefixName, "drive_c/windows/system32"), nil
			}
			if r.Image != "" {
				return Install{}, "", err
			}
		} else if r.Image != "" && r.Image != DefaultImage {
			_, err := f.named(r.Image)
			return Install{}, "", err
		}
	}
	if r.Wine == "" {
		w, err := findSystem(ctx, f.table, f.getenv)
		return w, "", err
	}
	st, err := os.Stat(r.Wine)
	if err != nil {
		return Install{}, "", fmt.Errorf("%w: --wine: %w", guest.ErrUnfit, err)
	}
	if st.IsDir() {
		w, err := findIn(ctx, f.table, r.Wine)
		return w, "", err
	}
	img, err := f.Image(ctx, r, nil)
	if err != nil {
		return Install{}, "", err
	}
	info, err := f.store.Find(img.Key)
	if err != nil {
		return Install{}, "", err
	}
	w, err := imageWine(ctx, f.table, image.Tree(info.Dir), info.Manifest.Meta)
	return w, filepath.Join(image.Tree(info.Dir), prefixName, "drive_c/windows/system32"), err
}

// check is one examination of a program.
type check struct {
	guest.Verdict
	request  guest.Request
	wine     Install
	system32 string
	name     string
	info     winpe.Info
	known    winpe.Resolution
}

// examine fills in the verdict; an error refuses the program.
func (c *check) examine() (err error) {
	if native(c.request.Program) {
		return c.examineNative()
	}
	if c.info, err = winpe.Read(c.request.Program); err != nil {
		return fmt.Errorf("%w: %w", guest.ErrUnfit, err)
	}
	if err := c.info.Runnable(); err != nil {
		return fmt.Errorf("%w: %w", guest.ErrUnfit, err)
	}
	c.detail("file: %s, %s", c.request.Program, c.info)
	c.detail("Wine: %s", c.wine.Version)
	if c.info.Script {
		c.settleBoot()
		c.Line = fmt.Sprintf("%s: batch file, run by cmd, boot %s", c.name, c.Boot)
		return nil
	}
	if c.info.Bits == 32 && !c.wine.Wine32 {
		return fmt.Errorf("%w: %s is a 32-bit program and the Wine here runs 64-bit ones only; as root: dpkg --add-architecture i386 && apt-get update && apt-get install wine32:i386",
			guest.ErrLacking, c.name)
	}
	if c.info.Net {
		return fmt.Errorf("%w: %s is a .NET program, and muster's Wine images hold no .NET; publish it self-contained, or for Linux", guest.ErrUnfit, c.name)
	}
	if err := c.libraries(); err != nil {
		return err
	}
	c.settleBoot()
	needed, found := c.known.Count()
	all := fmt.Sprintf("all %d DLLs found", needed)
	if found < needed {
		all = fmt.Sprintf("%d of %d DLLs found, the others wanted only when first used", found, needed)
	}
	c.Line = fmt.Sprintf("%s: %s, %s, boot %s", c.name, c.info, all, c.Boot)
	return nil
}

func (c *check) detail(format string, args ...any) {
	c.Details = append(c.Details, fmt.Sprintf(format, args...))
}

// libraries looks for every DLL that the program needs.
func (c *check) libraries() error {
	dirs := []string{filepath.Dir(c.request.Program)}
	for _, d := range c.request.Dirs {
		if d != "" && !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	beside, err := winpe.Folders(dirs...)
	if err != nil {
		return fmt.Errorf("%w: %w", guest.ErrUnfit, err)
	}
	builtin, err := c.builtins()
	if err != nil {
		return fmt.Errorf("%w: %w", guest.ErrLacking, err)
	}
	c.known = winpe.Resolve(c.info, winpe.Finder{Beside: beside, Builtin: builtin})
	for _, l := range c.known.Libraries {
		c.detail("%s", l)
	}
	lacking := c.known.Lacking()
	if len(lacking) == 0 {
		return nil
	}
	more := ""
	if len(lacking) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(lacking)-1)
	}
	return fmt.Errorf("%w: %s: %s%s; put the DLL beside the program", guest.ErrUnfit, c.name, lacking[0], more)
}

// builtins finds DLLs in the image's system32, where setup programs may have
// added some, or in Wine's own folder while there is no image.
func (c *check) builtins() (func(string) (string, bool), error) {
	folder, apisets := c.wine.DLLs, filepath.Join(c.wine.DLLs, "apisetschema.dll")
	if c.system32 != "" {
		folder = c.system32
	}
	if c.info.Bits == 32 {
		folder = filepath.Join(c.wine.DLLs, "../i386-windows")
		if c.system32 != "" {
			folder = filepath.Join(c.system32, "../syswow64")
		}
	}
	return winpe.Builtins(folder, apisets)
}

// settleBoot chooses how to boot.
func (c *check) settleBoot() {
	boot, why := winpe.Decide(c.info, c.known.Beside...)
	c.Boot, c.Why = string(boot), why
	c.Waits = boot == winpe.Full && strings.Contains(why, "windows")
	if asked := c.request.Boot; asked == BootLean || asked == BootFull {
		c.Why = "as asked for"
		if asked != c.Boot {
			c.Why = fmt.Sprintf("as asked for; auto would choose %s: %s", c.Boot, why)
		}
		c.Boot = asked
	}
	c.detail("boot %s: %s", c.Boot, c.Why)
}
