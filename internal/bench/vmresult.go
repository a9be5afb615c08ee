package bench

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// Series of the experiment with VM jobs.
const (
	SeriesCold        = "stripped cold"
	SeriesWarm        = "stripped warm"
	SeriesUnoptimised = "unoptimised"
)

// VMSource is where the experiment with VM jobs was published.
const VMSource = "HPC-VMs: virtual machines in high performance computing systems, MIT Lincoln Laboratory, 2012"

// A VMResult is all that the experiment with VM jobs has shown, and what it was.
type VMResult struct {
	When    time.Time
	Version string // muster's
	Machine string // in one line
	CPUs    int
	Load    float64 // of the machine, before
	Engine  string
	Nodes   int               // that jobs could be spread over; 0: lanes of this machine
	Memory  int64             // of a guest, bytes
	Runs    string            // what ran the guests: KVM, TCG
	Images  map[string]string // by series
	Repeats int
	Took    time.Duration
	Samples []Sample
	Stops   []Stop // their Instances count Scenes, from 1
	Scenes  []Scene
	Plans   []VMPlan
}

// Points are the samples, summarised.
func (r *VMResult) Points() []Point { return Summarise(r.Samples) }

// at is what a series showed in a scene.
func (r *VMResult) at(series string, s Scene) (Point, bool) {
	for _, p := range r.Points() {
		if p.Series == series && p.Jobs == s.Jobs && p.Instances == s.VMs() {
			return p, true
		}
	}
	return Point{}, false
}

// PerJob is how many guests each job had.
func (p Point) PerJob() int { return p.Instances / max(p.Jobs, 1) }

// A VMRatio is how many times as quick one series is as another, one VM alone.
type VMRatio struct {
	Quick, Slow string
	Launch      float64 // from the command
	Start       float64 // of the guest's own start; 0: not known
}

// Ratios compare the series, one job with one VM.
func (r *VMResult) Ratios() []VMRatio {
	var out []VMRatio
	for _, pair := range [][2]string{{SeriesCold, SeriesUnoptimised}, {SeriesWarm, SeriesCold}} {
		quick, ok1 := r.at(pair[0], Scene{1, 1})
		slow, ok2 := r.at(pair[1], Scene{1, 1})
		if !ok1 || !ok2 || quick.Launch.Median <= 0 {
			continue
		}
		v := VMRatio{Quick: pair[0], Slow: pair[1], Launch: slow.Launch.Median / quick.Launch.Median}
		if quick.Start.Median > 0 {
			v.Start = slow.Start.Median / quick.Start.Median
		}
		out = append(out, v)
	}
	return out
}

// WriteCSV writes a line for each launch.
func (r *VMResult) WriteCSV(w io.Writer) error {
	cw := csv.NewWriter(w)
	// Errors stay in the Writer until Flush.
	_ = cw.Write([]string{"series", "jobs", "vms_per_job", "vms", "nodes", "repeat", "launch_s", "first_s", "start_s", "down_s"})
	for _, s := range r.Samples {
		_ = cw.Write([]string{
			s.Series, strconv.Itoa(s.Jobs), strconv.Itoa(s.Instances / max(s.Jobs, 1)), strconv.Itoa(s.Instances), strconv.Itoa(s.Nodes), strconv.Itoa(s.Repeat),
			decimal(s.Launch.Seconds()), decimal(s.First.Seconds()), known(s.Start.Seconds(), s.Start > 0), known(s.Down.Seconds(), s.Down > 0),
		})
	}
	cw.Flush()
	if err := cw.Error(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// vmJSON is the result's form for programs. Its names are kept.
type vmJSON struct {
	Version   int               `json:"version"`
	When      time.Time         `json:"when"`
	Muster    string            `json:"muster"`
	Machine   string            `json:"machine"`
	CPUs      int               `json:"cpus"`
	Load      float64           `json:"load_before"`
	Engine    string            `json:"engine"`
	Nodes     int               `json:"nodes"` // 0: jobs are lanes of one machine
	Memory    int64             `json:"memory_bytes"`
	Runs      string            `json:"accelerator"`
	Images    map[string]string `json:"images"`
	Repeats   int               `json:"repeats"`
	Seconds   float64           `json:"seconds"`
	Points    []vmPointJSON     `json:"points"`
	Samples   []vmSampleJSON    `json:"samples"`
	Ratios    []vmRatioJSON     `json:"ratios"`
	LeftOut   []vmLeftJSON      `json:"left_out"`
	Stopped   []vmLeftJSON      `json:"stopped"`
	Published string            `json:"published"`
}

type vmPointJSON struct {
	Series  string      `json:"series"`
	Jobs    int         `json:"jobs"`
	PerJob  int         `json:"vms_per_job"`
	VMs     int         `json:"vms"`
	Repeats int         `json:"repeats"`
	Launch  spreadJSON  `json:"launch_s"`
	First   spreadJSON  `json:"first_s"`
	Start   *spreadJSON `json:"start_s,omitempty"`
	Down    *spreadJSON `json:"down_s,omitempty"`
}

type vmSampleJSON struct {
	Series string  `json:"series"`
	Jobs   int     `json:"jobs"`
	PerJob int     `json:"vms_per_job"`
	Nodes  int     `json:"nodes"`
	Repeat int     `json:"repeat"`
	Launch float64 `json:"launch_s"`
	First  float64 `json:"first_s"`
	Start  float64 `json:"start_s,omitempty"`
	Down   float64 `json:"down_s,omitempty"`
}

type vmRatioJSON struct {
	Quick  string  `json:"quick"`
	Slow   string  `json:"slow"`
	Launch float64 `json:"launch"`
	Start  float64 `json:"start,omitempty"`
}

type vmLeftJSON struct {
	Series string `json:"series"`
	Jobs   int    `json:"jobs"` // 0: before anything was measured
	PerJob int    `json:"vms_per_job"`
	Reason string `json:"reason"`
}

// WriteJSON writes the result as one object.
func (r *VMResult) WriteJSON(w io.Writer) error {
	j := vmJSON{
		Version: 1, When: r.When, Muster: r.Version, Machine: r.Machine, CPUs: r.CPUs, Load: math.Round(r.Load*100) / 100, Engine: r.Engine, Nodes: r.Nodes,
		Memory: r.Memory, Runs: r.Runs, Images: r.Images, Repeats: r.Repeats, Seconds: micro(r.Took.Seconds()), Points: []vmPointJSON{}, Samples: []vmSampleJSON{},
		Ratios: []vmRatioJSON{}, LeftOut: []vmLeftJSON{}, Stopped: []vmLeftJSON{}, Published: VMSource,
	}
	unless := func(s Spread) *spreadJSON {
		if s.Median == 0 {
			return nil
		}
		out := s.json()
		return &out
	}
	for _, p := range r.Points() {
		j.Points = append(j.Points, vmPointJSON{p.Series, p.Jobs, p.PerJob(), p.Instances, p.Repeats, p.Launch.json(), p.First.json(), unless(p.Start), unless(p.Down)})
	}
	for _, s := range r.Samples {
		j.Samples = append(j.Samples, vmSampleJSON{s.Series, s.Jobs, s.Instances / max(s.Jobs, 1), s.Nodes, s.Repeat,
			micro(s.Launch.Seconds()), micro(s.First.Seconds()), micro(s.Start.Seconds()), micro(s.Down.Seconds())})
	}
	for _, v := range r.Ratios() {
		j.Ratios = append(j.Ratios, vmRatioJSON{v.Quick, v.Slow, micro(v.Launch), micro(v.Start)})
	}
	for _, p := range r.Plans {
		for _, s := range p.Left {
			j.LeftOut = append(j.LeftOut, vmLeftJSON{p.Series, s.Jobs, s.PerJob, p.Why})
		}
	}
	for _, s := range r.Stops {
		left := vmLeftJSON{Series: s.Series, Reason: s.Reason}
		if s.Instances > 0 {
			sc := r.Scenes[s.Instances-1]
			left.Jobs, left.PerJob = sc.Jobs, sc.PerJob
		}
		j.Stopped = append(j.Stopped, left)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(j); err != nil {
		return fmt.Errorf("writing the JSON: %w", err)
	}
	return nil
}

// Write writes everything that the result is shown in to a folder, and returns the
// names of the files, the most telling one last.
func (r *VMResult) Write(dir string) ([]string, error) {
	w := writing{dir: dir}
	w.file("vm.csv", r.WriteCSV)
	w.file("vm.json", r.WriteJSON)
	w.draw(r.Figures())
	w.file("report.md", r.WriteReport)
	return w.names, w.err
}
