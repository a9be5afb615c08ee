package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"muster/internal/job"
	"muster/internal/timeline"
)

// JSONVersion is the version of the report's JSON form. It grows when a name
// changes its meaning or goes away, not when one is added.
const JSONVersion = 1

// document is the JSON form of a report. Names are stable. Durations are in
// seconds; moments within the run are seconds since its submission. Percentiles
// are by nearest rank (timeline.QuantileMethod), stragglers by
// timeline.StragglerRule.
type document struct {
	Version   int                     `json:"version"`
	Run       int                     `json:"run"`
	Name      string                  `json:"name"`
	State     job.State               `json:"state"`
	Reason    string                  `json:"reason,omitempty"`
	Guest     string                  `json:"guest"`
	Engine    string                  `json:"engine"`
	Isolation job.Isolation           `json:"isolation"`
	Lanes     int                     `json:"lanes"`
	Submitted *time.Time              `json:"submitted"` // null: not known
	Ended     *time.Time              `json:"ended"`     // null: not yet
	Seconds   float64                 `json:"seconds"`   // it took, or has taken so far
	Tasks     int                     `json:"tasks"`
	Completed int                     `json:"completed"`
	Failed    int                     `json:"failed"`  // FAILED, TIMEOUT, OUT_OF_MEMORY, BOOT_FAIL
	Lost      int                     `json:"lost"`    // LOST, NODE_FAIL
	States    map[job.State]int       `json:"states"`  // tasks in each state
	Retried   int                     `json:"retried"` // tasks with more than one attempt
	Phases    map[job.Phase]phaseJSON `json:"phases"`
	Instances launchJSON              `json:"instances"`
	Programs  launchJSON              `json:"programs"`
	Launch    *aliveJSON              `json:"launch,omitempty"` // of a launch
	Nodes     []nodeJSON              `json:"nodes"`            // by agent; of a run directory
	Clocks    []clockJSON             `json:"clocks"`           // how times were brought to the submitting host's clock
	Told      []toldJSON              `json:"told,omitempty"`   // what agents told, stamped by the submitting host (--timing socket)
	LaneUse   []laneJSON              `json:"lane_use"`
	Straggler []stragglerJSON         `json:"stragglers"` // the longest first
	Failures  []groupJSON             `json:"failures"`   // by cause, the largest first
	Advice    []Advice                `json:"advice"`
	Notes     []string                `json:"notes"`
	Reduce    *reduceJSON             `json:"reduce"` // null: none, or not yet
	Next      string                  `json:"next"`   // the command to go on with, or ""
}

type phaseJSON struct {
	Count   int     `json:"count"`
	Open    int     `json:"open"` // had not ended; not in the other figures
	MedianS float64 `json:"median_s"`
	P95S    float64 `json:"p95_s"`
	MaxS    float64 `json:"max_s"`
	TotalS  float64 `json:"total_s"`
}

// aliveJSON is what muster launch --json says of a launch.
type aliveJSON struct {
	Programs int                `json:"programs"`
	AliveMax int                `json:"alive_max"`
	LaunchS  float64            `json:"launch_seconds"`
	RatePerS float64            `json:"rate_per_s"`
	Each     int64              `json:"bytes_each"`
	Waves    int                `json:"waves"`
	Phases   map[string]float64 `json:"phases"`
}

type launchJSON struct {
	Begun    int     `json:"begun"`
	Came     int     `json:"came"`       // instances: ready; programs: started
	BeginS   float64 `json:"begin_s"`    // the ramp begins
	By95S    float64 `json:"by95_s"`     // 95 % had come
	LastS    float64 `json:"last_s"`     // all had come
	RatePerS float64 `json:"rate_per_s"` // over the ramp; 0: it has no length
	AliveMax int     `json:"alive_max"`  // most at once
}

type laneJSON struct {
	Agent    int     `json:"agent"`
	Host     string  `json:"host,omitempty"`
	Lane     int     `json:"lane"`
	Programs int     `json:"programs"`
	Busy     float64 `json:"busy"` // share of window_s in which a program ran
	WindowS  float64 `json:"window_s"`
	OpeningS float64 `json:"opening_s"`
	ClosingS float64 `json:"closing_s"`
}

type stragglerJSON struct {
	Task    int       `json:"task"`
	Attempt int       `json:"attempt"`
	Agent   int       `json:"agent"`
	Lane    int       `json:"lane"`
	State   job.State `json:"state"`
	RanS    float64   `json:"ran_s"`
	Times   float64   `json:"times_median"`
	Open    bool      `json:"open"`
}

type groupJSON struct {
	Code    job.Cause      `json:"code"`
	State   job.State      `json:"state"`
	Count   int            `json:"count"`
	Tasks   string         `json:"tasks"` // "1-3,7"
	What    string         `json:"what"`
	Detail  string         `json:"detail,omitempty"`
	Exits   []int          `json:"exit_codes,omitempty"`
	Signals []int          `json:"signals,omitempty"`
	Hosts   map[string]int `json:"hosts"`
	Example exampleJSON    `json:"example"`
	Try     string         `json:"try,omitempty"`
	Retry   string         `json:"retry,omitempty"`
}

type exampleJSON struct {
	Task    int    `json:"task"`
	Attempt int    `json:"attempt"`
	Input   string `json:"input"`
	Exit    string `json:"exit"` // code:signal
	Log     string `json:"log,omitempty"`
}

type reduceJSON struct {
	Ran     bool      `json:"ran"`
	Why     string    `json:"why,omitempty"`
	State   job.State `json:"state,omitempty"`
	Exit    string    `json:"exit,omitempty"`
	Seconds float64   `json:"seconds"`
	Output  string    `json:"output,omitempty"`
}

// WriteJSON writes the report as one JSON object, indented. The names are
// documented at the type document, and stable within a version.
func (r *Report) WriteJSON(w io.Writer) error {
	data, err := json.MarshalIndent(r.document(), "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	if _, err := w.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	return nil
}

func (r *Report) document() document {
	run := &r.run
	again, _ := r.retried()
	d := document{
		Version: JSONVersion, Run: run.Number, Name: run.Name, State: run.State, Reason: run.Reason, Guest: run.Spec.Guest, Engine: run.Spec.Engine,
		Isolation: run.Spec.Isolation, Lanes: run.Lanes, Submitted: moment(run.Submitted), Ended: moment(run.Ended), Seconds: seconds(r.took()),
		Tasks: r.total(), Completed: run.Tasks[job.Completed], Failed: r.failed(), Lost: r.lost(), Retried: again,
		States: map[job.State]int{}, Phases: map[job.Phase]phaseJSON{},
		Instances: launchDoc(r.sum.Instances), Programs: launchDoc(r.sum.Programs),
		Nodes: r.nodeDocs(), Clocks: r.clockDocs(), Told: r.toldDocs(), LaneUse: []laneJSON{}, Straggler: []stragglerJSON{}, Failures: []groupJSON{}, Advice: []Advice{}, Notes: []string{}, Next: r.next(),
	}
	if l, ok := r.Launch(); ok {
		d.Launch = &aliveJSON{l.Programs, l.AliveMax, seconds(l.After), round(l.Rate), l.Each, l.Waves, map[string]float64{}}
		for name, took := range l.Phases {
			d.Launch.Phases[name] = seconds(took)
		}
	}
	for s, n := range run.Tasks {
		if n > 0 {
			d.States[s] = n
		}
	}
	for _, p := range r.sum.Phases {
		d.Phases[p.Phase] = phaseJSON{p.Count, p.Open, seconds(p.Median), seconds(p.P95), seconds(p.Max), seconds(p.Total)}
	}
	for _, u := range r.sum.Lanes {
		d.LaneUse = append(d.LaneUse, laneJSON{u.Agent, run.Hosts[u.Agent], u.Lane, u.Programs, round(u.Busy()), seconds(u.Window), seconds(u.Opening), seconds(u.Closing)})
	}
	for _, s := range r.sum.Stragglers {
		d.Straggler = append(d.Straggler, stragglerJSON{s.Task, s.Attempt, s.Agent, s.Lane, s.State, seconds(s.Ran), round(s.Times), s.Open})
	}
	for i := range r.groups {
		d.Failures = append(d.Failures, r.groupDoc(&r.groups[i]))
	}
	d.Advice = append(d.Advice, r.advice...)
	d.Notes = append(d.Notes, run.Notes...)
	if x := run.Reduce; x != nil {
		d.Reduce = &reduceJSON{Ran: x.Ran, Why: x.Why, State: x.State, Seconds: seconds(x.Took), Output: x.Output}
		if x.Ran {
			d.Reduce.Exit = x.Exit.String()
		}
	}
	return d
}

func (r *Report) groupDoc(g *Group) groupJSON {
	doc := groupJSON{
		Code: g.Cause, State: g.State, Count: len(g.Tasks), Tasks: job.NewIndexSet(g.Tasks...).String(), What: r.what(g), Detail: g.Detail,
		Exits: g.Codes, Signals: g.Signals, Hosts: map[string]int{}, Try: r.try(g), Retry: r.retry(g),
		Example: exampleJSON{g.Example.Task, g.Example.Attempt, g.Example.Input, g.Example.Exit.String(), g.Example.LogTail},
	}
	for _, h := range g.Hosts {
		doc.Hosts[h.Name] = h.Count
	}
	return doc
}

func launchDoc(l timeline.Launch) launchJSON {
	return launchJSON{l.Begun, l.Came, seconds(l.Begin), seconds(l.By95), seconds(l.Last), round(l.Rate), l.Peak}
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// round keeps three decimals.
func round(f float64) float64 { return float64(int64(f*1000+0.5)) / 1000 }
