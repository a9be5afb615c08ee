package ui

import (
	"encoding/json"
	"time"

	"muster/internal/job"
	"muster/internal/ui/human"
)

// ProgressVersion is the version of the objects that --progress=json writes.
const ProgressVersion = 1

// Event is one object of --progress=json. Type says which fields count:
// "progress" and "end" (all of Run … Message), "step" (Step, State, Seconds,
// Limit, Message), "note" (Message).
type Event struct {
	Version int    `json:"version"`
	Type    string `json:"type"`

	Run     int               `json:"run,omitempty"`
	Total   int               `json:"total,omitempty"`
	States  map[job.State]int `json:"states,omitempty"`
	Alive   int               `json:"alive,omitempty"` // of a launch, those of RUNNING that are
	Rate    float64           `json:"rate_per_s,omitempty"`
	Seconds float64           `json:"seconds,omitempty"` // elapsed
	Left    float64           `json:"left_seconds,omitempty"`
	Slowest job.Phase         `json:"slowest_phase,omitempty"`
	Slow    float64           `json:"slowest_seconds,omitempty"`
	Failure string            `json:"failure,omitempty"`

	Step  string  `json:"step,omitempty"`
	State string  `json:"state,omitempty"` // of a step: running, done, failed
	Limit float64 `json:"limit_seconds,omitempty"`

	Message string `json:"message,omitempty"`
}

// jsonReporter writes an object when something has changed, at most one a second
// about the run, and one at least every 30 s.
type jsonReporter struct {
	out   *Stream
	last  time.Time
	told  string // the last progress object, without its clocks
	steps stepsTold
}

func (r *jsonReporter) beat(now time.Time, v view) {
	for _, s := range v.steps {
		if due, _ := r.steps.due(s); due {
			r.write(stepEvent(s, "running"))
		}
	}
	if !v.have || now.Sub(r.last) < time.Second {
		return
	}
	e := runEvent("progress", v.status)
	still := e
	still.Seconds, still.Rate, still.Left, still.Slow = 0, 0, 0, 0
	key, _ := json.Marshal(still) // an Event always can be written
	if string(key) == r.told && now.Sub(r.last) < plainEvery {
		return
	}
	r.last, r.told = now, string(key)
	r.write(e)
}

func (r *jsonReporter) note(text string) { r.write(Event{Type: "note", Message: human.Escape(text)}) }

func (r *jsonReporter) stepEnded(s stepView, seen bool, err error) {
	delete(r.steps, s.name)
	state := "done"
	if err != nil {
		state = "failed"
	}
	if seen {
		r.write(stepEvent(s, state))
	}
}

func (r *jsonReporter) finish(st Status) { r.write(runEvent("end", st)) }

func (r *jsonReporter) close() {}

func (r *jsonReporter) write(e Event) {
	e.Version = ProgressVersion
	line, _ := json.Marshal(e)
	r.out.Print(string(line) + "\n")
}

func runEvent(kind string, st Status) Event {
	t := st.tally()
	states := map[job.State]int{}
	for s, n := range st.Counts {
		if n > 0 {
			states[s] = n
		}
	}
	if t.waiting > 0 {
		states[job.Pending] = t.waiting
	}
	return Event{
		Type: kind, Run: st.Run, Total: t.total, States: states, Alive: t.alive,
		Rate: round(st.Rate), Seconds: seconds(st.Elapsed), Left: seconds(st.Left),
		Slowest: st.Slowest, Slow: seconds(st.SlowestTime), Failure: human.Escape(st.Failure), Message: human.Escape(st.Message),
	}
}

func stepEvent(s stepView, state string) Event {
	return Event{Type: "step", Step: s.name, State: state, Seconds: seconds(s.took), Limit: seconds(s.limit), Message: human.Escape(s.detail)}
}

// seconds is d to the millisecond.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// round keeps three digits after the point, and nothing that JSON cannot hold.
func round(v float64) float64 {
	if v != v || v > 1e12 || v < 0 {
		return 0
	}
	return float64(int64(v*1000+0.5)) / 1000
}
