package slurm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/engine"
	"muster/internal/engine/enginetest"
	"muster/internal/engine/local"
	"muster/internal/job"
	"muster/internal/proc/proctest"
)

// salloc makes an allocation of so many whole nodes, as a job that sleeps, and returns the
// environment that a process inside would have.
func salloc(t *testing.T, e *Engine, nodes int) []string {
	t.Helper()
	out, err := e.run(t.Context(), call{program: "sbatch", args: []string{
		"--parsable", "--job-name=allocation", "--exclusive", "--output=/dev/null", "--nodes=" + strconv.Itoa(nodes), "--chdir=/",
	}, stdin: []byte("#!/bin/sh\nexec sleep 3600\n")})
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(out)
	t.Cleanup(func() {
		if err := e.Control(context.Background(), engine.ID(id), job.OpCancel); err != nil {
			t.Error(err)
		}
	})
	deadline := time.Now().Add(5 * time.Minute)
	for {
		out, err := e.run(t.Context(), call{program: "squeue", args: []string{"--noheader", "--states=all", "--jobs=" + id, "--format=%T|%N"}})
		if err != nil {
			t.Fatal(err)
		}
		state, list, _ := strings.Cut(strings.TrimSpace(out), "|")
		if state == "RUNNING" {
			info, err := e.Info(t.Context(), job.Resource{})
			if err != nil {
				t.Fatal(err)
			}
			return append(os.Environ(), "SLURM_JOB_ID="+id, "SLURM_JOB_NODELIST="+list,
				fmt.Sprintf("SLURM_JOB_CPUS_PER_NODE=%d(x%d)", info.CPUs, nodes))
		}
		if time.Now().After(deadline) {
			t.Fatalf("the allocation is still %s", state)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestConformanceInAllocation(t *testing.T) {
	c := cluster(t)
	table := proctest.Table(t)
	environ := salloc(t, newEngine(t, table), 2)
	root := c.Shared(t)
	program := c.Install(t, "")
	open := func(t *testing.T) engine.Engine {
		t.Helper()
		inner, err := local.New(local.Options{
			Root: root, Table: table, Command: []string{program, "local-array"},
			KillWait: 5 * time.Second, MaxArray: testMaxArray,
		})
		if err != nil {
			t.Fatal(err)
		}
		a, err := NewAllocation(inner, Options{Table: table, Environ: environ})
		if err != nil {
			t.Fatal(err)
		}
		return noSurvivor{a}
	}
	enginetest.Run(t, enginetest.Config{
		Open:   open,
		Shared: c.Shared,
		Wait:   3 * time.Minute,
		Index:  []string{"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SGE_TASK_ID"},
		Adds: func(name string) bool {
			return addedBySlurm(name) || strings.HasPrefix(name, "SGE_") || name == "JOB_ID" || strings.HasPrefix(name, "SRUN_")
		},
		Orphans: enginetest.OrphansStay,
		AtOnce:  4,
	})
}

// noSurvivor leaves out the cases with submitters of their own, which are the inner engine's.
type noSurvivor struct{ *Allocation }

func (n noSurvivor) Info(ctx context.Context, want job.Resource) (engine.Info, error) {
	info, err := n.Allocation.Info(ctx, want)
	info.Survives = false
	return info, err
}

func TestElementsAreOnTheirNodes(t *testing.T) {
	c := cluster(t)
	table := proctest.Table(t)
	environ := salloc(t, newEngine(t, table), 2)
	inner, err := local.New(local.Options{Root: c.Shared(t), Table: table, Command: []string{c.Install(t, ""), "local-array"}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewAllocation(inner, Options{Table: table, Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	dir := c.Shared(t)
	id, err := a.Submit(t.Context(), job.Array{
		Tag: "nodes", Elements: 3, Argv: []string{"/bin/sh", "-c", `echo "$SLURMD_NODENAME" > "node-$MUSTER_ELEMENT"`},
		Dir: dir, LogDir: dir, Env: []string{"PATH=/usr/bin:/bin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range 3 {
		b, err := os.ReadFile(filepath.Join(dir, "node-"+strconv.Itoa(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimSpace(string(b)))
	}
	if want := []string{a.nodes[0], a.nodes[1], a.nodes[0]}; !slices.Equal(got, want) {
		t.Errorf("elements 1 to 3 ran on %q, want %q", got, want)
	}
}

func TestInAllocation(t *testing.T) {
	salloc := []string{"SLURM_JOB_ID=7", "SLURM_JOB_NODELIST=n1"}
	for _, c := range []struct {
		what    string
		environ []string
		want    bool
	}{
		{"a login shell", []string{"HOME=/h"}, false},
		{"salloc, sbatch", salloc, true},
		{"an element of the local engine", append([]string{"MUSTER_ARRAY=local-1_1"}, salloc...), false},
		{"an element of this engine", append([]string{"MUSTER_ARRAY=12_1"}, salloc...), false},
		{"what the local engine sets", []string{"SLURM_JOB_ID=7"}, false},
	} {
		if got := InAllocation(c.environ); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

func TestAllocationIsUnderstood(t *testing.T) {
	environ := []string{"SLURM_JOB_ID=7", "SLURM_JOB_NODELIST=n[1-3],big", "SLURM_JOB_CPUS_PER_NODE=8(x3),64", "PATH=/usr/bin"}
	table := proctest.Table(t)
	a, err := NewAllocation(nil, Options{Table: table, Environ: environ})
	if err != nil || a.cpus != 8 || !slices.Equal(a.nodes, []string{"n1", "n2", "n3", "big"}) {
		t.Errorf("%+v, %v", a, err)
	}
	for what, environ := range map[string][]string{
		"no job":        {"SLURM_JOB_NODELIST=n1", "SLURM_JOB_CPUS_PER_NODE=8"},
		"no nodes":      {"SLURM_JOB_ID=7", "SLURM_JOB_CPUS_PER_NODE=8"},
		"no CPUs":       {"SLURM_JOB_ID=7", "SLURM_JOB_NODELIST=n1"},
		"too few nodes": {"SLURM_JOB_ID=7", "SLURM_JOB_NODELIST=n1", "SLURM_JOB_CPUS_PER_NODE=8(x2)"},
	} {
		if _, err := NewAllocation(nil, Options{Table: table, Environ: environ}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestParseAllocation(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		out    string
		left   time.Duration
		memory int64
	}{
		{"4600                |1:00:00             |16G                 \n", time.Hour, 16 << 30},
		{"NONE                |UNLIMITED           |64M                 \n", 0, 64 << 20},
		{"31537000            |UNLIMITED           |0                   \n", 0, 0},
		{"900                 |1:00                |1.50G               \n", time.Second, 3 << 29},
		{"", 0, 0},
	} {
		if left, memory := parseAllocation(c.out, now); left != c.left || memory != c.memory {
			t.Errorf("%q: %v and %d bytes, want %v and %d", c.out, left, memory, c.left, c.memory)
		}
	}
}

func TestExpandHosts(t *testing.T) {
	for list, want := range map[string]string{
		"n1":                     "n1",
		"n[1-3]":                 "n1 n2 n3",
		"n[08-11]":               "n08 n09 n10 n11",
		"n[1-2,07],login":        "n1 n2 n07 login",
		"r[1-2]c[0-1]":           "r1c0 r1c1 r2c0 r2c1",
		"a-b[1]-x.example,c-3-4": "a-b1-x.example c-3-4",
	} {
		got, err := expandHosts(list)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v; want %s", list, got, err, want)
		}
	}
	for _, list := range []string{"", "n[", "n[1", "n1]", "n[]", "n[3-1]", "n[a-b]", "n[-1]", "n1,", ",", "n[1-99999999999]", "n[1-999999999]"} {
		if got, err := expandHosts(list); err == nil {
			t.Errorf("%q gives %d names and no error", list, len(got))
		}
	}
}

func TestExpandHostsNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.StringMatching(`[a-z0-9,\[\]-]{0,30}`).Draw(t, "list")
		if names, err := expandHosts(list); err == nil && slices.Contains(names, "") {
			t.Errorf("%q holds an empty name: %q", list, names)
		}
	})
}

func TestExpandCounts(t *testing.T) {
	for list, want := range map[string][]int{"4": {4}, "4(x3),2": {4, 4, 4, 2}} {
		if got, err := expandCounts(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", list, got, err)
		}
	}
	for _, list := range []string{"", "x", "4(x", "4(x0)", "4(xy)", "-1"} {
		if got, err := expandCounts(list); err == nil {
			t.Errorf("%q gives %v and no error", list, got)
		}
	}
}
