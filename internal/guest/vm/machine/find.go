package machine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"muster/internal/guest"
	"muster/internal/proc"
)

// QEMU is an emulator of this host.
type QEMU struct {
	Path    string
	Version string // "7.2.22"
	Package string // the distribution's own version, "Debian 1:7.2+dfsg-7+deb12u18"; may be ""
}

const (
	program = "qemu-system-x86_64"
	debian  = "qemu-system-x86"
)

// oldest is the first version that has all we use (-netdev dgram).
const (
	oldestMajor = 7
	oldestMinor = 2
)

var versionLine = regexp.MustCompile(`^QEMU emulator version ((\d+)\.(\d+)[0-9.]*)(?: \(([^)\n]*)\))?`)

// Find looks for QEMU in the folders of path (a PATH), and asks for its version. Errors: guest.ErrLacking.
func Find(ctx context.Context, table *proc.Table, path string) (QEMU, error) {
	var q QEMU
	for _, dir := range filepath.SplitList(path) {
		name := filepath.Join(dir, program)
		if st, err := os.Stat(name); filepath.IsAbs(dir) && err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			q.Path = name
			break
		}
	}
	if q.Path == "" {
		return q, fmt.Errorf("%w: QEMU (%s is in no folder of PATH); install the package %s", guest.ErrLacking, program, debian)
	}
	out, err := table.Run(ctx, proc.Cmd{Path: q.Path, Args: []string{program, "--version"}})
	if err != nil {
		return q, fmt.Errorf("asking %s for its version: %w", q.Path, err)
	}
	m := versionLine.FindSubmatch(out.Stdout)
	if m == nil {
		return q, fmt.Errorf("%w: %s does not say which version of QEMU it is (%v: %.200q); reinstall the package %s", guest.ErrLacking, q.Path, out.Exit, append(out.Stdout, out.Stderr...), debian)
	}
	q.Version, q.Package = string(m[1]), string(m[4])
	major, _ := strconv.Atoi(string(m[2])) // digits, and not many
	minor, _ := strconv.Atoi(string(m[3]))
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return q, fmt.Errorf("%w: %s is version %s, and %d.%d is the oldest that will do; install a newer %s", guest.ErrLacking, q.Path, q.Version, oldestMajor, oldestMinor, debian)
	}
	return q, nil
}
