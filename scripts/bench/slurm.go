package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The little cluster on which both sides are measured.
const (
	slurmNodes = 8
	slurmCPUs  = 4 // of each node, as Slurm is told
)

// slurm: many short tasks on a little Slurm, against a plain array of the same tasks.
func slurm(ctx context.Context, b *bench) ([]row, error) {
	settings := []string{"CLUSTER_MAX_ARRAY=10001"}
	return b.withSlurm(ctx, slurmNodes, slurmCPUs, settings, func(b *bench) ([]row, error) {
		rows, err := slurmNative(ctx, b)
		if err != nil {
			return nil, err
		}
		more, err := slurmWine(ctx, b)
		return append(rows, more...), err
	})
}

func slurmNative(ctx context.Context, b *bench) ([]row, error) {
	n := b.count(4096)
	plain, err := b.plainArray(ctx, n, "exec /bin/true")
	if err != nil {
		return nil, err
	}
	var took time.Duration
	counted := map[int]int{}
	for _, tasks := range []int{n / 8, n, n, n} {
		list, err := b.words(tasks)
		if err != nil {
			return nil, err
		}
		if _, err := b.calls(ctx); err != nil {
			return nil, err
		}
		t, _, err := b.timed(ctx, b.muster, "map", "--engine", "slurm", "--input", list, "--progress", "none", "--", "/bin/true", "{in}")
		if err != nil {
			return nil, err
		}
		if counted[tasks], err = b.calls(ctx); err != nil {
			return nil, err
		}
		if tasks == n && (took == 0 || t < took) {
			took = t
		}
	}
	what := fmt.Sprintf("%s × `/bin/true` on %d nodes, from command to prompt", thousands(n), slurmNodes)
	array := fmt.Sprintf("`sbatch --array=1-%d`: %s", n, perSec(perSecond(n, plain)))
	calls := fmt.Sprintf("with %s tasks: %d", thousands(n/8), counted[n/8])
	return []row{
		{what, perSec(perSecond(n, took)), array, ratio(plain.Seconds() / took.Seconds()), "≥ 20"},
		{"calls to the controller, with " + thousands(n) + " tasks", strconv.Itoa(counted[n]), calls, ratio(float64(counted[n]) / float64(max(counted[n/8], 1))), "the same"},
	}, nil
}

// slurmWine compares short Windows tasks. The plain array has a prepared prefix for each of its
// elements, and fewer of them: at its rate all would take most of an hour.
func slurmWine(ctx context.Context, b *bench) ([]row, error) {
	n, few := b.count(4096), b.count(96)
	dir, err := b.fresh("wine")
	if err != nil {
		return nil, err
	}
	exe := filepath.Join(dir, "copy.exe")
	if err := b.compile(ctx, source, exe); err != nil {
		return nil, err
	}
	in := filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o755); err != nil {
		return nil, err
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(in, fmt.Sprintf("t%04d", i+1)), []byte("hello\n"), 0o644); err != nil {
			return nil, err
		}
	}
	prefix := filepath.Join(dir, "prefix")
	if _, _, err := b.timed(ctx, "env", "WINEPREFIX="+prefix, "WINEDLLOVERRIDES=mscoree,mshtml=;winemenubuilder.exe=d", "sh", "-c", "wineboot -i >/dev/null 2>&1 && wineserver -w"); err != nil {
		return nil, fmt.Errorf("preparing a prefix: %w", err)
	}
	// Links for what does not change, copies of the registry, before the clock runs.
	if _, _, err := b.timed(ctx, "sh", "-c", `cd "$1" && for i in $(seq "$2"); do mkdir "p$i" && cp prefix/*.reg prefix/.update-timestamp "p$i" && ln -s ../prefix/drive_c "p$i/drive_c" && cp -a prefix/dosdevices "p$i"; done`,
		"sh", dir, strconv.Itoa(few)); err != nil {
		return nil, err
	}
	plain, err := b.plainArray(ctx, few, fmt.Sprintf(`d=%s; export WINEPREFIX=$d/p$SLURM_ARRAY_TASK_ID HOME=$d
f=$(printf t%%04d "$SLURM_ARRAY_TASK_ID"); exec wine $d/copy.exe $d/in/$f $d/plain.$f >/dev/null 2>&1`, dir))
	if err != nil {
		return nil, err
	}
	if made, _ := filepath.Glob(filepath.Join(dir, "plain.t*")); len(made) != few {
		return nil, fmt.Errorf("the plain array has made %d of %d outputs", len(made), few)
	}
	if _, _, err := b.timed(ctx, b.muster, "image", "build", "wine"); err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "out")
	took, _, err := b.timed(ctx, b.muster, "map", "--engine", "slurm", "--progress", "none", "--mapper", exe, "--input", in, "--output", out)
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(out)
	if err == nil && countPlain(files) != n {
		err = fmt.Errorf("%d of %d outputs are there", countPlain(files), n)
	}
	what := fmt.Sprintf("%s short Windows tasks on %d nodes, from command to prompt", thousands(n), slurmNodes)
	array := fmt.Sprintf("`sbatch --array=1-%d` of `wine app.exe`, a prepared prefix each: %s", few, perSec(perSecond(few, plain)))
	return []row{{what, perSec(perSecond(n, took)), array, ratio(perSecond(n, took) / perSecond(few, plain)), "≥ 10"}}, err
}

// compile builds a Windows program.
func (b *bench) compile(ctx context.Context, source, exe string) error {
	c := strings.TrimSuffix(exe, ".exe") + ".c"
	if err := os.WriteFile(c, []byte(source), 0o644); err != nil {
		return err
	}
	_, _, err := b.timed(ctx, "x86_64-w64-mingw32-gcc", "-O2", "-static", "-s", "-o", exe, c)
	return errors.Join(err, os.Remove(c))
}
