package gridengine

import (
	"context"
	"encoding/xml"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// task is how a task of a job, or several that are alike, stands in the queue.
type task struct {
	job   string
	name  string
	state string // Grid Engine's letters (qstat(1))
	node  string
	since time.Time // its start, or submission, by sge_qmaster's clock and to the second
	tasks []span
}

// span is a range of tasks.
type span struct{ first, last, step int }

func (s span) has(n int) bool {
	return n >= s.first && n <= s.last && (n-s.first)%s.step == 0
}

// qstatXML is what qstat -xml writes: what runs, and what waits.
type qstatXML struct {
	Running []jobXML `xml:"queue_info>job_list"`
	Pending []jobXML `xml:"job_info>job_list"`
}

type jobXML struct {
	Number string `xml:"JB_job_number"`
	Name   string `xml:"JB_name"`
	State  string `xml:"state"`
	Queue  string `xml:"queue_name"`
	Tasks  string `xml:"tasks"`
	Start  string `xml:"JAT_start_time"`
}

// parseQstat reads qstat -xml.
func parseQstat(text string) ([]task, error) {
	var q qstatXML
	if err := xml.Unmarshal([]byte(text), &q); err != nil {
		return nil, fmt.Errorf("reading qstat -xml: %w", err)
	}
	var out []task
	for _, j := range append(q.Running, q.Pending...) {
		spans, err := parseSpans(j.Tasks)
		if err != nil || !isNumber(j.Number) {
			return nil, fmt.Errorf("reading qstat -xml: job %q has the tasks %q", j.Number, j.Tasks)
		}
		_, node, _ := strings.Cut(j.Queue, "@")
		t := task{job: j.Number, name: j.Name, state: j.State, node: node, tasks: spans}
		t.since, _ = time.ParseInLocation("2006-01-02T15:04:05", j.Start, time.Local) // zero for what waits
		out = append(out, t)
	}
	return out, nil
}

// parseSpans reads 3, 1-7:2 or 1-2:1,5; nothing stands for a job without tasks.
func parseSpans(text string) ([]span, error) {
	if text == "" {
		return []span{{1, 1, 1}}, nil
	}
	var out []span
	for part := range strings.SplitSeq(text, ",") {
		number, step, stepped := strings.Cut(part, ":")
		first, last, ranged := strings.Cut(number, "-")
		if !ranged {
			last = first
		}
		if !stepped {
			step = "1"
		}
		var s span
		for _, n := range []struct {
			text string
			to   *int
		}{{first, &s.first}, {last, &s.last}, {step, &s.step}} {
			v, err := strconv.Atoi(n.text)
			if err != nil || v < 1 {
				return nil, fmt.Errorf("%q is no range of tasks", part)
			}
			*n.to = v
		}
		out = append(out, s)
	}
	return out, nil
}

// standing translates Grid Engine's letters. What is being deleted runs as long as it is there;
// an element in the state E waits until somebody clears that, or deletes it.
func (t task) standing() job.State {
	switch {
	case strings.ContainsAny(t.state, "E"):
		return job.Pending
	case strings.Contains(t.state, "w"):
		return job.Pending
	case strings.ContainsAny(t.state, "sST"):
		return job.Suspended
	}
	return job.Running
}

// queued reports whether it waits for a node, for the first time or again.
func (t task) queued() bool { return strings.Contains(t.state, "q") }

// unstarted reports whether, as far as Grid Engine knows, it was never started: what is queued again has no "w".
func (t task) unstarted() bool {
	return strings.Contains(t.state, "w") && !strings.Contains(t.state, "E")
}

// skew is how much later than an element's first note a start must be to be another one.
const skew = 20 * time.Second

// laterThan reports that the queue speaks of a later start than the note. A qmaster that
// has just been started may not know the node of what runs.
func (t task) laterThan(n note) bool {
	moved := short(t.node) != short(n.Node) && (t.node != "" || t.queued())
	return moved || t.since.After(n.Begun.Add(skew))
}

// short is a host's name without its domain.
func short(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return name
}

// snapshot is the user's jobs, by number, as one qstat tells.
type snapshot map[string][]task

func (e *Engine) snapshot(ctx context.Context) (snapshot, error) {
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("finding out who asks: %w", err)
	}
	// All of it explicitly: the site's sge_qstat may set other defaults.
	text, err := e.asTold(ctx, "qstat", "-xml", "-u", me.Username, "-s", "prs")
	if isRefused(err) {
		return nil, fmt.Errorf("%w: %w", engine.ErrUnavailable, err) // it has no reason to
	}
	if err != nil {
		return nil, err
	}
	tasks, err := parseQstat(text)
	if err != nil {
		return nil, err
	}
	out := snapshot{}
	for _, t := range tasks {
		out[t.job] = append(out[t.job], t)
	}
	return out, nil
}

// of finds a job's task.
func (q snapshot) of(number string, n int) (task, bool) {
	for _, t := range q[number] {
		for _, s := range t.tasks {
			if s.has(n) {
				return t, true
			}
		}
	}
	return task{}, false
}

// named finds the jobs of an array by their names.
func (q snapshot) named(token string) []string {
	var out []string
	for number, tasks := range q {
		if strings.HasSuffix(tasks[0].name, "."+token) {
			out = append(out, number)
		}
	}
	return out
}

// reasons asks why jobs stand as they do: by job, the lines of qstat -j about errors, or
// else of the scheduler.
func (e *Engine) reasons(ctx context.Context, numbers []string) (map[string]string, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	text, err := e.asTold(ctx, "qstat", "-j", strings.Join(numbers, ","))
	if isRefused(err) {
		return nil, nil // they have ended meanwhile
	}
	if err != nil {
		return nil, err
	}
	return parseReasons(text), nil
}

// parseReasons reads qstat -j: "error reason    1:   …", and "scheduling info:   …" with further lines below.
func parseReasons(text string) map[string]string {
	out := map[string]string{}
	number, field, found := "", "", ""
	keep := func() {
		if number != "" && found != "" {
			out[number] = found
		}
		found = ""
	}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, ":")
		if ok && name != "" && name[0] != ' ' {
			field = strings.TrimSpace(name)
		} else {
			value = line
		}
		value = strings.Join(strings.Fields(value), " ")
		switch {
		case field == "job_number":
			keep()
			number = value
		case strings.HasPrefix(field, "error reason") && !strings.HasPrefix(found, "error: "):
			found = "error: " + value
		case field == "scheduling info" && found == "":
			found = value
		}
	}
	keep()
	return out
}
