package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestScenes(t *testing.T) {
	all := Scenes(PublishedJobs, PublishedPerJob)
	if len(all) != 20 {
		t.Errorf("%d scenes, and 20 were published", len(all))
	}
	var got []string
	for _, s := range Scenes(3, 2) {
		got = append(got, fmt.Sprintf("%d×%d", s.Jobs, s.PerJob))
	}
	if want := []string{"1×1", "1×2", "2×1", "3×1", "2×2", "3×2"}; !slices.Equal(got, want) {
		t.Errorf("scenes %v, want %v", got, want)
	}
}

func TestVMPlan(t *testing.T) {
	scenes := Scenes(4, 4)
	for _, c := range []struct {
		name     string
		room     VMRoom
		one      time.Duration
		measured int
		left     string
		estimate time.Duration
	}{
		{"everything", VMRoom{CPUs: 2, Longest: time.Hour}, time.Second, 9, "", 2 * (1 + 1 + 1 + 2 + 2 + 2 + 4 + 4 + 8) * time.Second},
		{"memory", VMRoom{Memory: 5 << 30, Each: 1 << 30, CPUs: 2, Longest: time.Hour}, time.Second, 6,
			"cold: 2 jobs × 4 VMs and 2 scenarios more: 8 guests take 8G of memory, and 5G can be had", 2 * 9 * time.Second},
		{"time", VMRoom{CPUs: 2, Longest: 30 * time.Second}, 10 * time.Second, 6,
			"cold: 2 jobs × 4 VMs and 2 scenarios more: a launch would take about 40 s, and --longest is 30 s", 2 * 90 * time.Second},
		{"nothing", VMRoom{CPUs: 2, Longest: time.Second}, 10 * time.Second, 0,
			"cold: a launch would take about 10 s, and --longest is 1.0 s", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := c.room.Plan("cold", scenes, 2, c.one)
			if len(p.Scenes) != c.measured || p.LeftOut() != c.left || p.Estimate != c.estimate {
				t.Errorf("%d scenes in %v, left out %q; want %d in %v, %q", len(p.Scenes), p.Estimate, p.LeftOut(), c.measured, c.estimate, c.left)
			}
		})
	}
}

func TestMapArgs(t *testing.T) {
	for _, c := range []struct {
		nodes int
		scene Scene
		want  string
	}{
		{0, Scene{4, 2}, "--lanes 4 --per-lane 2"},
		{8, Scene{4, 2}, "--nodes 4 --lanes 1 --per-lane 2"},
		{8, Scene{16, 1}, "--nodes 8 --lanes 2 --per-lane 1"},
		{3, Scene{4, 8}, "--nodes 3 --lanes 2 --per-lane 8"},
	} {
		v := &VMJobs{Nodes: c.nodes, Caller: Caller{Flags: []string{"--boot", "cold"}}}
		got := strings.Join(v.mapArgs(c.scene, "list", "out"), " ")
		if !strings.Contains(got, " --boot cold "+c.want+" --input list --output out -- /bin/sh ") {
			t.Errorf("%v on %d nodes: %s", c.scene, c.nodes, got)
		}
	}
}

// What a node has to have before anything is measured reaches all that are used.
func TestFirstScene(t *testing.T) {
	for _, c := range []struct{ nodes, jobs, want int }{{0, 16, 1}, {8, 16, 8}, {8, 4, 4}} {
		v := &VMJobs{Nodes: c.nodes, Scenes: Scenes(c.jobs, 2)}
		if got := v.first(); got != (Scene{c.want, 1}) {
			t.Errorf("of %d jobs on %d nodes the first is %v, want %d", c.jobs, c.nodes, got, c.want)
		}
	}
}

func TestSums(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		ok    bool
	}{
		{"all", map[string]string{"vm1.out": "41\n", "vm2.out": "42\n"}, true},
		{"one missing", map[string]string{"vm1.out": "41\n"}, false},
		{"one twice", map[string]string{"vm1.out": "41\n", "vm2.out": "41\n"}, false},
		{"one wrong", map[string]string{"vm1.out": "41\n", "vm2.out": "43\n"}, false},
		{"no sum", map[string]string{"vm1.out": "41\n", "vm2.out": "\n"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := sums(fakeProc(t, c.files), 2); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A guest's life is that of the instance which its task had, and times count from the command.
func TestSampleOfTold(t *testing.T) {
	table := `phase,start_s,seconds,agent,lane,instance,task,attempt,state,open
submitted,0,0.5,1,-1,,0,0,,false
cloned,0.500000,0.100000,1,0,a.task1_1,0,0,,false
booted,0.600000,1.900000,1,0,a.task1_1,0,0,,false
cloned,0.700000,0.100000,1,1,a.task2_1,0,0,,false
booted,0.800000,2.000000,1,1,a.task2_1,0,0,BOOT_FAIL,false
cloned,3.000000,0.100000,1,1,a.task2_2,0,0,,false
booted,3.100000,2.000000,1,1,a.task2_2,0,0,,false
running,2.500000,0.200000,1,0,a.task1_1,1,1,COMPLETED,false
running,5.100000,0.200000,1,1,a.task2_2,2,2,COMPLETED,false
discarded,2.700000,0.300000,1,0,a.task1_1,0,0,,false
discarded,5.300000,0.400000,1,1,a.task2_2,0,0,,false
`
	lives, err := livesOf(table)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[int]life{1: {0.5, 0.3}, 2: {3, 0.4}}; fmt.Sprint(lives) != fmt.Sprint(want) {
		t.Fatalf("lives %v, want %v", lives, want)
	}
	began := time.Unix(1000, 0)
	told := toldResult{Submitted: began.Add(250 * time.Millisecond)}
	for _, e := range []struct {
		event     string
		task      int
		at, since float64
	}{{"up", 0, 0.4, 0.4}, {"said", 1, 2.75, 2.5}, {"said", 2, 5.25, 5.5}, {"said", 2, 9, 9}, {"end", 0, 9, 9}} {
		told.Told = append(told.Told, struct {
			Event string  `json:"event"`
			Task  int     `json:"task"`
			At    float64 `json:"at_s"`
			Since float64 `json:"since_s"`
		}{e.event, e.task, e.at, e.since})
	}
	s := told.sample(Sample{Instances: 2, Jobs: 2}, began, lives)
	if s.First != 3*time.Second || s.Launch != 5500*time.Millisecond || s.Start != 2250*time.Millisecond || s.Down != 400*time.Millisecond || s.Alive != 2 {
		t.Errorf("sample %+v", s)
	}
	for _, bad := range []string{"", "phase,start_s\n", strings.Replace(table, "0.500000", "x", 1)} {
		if lives, err := livesOf(bad); err == nil {
			t.Errorf("of a bad table there are lives %v", lives)
		}
	}
}

// Scenes with as many guests are told apart by their jobs, and numbers that are not instances are not taken for them.
func TestScenesAreSummarisedApart(t *testing.T) {
	scenes := Scenes(2, 2)
	c := &sceneDouble{scenes: scenes}
	q := &quiet{}
	samples, stops, err := Experiment{Contenders: []Contender{c}, Counts: []int{1, 2, 3, 4}, Repeats: 2, Step: func(n int) string { return scenes[n-1].String() }}.Run(t.Context(), q)
	if err != nil || len(stops) > 0 {
		t.Fatal(err, stops)
	}
	var got []string
	for _, p := range Summarise(samples) {
		got = append(got, fmt.Sprintf("%d×%d:%d", p.Jobs, p.PerJob(), p.Repeats))
	}
	if want := []string{"1×1:2", "1×2:2", "2×1:2", "2×2:2"}; !slices.Equal(got, want) {
		t.Errorf("points %v, want %v", got, want)
	}
	if len(q.notes) != 4 || q.notes[3] != "  double: 4.00 s (4.00 s to 4.00 s)" {
		t.Errorf("notes %q", q.notes)
	}
}

// sceneDouble has scenes and launches nothing.
type sceneDouble struct {
	double
	scenes []Scene
}

func (d *sceneDouble) Name() string { return "double" }
func (d *sceneDouble) Most() int    { return len(d.scenes) }
func (d *sceneDouble) Launch(_ context.Context, n int) (Sample, error) {
	sc := d.scenes[n-1]
	return Sample{Instances: sc.VMs(), Jobs: sc.Jobs, Alive: sc.VMs(), Launch: time.Duration(sc.VMs()) * time.Second}, nil
}

// madeVM is a result of made-up figures, three repeats.
func madeVM() *VMResult {
	scenes := Scenes(PublishedJobs, PublishedPerJob)
	room := VMRoom{Memory: 20 << 30, Each: 296 << 20, CPUs: 2, Longest: 5 * time.Minute}
	r := &VMResult{
		When: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Version: "v1", Machine: "2 CPUs, 24 GiB, kernel 6.18", CPUs: 2, Load: 0.25, Engine: "local",
		Memory: 256 << 20, Runs: "TCG", Repeats: 3, Took: 90 * time.Minute, Scenes: scenes,
		Images: map[string]string{SeriesCold: "deb", SeriesWarm: "deb", SeriesUnoptimised: "deb-full"},
		Stops:  []Stop{{SeriesCold, 17, "run 40 ended as FAILED: 1 task: no memory"}, {SeriesUnoptimised, 0, "there is no image"}},
	}
	for _, k := range []struct {
		name  string
		one   time.Duration
		start time.Duration
	}{{SeriesCold, 2500 * time.Millisecond, 2 * time.Second}, {SeriesWarm, 400 * time.Millisecond, 120 * time.Millisecond}, {SeriesUnoptimised, 40 * time.Second, 39 * time.Second}} {
		p := room.Plan(k.name, scenes, 3, k.one)
		r.Plans = append(r.Plans, p)
		for _, s := range p.Scenes {
			for repeat := 1; repeat <= 3; repeat++ {
				wobble := time.Duration(90 + 10*repeat) // 100, 110, 120 %
				r.Samples = append(r.Samples, Sample{
					Series: k.name, Instances: s.VMs(), Jobs: s.Jobs, Repeat: repeat, Nodes: 1, Launch: room.Takes(s, k.one) * wobble / 100,
					First: k.one * wobble / 100, Start: k.start * wobble / 100, Alive: s.VMs(), Down: time.Duration(s.PerJob) * 50 * time.Millisecond * wobble / 100,
				})
			}
		}
	}
	return r
}

func TestWriteVM(t *testing.T) {
	dir := t.TempDir()
	if *keep != "" {
		dir = filepath.Join(*keep, "vm")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	names, err := madeVM().Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := "vm.csv vm.json launch-time.svg launch-time.png down-time.svg down-time.png report.md"; strings.Join(names, " ") != want {
		t.Errorf("wrote %v, want %s", names, want)
	}
	compareGoldens(t, dir, filepath.Join("testdata", "vm"), names)
}

func TestVMVerdict(t *testing.T) {
	want := `left out: stripped cold: 16 jobs × 8 VMs: 128 guests take 37G of memory, and 20G can be had
left out: stripped warm: 16 jobs × 8 VMs: 128 guests take 37G of memory, and 20G can be had
left out: unoptimised: 2 jobs × 8 VMs and 9 scenarios more: a launch would take about 5 min 20 s, and --longest is 5 min
stripped cold was measured no further at 16 jobs × 2 VMs: run 40 ended as FAILED: 1 task: no memory
unoptimised was measured no further before anything was measured: there is no image
One VM, unoptimised: its job has added two numbers 44.0 s after the command, 42.9 s after the beginning of its clone.
One VM, stripped cold: its job has added two numbers 2.75 s after the command, 2.20 s after the beginning of its clone.
One VM, stripped warm: its job has added two numbers 440 ms after the command, 132 ms after the beginning of its clone.
Stripped cold is 16.0 times as quick as unoptimised from the command, 19.5 times in the guest's own start.
Stripped warm is 6.2 times as quick as stripped cold from the command, 16.7 times in the guest's own start.`
	if got := strings.Join(madeVM().Verdict(), "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
