// Package clustertest drives the real program on a real Slurm and a real Grid
// Engine as a person would, as an ordinary user, and looks at what came of it from
// outside: outputs, executions counted by the tasks themselves, calls of the scheduler's
// commands, processes. It holds tests only.
//
// MUSTER_TEST_SLURM and MUSTER_TEST_GRIDENGINE name the clusters, which
// scripts/cluster-*.sh start; MUSTER_TEST_PROGRAM names a muster that is built already.
package clustertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"muster/internal/engine/enginetest"
)

// site is one cluster with a muster that its nodes see.
type site struct {
	enginetest.Cluster
	engine  string   // as --engine takes it
	submits string   // the command that hands over an array
	asks    []string // other commands of the scheduler, whose calls are counted
	exe     string
}

// aCase is one thing that a person does with a cluster. alone says that nothing else
// can run on the cluster meanwhile.
type aCase struct {
	name  string
	run   func(l *lab)
	alone bool
}

func cases() []aCase {
	return []aCase{
		{"many inputs", testMany, false},
		{"reducer without anybody", testReducer, false},
		{"staging", testStaging, false},
		{"whole nodes", testTriple, false},
		{"too large a triple", testTripleTooLarge, false},
		{"hostile names", testHostile, false},
		{"cancel and resume", testCancel, false},
		{"unknown partition", testPartition, false},
		{"folder that nodes do not see", testUnseen, false},
		{"launch", testLaunch, false},
		{"launch cancelled", testLaunchCancel, false},
		{"launch without room", testLaunchNoRoom, false},
		// Long ones. Those that lose a node have taken it as a whole.
		{"lost node with requeue", testLostRequeue, false},
		{"lost node, dynamic", testLostDynamic, false},
		{"lost node for good", testLostForGood, false},
		{"launch with a lost node", testLaunchLost, false},
		{"Wine on two nodes", testWine, false},
		{"launch with Wine", testLaunchWine, false},
		{"command line", testScripts, false},
		{"controller down", testControllerDown, true},
	}
}

func TestSlurm(t *testing.T) {
	run(t, "MUSTER_TEST_SLURM", site{engine: "slurm", submits: "sbatch", asks: []string{"srun", "squeue", "sacct", "scontrol", "sinfo", "scancel"}})
}

func TestGridEngine(t *testing.T) {
	run(t, "MUSTER_TEST_GRIDENGINE", site{engine: "gridengine", submits: "qsub", asks: []string{"qstat", "qacct", "qrsh", "qconf", "qhost", "qdel"}})
}

// atOnce is how many cases run on a cluster at the same time. Most of a case is waiting.
const atOnce = 5

func run(t *testing.T, variable string, s site) {
	t.Parallel() // the clusters have nothing to do with each other
	s.Cluster = enginetest.FindCluster(t, variable)
	s.exe = s.Install(t, built(t))
	places := make(chan struct{}, atOnce)
	var work sync.WaitGroup
	for _, c := range cases() {
		if c.alone {
			work.Wait()
		}
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			t.Run(c.name, func(t *testing.T) { c.run(newLab(t, s)) })
		})
		if c.alone {
			work.Wait()
		}
	}
	work.Wait()
}

// built is a muster, built now unless there is one.
func built(t *testing.T) string {
	t.Helper()
	if given := os.Getenv("MUSTER_TEST_PROGRAM"); given != "" {
		return given
	}
	exe := filepath.Join(t.TempDir(), "muster")
	cmd := exec.Command("go", "build", "-o", exe, "muster/cmd/muster")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("building muster: %w\n%s", err, out))
	}
	return exe
}
