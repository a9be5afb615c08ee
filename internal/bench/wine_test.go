package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

// TestPlainWine launches with every baseline and the real Wine, and wants nothing
// of them left.
func TestPlainWine(t *testing.T) {
	if testing.Short() {
		t.Skip("a prefix alone takes ten seconds")
	}
	loader, server := "/usr/lib/wine/wine64", "/usr/lib/wine/wineserver64"
	for _, path := range []string{loader, server} {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("%s is not here", path)
		}
	}
	table := proctest.Table(t)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "USER=" + os.Getenv("USER"), "LANG=C.UTF-8"}
	probe, err := BuildProbe(t.Context(), table, env, exec.LookPath, "wine", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	xargs, err := exec.LookPath("xargs")
	if err != nil {
		t.Fatal(err)
	}
	plain := &PlainWine{Table: table, Loader: loader, Server: server, Dir: filepath.Join(t.TempDir(), "wine"), Env: env, Probe: probe}
	contenders := []Contender{Xargs(plain, xargs, shell, 12), &FullBoot{Wine: plain, Limit: 2}}
	if parallel, err := exec.LookPath("parallel"); err == nil {
		contenders = append(contenders, Parallel(plain, parallel, shell, 12))
	}
	q := &quiet{}
	samples, stops, err := Experiment{Contenders: contenders, Counts: []int{2, 12}, Repeats: 1}.Run(t.Context(), q)
	if err != nil || len(stops) > 0 {
		t.Fatal(err, stops)
	}
	if want := 2*len(contenders) - 1; len(samples) != want {
		t.Errorf("%d samples, want %d", len(samples), want)
	}
	for _, s := range samples {
		if s.Alive != s.Instances || s.Launch <= 0 || s.CPU <= 0 {
			t.Errorf("%+v", s)
		}
	}
	if err := plain.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(plain.Dir); !os.IsNotExist(err) {
		t.Errorf("the prefixes are still there: %v", err)
	}
	ctx := t.Context()
	if n, err := proc.KillMarked(ctx, func(env []string) bool { return strings.Contains(strings.Join(env, "\x00"), mark+probe.Word) }); n > 0 || err != nil {
		t.Errorf("%d processes were left (%v)", n, err)
	}
	t.Log(strings.Join(q.notes, "\n"))
	for _, s := range samples {
		t.Logf("%+v", s)
	}
}
