package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"muster/internal/job"
	"muster/internal/timeline"
	"muster/internal/ui/human"
)

// Advice is something to do differently next time, with the figures of this
// run that speak for it.
type Advice struct {
	Flag string `json:"flag"` // the literal flag: "--mem 400M"
	Why  string `json:"why"`  // one sentence
}

// worth is from how much time on saving it is worth a sentence: a second, and
// a tenth of the run.
func (r *Report) worth(saved time.Duration) bool {
	return saved >= time.Second && saved*10 >= r.took()
}

// advise collects what can be said of this run. A run that has not ended gets
// none: its figures are still moving.
func (r *Report) advise() []Advice {
	if r.run.Spec.Launch != nil {
		return nil // what its programs did with their time says nothing of how to launch them
	}
	if !r.run.State.Ended() || r.sum.Attempts == 0 {
		return nil
	}
	var out []Advice
	for _, f := range []func() *Advice{r.adviseMem, r.adviseMoreMem, r.adviseIsolation, r.adviseIdleLanes,
		r.adviseMoreLanes, r.adviseDistribution, r.adviseTimeout, r.adviseRetries} {
		if a := f(); a != nil {
			out = append(out, *a)
		}
	}
	return out
}

// adviseMem: far less memory was used than asked for.
func (r *Report) adviseMem() *Advice {
	if r.run.Spec.Guest == "vm" {
		return nil // it is a whole system's, of which the program's own peak says little
	}
	asked, peak := r.run.Spec.Mem, r.run.PeakMem
	if asked <= 0 || peak <= 0 || r.run.Tasks[job.OutOfMemory] > 0 {
		return nil
	}
	enough := roundMem(peak + peak/4)
	times := asked / enough
	if times < 2 {
		return nil
	}
	return &Advice{
		Flag: "--mem " + job.FormatMemory(enough),
		Why:  fmt.Sprintf("peak memory %s of %s asked: %d times as many would fit", human.Memory(peak), job.FormatMemory(asked), times),
	}
}

// roundMem rounds up to two digits that count, so that the flag is short.
func roundMem(n int64) int64 {
	const mib = 1 << 20
	m := max((n+mib-1)/mib, 1)
	step := int64(1)
	for m/step >= 100 {
		step *= 10
	}
	return (m + step - 1) / step * step * mib
}

// adviseMoreMem: programs were killed for memory.
func (r *Report) adviseMoreMem() *Advice {
	asked, n := r.run.Spec.Mem, r.run.Tasks[job.OutOfMemory]
	if asked <= 0 || n == 0 {
		return nil
	}
	return &Advice{
		Flag: "--mem " + job.FormatMemory(2*asked),
		Why:  fmt.Sprintf("%s ran out of the %s asked; this is twice as much", human.Plural(n, "task"), job.FormatMemory(asked)),
	}
}

// adviseIsolation: with an instance per task, opening and discarding instances
// took a good part of the lanes' time.
func (r *Report) adviseIsolation() *Advice {
	if r.run.Spec.Isolation != job.IsolateTask || len(r.sum.Lanes) == 0 {
		return nil
	}
	var opening, window time.Duration
	for _, u := range r.sum.Lanes {
		opening += u.Opening + u.Closing
		window += u.Window
	}
	lanes, lives := time.Duration(len(r.sum.Lanes)), time.Duration(r.sum.Instances.Begun)
	if lives <= lanes || window <= 0 {
		return nil
	}
	// With an instance per lane each lane opens one: all others are saved.
	saved := opening * (lives - lanes) / lives / lanes
	if !r.worth(saved) {
		return nil
	}
	return &Advice{
		Flag: "--isolation lane",
		Why: fmt.Sprintf("opening and discarding %s took %s of the lanes' time: one instance per lane would save about %s",
			human.Plural(r.sum.Instances.Begun, "instance"), percent(opening, window), human.Duration(saved)),
	}
}

// adviseIdleLanes: all was done, and there were fewer programs than lanes.
func (r *Report) adviseIdleLanes() *Advice {
	used := 0
	for _, u := range r.sum.Lanes {
		if u.Programs > 0 {
			used++
		}
	}
	agents := r.agents()
	done := r.unfinished() == 0 && r.run.Tasks[job.BootFail] == 0
	if !done || used == 0 || agents != 1 || used >= r.run.Lanes || r.sum.Programs.Begun > used {
		return nil
	}
	return &Advice{
		Flag: fmt.Sprintf("--lanes %d", used),
		Why: fmt.Sprintf("only %d of %s ever ran a program: so many would have been as fast",
			used, human.Plural(r.run.Lanes, "lane")),
	}
}

// adviseMoreLanes: the programs mostly waited, for a disk or a licence perhaps,
// and the lanes were full.
func (r *Report) adviseMoreLanes() *Advice {
	run := r.sum.Phase(job.PhaseRunning)
	// Under Wine a good part of the work is done by the server, whose CPU time
	// is not the program's.
	if r.run.CPU <= 0 || run.Total < 10*time.Second || r.run.Spec.Guest != "native" || r.busy() < 0.8 {
		return nil
	}
	share := float64(r.run.CPU) / float64(run.Total)
	times := int(math.Floor(min(1/max(share, 0.01), 8)))
	lanes := r.run.Lanes / max(r.agents(), 1)
	if times < 2 || r.sum.Attempts < 2*r.run.Lanes {
		return nil
	}
	return &Advice{
		Flag: fmt.Sprintf("--lanes %d", lanes*times),
		Why: fmt.Sprintf("the programs used %s of a CPU each and waited otherwise: the CPUs have room for %d times as many",
			human.Percent(int(share*1000), 1000), times),
	}
}

// adviseDistribution: contiguous shares were unequal work.
func (r *Report) adviseDistribution() *Advice {
	s := &r.run.Spec
	if s.AppType != job.MIMO || s.Distribution != job.Block || len(r.sum.Lanes) < 2 {
		return nil
	}
	var most, sum time.Duration
	var at timeline.LaneID
	for _, u := range r.sum.Lanes {
		sum += u.Running
		if u.Running > most {
			most, at = u.Running, u.LaneID
		}
	}
	mean := sum / time.Duration(len(r.sum.Lanes))
	if !r.worth(most - mean) {
		return nil
	}
	return &Advice{
		Flag: "--distribution cyclic",
		Why: fmt.Sprintf("lane %d worked %s, the mean lane %s: even shares would save up to %s",
			at.Lane, human.Duration(most), human.Duration(mean), human.Duration(most-mean)),
	}
}

// adviseTimeout: tasks hung until the timeout, which was far beyond what any
// task that succeeded needed.
func (r *Report) adviseTimeout() *Advice {
	n := r.run.Tasks[job.Timeout]
	if n == 0 || r.run.Spec.Timeout <= 0 {
		return nil
	}
	var longest time.Duration
	completed := 0
	for i := range r.run.Timeline.Spans {
		if s := &r.run.Timeline.Spans[i]; s.Phase == job.PhaseRunning && s.State == job.Completed {
			completed++
			longest = max(longest, s.End-s.Start)
		}
	}
	enough := max((3 * longest).Round(time.Second), time.Second)
	saved := r.run.Spec.Timeout - enough
	if completed < 3 || saved*2 < r.run.Spec.Timeout || saved < time.Second {
		return nil
	}
	return &Advice{
		Flag: "--timeout " + flagDuration(enough),
		Why: fmt.Sprintf("no task that completed ran longer than %s: this would have ended %s %s earlier",
			human.Duration(longest), human.Plural(n, "hanging task"), human.Duration(saved)),
	}
}

// adviseRetries: what repeating did, or could have done.
func (r *Report) adviseRetries() *Advice {
	again, helped := r.retried()
	if r.run.Spec.Retries > 0 && again >= 3 && helped == 0 {
		return &Advice{
			Flag: "--retries 0",
			Why: fmt.Sprintf("%s tried again, none with success: %s of lanes' time",
				plural(again, "task was", "tasks were"), human.Duration(r.timeOfRetries())),
		}
	}
	if r.run.Spec.Retries > 0 {
		return nil
	}
	n := 0
	for _, g := range r.groups {
		switch g.Cause {
		case job.CauseBoot, job.CauseInstance, job.CauseStart:
			if g.State.Failure() {
				n += len(g.Tasks)
			}
		}
	}
	if n == 0 || n*2 > r.total() { // when most fail, it is no accident
		return nil
	}
	return &Advice{
		Flag: "--retries 2",
		Why:  fmt.Sprintf("%s for reasons outside the program: muster would have tried again by itself", plural(n, "task failed", "tasks failed")),
	}
}

// retried counts the tasks that had more than one attempt, and those of them
// that completed.
func (r *Report) retried() (again, completed int) {
	tried, done := map[int]bool{}, map[int]bool{}
	for i := range r.run.Timeline.Spans {
		s := &r.run.Timeline.Spans[i]
		if s.Phase != job.PhaseRunning || s.Attempt < 2 {
			continue
		}
		tried[s.Task] = true
		if s.State == job.Completed {
			done[s.Task] = true
		}
	}
	return len(tried), len(done)
}

func (r *Report) timeOfRetries() time.Duration {
	var sum time.Duration
	for i := range r.run.Timeline.Spans {
		if s := &r.run.Timeline.Spans[i]; s.Phase == job.PhaseRunning && s.Attempt > 1 {
			sum += s.End - s.Start
		}
	}
	return sum
}

// agents counts the agents that had lanes.
func (r *Report) agents() int {
	seen := map[int]bool{}
	for _, u := range r.sum.Lanes {
		seen[u.Agent] = true
	}
	return len(seen)
}

// busy is the share of the lanes' time in which programs ran.
func (r *Report) busy() float64 {
	var running, window time.Duration
	for _, u := range r.sum.Lanes {
		running += u.Running
		window += u.Window
	}
	if window <= 0 {
		return 0
	}
	return float64(running) / float64(window)
}

func percent(part, whole time.Duration) string {
	return human.Percent(int(part/time.Microsecond), int(max(whole/time.Microsecond, 1)))
}

// flagDuration writes d as people type it: "90s", "1m30s".
func flagDuration(d time.Duration) string {
	s := d.Round(time.Second).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return human.Count(n) + " " + many
}
