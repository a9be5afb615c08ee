// Package vm is the guest that runs programs in virtual machines, of QEMU.
//
// An image is a kernel, an initrd and a read-only root, built once (vmimage). An instance is a machine (machine) with a
// scratch disk of its own and a conversation with muster-init in it (wire). It boots, or goes on from where a guest
// was saved that had booted on this node: then its memory is that guest's, page for page, until it is written to.
//
// Guests do not see the host's files. What goes with the program, and what --mount names, is in a read-only disk that all of a
// node's guests share (the payload). A task's own folders are carried in before its program starts, and
// back before its end is told.
package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/vm/machine"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/image"
	"muster/internal/proc"
)

// Guest is the driver's node half.
type Guest struct {
	table *proc.Table

	mu    sync.Mutex
	nodes map[string]*node // by the image's folder
}

// New makes the driver; table starts its machines.
func New(table *proc.Table) *Guest { return &Guest{table: table, nodes: map[string]*node{}} }

// node is what Prepare has found out.
type node struct {
	guest.Node
	guest    *Guest
	use      *image.Use
	image    *vmimage.Image
	host     machine.Host
	accel    machine.Accel
	tsc      int64
	options  options
	patience time.Duration // with a guest that boots
	warm     *warm         // nil: every instance boots

	segments segments

	mu       sync.Mutex
	payloads map[string]*payload // by what is in them
}

// Close gives up the images and saved states that were claimed. No instance may be open.
func (g *Guest) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for dir, n := range g.nodes {
		errs = append(errs, n.use.Close())
		if n.warm != nil {
			errs = append(errs, n.warm.close())
		}
		delete(g.nodes, dir)
	}
	return errors.Join(errs...)
}

// Traits implements guest.Guest.
func (g *Guest) Traits() guest.Traits {
	return guest.Traits{
		Name: "vm", Folders: true, Carries: true, Pin: true,
		// A program is in the guest's memory, which is the instance's. A clone that resumes writes to some twenty MB
		// before its first program has ended; QEMU has a handful of threads.
		Program:  guest.Load{Open: 3},
		Instance: guest.Load{Memory: 32 << 20, Tasks: 4, Open: 40, Inodes: 4},
	}
}

// Prepare implements guest.Guest. The image is claimed until Close or this process's end.
func (g *Guest) Prepare(ctx context.Context, n guest.Node) error {
	made, err := g.prepare(ctx, n)
	if err != nil || made.warm == nil {
		return err
	}
	return made.warmUp(ctx)
}

func (g *Guest) prepare(ctx context.Context, n guest.Node) (*node, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if have := g.nodes[n.Image]; have != nil {
		return have, nil
	}
	made := &node{Node: n, guest: g, payloads: map[string]*payload{}}
	if made.Keep == "" {
		made.Keep = n.Scratch
	}
	var err error
	if made.options, err = parseOptions(n.Options); err != nil {
		return nil, err
	}
	if made.use, err = image.Acquire(n.Image, n.ImageKey); err != nil {
		return nil, fmt.Errorf("%w: %w", guest.ErrLacking, err)
	}
	if made.image, err = vmimage.Open(n.Image); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", guest.ErrLacking, err), made.use.Close())
	}
	if err := made.findMachines(ctx); err != nil {
		return nil, errors.Join(err, made.use.Close())
	}
	made.patience = patienceFor(made.image.Kind)
	if n.Boot != BootCold && made.image.Kind != vmimage.UserDisk {
		made.warm = newWarm(made)
	}
	g.nodes[n.Image] = made
	return made, nil
}

// findMachines finds out what runs the guests.
func (n *node) findMachines(ctx context.Context) error {
	host, a, err := machines(ctx, n.guest.table, n.file(n.image.Kernel), n.Keep)
	if err != nil {
		return err
	}
	n.host, n.accel = host, a.Accel
	if a.Accel == machine.KVM {
		return nil
	}
	n.tsc = machine.HostTSC()
	if !a.Remembered {
		n.tell("guests run without KVM, an order of magnitude slower: " + a.Reason)
	}
	return nil
}

// searchPath is where QEMU is looked for. What an agent is started with may have no PATH.
func searchPath() string {
	if path := os.Getenv("PATH"); path != "" {
		return path
	}
	return "/usr/local/bin:/usr/bin:/bin"
}

func (n *node) tell(line string) {
	if n.Tell != nil {
		n.Tell(line)
	}
}

// file is where a file of the image is.
func (n *node) file(name string) string {
	if name == "" {
		return ""
	}
	return n.image.Path(name)
}

// config is the machine of an instance: what it is made of is the same for all of the node; which CPUs it runs on, and which files
// its disks are (dir has its own), is not.
func (n *node) config(p guest.Place, dir, payload string) machine.Config {
	c := machine.Config{
		Board: machine.Board(n.image.Machine), Accel: n.accel, VCPUs: n.vcpus(p), Memory: n.options.memory,
		Kernel: n.file(n.image.Kernel), Initrd: n.file(n.image.Initrd), Cmdline: n.image.Cmdline, TSC: n.tsc,
		Disks:    n.disks(dir, payload),
		Net:      machine.Net{User: n.options.net == NetUser},
		ImageKey: n.ImageKey, CPUs: p.CPUs, Env: p.Env,
	}
	if n.options.net != NetNone {
		c.Net.MAC = savedMAC
	}
	return c
}

// vcpus is how many CPUs the instance of a place has.
func (n *node) vcpus(p guest.Place) int {
	if len(p.CPUs) > 0 {
		return len(p.CPUs)
	}
	return max(n.Width, 1)
}

// payload is a disk that guests share, made by who needs it first.
type payload struct {
	once sync.Once
	path string
	err  error
}

// payloadFor makes the disk with what goes with the program and with the mounts.
func (n *node) payloadFor(ctx context.Context, names names) (string, error) {
	var sources []vmimage.Source
	if dir := names.program(); dir != "" {
		sources = append(sources, vmimage.Source{At: payloadProgram, Host: dir})
	}
	for i, m := range names.mounts {
		sources = append(sources, vmimage.Source{At: payloadMount(i), Host: m.Dir})
	}
	key := fmt.Sprintf("%+v", sources)
	n.mu.Lock()
	p := n.payloads[key]
	if p == nil {
		p = &payload{path: filepath.Join(n.Scratch, fmt.Sprintf("payload%d", len(n.payloads)))}
		n.payloads[key] = p
	}
	n.mu.Unlock()
	// Whoever is first makes it for all, so nobody's ctx may end it half-way.
	p.once.Do(func() { p.err = n.writePayload(context.WithoutCancel(ctx), p.path, sources) })
	return p.path, p.err
}

func (n *node) writePayload(ctx context.Context, file string, sources []vmimage.Source) error {
	for _, s := range sources {
		if s.At == payloadProgram || n.present(s.Host) {
			if err := carriable(s.Host); err != nil { // it has grown since the Front looked, or what is there now is ours
				return err
			}
		}
	}
	return vmimage.WritePayload(ctx, file, sources)
}

// present reports whether a folder is in the guest because somebody is in it, and not because he named it.
func (n *node) present(dir string) bool {
	return slices.ContainsFunc(n.options.mounts, func(m Mount) bool { return m.Dir == dir && m.At == dir })
}

const payloadProgram = "program"

func payloadMount(i int) string { return fmt.Sprintf("mnt%d", i) }
