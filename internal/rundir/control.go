package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"muster/internal/job"
)

// Request is what somebody asks of the agents of a run.
type Request struct {
	Op    job.Op        `json:"op"`
	Tasks *job.IndexSet `json:"tasks,omitempty"` // nil: all
	At    time.Time     `json:"at"`              // by the clock of whoever asks
	By    string        `json:"by,omitempty"`    // who asks, for people: user@host
	Why   string        `json:"why,omitempty"`   // job.Cause or a text
	Seq   int           `json:"-"`               // its number, from 1; set by Ask and Poll
}

// Concerns reports whether a task is meant.
func (q Request) Concerns(task int) bool { return q.Tasks == nil || q.Tasks.Contains(task) }

// Ask writes a request, durably, behind all that have been made. Any process may ask.
func (r *Run) Ask(q Request) (Request, error) {
	seqs, err := r.requestNumbers()
	if err != nil {
		return q, err
	}
	next := 1
	if len(seqs) > 0 {
		next = seqs[len(seqs)-1] + 1
	}
	for ; ; next++ {
		q.Seq = next
		err := r.createJSON(r.requestPath(next), q)
		if !errors.Is(err, fs.ErrExist) {
			return q, err
		}
	}
}

// LastRequest is the number of the newest request; 0: there is none.
func (r *Run) LastRequest() (int, error) {
	seqs, err := r.requestNumbers()
	if err != nil || len(seqs) == 0 {
		return 0, err
	}
	return seqs[len(seqs)-1], nil
}

// Requests reads the requests of a run as they come.
type Requests struct {
	run  *Run
	seen int // all up to this number have been returned
}

// Requests makes a reader that begins behind the request of that number; 0: with
// the first one.
func (r *Run) Requests(behind int) *Requests { return &Requests{run: r, seen: behind} }

// Poll returns the requests that are new, in the order in which they were made.
// A damaged request is passed over; it is in the error, beside the others.
func (q *Requests) Poll() ([]Request, error) {
	seqs, err := q.run.requestNumbers()
	if err != nil {
		return nil, err
	}
	var reqs []Request
	var errs []error
	for _, n := range seqs {
		if n <= q.seen {
			continue
		}
		name := q.run.requestPath(n)
		data, err := readFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			break // not whole yet; those behind it wait for their turn
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read request: %w", err))
			break
		}
		q.seen = n
		var req Request
		if err := unmarshal(data, &req); err != nil {
			errs = append(errs, &DamageError{File: name, What: err.Error()})
			continue
		}
		req.Seq = n
		reqs = append(reqs, req)
	}
	return reqs, errors.Join(errs...)
}

func (r *Run) requestPath(n int) string {
	return r.path(controlDir, fmt.Sprintf("%08d%s", n, jsonSuffix))
}

func (r *Run) requestNumbers() ([]int, error) {
	names, err := readNames(r.path(controlDir, ""))
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	var seqs []int
	for _, name := range names {
		base, ok := strings.CutSuffix(name, jsonSuffix)
		ns, is := parseNumbers(strings.TrimLeft(base, "0"), 1, 1)
		if ok && is && name == fmt.Sprintf("%08d%s", ns[0], jsonSuffix) {
			seqs = append(seqs, ns[0])
		}
	}
	slices.Sort(seqs)
	return seqs, nil
}
