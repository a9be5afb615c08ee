package vm

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"muster/internal/guest"
)

// Where a guest finds things. They are folders of its own, not the host's.
const (
	rootDir    = "/muster"
	inDir      = rootDir + "/in"
	outDir     = rootDir + "/out"
	workDir    = rootDir + "/work"
	programDir = rootDir + "/program"
	tempDir    = "/tmp"
	homeDir    = "/root"
	ownDir     = rootDir + "/own"     // folders of programs that want one for themselves
	payloadDir = rootDir + "/payload" // where the payload is mounted
	mountsDir  = "/mnt"
)

// systemDirs are folders that every system has of its own: a program there is the guest's, not the host's.
var systemDirs = []string{"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/games", "/usr/lib", "/usr/libexec"}

// programDirs are those in which the guest's own programs are looked for.
var programDirs = []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin"}

// guestsOwn reports whether a path means a file of the guest's own system.
func guestsOwn(host string) bool {
	for _, dir := range systemDirs {
		if host == dir || strings.HasPrefix(host, dir+"/") {
			return true
		}
	}
	return false
}

// names knows what the host's folders are called in a guest.
type names struct {
	folders guest.Folders
	mounts  []Mount
}

// path is the guest's name of a host path. Errors: guest.ErrPath.
func (n names) path(host string) (string, error) {
	host = filepath.Clean(host)
	for _, known := range []struct{ host, guest string }{
		{n.folders.In, inDir}, {n.folders.Out, outDir}, {n.folders.Work, workDir}, {n.program(), programDir},
	} {
		if at, ok := below(host, known.host, known.guest); ok {
			return at, nil
		}
	}
	for _, m := range n.mounts {
		if at, ok := below(host, m.Dir, m.At); ok {
			return at, nil
		}
	}
	if guestsOwn(host) {
		return host, nil
	}
	return "", fmt.Errorf("%w: %s is not brought into the guest; --program-dir or --mount can bring its folder", guest.ErrPath, host)
}

// program is the folder that goes with the program, "" when the program is the guest's own.
func (n names) program() string {
	if guestsOwn(n.folders.Program) {
		return ""
	}
	return n.folders.Program
}

// below is the guest's name of a path at or below a folder that is called at in the guest.
func below(host, dir, at string) (string, bool) {
	switch {
	case dir == "":
		return "", false
	case host == filepath.Clean(dir):
		return at, true
	}
	rel, ok := strings.CutPrefix(host, filepath.Clean(dir)+"/")
	return path.Join(at, rel), ok
}
