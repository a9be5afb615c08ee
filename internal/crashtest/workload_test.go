package crashtest

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"muster/internal/guest/wine/winetest"
	"muster/internal/job"
)

// workload is what is mapped in a round: many short tasks.
type workload struct {
	guest string
	tasks int
	args  []string          // of muster map
	want  map[string]string // outputs: name → content
	slack time.Duration     // how much the programs' clock may differ from ours
}

// load makes the inputs of a round and the command for them.
func (l *lab) load(rng *rand.Rand, guest string, isolation job.Isolation) workload {
	l.Helper()
	w := workload{guest: guest, tasks: 40 + rng.IntN(41), want: map[string]string{}}
	w.args = []string{
		"map", "--json", "--input", l.in, "--output", l.out, "--guest", guest,
		"--isolation", string(isolation), "--lanes", fmt.Sprint(3 + rng.IntN(6)), "--retries", "3",
	}
	if guest == "wine" {
		if isolation == job.IsolateTask {
			w.tasks = 40 // each boots an instance of its own
		}
		exe := winetest.Build(l.T, "nonce")["nonce"]
		// A file for each task: what several append at once, Wine lets overwrite each other.
		w.args = append(w.args, "--drive", "n="+filepath.Dir(l.nonces), "--", exe, `N:\n{index}`, "{index}", "{in}", "{out}")
		w.slack = 10 * time.Millisecond // the raw clock is not corrected
	} else {
		w.args = append(w.args, "--mapper", l.script("task.sh"))
	}
	for i := range w.tasks {
		text := strings.Repeat(fmt.Sprintf("line of %d\n", i), 1+rng.IntN(200))
		input := text
		want := text
		if guest != "wine" {
			input = fmt.Sprintf("%.3f %.3f\n%s", rng.Float64()*0.08, rng.Float64()*0.04, text)
			want = strings.ToUpper(text) + "end\n"
		}
		l.write(filepath.Join(l.in, fmt.Sprintf("t%02d", i)), input)
		w.want[fmt.Sprintf("t%02d.out", i)] = want
	}
	return w
}

// checkOutputs compares the output folder with what must be in it.
func (l *lab) checkOutputs(want map[string]string) {
	l.Helper()
	var names []string
	err := filepath.WalkDir(l.out, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != l.out {
			names = append(names, strings.TrimPrefix(path, l.out+"/"))
		}
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
	for name, content := range want {
		if !slices.Contains(names, name) {
			l.Errorf("output %s is missing", name)
			continue
		}
		b, err := os.ReadFile(filepath.Join(l.out, name))
		if err != nil {
			l.Fatal(err)
		}
		if string(b) != content {
			l.Errorf("output %s holds %d bytes that are not the %d wanted", name, len(b), len(content))
		}
	}
	for _, name := range names {
		if _, ok := want[name]; !ok {
			l.Errorf("%s is in the output folder, and nobody's output", name)
		}
	}
}
