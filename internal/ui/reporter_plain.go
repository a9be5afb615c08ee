package ui

import (
	"strconv"
	"strings"
	"time"

	"muster/internal/ui/human"
)

// plainReporter writes whole lines, few of them, for logs and pipes.
type plainReporter struct {
	out     *Stream
	began   bool
	last    time.Time // of the last line about the run
	tenth   int       // the last tenth that was told
	failure string    // the last failure that was told
	message string
	steps   stepsTold
}

func (r *plainReporter) beat(now time.Time, v view) {
	for _, s := range v.steps {
		r.step(s)
	}
	if !v.have {
		return
	}
	st := v.status
	t := st.tally()
	tenth := 0
	if t.total > 0 {
		tenth = t.progress() * 10 / t.total
	}
	if !r.began { // what a resumed run has behind it is no news
		r.began, r.last, r.tenth = true, now, tenth
	}
	if st.Message != "" && st.Message != r.message {
		r.out.Print(runName(st.Run) + ": " + human.Line(st.Message, 200) + "\n")
	}
	r.message = st.Message
	since := now.Sub(r.last)
	if since < plainEvery && (tenth <= r.tenth || since < plainAtMost) {
		return
	}
	r.last, r.tenth = now, tenth
	r.out.Print(plainSentence(st) + "\n")
	if st.Failure != "" && st.Failure != r.failure {
		r.failure = st.Failure
		r.out.Print(runName(st.Run) + ": newest failure: " + human.Line(st.Failure, 200) + "\n")
	}
}

func (r *plainReporter) step(s stepView) {
	due, first := r.steps.due(s)
	if !due {
		return
	}
	text := human.Escape(s.name)
	switch {
	case !first:
		text += ": " + human.Seconds(s.took) + " so far"
		if s.detail != "" {
			text += ", " + human.Line(s.detail, 120)
		}
	case s.limit > 0:
		text += " (at most " + human.Duration(s.limit) + ")"
	}
	r.out.Print(text + "\n")
}

// stepsTold remembers, for each step, how many times 30 s of it were told.
type stepsTold map[string]int

// due reports whether s is to be mentioned now: once at first, then every 30 s.
func (told *stepsTold) due(s stepView) (due, first bool) {
	if *told == nil {
		*told = stepsTold{}
	}
	times := int(s.took / plainEvery)
	before, known := (*told)[s.name]
	if known && times <= before {
		return false, false
	}
	(*told)[s.name] = times
	return true, !known
}

func (r *plainReporter) note(text string) { r.out.Print(human.Escape(text) + "\n") }

func (r *plainReporter) stepEnded(s stepView, seen bool, err error) {
	delete(r.steps, s.name)
	if seen {
		r.out.Print(stepSentence(s, err) + "\n")
	}
}

func (r *plainReporter) finish(st Status) { r.out.Print(lastSentence(st) + "\n") }

func (r *plainReporter) close() {}

// runName is how a run is called at the beginning of a line.
func runName(n int) string {
	if n == 0 {
		return "run"
	}
	return "run " + strconv.Itoa(n)
}

// plainSentence is "run 12: 62 %, 6,190 of 10,000 completed, 24 failed, 8 running,
// 151/s, about 25 s left".
func plainSentence(st Status) string {
	t := st.tally()
	parts := []string{human.Percent(t.progress(), t.total), human.Count(t.completed) + " of " + human.Count(t.total) + " completed"}
	if t.launch {
		parts[1] = human.Count(t.alive) + " of " + human.Count(t.total) + " alive"
		if t.completed > 0 {
			parts = append(parts, human.Count(t.completed)+" ended")
		}
	}
	if t.failed > 0 {
		parts = append(parts, human.Count(t.failed)+" failed")
	}
	if t.lost > 0 {
		parts = append(parts, human.Count(t.lost)+" lost or cancelled")
	}
	if !t.launch {
		parts = append(parts, human.Count(t.running)+" running")
	} else if starting := t.running - t.alive; starting > 0 {
		parts = append(parts, human.Count(starting)+" starting")
	}
	if t.suspended > 0 {
		parts = append(parts, human.Count(t.suspended)+" of them suspended")
	}
	if st.Rate > 0 {
		parts = append(parts, human.Rate(st.Rate))
	}
	if st.Left > 0 {
		parts = append(parts, "about "+human.Seconds(st.Left)+" left")
	}
	return runName(st.Run) + ": " + strings.Join(parts, ", ")
}

// lastSentence says how a run ended.
func lastSentence(st Status) string {
	t := st.tally()
	var what string
	if t.completed == t.total && t.total == 1 {
		what = "its one task completed"
	} else if t.completed == t.total && t.total > 0 {
		what = "all " + human.Count(t.total) + " tasks completed"
	} else {
		parts := []string{human.Count(t.completed) + " of " + human.Plural(t.total, "task") + " completed"}
		if t.failed > 0 {
			parts = append(parts, human.Count(t.failed)+" failed")
		}
		if t.lost > 0 {
			parts = append(parts, human.Count(t.lost)+" lost or cancelled")
		}
		if t.running > 0 {
			parts = append(parts, human.Count(t.running)+" still running")
		}
		if t.waiting > 0 {
			parts = append(parts, human.Count(t.waiting)+" not started")
		}
		what = strings.Join(parts, ", ")
	}
	what = runName(st.Run) + ": " + what
	if st.Elapsed > 0 {
		what += " in " + human.Duration(st.Elapsed)
		if t.ended() > 1 {
			what += " (" + human.Rate(float64(t.ended())/st.Elapsed.Seconds()) + ")"
		}
	}
	return what
}

// stepSentence says how a step ended.
func stepSentence(s stepView, err error) string {
	if err != nil {
		return human.Escape(s.name) + ": failed after " + human.Duration(s.took)
	}
	return human.Escape(s.name) + ": done in " + human.Duration(s.took)
}

// silent shows nothing but what a person must be told.
type silent struct{ out *Stream }

func (silent) beat(time.Time, view)            {}
func (s silent) note(text string)              { s.out.Print(human.Escape(text) + "\n") }
func (silent) stepEnded(stepView, bool, error) {}
func (silent) finish(Status)                   {}
func (silent) close()                          {}
