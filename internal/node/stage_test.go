package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestStageRoots(t *testing.T) {
	mine := t.TempDir()
	job := filepath.Join(t.TempDir(), "4711.1.all.q")
	slurm := filepath.Join(t.TempDir(), "slurm-4711")
	for _, dir := range []string{job, slurm} {
		mkdir(t, dir)
	}
	local, nfs := onKind(t, "ext4"), onKind(t, "nfs4")
	// /tmp in memory, the rest on a disk.
	memory := host(t, map[string]string{"proc/self/mountinfo": "27 1 254:0 / / rw - ext4 x rw\n28 27 0:40 / /tmp rw - tmpfs t rw\n29 28 254:0 / " + mine + " rw - ext4 x rw\n"})
	for _, c := range []struct {
		name    string
		host    Host
		env     map[string]string
		want    []string // the last word of each root, passing ones with a "!"
		refused string   // a part of it
	}{
		{"nothing said", local, nil, []string{"/tmp", "/var/tmp"}, ""},
		{"named: there or nowhere", local, map[string]string{"MUSTER_SCRATCH": mine, "TMPDIR": job}, []string{mine}, ""},
		{"named, on the network", nfs, map[string]string{"MUSTER_SCRATCH": mine}, nil, "MUSTER_SCRATCH: " + mine + " is on nfs4, not on this node"},
		{"named, not there", local, map[string]string{"MUSTER_SCRATCH": mine + "/none"}, nil, "does not exist"},
		{"the user's own", local, map[string]string{"TMPDIR": mine}, []string{mine, "/tmp", "/var/tmp"}, ""},
		{"Grid Engine's, which goes with the job", local, map[string]string{"TMPDIR": job, "JOB_ID": "4711"}, []string{"/tmp", "/var/tmp", "!" + job}, ""},
		{"Slurm's, which goes with the job", local, map[string]string{"SLURM_TMPDIR": slurm, "TMPDIR": slurm}, []string{"/tmp", "/var/tmp", "!" + slurm}, ""},
		{"Slurm's and another", local, map[string]string{"SLURM_TMPDIR": slurm, "TMPDIR": mine, "SLURM_JOB_ID": "4711"}, []string{mine, "/tmp", "/var/tmp", "!" + slurm}, ""},
		{"what is in memory last", memory, map[string]string{"TMPDIR": mine}, []string{mine, "/var/tmp", "/tmp"}, ""},
		{"all on the network", nfs, map[string]string{"TMPDIR": mine}, nil, "/tmp is on nfs4, not on this node"},
	} {
		t.Run(c.name, func(t *testing.T) {
			roots, refused := c.host.StageRoots(func(name string) string { return c.env[name] })
			var got []string
			for _, r := range roots {
				name := r.Path
				if r.Passing {
					name = "!" + name
				}
				got = append(got, name)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v (refused %v)", got, c.want, refused)
			}
			if !strings.Contains(strings.Join(refused, "; "), c.refused) {
				t.Errorf("refused %v, want %q", refused, c.refused)
			}
		})
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
