// Package crashtest kills what muster is made of, at any moment, and looks at
// what is left. It drives the real program as a person would, counts executions
// outside muster, and finds leftovers as an administrator would: in /proc, in mounts, in
// the folders. It holds tests only.
//
// MUSTER_TEST_SEED and MUSTER_TEST_ROUNDS govern the random rounds. MUSTER_TEST_PROGRAM
// names a muster that is built already; MUSTER_TEST_RACE=1 has it built with the race detector.
package crashtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The processes that muster leaves to itself fall to this one, which reaps them:
// not every PID 1 does.
func TestMain(m *testing.M) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "becoming the subreaper:", err)
		os.Exit(1)
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		reapOrphans(quit)
	}()
	code := m.Run()
	if dir, err := built(); err == nil {
		os.RemoveAll(filepath.Dir(dir))
	}
	close(quit)
	<-ended
	os.Exit(code)
}

// reapOrphans reaps the children that nobody here waits for. A zombie that
// os/exec waits for is gone at once; one that stays is an orphan of muster's.
func reapOrphans(quit <-chan struct{}) {
	const old = 500 * time.Millisecond
	seen := map[int]time.Time{}
	for {
		zombies := map[int]time.Time{}
		for _, p := range allProcesses() {
			if p.state != 'Z' || p.ppid != os.Getpid() {
				continue
			}
			zombies[p.pid] = time.Now()
			if since, ok := seen[p.pid]; ok {
				zombies[p.pid] = since
				if time.Since(since) > old {
					_, _ = unix.Wait4(p.pid, nil, unix.WNOHANG, nil) // it may be gone by now
				}
			}
		}
		seen = zombies
		select {
		case <-quit:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// built builds muster, once, into a folder of its own, which TestMain removes.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ct-bin")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // other users run it too
		return "", err
	}
	exe := filepath.Join(dir, "muster")
	if given := os.Getenv("MUSTER_TEST_PROGRAM"); given != "" {
		// Under a path of our own, by which its processes are known.
		return exe, os.Symlink(given, exe)
	}
	args := []string{"build", "-o", exe}
	if os.Getenv("MUSTER_TEST_RACE") == "1" {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "muster/cmd/muster")...).CombinedOutput()
	if err != nil {
		return exe, fmt.Errorf("building muster: %w\n%s", err, out)
	}
	return exe, nil
})

// program is the muster that is tested.
func program(t *testing.T) string {
	t.Helper()
	exe, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}
