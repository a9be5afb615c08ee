package vmimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"muster/internal/job"
)

// strippedCmdline is what the kernel of a stripped guest is told. Not to try its ciphers at each boot takes a fifth of an emulated
// boot's time away. The next ones leave out what a guest that is thrown away does not need, and what an emulated processor would have
// to translate in each clone: measuring pressure, security modules that have no rules here, huge pages that nobody asks for, counting the
// kernel's own memory for control groups. The last is for muster-init, to which the kernel hands it: its goroutines are
// not interrupted by signals.
const strippedCmdline = "cryptomgr.notests psi=0 lsm=landlock transparent_hugepage=madvise cgroup.memory=nokmem,nosocket GODEBUG=asyncpreemptoff=1"

// leftOut are folders of a system whose content no program needs.
var leftOut = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug",
	"var/cache", "var/log", "var/lib/apt", "var/lib/dpkg/info",
	"boot", "dev", // the guest's /dev is the kernel's
}

// stripped makes an image whose only process is muster-init: kernel, initrd, a read-only root, and the
// file system that clones write to.
func (m *maker) stripped(ctx context.Context) error {
	m.meta.Kind, m.meta.Machine, m.meta.Cmdline = Stripped, MicroVM, strippedCmdline
	root, kernel, done, err := m.strippedTrees(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := root.complete(); err != nil {
		return err
	}
	m.progress("writing the root, the kernel and the initrd")
	if err := m.erofs("root.erofs", root); err != nil {
		return err
	}
	if err := m.kernel(kernel); err != nil {
		return err
	}
	return m.scratch(ctx)
}

// strippedTrees are the trees of the root and of the kernel's package. Their contents are
// there until done is called.
func (m *maker) strippedTrees(ctx context.Context) (root, kernel *tree, done func(), err error) {
	what := bootstrap{
		variant: "essential", include: m.build.Packages, suite: m.build.Suite, sources: m.sources,
		hooks: []string{kernelHook}, target: filepath.Join(m.work, "system.tar"),
	}
	m.meta.From.Source = FromDebian + "/" + m.build.Suite
	if m.build.Rootfs != "" {
		// Only the kernel is Debian's, and that is unpacked, not installed.
		what.mode, what.variant = modeNone, "extract"
		m.meta.From.Source = m.build.Rootfs
		m.progress("downloading a kernel of Debian " + m.build.Suite)
	} else {
		if what.mode, err = m.mode(ctx); err != nil {
			return nil, nil, nil, err
		}
		m.progress("downloading and installing Debian " + m.build.Suite + " (mmdebstrap, mode " + what.mode + "); about a minute")
	}
	m.meta.From.Mode = what.mode
	archive, err := m.bootstrap(ctx, what)
	if err != nil {
		return nil, nil, nil, err
	}
	closers := []*os.File{archive}
	done = func() {
		for _, f := range closers {
			f.Close()
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	all, err := readTar(archive, func(p string) bool { return below(p, leftOut...) && !slices.Contains(leftOut, p) })
	if err != nil {
		return nil, nil, done, fmt.Errorf("reading the new system: %w", err)
	}
	kernel, root = all.sub(kernelFolder), all.without(kernelFolder)
	if m.build.Rootfs != "" {
		var f *os.File
		if root, f, err = m.userRoot(ctx); err != nil {
			return nil, nil, done, err
		}
		if f != nil {
			closers = append(closers, f)
		}
	}
	return root, kernel, done, nil
}

// erofs writes the image's root.
func (m *maker) erofs(name string, t *tree) error {
	var size int64
	err := m.write(name, func(f *os.File) error {
		if err := t.writeErofs(f); err != nil {
			return err
		}
		st, err := f.Stat()
		if err == nil {
			size = (st.Size() + 4095) &^ 4095
			err = f.Truncate(size)
		}
		return err
	})
	m.meta.Root = Disk{File: name, Format: "raw", FS: "erofs", ReadOnly: true, Size: size}
	return err
}

// kernel writes kernel and initrd from what the kernel's package holds.
func (m *maker) kernel(t *tree) error {
	images := t.glob("boot/vmlinuz-*")
	if len(images) != 1 {
		return fmt.Errorf("%w: its package holds %d kernels", errModule, len(images))
	}
	release := strings.TrimPrefix(path.Base(images[0]), "vmlinuz-")
	packed, err := t.read(images[0])
	if err != nil {
		return err
	}
	kernel, err := unpackKernel(packed)
	if errors.Is(err, errPacked) {
		m.progress(err.Error())
		kernel = packed
	} else if err != nil {
		return err
	}
	dir := "lib/modules/" + release
	if t.nodes[dir] == nil {
		dir = "usr/" + dir
	}
	s, err := kernelStock(t, dir)
	if err != nil {
		return err
	}
	modules, err := s.order(wanted)
	if err != nil {
		return err
	}
	for _, mod := range modules {
		m.meta.From.Modules = append(m.meta.From.Modules, strings.TrimSuffix(mod.file, ".ko"))
	}
	m.meta.Kernel, m.meta.Initrd, m.meta.From.Kernel = "kernel", "initrd", release
	if err := m.write("kernel", content(kernel)); err != nil {
		return err
	}
	return m.write("initrd", func(f *os.File) error { return writeInitrd(f, m.init, modules) })
}

// userRoot is the tree of the user's folder or archive. The file, if any, has to stay open.
func (m *maker) userRoot(ctx context.Context) (*tree, *os.File, error) {
	m.progress("reading " + m.build.Rootfs)
	st, err := os.Stat(m.build.Rootfs)
	if err != nil {
		return nil, nil, err
	}
	skip := func(p string) bool { return below(p, "dev", "proc", "sys", "run", "tmp") }
	if st.IsDir() {
		t := newTree()
		if err := t.addHost(ctx, ".", m.build.Rootfs, false); err != nil {
			return nil, nil, err
		}
		return t.without("dev", "proc", "sys", "run", "tmp"), nil, nil
	}
	f, err := plainTar(m.build.Rootfs, filepath.Join(m.work, "rootfs.tar"))
	if err != nil {
		return nil, nil, err
	}
	t, err := readTar(f, skip)
	if err != nil {
		f.Close()
		return nil, nil, job.BadInputf("%s: it is no tar archive, or a damaged one: %w", m.build.Rootfs, err)
	}
	return t, f, nil
}
