package bench

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/job"
)

// VMJobs is a series of the experiment with VM jobs: muster map --guest vm, called as a
// person calls it, with one kind of guests. Its numbers count scenes, from 1.
type VMJobs struct {
	Caller
	Nodes  int    // jobs go to so many nodes at most; 0: they are lanes of this machine
	Series string // its Name
	Scenes []Scene
	Room   VMRoom
	Rough  time.Duration // what a VM takes that is alone, before it is known
	Warm   bool          // the first guest is saved, the others go on from there

	one  time.Duration // what a VM takes that is alone
	runs int
}

// Name implements Contender.
func (v *VMJobs) Name() string { return v.Series }

// Close implements Contender.
func (v *VMJobs) Close() error { return nil }

// Most implements Contender.
func (v *VMJobs) Most() int { return len(v.Plan(1).Scenes) }

// Plan is what is measured, as well as is known by now.
func (v *VMJobs) Plan(repeats int) VMPlan {
	one := v.one
	if one == 0 {
		one = v.Rough
	}
	return v.Room.Plan(v.Series, v.Scenes, repeats, one)
}

// Prepare launches VMs on all nodes, so that what every launch reads has been read once there, and a guest is saved
// to go on from; and then one alone, to find out how long it takes.
func (v *VMJobs) Prepare(ctx context.Context, say func(string)) error {
	if v.Warm || v.Nodes > 1 {
		say("a first launch, which brings the image to where it is used, and for warm starts saves a guest")
		if _, err := v.scene(ctx, v.first()); err != nil {
			return err
		}
	}
	began := time.Now()
	if _, err := v.scene(ctx, Scene{1, 1}); err != nil {
		return err
	}
	v.one = time.Since(began)
	return nil
}

// first is a scene that reaches as many nodes as any.
func (v *VMJobs) first() Scene {
	most := Scene{1, 1}
	for _, s := range v.Scenes {
		most.Jobs = max(most.Jobs, min(s.Jobs, v.Nodes))
	}
	return most
}

// Launch implements Contender.
func (v *VMJobs) Launch(ctx context.Context, n int) (Sample, error) {
	return v.scene(ctx, v.Scenes[n-1])
}

// addend is what each guest adds to its number.
const addend = 40

// sum is the guests' job: it adds two numbers, says so, and leaves the sum.
const sum = `s=$(($1 + $2)); echo "$s"; echo "$s" >"$3"`

// mapResult is what muster map --json ends with.
type mapResult struct {
	Run       int    `json:"run"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Completed int    `json:"completed"`
}

// toldResult is what muster report --json tells of what was stamped.
type toldResult struct {
	Submitted time.Time `json:"submitted"`
	Told      []struct {
		Event string  `json:"event"`
		Task  int     `json:"task"`
		At    float64 `json:"at_s"`
		Since float64 `json:"since_s"`
	} `json:"told"`
	Nodes []struct {
		Host string `json:"host"`
	} `json:"nodes"`
	Failures []struct {
		What   string `json:"what"`
		Detail string `json:"detail"`
	} `json:"failures"`
}

// scene has all guests of a scene add two numbers, once.
func (v *VMJobs) scene(ctx context.Context, sc Scene) (s Sample, err error) {
	s = Sample{Instances: sc.VMs(), Jobs: sc.Jobs, Source: FromMuster}
	v.runs++
	dir := filepath.Join(v.Dir, fmt.Sprintf("scene%d", v.runs))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	list, out := filepath.Join(dir, "list"), filepath.Join(dir, "out")
	var words strings.Builder
	for i := range sc.VMs() {
		fmt.Fprintf(&words, "vm%d\n", i+1)
	}
	if err := os.WriteFile(list, []byte(words.String()), 0o644); err != nil {
		return s, err
	}
	var res mapResult
	began := time.Now()
	if err := v.call(ctx, v.mapArgs(sc, list, out), &res); err != nil {
		return s, err
	}
	var told toldResult
	spans := filepath.Join(dir, "spans.csv")
	if err := v.call(ctx, []string{"report", strconv.Itoa(res.Run), "--json", "--csv", spans}, &told); err != nil {
		return s, err
	}
	if res.State != string(job.Completed) {
		return s, fmt.Errorf("run %d ended as %s: %s", res.Run, res.State, told.why(res.Reason))
	}
	if err := sums(out, sc.VMs()); err != nil {
		return s, fmt.Errorf("run %d: %w", res.Run, err)
	}
	text, err := os.ReadFile(spans)
	if err != nil {
		return s, err
	}
	lives, err := livesOf(string(text))
	if err != nil {
		return s, fmt.Errorf("reading the timeline of run %d: %w", res.Run, err)
	}
	return told.sample(s, began, lives), nil
}

// mapArgs are map's.
func (v *VMJobs) mapArgs(sc Scene, list, out string) []string {
	args := []string{"map", "--guest", "vm", "--isolation", "task", "--timing", "socket", "--json", "--progress", "none"}
	args = append(args, v.Flags...)
	lanes := sc.Jobs
	if v.Nodes > 0 {
		nodes := min(v.Nodes, sc.Jobs)
		lanes = (sc.Jobs + nodes - 1) / nodes
		args = append(args, "--nodes", strconv.Itoa(nodes))
	}
	return append(args, "--lanes", strconv.Itoa(lanes), "--per-lane", strconv.Itoa(sc.PerJob), "--input", list, "--output", out,
		"--", "/bin/sh", "-c", sum, "add", "{index}", strconv.Itoa(addend), "{out}")
}

// why says what went wrong in the guests.
func (t toldResult) why(reason string) string {
	for _, f := range t.Failures {
		return strings.TrimSuffix(f.What+": "+f.Detail, ": ")
	}
	if reason == "" {
		return "no reason is told"
	}
	return reason
}

// sample adds to a sample what was stamped, and the lives of its guests.
func (t toldResult) sample(s Sample, began time.Time, lives map[int]life) Sample {
	seconds := func(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }
	offset := t.Submitted.Sub(began) // times count from the submission, and a person from the command
	var starts []float64
	heard := map[int]bool{}
	for _, e := range t.Told {
		if e.Event != "said" || heard[e.Task] {
			continue
		}
		heard[e.Task] = true
		at := offset + seconds(e.At)
		if s.First == 0 {
			s.First = at
		}
		s.First, s.Launch = min(s.First, at), max(s.Launch, at)
		if l, there := lives[e.Task]; there {
			starts = append(starts, e.Since-l.began)
		}
	}
	s.Alive = len(heard)
	s.Start = seconds(SpreadOf(starts).Median)
	for _, l := range lives {
		s.Down = max(s.Down, seconds(l.down))
	}
	hosts := map[string]bool{}
	for _, n := range t.Nodes {
		hosts[n.Host] = true
	}
	s.Nodes = max(1, len(hosts))
	return s
}

// sums checks that n guests have left their sums, and nothing else.
func sums(dir string, n int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading the sums: %w", err)
	}
	var got []int
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("reading the sums: %w", err)
		}
		k, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return fmt.Errorf("%s is no sum: %w", e.Name(), err)
		}
		got = append(got, k)
	}
	slices.Sort(got)
	for i := range n {
		if i >= len(got) || got[i] != addend+i+1 {
			return fmt.Errorf("the guests' sums are %v, and not those of %d and 1 to %d", got, addend, n)
		}
	}
	return nil
}

// life is that of a task's instance, in seconds since the submission.
type life struct {
	began float64 // to be cloned
	down  float64 // how long it took to shut it down and discard it
}

// livesOf reads the lives of the tasks' instances from a run's table of spans. Of
// a task that was tried again it is the last.
func livesOf(table string) (map[int]life, error) {
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("it is no table: %w", err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, name := range []string{"phase", "start_s", "seconds", "instance", "task"} {
		if _, there := column[name]; !there {
			return nil, fmt.Errorf("it has no column %s", name)
		}
	}
	instances, tasks := map[string]life{}, map[string]int{}
	for _, row := range rows[1:] {
		cell := func(name string) string { return row[column[name]] }
		start, err1 := strconv.ParseFloat(cell("start_s"), 64)
		took, err2 := strconv.ParseFloat(cell("seconds"), 64)
		task, err3 := strconv.Atoi(cell("task"))
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		name := cell("instance")
		l, there := instances[name]
		switch job.Phase(cell("phase")) {
		case job.PhaseCloned, job.PhaseBooted:
			if !there || start < l.began {
				l.began = start
			}
		case job.PhaseDiscarded:
			l.down = took
		case job.PhaseRunning:
			tasks[name] = task
			continue
		default:
			continue
		}
		instances[name] = l
	}
	lives := map[int]life{}
	for name, task := range tasks {
		if l, there := instances[name]; there && task > 0 {
			lives[task] = l
		}
	}
	return lives, nil
}
