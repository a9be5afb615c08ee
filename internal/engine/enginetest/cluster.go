package enginetest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Cluster is the folder of a real cluster that one of scripts/cluster-*.sh has
// started on this machine. An ordinary user may use it and break it.
type Cluster string

// FindCluster returns the cluster that the variable names (MUSTER_TEST_SLURM,
// MUSTER_TEST_GRIDENGINE: the file env in the cluster's folder sets it), and skips the
// test when it is not set.
func FindCluster(t *testing.T, variable string) Cluster {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		t.Skipf("%s is not set: make cluster-slurm and make cluster-gridengine start clusters, and say how to use them", variable)
	}
	return Cluster(dir)
}

// Shared makes a folder that submitter and nodes see under one name. It goes with the
// test, unless that has failed.
func (c Cluster) Shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join(string(c), "shared"), "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the test has left is in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Install copies a program to where the nodes see it, and returns its new path. "" is the
// program of the test itself.
func (c Cluster) Install(t *testing.T, program string) string {
	t.Helper()
	if program == "" {
		program = "/proc/self/exe"
	}
	from, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(c.Shared(t), "program")
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// faultLimit bounds how long carrying out a fault may take.
const faultLimit = 2 * time.Minute

// Do has the cluster's root process carry out a verb of the cluster's script
// ("kill-node n3"), and returns when that is done.
func (c Cluster) Do(verb string) error {
	id := "t" + rand.Text()
	pipe, err := os.OpenFile(filepath.Join(string(c), "faults"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("asking the cluster in %s for %s: %w", c, verb, err)
	}
	_, err = pipe.WriteString(id + " " + verb + "\n")
	if err := errors.Join(err, pipe.Close()); err != nil {
		return fmt.Errorf("asking the cluster in %s for %s: %w", c, verb, err)
	}
	for end := time.Now().Add(faultLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		answer, err := os.ReadFile(filepath.Join(string(c), "done", id))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("the answer to %s: %w", verb, err)
		}
		if text := strings.TrimSpace(string(answer)); text != "ok" {
			return fmt.Errorf("%s: %s", verb, text)
		}
		return nil
	}
	return fmt.Errorf("%s was not done within %v", verb, faultLimit)
}

// A Cluster has all faults.
var _ Faults = Cluster("")

// KillNode implements Faults, as do the others.
func (c Cluster) KillNode(name string) error   { return c.Do("kill-node " + name) }
func (c Cluster) KillDaemon(name string) error { return c.Do("kill-daemon " + name) }
func (c Cluster) StartNode(name string) error  { return c.Do("start-node " + name) }
func (c Cluster) StopController() error        { return c.Do("stop-controller") }
func (c Cluster) ContinueController() error    { return c.Do("continue-controller") }
func (c Cluster) KillController() error        { return c.Do("kill-controller") }
func (c Cluster) StartController() error       { return c.Do("start-controller") }
