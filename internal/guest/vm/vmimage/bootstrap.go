package vmimage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/proc"
)

// kernelPackage is Debian's kernel for virtual machines: few drivers, so it is up soonest.
const kernelPackage = "linux-image-cloud-" + runtime.GOARCH

// Modes of mmdebstrap.
const (
	modeRoot       = "root"
	modeUnshare    = "unshare"    // a user namespace with users of one's own in it
	modeFakechroot = "fakechroot" // a library that pretends
	modeNone       = "chrootless" // nothing is run in the new system, so nothing is needed
)

// bootstrap is one run of mmdebstrap.
type bootstrap struct {
	mode    string
	variant string // "essential": what every package may rely on; "extract": packages are unpacked only
	include []string
	suite   string
	sources []string // lines of sources.list, or the address of a mirror; none: Debian's own
	hooks   []string // shell scripts, run when everything is unpacked; $1 is the new system
	target  string   // archive to write
}

// args is the command line, without the program's name.
func (b bootstrap) args() []string {
	args := []string{"--mode=" + b.mode, "--variant=" + b.variant, "--format=tar"}
	if b.variant == "essential" {
		// Documentation and translations: nobody reads in there.
		for _, dir := range []string{"doc", "man", "info", "locale"} {
			args = append(args, "--dpkgopt=path-exclude=/usr/share/"+dir+"/*")
		}
	}
	if b.variant != "extract" {
		// Where the suite wants /bin to be a link, and lacks a package that makes it one.
		args = append(args, "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr")
	}
	if len(b.include) > 0 {
		args = append(args, "--include="+strings.Join(b.include, ","))
	}
	for _, h := range b.hooks {
		args = append(args, "--extract-hook="+h)
	}
	return append(append(args, b.suite, b.target), b.sources...)
}

// kernelFolder is the folder of the archive that the kernel is unpacked to.
const kernelFolder = ".muster"

// kernelHook downloads the kernel and unpacks it beside the system. Installing it would bring along a
// score of packages that nobody starts in there.
const kernelHook = `set -e
mkdir "$1/` + kernelFolder + `"
cd "$1/` + kernelFolder + `"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
package=$(apt-cache depends --important ` + kernelPackage + ` | sed -n 's/^ *Depends: *//p' | head -n 1)
apt-get -q download "$package"
dpkg-deb -x "$package"_*.deb .
rm -- "$package"_*.deb`

// apart gives what follows it mounts and processes of its own. As root, mmdebstrap mounts /proc, /sys and devices in
// the new system, in a folder of ours: nobody who removes that folder may ever meet them, and killed, nothing of it
// may be left.
var apart = []string{"--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"}

// mode chooses how mmdebstrap is to run here, as this user.
func (b *Builder) mode(ctx context.Context) (string, error) {
	if os.Geteuid() == 0 {
		unshare, err := b.tool("unshare", "util-linux")
		if err == nil {
			_, err = b.run(ctx, "", unshare, append(slices.Clone(apart), "/bin/true")...)
		}
		if err == nil || ctx.Err() != nil {
			return modeRoot, ctx.Err()
		}
		// Root of a container that may not mount: as an ordinary user.
	}
	u, err := user.Current()
	if err != nil {
		u = &user.User{Uid: strconv.Itoa(os.Geteuid())}
	}
	subuid, _ := os.ReadFile("/etc/subuid")
	_, mapErr := b.tool("newuidmap", "uidmap")
	if mapErr == nil && hasSubIDs(string(subuid), u.Username, u.Uid) && userNamespaces() {
		return modeUnshare, nil
	}
	_, err1 := b.tool("fakechroot", "fakechroot")
	_, err2 := b.tool("fakeroot", "fakeroot")
	if err1 == nil && err2 == nil {
		return modeFakechroot, nil
	}
	return "", fmt.Errorf("%w: without root, a system is built with fakechroot and fakeroot, or in a user namespace: install Debian's packages fakechroot and fakeroot, or uidmap with a line for you in /etc/subuid",
		guest.ErrLacking)
}

// hasSubIDs reports whether the text of /etc/subuid grants the user further users.
func hasSubIDs(subuid, name, uid string) bool {
	for line := range strings.Lines(subuid) {
		who, _, ok := strings.Cut(line, ":")
		if ok && (who == name || who == uid) && who != "" {
			return true
		}
	}
	return false
}

// userNamespaces reports whether ordinary users may make them, as far as the system tells.
func userNamespaces() bool {
	for _, file := range []string{"/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/unprivileged_userns_clone"} {
		if b, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(b)) == "0" {
			return false
		}
	}
	return true
}

// tool finds a program, here or where only root looks for programs. Errors: guest.ErrLacking, with
// Debian's package that has it.
func (b *Builder) tool(name, pkg string) (string, error) {
	for _, dir := range filepath.SplitList(b.getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin") {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); filepath.IsAbs(path) && err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %s is missing; install Debian's package %s", guest.ErrLacking, name, pkg)
}

// bootstrap runs mmdebstrap and opens the archive that it has written.
func (b *Builder) bootstrap(ctx context.Context, what bootstrap) (*os.File, error) {
	path, err := b.tool("mmdebstrap", "mmdebstrap")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, bootstrapLimit)
	defer cancel()
	tmp, command := filepath.Dir(what.target), append([]string{path}, what.args()...)
	switch what.mode {
	case modeUnshare:
		tmp = "" // the users of the namespace cannot look into a folder that is this user's alone
	case modeRoot:
		unshare, err := b.tool("unshare", "util-linux")
		if err != nil {
			return nil, err
		}
		command = append(append([]string{unshare}, apart...), command...)
	}
	if _, err := b.run(ctx, tmp, command[0], command[1:]...); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("it took more than %s", bootstrapLimit)
		}
		if found := noPackage.FindStringSubmatch(err.Error()); found != nil {
			return nil, job.BadInputf("--packages: %s has no package %s", what.suite, found[1])
		}
		return nil, fmt.Errorf("building the system (mmdebstrap, mode %s): %w", what.mode, err)
	}
	return os.Open(what.target)
}

// noPackage is what apt says of a package that it does not know.
var noPackage = regexp.MustCompile(`Unable to locate package ([a-z0-9+.-]+)`)

const (
	bootstrapLimit = 30 * time.Minute
	// tidyLimit is how long a program has to tidy up when it is told to end.
	tidyLimit = 10 * time.Second
)

// run runs a program to its end and returns what it wrote to its standard output, its last MiB. The error has
// the last lines that it wrote about errors. tmp is its folder for temporary files; "": the system's.
// Nothing that the program has started is left when run returns.
func (b *Builder) run(ctx context.Context, tmp, path string, args ...string) (_ string, err error) {
	if tmp == "" {
		tmp = os.TempDir()
	}
	mark := guest.EnvInstance + "=image." + rand.Text()
	env := []string{mark, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TMPDIR=" + tmp}
	for _, name := range []string{"HOME", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy"} {
		if v := b.getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	streams := map[string]*os.File{"stdout": nil, "stderr": nil}
	for name := range streams {
		f, err := proc.Memfile(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		streams[name] = f
	}
	child, err := b.table.Start(proc.Cmd{
		Path: path, Args: append([]string{path}, args...), Dir: "/", Env: env, Stdout: streams["stdout"], Stderr: streams["stderr"],
	})
	if err != nil {
		return "", err
	}
	defer func() {
		// fakeroot has a daemon, in a session of its own.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyLimit)
		defer cancel()
		_, killErr := b.table.Family(mark).Kill(ctx)
		err = errors.Join(err, killErr)
	}()
	exit, err := child.Wait(ctx)
	if err != nil {
		// mmdebstrap removes what it has made when it is asked to end; killed, it could not. All of the group are
		// asked, as unshare(1) passes nothing on.
		child.SignalGroup(syscall.SIGTERM)
		select {
		case <-child.Done():
		case <-time.After(tidyLimit):
		}
		child.SignalGroup(syscall.SIGKILL)
		<-child.Done()
		return "", err
	}
	text := map[string]string{}
	for name, f := range streams {
		st, err := f.Stat()
		if err != nil {
			return "", err
		}
		b, err := io.ReadAll(io.NewSectionReader(f, max(0, st.Size()-1<<20), 1<<20))
		if err != nil {
			return "", err
		}
		text[name] = string(b)
	}
	if !exit.OK() {
		return "", fmt.Errorf("%s ended with %s: %s", filepath.Base(path), exit, complaint(text["stderr"]))
	}
	return text["stdout"], nil
}

// complaint is what a program's last words say of an error, in one line.
func complaint(stderr string) string {
	var errs, all []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "I: ") {
			continue
		}
		all = append(all, line)
		if strings.HasPrefix(line, "E: ") && !strings.Contains(line, "mmdebstrap failed to run") {
			errs = append(errs, strings.TrimPrefix(line, "E: "))
		}
	}
	if len(errs) == 0 {
		errs = all[max(0, len(all)-3):]
	}
	line := strings.Join(errs[:min(3, len(errs))], "; ")
	if len(line) > 400 {
		line = line[:400] + "…"
	}
	return strings.ToValidUTF8(line, "?")
}
