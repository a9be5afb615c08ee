package vmimage

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// The initrd of a stripped guest holds muster-init as /init, the modules that the guest needs, and the
// file /modules, which names them in the order in which they are to be loaded, a path a line.

// wanted are the modules of a stripped guest. What a kernel has built in needs no file.
var wanted = []string{
	"virtio_mmio",    // devices of a microvm
	"virtio_pci",     // … and of a PC
	"virtio_blk",     // disks
	"virtio_console", // the port
	"virtio-rng",     // random numbers
	"virtio_net",     // --net
	"erofs",          // root, payload
	"overlay",        // what is written over the root
	"ext4",           // scratch
	"af_packet",      // DHCP
}

// errModule means that a kernel lacks something that the guest needs.
var errModule = errors.New("the kernel does not fit")

// modules is the stock of a kernel's modules.
type modules struct {
	files   map[string]string   // path below the modules' folder by module name
	needs   map[string][]string // names that a module needs, by name
	builtin map[string]bool
}

// readModules reads what depmod has written: modules.dep and modules.builtin.
func readModules(dep, builtin string) modules {
	m := modules{map[string]string{}, map[string][]string{}, map[string]bool{}}
	for line := range strings.Lines(dep) {
		file, needs, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		name := moduleName(file)
		m.files[name] = file
		for _, n := range strings.Fields(needs) {
			m.needs[name] = append(m.needs[name], moduleName(n))
		}
	}
	for line := range strings.Lines(builtin) {
		m.builtin[moduleName(strings.TrimSpace(line))] = true
	}
	return m
}

// moduleName is a module's name by its file: without folders and endings, and with
// one spelling of the dash.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// order returns the files of the wanted modules and of those that they need, each after
// what it needs. Errors: errModule.
func (m modules) order(wanted []string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		if seen[name] || m.builtin[name] {
			return nil
		}
		seen[name] = true
		file := m.files[name]
		if file == "" {
			return fmt.Errorf("%w: it has no module %s", errModule, name)
		}
		// depmod lists the furthest dependency last.
		for _, n := range slices.Backward(m.needs[name]) {
			if err := visit(n); err != nil {
				return err
			}
		}
		out = append(out, file)
		return nil
	}
	for _, name := range wanted {
		if err := visit(moduleName(name)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// writeInitrd writes the initrd: init, and the modules in their order, by the names of their files, with
// their contents.
func writeInitrd(w io.Writer, init []byte, names []string, contents [][]byte) error {
	entries := []entry{
		{name: "dev", mode: modeFolder | 0o755},
		{name: "dev/console", mode: modeChar | 0o600, major: 5, minor: 1}, // init's streams, from its first moment on
		{name: "init", mode: modeFile | 0o755, content: init},
		{name: "lib", mode: modeFolder | 0o755},
	}
	var list strings.Builder
	for i, name := range names {
		entries = append(entries, entry{name: "lib/" + name, mode: modeFile | 0o644, content: contents[i]})
		list.WriteString("/lib/" + name + "\n")
	}
	entries = append(entries, entry{name: "modules", mode: modeFile | 0o644, content: []byte(list.String())})
	return writeCPIO(w, entries)
}

// plainModule is a module as init loads it: unpacked, so that init need not be able to.
func plainModule(name string, b []byte) (string, []byte, error) {
	base := path.Base(name)
	switch path.Ext(base) {
	case ".ko":
		return base, b, nil
	case ".gz":
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			b, err = io.ReadAll(z)
		}
		if err != nil {
			return "", nil, fmt.Errorf("unpacking %s: %w", base, err)
		}
		return strings.TrimSuffix(base, ".gz"), b, nil
	}
	return "", nil, fmt.Errorf("%w: its module %s is packed in a way that is not known here", errModule, base)
}
