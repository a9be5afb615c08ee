package crashtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What a search for leftovers looks at.
type where int

const (
	processes  where = 1 << iota
	files            // scratch folders, temporary files, temporaries below the output
	everything = processes | files
)

// leftovers lists what is there of a lab's runs beside outputs, run directories
// and whatever spared says yes to.
func (l *lab) leftovers(what where, spared func(process) bool) []string {
	var left []string
	if what&processes != 0 {
		for _, p := range l.living() {
			if spared == nil || !spared(p) {
				left = append(left, "process "+p.String())
			}
		}
	}
	if what&files == 0 {
		return left
	}
	if b, err := os.ReadFile("/proc/self/mounts"); err == nil {
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); strings.HasPrefix(f[1], l.scratch+"/") || strings.HasPrefix(f[1], l.tmp+"/") {
				left = append(left, "mount "+f[1])
			}
		}
	}
	for _, dir := range []string{l.scratch, l.tmp} {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			// The folder of all scratch folders of a user stays, and the mount point in it.
			stays := dir == l.scratch && (filepath.Dir(path) == dir || d != nil && d.Name() == "memory" && filepath.Dir(filepath.Dir(path)) == dir)
			if err == nil && path == l.saved() {
				return filepath.SkipDir // for the next run; checkSaved looks at them
			}
			if err == nil && path != dir && !stays && !strings.HasPrefix(d.Name(), "accel-") {
				left = append(left, "file "+path)
			}
			return nil // what vanishes meanwhile is just as well
		})
	}
	_ = filepath.WalkDir(l.out, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".muster-") {
			left = append(left, "file "+path)
		}
		return nil
	})
	return left
}

// gone waits until nothing is left, and fails when something is after the limit.
func (l *lab) gone(what where, limit time.Duration, spared func(process) bool) time.Duration {
	l.Helper()
	began := time.Now()
	for {
		left := l.leftovers(what, spared)
		took := time.Since(began)
		if len(left) == 0 {
			return took
		}
		if took > limit {
			if len(left) > 20 {
				left = append(left[:20], "…")
			}
			l.Fatalf("still there after %v:\n  %s", limit, strings.Join(left, "\n  "))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// isCommand spares commands, which may have a word to say yet.
func isCommand(p process) bool { return p.role() == command }
