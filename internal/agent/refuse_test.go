package agent

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/job"
	"muster/internal/rundir"
)

func TestFit(t *testing.T) {
	const gib = 1 << 30
	for _, tt := range []struct {
		name string
		err  error
		want string // all that a person needs; "": it fits
	}{
		{"the same muster", SameBuild("1.2", "1.2", "/x/muster"), ""},
		{"one that does not say", SameBuild("", "1.2", "/x/muster"), ""},
		{"another muster", SameBuild("1.3", "1.2", "/x/muster"), "submitted by muster 1.3, and /x/muster on this node is muster 1.2"},
		{"no limit", fitAddressSpace(1<<64 - 1), ""},
		{"enough", fitAddressSpace(4 * gib), ""},
		{"h_vmem of 1G", fitAddressSpace(gib), "limited to 1G here (ulimit -v; Grid Engine: h_vmem), and an agent needs 1536M"},
	} {
		got := ""
		if tt.err != nil {
			got = tt.err.Error()
		}
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) || tt.want != "" && !errors.Is(tt.err, job.ErrBadInput) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A refusal is where the run is looked at, and counts as that of an agent.
func TestRefusalIsRecorded(t *testing.T) {
	l := newLab(t, 1, `exit 0`, nil)
	c := Config{
		RunDir: l.run.Dir, Generation: l.begin(), Element: 1, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Environ: []string{"SLURMD_NODENAME=n7", "SLURM_ARRAY_JOB_ID=12", "SLURM_ARRAY_TASK_ID=3"},
	}
	why := errors.New("no room here\nand more")
	if err := Refuse(c, why); !errors.Is(err, why) {
		t.Errorf("it returns %v", err)
	}
	snap := l.load()
	same(t, "words", words(snap), "failed")
	if len(snap.Notes) != 1 || snap.Notes[0].Text != "n7: no room here" {
		t.Errorf("notes: %v", snap.Notes)
	}
	if a := snap.Agents[0]; a.Lanes != 1 || a.Host != "n7" || a.Job != "12_3" {
		t.Errorf("the agent is %+v", a.AgentStart)
	}
}

// A share that cannot be read is told of likewise.
func TestUnreadableShare(t *testing.T) {
	l := newLab(t, 1, `exit 0`, nil)
	g := l.begin()
	plans, err := filepath.Glob(filepath.Join(l.run.Dir, "plan", "*"))
	check(t, err)
	for _, p := range plans {
		write(t, p, "{")
	}
	if code := l.start(g).wait(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if snap := l.load(); len(snap.Notes) != 1 || !strings.Contains(snap.Notes[0].Text, "1.1.json") {
		t.Errorf("notes: %v", snap.Notes)
	}
}

// The run's folder vanishes: nothing can be told any more, so nothing goes on.
func TestRunFolderGone(t *testing.T) {
	t.Parallel() // most of it is waiting
	l := newLab(t, 2, `: > ROOT/runs; while :; do sleep 0.01; done`, nil)
	e := l.start(l.begin())
	l.until("runs")
	aside := l.run.Dir + ".aside"
	check(t, os.Rename(l.run.Dir, aside))
	if code := e.wait(); code != exitStopped {
		t.Errorf("exit code %d", code)
	}
	check(t, os.Rename(aside, l.run.Dir))
	same(t, "words", words(l.load()), folderGone)
}

// One that comes back soon enough is none that has gone.
func TestRunFolderComesBack(t *testing.T) {
	l := newLab(t, 1, `: > ROOT/runs; until [ -e ROOT/go ]; do sleep 0.01; done; cp $1 $2`, nil)
	e := l.start(l.begin())
	l.until("runs")
	aside := l.run.Dir + ".aside"
	check(t, os.Rename(l.run.Dir, aside))
	time.Sleep(3 * requestsEvery)
	check(t, os.Rename(aside, l.run.Dir))
	write(t, filepath.Join(l.dir, "go"), "")
	if code := e.wait(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	same(t, "states", states(l.load()), "COMPLETED")
}

func TestGone(t *testing.T) {
	for _, tt := range []struct {
		err  error
		gone bool
	}{{nil, false}, {&os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, true}, {syscall.ESTALE, true}, {syscall.EIO, false}, {&rundir.DamageError{File: "x"}, false}} {
		if got := isGone(tt.err); got != tt.gone {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}
