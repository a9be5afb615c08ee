package wine

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// loaderNames are the names of processes that are Wine's own loader still, and not yet the
// program that it loads. The kernel cuts names at 15 bytes.
var loaderNames = []string{"wine", "wine64", "wine-preloader", "wine64-preloade"}

// Ready implements guest.Readier. Wine gives a process the program's name
// once it has mapped the program's image, before it loads the DLLs: what execve(2) is for a program of this
// system, whose libraries are loaded after that, too.
func (p *process) Ready() bool {
	if p.native || p.over() {
		return true
	}
	name, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/comm")
	if err != nil {
		return true // it has ended
	}
	comm := strings.TrimSuffix(string(name), "\n")
	return comm != filepath.Base(p.server.wine.Loader) && !slices.Contains(loaderNames, comm)
}
