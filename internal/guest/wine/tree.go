package wine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"muster/internal/guest"
	"muster/internal/guest/wine/trim"
)

// rootName is the folder of an image with its own root of Wine.
const rootName = "root"

// wineTree is a root of Wine of an image's own: the folders of an installed or carried
// Wine at the same distances from each other, filled with links to its files. Wine finds everything
// from where the loader and ntdll.so really lie, so those two are copies; whatever
// else is to differ is made a copy as well. The others are shared with the machine's Wine, on
// disk and in memory.
type wineTree struct {
	dir     string // of the root
	loader  string // the copy of the loader
	dlls    string // folder of x86_64-windows and x86_64-unix
	data    string // folder of nls
	version string
}

const (
	peFolder   = "x86_64-windows"
	unixFolder = "x86_64-unix"
)

func (t *wineTree) pe(name string) string   { return filepath.Join(t.dlls, peFolder, name) }
func (t *wineTree) unix(name string) string { return filepath.Join(t.dlls, unixFolder, name) }
func (t *wineTree) nls(name string) string  { return filepath.Join(t.data, "nls", name) }

// newTree makes the root for the builder's Wine. ErrOther: its folders lie in a
// way that this does not know.
func (b *builder) newTree() (*wineTree, error) {
	loader, err := filepath.EvalSymlinks(b.wine.Loader)
	if err != nil {
		return nil, err
	}
	pe, err := filepath.EvalSymlinks(b.wine.DLLs)
	if err != nil {
		return nil, err
	}
	bin, dlls := filepath.Dir(loader), filepath.Dir(pe)
	data := ""
	for _, share := range []string{"../share/wine", "../../share/wine"} {
		if at := filepath.Join(bin, share); exists(filepath.Join(at, "nls/locale.nls")) {
			data = at
			break
		}
	}
	if data == "" || filepath.Base(pe) != peFolder || !exists(filepath.Join(dlls, unixFolder, "ntdll.so")) {
		return nil, fmt.Errorf("%w: ntdll.so or locale.nls is not where it was looked for", trim.ErrOther)
	}
	root := common(common(bin, dlls), data)
	t := &wineTree{dir: filepath.Join(b.tree, rootName), version: b.wine.Version}
	place := func(dir string) string { return filepath.Join(t.dir, strings.TrimPrefix(dir, root)) }
	t.loader, t.dlls, t.data = filepath.Join(place(bin), filepath.Base(loader)), place(dlls), place(data)

	relative := b.carried()
	all := func(string) bool { return true }
	for _, step := range []struct {
		from string
		take func(name string) bool
	}{
		{bin, func(name string) bool { return strings.HasPrefix(name, "wine") }}, // it may be /usr/bin
		{filepath.Join(dlls, peFolder), all},
		{filepath.Join(dlls, unixFolder), all},
		{dlls, func(name string) bool { return name != peFolder && name != unixFolder }},
		{filepath.Join(data, "nls"), all},
		{data, func(name string) bool { return name != "nls" }},
	} {
		if err := linkAll(step.from, place(step.from), relative, step.take); err != nil {
			return nil, err
		}
	}
	copies := []string{t.loader, t.unix("ntdll.so")}
	for _, name := range preloaders {
		if path := filepath.Join(place(bin), name); exists(path) {
			copies = append(copies, path)
		}
	}
	for _, path := range copies {
		if err := t.edit(path, func(b []byte) ([]byte, error) { return b, nil }); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// linkAll makes the folder to, with links to the entries of from.
func linkAll(from, to string, relative bool, take func(name string) bool) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !take(e.Name()) {
			continue
		}
		target := filepath.Join(from, e.Name())
		if relative { // the image will move, and the Wine in it
			if target, err = filepath.Rel(to, target); err != nil {
				return err
			}
		}
		if err := os.Symlink(target, filepath.Join(to, e.Name())); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// edit replaces a file of the root by a copy that change has gone over. Nothing
// is replaced when that fails.
func (t *wineTree) edit(path string, change func([]byte) ([]byte, error)) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if content, err = change(content); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.WriteFile(path, content, st.Mode().Perm()|0o600)
}

func (t *wineTree) remove() error { return guest.RemoveAll(t.dir) }

// common is the deepest folder that both are in, or are.
func common(a, b string) string {
	for a != "/" && b != a && !strings.HasPrefix(b, a+"/") {
		a = filepath.Dir(a)
	}
	return strings.TrimSuffix(a, "/")
}
