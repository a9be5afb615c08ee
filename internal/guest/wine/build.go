package wine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	"muster/internal/image"
	"muster/internal/proc"
)

// What an image's tree holds.
const (
	prefixName  = "prefix" // the Windows prefix
	carriedName = "wine"   // a Wine of the user's own
	workName    = "build"  // home and temporary files while it is built
)

// Keys of an image's Manifest.Meta.
const (
	metaWine    = "wine"    // version
	metaLoader  = "loader"  // below the tree when carried
	metaServer  = "server"  //
	metaDLLs    = "dlls"    //
	metaWine32  = "wine32"  // "yes": runs 32-bit programs
	metaCarried = "carried" // "yes": Wine is in the image
	metaUser    = "user"    // name of the Windows user
	metaAdd     = "add"     // folder that was added
	metaRun     = "run"     // setup program that was run
	metaTrimmed = "trimmed" // what of Wine is trimmed (see trim.go)
	metaOther   = "other"   // what is not, as this Wine is built otherwise, and why
	metaKept    = "kept"    // what was to be kept as it is
	metaRoot    = "root"    // loader of the image's own root of Wine, below the tree
	metaZone    = "zone"    // the time zone that its registry names (see localZone)
)

const (
	setupLimit   = 3 * time.Minute  // for wineboot
	installLimit = 30 * time.Minute // for the user's setup program
	settleLimit  = 10 * time.Second // for what they leave running
)

// builder makes the tree of one image.
type builder struct {
	table    *proc.Table
	tree     string
	build    Build
	wine     Install
	user     string
	progress func(string)
	server   *server

	trimmed, untrimmed []string
}

// make fills the tree and returns the image's meta data.
func (b *builder) make(ctx context.Context) (map[string]string, error) {
	if err := fit(b.tree); err != nil {
		return nil, err
	}
	meta := map[string]string{}
	if b.build.Wine != "" {
		b.progress("bringing in the Wine of " + b.build.Wine)
		if err := carry(ctx, b.build.Wine, filepath.Join(b.tree, carriedName)); err != nil {
			return nil, err
		}
		var err error
		if b.wine, err = findIn(ctx, b.table, filepath.Join(b.tree, carriedName)); err != nil {
			return nil, err
		}
		meta[metaCarried] = "yes"
	}
	err := b.setup(ctx)
	if errors.Is(err, errUnwritten) {
		// Seen once in some thousand builds, on a loaded machine: Windows set itself up without a
		// word of complaint, and a part of its registry was not there.
		b.progress("setting up Windows once more: " + err.Error())
		if err = b.clear(); err == nil {
			err = b.setup(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("building the Wine image: %w", err)
	}
	if err := b.finish(); err != nil {
		return nil, fmt.Errorf("building the Wine image: %w", err)
	}
	if err := b.trim(); err != nil {
		return nil, fmt.Errorf("building the Wine image: %w", err)
	}
	b.progress("trying the image")
	err = b.try(ctx)
	if err != nil && ctx.Err() == nil && len(b.trimmed) > 0 {
		b.other(fmt.Sprintf("all of Wine: trimmed, it does not work here: %v", err))
		b.wine, b.trimmed = b.wine.plain(), nil
		err = errors.Join(guest.RemoveAll(filepath.Join(b.tree, rootName)), guest.RemoveAll(filepath.Join(b.tree, leanRegistryName)))
		if err == nil {
			err = b.try(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the new Wine image does not work: %w", err)
	}
	if b.wine.Plain != "" {
		meta[metaRoot] = b.inTree(b.wine.Loader)
	}
	meta[metaTrimmed], meta[metaOther], meta[metaKept] = strings.Join(b.trimmed, " "), strings.Join(b.untrimmed, "; "), strings.Join(b.build.Keep, " ")
	meta[metaZone] = localZone()
	meta[metaLoader], meta[metaServer], meta[metaDLLs] = b.inTree(b.wine.plain().Loader), b.inTree(b.wine.Server), b.inTree(b.wine.DLLs)
	meta[metaWine], meta[metaUser], meta[metaAdd], meta[metaRun] = b.wine.Version, b.user, b.build.Add, b.build.Run
	if b.wine.Wine32 {
		meta[metaWine32] = "yes"
	}
	return meta, nil
}

// inTree is a path as it stands in the meta data: below the tree where it is in
// the image, which will move.
func (b *builder) inTree(path string) string {
	if rel, err := filepath.Rel(b.tree, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// setup runs wineboot, and the user's setup program, in the prefix.
func (b *builder) setup(ctx context.Context) (err error) {
	h := home(filepath.Join(b.tree, workName))
	prefix := filepath.Join(b.tree, prefixName)
	for _, dir := range []string{string(h), h.tmp(), prefix} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.Symlink(prefix, h.prefix()); err != nil {
		return err
	}
	id := "image." + strconv.Itoa(os.Getpid())
	b.server = &server{
		table: b.table, wine: b.wine, home: h, user: b.user, id: id,
		marks: []string{guest.EnvInstance + "=" + id, envServer + "=" + id},
	}
	defer func() {
		err = errors.Join(err, b.server.kill(context.WithoutCancel(ctx)))
	}()
	if err := b.server.startServer(ctx); err != nil {
		return err
	}
	b.progress("setting up Windows (wineboot); some ten seconds")
	if err := b.run(ctx, setupLimit, "wineboot", "wineboot", "--init"); err != nil {
		return err
	}
	if b.build.Run != "" {
		b.progress("running " + b.build.Run)
		if err := b.run(ctx, installLimit, filepath.Base(b.build.Run), append([]string{b.build.Run}, b.build.RunArgs...)...); err != nil {
			return err
		}
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	// SIGTERM makes the server write the registry and end.
	b.server.wineserver.Signal(syscall.SIGTERM)
	select {
	case <-b.server.wineserver.Done():
		if e, err := b.server.wineserver.Wait(ctx); err != nil || e.Signal != 0 {
			return fmt.Errorf("%w: wineserver was ended (%v)", errUnwritten, e)
		}
		return written(prefix)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settleLimit):
		return errors.New("wineserver does not end")
	}
}

// errUnwritten means that Wine has not written its registry, or not all of it.
var errUnwritten = errors.New("the registry was not written whole")

// written makes sure that the registry's files are there.
func written(prefix string) error {
	for _, name := range []string{"system.reg", "user.reg", "userdef.reg"} {
		if _, err := os.Stat(filepath.Join(prefix, name)); err != nil {
			return fmt.Errorf("%w: %w", errUnwritten, err)
		}
	}
	return nil
}

// clear removes what setup has made.
func (b *builder) clear() error {
	return errors.Join(guest.RemoveAll(filepath.Join(b.tree, workName)), guest.RemoveAll(filepath.Join(b.tree, prefixName)))
}

// run runs a Windows program in the prefix, with a limit.
func (b *builder) run(ctx context.Context, limit time.Duration, what string, args ...string) error {
	run, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := b.table.Run(run, proc.Cmd{
		Path: b.wine.Loader, Args: append([]string{b.wine.Loader}, args...),
		Dir: filepath.Join(b.tree, prefixName), Env: b.server.environ("-all,err+module", nil), Limits: noCore,
		FixedLayout: true,
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return fmt.Errorf("%s did not end within %s", what, limit)
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case !out.Exit.OK():
		return fmt.Errorf("%s ended with %s: %s", what, out.Exit, oneLine(out.Stderr))
	}
	return nil
}

// settle waits until only Windows' services are left of what was run, then ends
// those, so that the server ends with nothing under way.
func (b *builder) settle(ctx context.Context) error {
	owns := b.table.Marked(b.server.mark())
	for end := time.Now().Add(settleLimit); time.Now().Before(end); {
		all, err := b.table.Descendants()
		if err != nil {
			return err
		}
		busy := false
		for _, p := range all {
			busy = busy || p.PID != b.server.wineserver.PID() && owns(p) && !isSystem(p.PID)
		}
		if !busy {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	_, err := b.table.Kill(ctx, func(p proc.Info) bool { return p.PID != b.server.wineserver.PID() && owns(p) })
	return err
}

// finish turns the fresh prefix into an image.
func (b *builder) finish() error {
	prefix := filepath.Join(b.tree, prefixName)
	for _, name := range []string{filepath.Join(b.tree, workName), prefix + "/wineserver", prefix + "/winetricks.log"} {
		if err := guest.RemoveAll(name); err != nil {
			return err
		}
	}
	// This content keeps Wine from "updating" clones.
	if err := os.WriteFile(prefix+"/.update-timestamp", []byte("disable\n"), 0o600); err != nil {
		return err
	}
	if err := b.unlink(prefix); err != nil {
		return err
	}
	if err := errors.Join(settings(prefix), looseProfile(prefix)); err != nil {
		return err
	}
	if b.build.Add != "" {
		b.progress("adding " + b.build.Add)
		to := filepath.Join(prefix, "drive_c", addedName, filepath.Base(b.build.Add))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := copyTree(b.build.Add, to); err != nil {
			return fmt.Errorf("adding %s: %w", b.build.Add, err)
		}
	}
	if err := os.WriteFile(filepath.Join(prefix, "drive_c/windows/system32", holderName), holderCode(), 0o755); err != nil {
		return err
	}
	return b.slim(prefix)
}

// addedName is the folder of C: that --add copies to: C:\muster\NAME.
const addedName = "muster"

// unlink removes every drive but C: and every device, and turns the links from
// the profile to the home folder into folders.
func (b *builder) unlink(prefix string) error {
	devices := filepath.Join(prefix, "dosdevices")
	names, err := os.ReadDir(devices)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n.Name() != "c:" {
			if err := os.Remove(filepath.Join(devices, n.Name())); err != nil {
				return err
			}
		}
	}
	return filepath.WalkDir(filepath.Join(prefix, "drive_c"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() != fs.ModeSymlink {
			return err
		}
		to, err := filepath.EvalSymlinks(p)
		if err == nil && strings.HasPrefix(to, prefix+"/") {
			return nil
		}
		if err := os.Remove(p); err != nil {
			return err
		}
		return os.Mkdir(p, 0o700)
	})
}

// settings are written into the registry: no window that waits for anybody, no
// display, no debugger, nothing that writes into the host's menus. They stand
// in the environment as well; a program may start others without it.
func settings(prefix string) error {
	const overrides = `Software\\Wine\\DllOverrides`
	err := editRegistry(filepath.Join(prefix, "user.reg"), []value{
		{`Software\\Wine\\Drivers`, "Graphics", "null"},
		{`Software\\Wine\\Drivers`, "Audio", ""},
		{overrides, "winemenubuilder.exe", ""},
		{overrides, "winedbg.exe", ""},
		{overrides, "mscoree", ""},
		{overrides, "mshtml", ""},
	}, nil)
	if err != nil {
		return err
	}
	if err := editDword(filepath.Join(prefix, "user.reg"), `Software\\Wine\\WineDbg`, "ShowCrashDialog", 0); err != nil {
		return err
	}
	// Auto stays 1: with 0 Wine would ask in a message box.
	return editRegistry(filepath.Join(prefix, "system.reg"), nil, []value{
		{key: `Software\\Microsoft\\Windows NT\\CurrentVersion\\AeDebug`, name: "Debugger"},
	})
}

// slim replaces copies of Wine's own files by links to them: nine tenths of a
// prefix. Only where this user cannot write to those, or where they are in the
// image as well; a link to what a program could change would be worse than a copy.
func (b *builder) slim(prefix string) error {
	share := filepath.Join(filepath.Dir(b.wine.Loader), "..")
	own := map[int64][]string{} // Wine's files by size
	for _, dir := range []string{
		b.wine.DLLs, filepath.Join(b.wine.DLLs, "../i386-windows"),
		filepath.Join(share, "share/wine/nls"), filepath.Join(share, "../share/wine/nls"),
	} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // not every Wine has each
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			st, err := os.Stat(path)
			if err == nil && st.Mode().IsRegular() && (b.carried() || unix.Access(path, unix.W_OK) != nil) {
				own[st.Size()] = append(own[st.Size()], path)
			}
		}
	}
	return filepath.WalkDir(filepath.Join(prefix, "drive_c"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		for _, theirs := range own[st.Size()] {
			if sameContent(p, theirs) {
				return b.replace(p, theirs)
			}
		}
		return nil
	})
}

// carried reports whether Wine is in the image.
func (b *builder) carried() bool { return b.build.Wine != "" }

// replace makes a copy in the prefix a link to the original. To what is in the
// image, the link is relative: the image will move.
func (b *builder) replace(path, original string) (err error) {
	if b.carried() {
		if original, err = filepath.Rel(filepath.Dir(path), original); err != nil {
			return err
		}
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Symlink(original, path)
}

// try boots a clone of the image, lean, in a folder beside it, and runs a program there.
func (b *builder) try(ctx context.Context) error {
	dir := filepath.Join(b.tree, workName)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer guest.RemoveAll(dir)
	entries, err := image.Stock(b.tree)
	if err != nil {
		return err
	}
	i := newInstance(New(b.table), &node{tree: b.tree, steps: plan(entries), wine: b.wine, holds: b.wine.Loader, user: b.user},
		guest.Place{ID: "image", Dir: dir, Env: []string{guest.EnvInstance + "=" + b.server.id}})
	if err = i.open(ctx); err == nil {
		err = b.tryProgram(ctx, i.servers[0])
	}
	return errors.Join(err, i.Close(ctx))
}

// tryProgram runs a program under s that ends with a code of its own.
func (b *builder) tryProgram(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	out, err := b.table.Run(ctx, proc.Cmd{
		Path: s.wine.Loader, Args: []string{s.wine.Loader, `C:\windows\system32\cmd.exe`, "/c", "exit", "7"},
		Dir: s.home.prefix(), Env: s.environ("-all", nil), Limits: noCore, FixedLayout: true,
	})
	if err == nil && out.Exit.Code != 7 {
		err = fmt.Errorf("cmd /c exit 7 ended with %s: %s", out.Exit, oneLine(out.Stderr))
	}
	return err
}

// windowsUser is the name of the profile: the caller's, where Windows can
// express it.
func windowsUser() string {
	u, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil || !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,19}$`).MatchString(u.Username) {
		return "user"
	}
	return u.Username
}
