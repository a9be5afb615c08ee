// Package wine is the guest that runs Windows programs under Wine.
//
// An image is a Windows prefix, built once. An instance is a clone of it, some
// twenty milliseconds old, with a wineserver and a holder: the small resident
// program that lets a server be started from outside again and again. Programs
// see drives: C: the clone, I: inputs, O: outputs, W: work, P: the program.
package wine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	"muster/internal/image"
	"muster/internal/proc"
)

// bootLimit is how long a server may take to come up.
const bootLimit = 60 * time.Second

// Words for Node.Boot.
const (
	BootLean = "lean" // no services, no COM server, no drive manager
	BootFull = "full" // as an interactive Windows
)

// Guest is the driver's node half.
type Guest struct {
	table      *proc.Table
	undertaker *undertaker

	mu    sync.Mutex
	nodes map[string]*node // by the image's folder
}

// node is what Prepare has found out about an image.
type node struct {
	use     *image.Use
	tree    string
	steps   []step
	wine    Install
	holds   string // the loader that starts a lean server's holder
	user    string
	profile profile
	files   uint64 // the limit on open files, of a server
}

// New makes the driver; table starts its programs.
func New(table *proc.Table) *Guest {
	return &Guest{table: table, undertaker: &undertaker{table: table}, nodes: map[string]*node{}}
}

// Close gives up the images that Prepare claimed. No instance may be open.
func (g *Guest) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for dir, n := range g.nodes {
		errs = append(errs, n.use.Close())
		delete(g.nodes, dir)
	}
	return errors.Join(errs...)
}

// Traits implements guest.Guest.
func (g *Guest) Traits() guest.Traits {
	return guest.Traits{
		Name: "wine", Folders: true, Pin: true,
		// A program that imports kernel32 only, with its descriptors and the server's for it; a server and a
		// holder of the boot event, with the registry of a clone.
		Program:  guest.Load{Memory: 256 << 10, Tasks: 1, Open: 12},
		Instance: guest.Load{Memory: 1 << 20, Tasks: 2, Open: 40, Inodes: 100},
	}
}

// Prepare implements guest.Guest. The image is claimed, so that nobody removes
// it, until Close or this process's end.
func (g *Guest) Prepare(ctx context.Context, n guest.Node) error {
	_, err := g.prepare(ctx, n)
	return err
}

func (g *Guest) prepare(ctx context.Context, n guest.Node) (*node, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if have := g.nodes[n.Image]; have != nil {
		return have, nil
	}
	if err := fit(n.Scratch); err != nil {
		return nil, err
	}
	use, err := image.Acquire(n.Image, n.ImageKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", guest.ErrLacking, err)
	}
	tree := image.Tree(n.Image)
	w, err := imageWine(ctx, g.table, tree, use.Manifest.Meta)
	if err != nil {
		return nil, errors.Join(err, use.Close())
	}
	holds := w.Loader
	if use.Manifest.Meta[metaZone] != localZone() {
		holds = w.plain().Loader // it names this node's time zone in the registry, before any program starts
	}
	made := &node{use: use, tree: tree, wine: w, holds: holds, user: use.Manifest.Meta[metaUser], steps: plan(use.Manifest.Entries), files: openFiles()}
	made.profile = sharedProfile(made.user, made.steps)
	g.nodes[n.Image] = made
	return made, nil
}

// Open implements guest.Guest.
func (g *Guest) Open(ctx context.Context, p guest.Place) (guest.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n, err := g.prepare(ctx, p.Node)
	if err != nil {
		return nil, err
	}
	i := newInstance(g, n, p)
	if i.drives, err = newDrives(p.Folders, p.Drives); err != nil {
		return nil, err
	}
	if err := i.open(ctx); err != nil {
		err = errors.Join(err, i.Close(ctx))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", guest.ErrBoot, err)
	}
	return i, nil
}

// leastMemory is the address space that Wine needs. Debian's 8.0 aborts with 1.7 GB of it, and
// starts a small console program with 1.75; programs want some of their own.
const leastMemory = 2 << 30

// fit makes sure that Wine can live here: with instances below scratch, under
// this process's limits.
func fit(scratch string) error {
	var as unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &as); err == nil {
		if err := fitAddressSpace(as.Cur); err != nil {
			return err
		}
	}
	if scratch == "" {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(scratch, &st); err != nil {
		return fmt.Errorf("%w: the scratch folder %s: %w", guest.ErrLacking, scratch, err)
	}
	if err := fitFileSystem(scratch, st.Flags); err != nil {
		return err
	}
	info, err := os.Stat(scratch)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", scratch)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", guest.ErrLacking, err)
	}
	return nil
}

func fitFileSystem(dir string, flags int64) error {
	if flags&unix.ST_NOEXEC != 0 {
		return fmt.Errorf("%w: %s is on a file system mounted noexec, and Wine maps programs from there; set TMPDIR to a folder on another", guest.ErrLacking, dir)
	}
	return nil
}

func fitAddressSpace(limit uint64) error {
	if limit < leastMemory {
		return fmt.Errorf("%w: the address space is limited to %d MB (ulimit -v; Grid Engine: h_vmem), and Wine needs %d MB; raise the limit", guest.ErrLacking, limit>>20, leastMemory>>20)
	}
	return nil
}

// rooted is the Wine with the loader of the image's own root, if it has one and
// programs can be started from where the image lies.
func (w Install) rooted(tree string, meta map[string]string) Install {
	var st unix.Statfs_t
	if meta[metaRoot] == "" || unix.Statfs(tree, &st) != nil || st.Flags&unix.ST_NOEXEC != 0 {
		return w
	}
	w.Plain, w.Loader = w.Loader, filepath.Join(tree, meta[metaRoot])
	return w
}

// imageWine is the Wine that an image was made with: carried in it, or this
// machine's own, which must be of the same version.
func imageWine(ctx context.Context, t *proc.Table, tree string, meta map[string]string) (Install, error) {
	if meta[metaCarried] != "" {
		w := Install{Version: meta[metaWine], Wine32: meta[metaWine32] != ""}
		w.Loader, w.Server, w.DLLs = filepath.Join(tree, meta[metaLoader]), filepath.Join(tree, meta[metaServer]), filepath.Join(tree, meta[metaDLLs])
		w.Preloader = hasPreloader(w.Loader)
		return w.rooted(tree, meta), nil
	}
	w, err := Install{Loader: meta[metaLoader], Server: meta[metaServer]}.ask(ctx, t)
	if err != nil {
		return w, fmt.Errorf("the image was made with the Wine in %s: %w", filepath.Dir(meta[metaLoader]), err)
	}
	if w.Version != meta[metaWine] {
		return w, fmt.Errorf("%w: the image was made with %s and here is %s; build it again: muster image build wine", guest.ErrLacking, meta[metaWine], w.Version)
	}
	return w.rooted(tree, meta), nil
}
