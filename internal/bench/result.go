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

// A Result is all that an experiment has shown, and what it was.
type Result struct {
	When      time.Time
	Version   string // muster's
	Machine   string // in one line
	CPUs      int
	Load      float64 // of the machine, before
	Guest     string
	Isolation string
	Engine    string
	Nodes     int // that instances were spread over, at most
	Repeats   int
	Took      time.Duration
	Samples   []Sample
	Stops     []Stop
	Published Reference
}

// Points are the samples, summarised.
func (r *Result) Points() []Point { return Summarise(r.Samples) }

// Ours is the name of the series that counts.
func (r *Result) Ours() string {
	if len(r.Samples) == 0 {
		return ""
	}
	return r.Samples[0].Series
}

// Best is the point with the most instances of a series.
func (r *Result) Best(series string) (best Point, ok bool) {
	for _, p := range r.Points() {
		if p.Series == series {
			best, ok = p, true
		}
	}
	return best, ok
}

// WriteCSV writes a line for each launch.
func (r *Result) WriteCSV(w io.Writer) error {
	cw := csv.NewWriter(w)
	// Errors stay in the Writer until Flush.
	_ = cw.Write([]string{"series", "instances", "nodes", "repeat", "launch_s", "rate_per_s", "copy_s", "alive", "counted_by", "memory_each_bytes", "cpu_each_s", "down_s"})
	for _, s := range r.Samples {
		_ = cw.Write([]string{
			s.Series, strconv.Itoa(s.Instances), strconv.Itoa(s.Nodes), strconv.Itoa(s.Repeat), decimal(s.Launch.Seconds()), decimal(s.Rate()),
			known(s.Copy.Seconds(), s.Copies), strconv.Itoa(s.Alive), string(s.Source), known(float64(s.MemoryEach()), s.Memory > 0),
			known(s.CPUEach().Seconds(), s.CPU > 0), known(s.Down.Seconds(), s.Down > 0),
		})
	}
	cw.Flush()
	if err := cw.Error(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// decimal writes a number to the microsecond, or a millionth of whatever it is.
func decimal(v float64) string { return strconv.FormatFloat(micro(v), 'f', -1, 64) }

func micro(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// known leaves a field empty that nobody has measured.
func known(v float64, ok bool) string {
	if !ok {
		return ""
	}
	return decimal(v)
}

// resultJSON is the result's form for programs. Its names are kept.
type resultJSON struct {
	Version   int          `json:"version"`
	When      time.Time    `json:"when"`
	Muster    string       `json:"muster"`
	Machine   string       `json:"machine"`
	CPUs      int          `json:"cpus"`
	Load      float64      `json:"load_before"`
	Guest     string       `json:"guest"`
	Isolation string       `json:"isolation"`
	Engine    string       `json:"engine"`
	Nodes     int          `json:"nodes"`
	Repeats   int          `json:"repeats"`
	Seconds   float64      `json:"seconds"`
	Points    []pointJSON  `json:"points"`
	Samples   []sampleJSON `json:"samples"`
	Stopped   []stopJSON   `json:"stopped"`
	Published Reference    `json:"published"`
}

type spreadJSON struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

type pointJSON struct {
	Series    string      `json:"series"`
	Instances int         `json:"instances"`
	Nodes     int         `json:"nodes"`
	Repeats   int         `json:"repeats"`
	Launch    spreadJSON  `json:"launch_s"`
	Rate      spreadJSON  `json:"rate_per_s"`
	Copy      *spreadJSON `json:"copy_s,omitempty"`
	Alive     int         `json:"alive"`
	CountedBy Source      `json:"counted_by"`
	Memory    int64       `json:"memory_each_bytes,omitempty"`
	CPU       float64     `json:"cpu_each_s,omitempty"`
	Down      *spreadJSON `json:"down_s,omitempty"`
}

type sampleJSON struct {
	Series    string   `json:"series"`
	Instances int      `json:"instances"`
	Nodes     int      `json:"nodes"`
	Repeat    int      `json:"repeat"`
	Launch    float64  `json:"launch_s"`
	Rate      float64  `json:"rate_per_s"`
	Copy      *float64 `json:"copy_s,omitempty"`
	Alive     int      `json:"alive"`
	Memory    int64    `json:"memory_bytes,omitempty"`
	CPU       float64  `json:"cpu_s,omitempty"`
	Down      float64  `json:"down_s,omitempty"`
}

type stopJSON struct {
	Series    string `json:"series"`
	Instances int    `json:"instances"`
	Reason    string `json:"reason"`
}

func (s Spread) json() spreadJSON { return spreadJSON{micro(s.Median), micro(s.Min), micro(s.Max)} }

// WriteJSON writes the result as one object.
func (r *Result) WriteJSON(w io.Writer) error {
	j := resultJSON{
		Version: 1, When: r.When, Muster: r.Version, Machine: r.Machine, CPUs: r.CPUs, Load: math.Round(r.Load*100) / 100, Guest: r.Guest, Isolation: r.Isolation, Engine: r.Engine,
		Nodes: r.Nodes, Repeats: r.Repeats, Seconds: micro(r.Took.Seconds()),
		Points: []pointJSON{}, Samples: []sampleJSON{}, Stopped: []stopJSON{}, Published: r.Published,
	}
	for _, p := range r.Points() {
		pj := pointJSON{
			Series: p.Series, Instances: p.Instances, Nodes: p.Nodes, Repeats: p.Repeats, Launch: p.Launch.json(), Rate: p.Rate.json(),
			Alive: p.Alive, CountedBy: p.Source, Memory: p.Memory, CPU: micro(p.CPU.Seconds()),
		}
		if p.Copies {
			s := p.Copy.json()
			pj.Copy = &s
		}
		if p.Down.Median > 0 {
			s := p.Down.json()
			pj.Down = &s
		}
		j.Points = append(j.Points, pj)
	}
	for _, s := range r.Samples {
		sj := sampleJSON{
			Series: s.Series, Instances: s.Instances, Nodes: s.Nodes, Repeat: s.Repeat, Launch: micro(s.Launch.Seconds()), Rate: micro(s.Rate()),
			Alive: s.Alive, Memory: s.Memory, CPU: micro(s.CPU.Seconds()), Down: micro(s.Down.Seconds()),
		}
		if s.Copies {
			took := micro(s.Copy.Seconds())
			sj.Copy = &took
		}
		j.Samples = append(j.Samples, sj)
	}
	for _, s := range r.Stops {
		j.Stopped = append(j.Stopped, stopJSON(s))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(j); err != nil {
		return fmt.Errorf("writing the JSON: %w", err)
	}
	return nil
}
