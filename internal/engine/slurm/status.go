package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// Status asks slurmctld once for all arrays, whatever their number and size; and,
// only when it has forgotten some of their elements, the site's accounting, once.
func (e *Engine) Status(ctx context.Context, ids ...engine.ID) ([]engine.Report, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var jobs []int
	for _, id := range ids {
		if list, ok := jobsOf(id); ok {
			jobs = append(jobs, list...)
		}
	}
	slices.Sort(jobs)
	jobs = slices.Compact(jobs)
	records := map[int][]record{}
	if len(jobs) > 0 {
		list, err := e.queue(ctx, jobs)
		if err != nil {
			return nil, fmt.Errorf("asking for the state of %d arrays: %w", len(ids), err)
		}
		for _, r := range list {
			records[r.job] = append(records[r.job], r)
		}
		if forgotten := incomplete(jobs, records); len(forgotten) > 0 {
			list, err := e.accounted(ctx, forgotten)
			if err != nil {
				return nil, fmt.Errorf("asking for the state of %d arrays: %w", len(ids), err)
			}
			for _, r := range list {
				records[r.job] = append(records[r.job], r)
			}
		}
	}
	out := make([]engine.Report, len(ids))
	for i, id := range ids {
		out[i] = report(id, records, time.Now())
	}
	return out, nil
}

// A record is what Slurm says of one element of a Slurm array.
type record struct {
	job, index     int    // index from 1
	state          string // Slurm's word
	status         uint32 // as of wait(2)
	restarts       int
	started, ended time.Time // ended may lie in the future while it runs
	node           string
	reason         string
	mark           mark // zero when it has none
}

// queueFields are squeue's names, widths and a separator: Comment is last, as it may hold one.
const queueFields = "ArrayJobID:12|,ArrayTaskID:12|,State:20|,exit_code:12|,RestartCnt:8|,StartTime:20|,EndTime:20|,NodeList:80|,Reason:64|,Comment:512"

// timeFormat makes Slurm print times as seconds since 1970, whatever the time zone.
const timeFormat = "SLURM_TIME_FORMAT=%s"

func (e *Engine) queue(ctx context.Context, jobs []int) ([]record, error) {
	words := make([]string, len(jobs))
	for i, j := range jobs {
		words[i] = strconv.Itoa(j)
	}
	out, err := e.run(ctx, call{
		program: "squeue",
		// With a user given slurmctld sends this user's jobs only.
		args: []string{"--noheader", "--array", "--states=all", "--user=" + strconv.Itoa(os.Getuid()), "--jobs=" + strings.Join(words, ","), "--Format=" + queueFields},
		env:  []string{timeFormat},
	})
	var f *failure
	if errors.As(err, &f) && strings.Contains(f.words, "Invalid job id") {
		return nil, nil // asked for a single job, it says so; for several it does not
	}
	if err != nil {
		return nil, err
	}
	return parseQueue(out)
}

// parseQueue reads what squeue prints for queueFields.
func parseQueue(out string) ([]record, error) {
	var records []record
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		field := strings.SplitN(line, "|", 10)
		if len(field) != 10 {
			return nil, fmt.Errorf("squeue printed %q, which does not have 10 fields", line)
		}
		for i := range field {
			field[i] = strings.TrimSpace(field[i])
		}
		n, err := numbers(field[0], field[3], field[4])
		if err != nil {
			return nil, fmt.Errorf("squeue printed %q: %w", line, err)
		}
		r := record{
			job: n[0], index: 1, state: field[2], status: uint32(n[1]), restarts: n[2],
			started: parseTime(field[5]), ended: parseTime(field[6]), node: field[7], reason: field[8],
		}
		if index, err := strconv.Atoi(field[1]); err == nil {
			r.index = index
		}
		if r.reason == "None" { // it has not been looked at yet
			r.reason = ""
		}
		r.mark, _ = parseMark(field[9])
		records = append(records, r)
	}
	return records, nil
}

func numbers(words ...string) ([]int, error) {
	out := make([]int, len(words))
	for i, w := range words {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return nil, err
		}
		out[i] = int(n)
	}
	return out, nil
}

// parseTime reads seconds since 1970; everything else is no time ("N/A", "NONE", "Unknown").
func parseTime(word string) time.Time {
	s, err := strconv.ParseInt(word, 10, 64)
	if err != nil || s <= 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}

// incomplete lists the jobs of which some elements, or all, are not among the records.
func incomplete(jobs []int, records map[int][]record) []int {
	var out []int
	for _, j := range jobs {
		list := records[j]
		if len(list) == 0 || (list[0].mark.tag != "" && len(list) < list[0].mark.last-list[0].mark.first+1) {
			out = append(out, j)
		}
	}
	return out
}

// report puts the pieces of an array together. An element that nobody remembers has ended,
// and how is not known: it is Gone, as an array is of which nobody remembers anything.
func report(id engine.ID, records map[int][]record, now time.Time) engine.Report {
	gone := engine.Report{ID: id, State: job.Gone}
	jobs, ok := jobsOf(id)
	if !ok {
		return gone
	}
	var elements []engine.Element
	grow := func(n int) {
		for len(elements) < n {
			elements = append(elements, engine.Element{Index: len(elements) + 1, State: job.Gone})
		}
	}
	r := engine.Report{ID: id}
	next := 1 // element that the next piece begins with
	for _, j := range jobs {
		first := next
		for _, rec := range records[j] {
			if m := rec.mark; m.tag != "" {
				first, next = m.first, m.last+1
				grow(m.elements)
			}
		}
		for _, rec := range records[j] {
			at := first + rec.index - 1
			grow(at)
			next = max(next, at+1)
			if elements[at-1].State != job.Gone {
				continue // accounting repeats what slurmctld has said
			}
			elements[at-1] = rec.element(at, now)
			if r.Reason == "" && elements[at-1].State == job.Pending {
				r.Reason = rec.reason
			}
		}
	}
	r.State = engine.Overall(elements)
	if r.State == job.Gone {
		return gone
	}
	if r.State != job.Pending {
		r.Reason = ""
	}
	r.Elements = elements
	return r
}

// element puts a record into the contract's terms.
func (r record) element(index int, now time.Time) engine.Element {
	e := engine.Element{Index: index, State: stateOf(r.state), Node: r.node, Restart: r.restarts, Started: r.started}
	if r.state == "COMPLETING" && (r.ended.IsZero() || r.ended.After(now)) {
		// Its end is none, or where its time limit is: it is to be started again once the
		// node is free of it.
		e.State = job.Pending
	}
	if e.State == job.Pending {
		e.Started, e.Node = time.Time{}, "" // Slurm's guess
	}
	if !e.State.Ended() {
		return e
	}
	e.Ended = r.ended
	if r.node == "" {
		e.Started = time.Time{} // cancelled while it was pending; Slurm puts the end here
	}
	e.Exit = exitOf(e.State, r)
	return e
}

// stateOf puts Slurm's states (squeue(1), JOB STATE CODES) into the contract's. COMPLETING
// is still running: something of the element may be alive.
func stateOf(word string) job.State {
	switch word {
	case "COMPLETED":
		return job.Completed
	case "FAILED":
		return job.Failed
	case "TIMEOUT", "DEADLINE":
		return job.Timeout
	case "OUT_OF_MEMORY":
		return job.OutOfMemory
	case "BOOT_FAIL", "NODE_FAIL": // it is the node's boot that has failed
		return job.NodeFail
	case "CANCELLED", "REVOKED":
		return job.Cancelled
	case "PREEMPTED":
		return job.Lost
	case "SUSPENDED", "STOPPED":
		return job.Suspended
	case "RUNNING", "COMPLETING", "SIGNALING", "RESIZING", "STAGE_OUT":
		return job.Running
	}
	// PENDING, CONFIGURING, REQUEUED, REQUEUE_HOLD, SPECIAL_EXIT, and what Slurm will yet invent.
	return job.Pending
}

// cannotStart is the signal by which Slurm says that it has not started an element: its folder
// or its log could not be opened on the node.
const cannotStart = 53

func exitOf(state job.State, r record) job.Exit {
	x := job.Exit{Code: int(r.status >> 8 & 0xff), Signal: int(r.status & 0x7f)}
	switch state {
	case job.Completed:
	case job.Cancelled:
		x.Cause = job.CauseCancelled
	case job.Timeout:
		x.Cause = job.CauseTimeout
	case job.OutOfMemory:
		x.Cause = job.CauseOOM
	case job.NodeFail:
		x.Cause, x.Detail = job.CauseAgentLost, "Slurm lost the node "+r.node
	case job.Lost:
		x.Cause, x.Detail = job.CauseAgentLost, "preempted"
	default:
		switch {
		case x.Signal == cannotStart:
			x = job.Exit{Code: job.ExitUnseen, Cause: job.CauseStart, Detail: "working folder or log folder could not be used on node " + r.node}
		case x.Signal != 0:
			x.Cause = job.CauseSignal
		case x.Code != 0:
			x.Cause = job.CauseExit
		default:
			x.Cause, x.Detail = job.CauseStart, r.reason
		}
	}
	return x
}
