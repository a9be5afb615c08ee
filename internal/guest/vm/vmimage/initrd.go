package vmimage

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
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

// module is a file that the kernel loads.
type module struct {
	file    string // its name in the initrd
	content []byte // not packed, so that init need not be able to unpack
}

// stock is what modules a kernel has. It is read from the modules themselves: what depmod writes comes into being
// only where a kernel is installed.
type stock struct {
	files   map[string]string // where a module is, by its name
	builtin map[string]bool   // what needs no module
	read    func(file string) ([]byte, error)
}

// kernelStock is the stock of the kernel whose folder of modules ("lib/modules/RELEASE") is dir in t.
func kernelStock(t *tree, dir string) (stock, error) {
	s := stock{map[string]string{}, map[string]bool{}, t.read}
	for p, n := range t.nodes {
		if below(p, dir+"/kernel") && n.mode.IsRegular() && strings.Contains(n.name, ".ko") {
			s.files[moduleName(p)] = p
		}
	}
	builtin, err := t.read(dir + "/modules.builtin")
	if err != nil {
		return s, fmt.Errorf("%w: %w", errModule, err)
	}
	for line := range strings.Lines(string(builtin)) {
		s.builtin[moduleName(strings.TrimSpace(line))] = true
	}
	return s, nil
}

// moduleName is a module's name by its file: without folders and endings, and with
// one spelling of the dash.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// order returns the wanted modules and those that they need, each after what it needs. Errors: errModule.
func (s stock) order(wanted []string) ([]module, error) {
	var out []module
	seen := map[string]bool{}
	var visit func(name string, must bool) error
	visit = func(name string, must bool) error {
		if seen[name] || s.builtin[name] {
			return nil
		}
		seen[name] = true
		file := s.files[name]
		if file == "" && !must {
			return nil
		}
		if file == "" {
			return fmt.Errorf("%w: it has no module %s", errModule, name)
		}
		b, err := s.read(file)
		if err != nil {
			return err
		}
		m, err := plainModule(file, b)
		if err != nil {
			return err
		}
		needs, before, err := m.needs()
		if err != nil {
			return err
		}
		for _, n := range before {
			if err := visit(n, false); err != nil {
				return err
			}
		}
		for _, n := range needs {
			if err := visit(n, true); err != nil {
				return err
			}
		}
		out = append(out, m)
		return nil
	}
	for _, name := range wanted {
		if err := visit(moduleName(name), true); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// needs returns the names of the modules that m needs, and of those that it would like to be loaded before.
func (m module) needs() (needs, before []string, err error) {
	f, err := elf.NewFile(bytes.NewReader(m.content))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", errModule, m.file, err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, nil, fmt.Errorf("%w: %s is no module", errModule, m.file)
	}
	info, err := section.Data()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", errModule, m.file, err)
	}
	for _, line := range strings.Split(string(info), "\x00") {
		if list, ok := strings.CutPrefix(line, "depends="); ok && list != "" {
			for _, n := range strings.Split(list, ",") {
				needs = append(needs, moduleName(n))
			}
		}
		if list, ok := strings.CutPrefix(line, "softdep=pre:"); ok {
			list, _, _ = strings.Cut(list, "post:")
			for _, n := range strings.Fields(list) {
				before = append(before, moduleName(n))
			}
		}
	}
	return needs, before, nil
}

// plainModule is a module as init loads it.
func plainModule(file string, b []byte) (module, error) {
	base := path.Base(file)
	switch path.Ext(base) {
	case ".ko":
		return module{base, b}, nil
	case ".gz":
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			b, err = io.ReadAll(z)
		}
		if err != nil {
			return module{}, fmt.Errorf("unpacking %s: %w", base, err)
		}
		return module{strings.TrimSuffix(base, ".gz"), b}, nil
	}
	return module{}, fmt.Errorf("%w: its module %s is packed in a way that is not known here", errModule, base)
}

// writeInitrd writes the initrd with muster-init and modules, in their order.
func writeInitrd(w io.Writer, init []byte, modules []module) error {
	entries := []entry{
		{name: "dev", mode: modeFolder | 0o755},
		{name: "dev/console", mode: modeChar | 0o600, major: 5, minor: 1}, // init's streams, from its first moment on
		{name: "init", mode: modeFile | 0o755, content: init},
		{name: "lib", mode: modeFolder | 0o755},
	}
	var list strings.Builder
	for _, m := range modules {
		entries = append(entries, entry{name: "lib/" + m.file, mode: modeFile | 0o644, content: m.content})
		list.WriteString("/lib/" + m.file + "\n")
	}
	entries = append(entries, entry{name: "modules", mode: modeFile | 0o644, content: []byte(list.String())})
	return writeCPIO(w, entries)
}
