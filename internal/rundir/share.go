package rundir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"muster/internal/job"
)

// Share is what one element of an array is to do. A call is one execution of
// the program: one task (SISO) or several (MIMO), in this order.
type Share struct {
	Generation int
	Element    int
	Calls      [][]int
	// Chunks, when not nil, says that the calls are those of all Elements of the
	// generation (Pool), of which this one does what it has claimed: so many calls each, in order.
	Chunks   []int
	Elements int
	Shape
}

// Shape is what the planner decided about the node's processes, besides who
// does what (plan.Element).
type Shape struct {
	Node      int   `json:"node"`               // in the run, from 0
	Lanes     int   `json:"lanes"`              // calls at once
	PerLane   int   `json:"per_lane,omitempty"` // so many of these share the CPUs of one; 0: none does
	Threads   int   `json:"threads,omitempty"`  // per process; 0: not asked for
	PerNode   int   `json:"per_node"`           // processes on the node
	FirstRank int   `json:"first_rank"`         // rank of the node's first process
	Ranks     []int `json:"ranks,omitempty"`    // MIMO: rank of each call
}

// shareFile is a Share on disk. Calls of one task each that follow each other
// are one part, so that 100,000 tasks take a line.
type shareFile struct {
	Generation int `json:"generation"`
	Element    int `json:"element"`
	Shape
	Parts []sharePart `json:"parts"`
}

type sharePart struct {
	Each string `json:"each,omitempty"` // a call for each of these tasks
	Call string `json:"call,omitempty"` // one call with all of these tasks
}

// WriteShare writes a share, which must be new.
func (r *Run) WriteShare(s Share) error {
	return r.createJSON(r.sharePath(s.Generation, s.Element), packShare(s))
}

// ReadShare reads the share of an element: its own, or what its generation shares.
func (r *Run) ReadShare(gen, element int) (Share, error) {
	spec, err := r.Spec()
	if err != nil {
		return Share{}, err
	}
	if spec.Distribution == job.Dynamic {
		s, err := r.readPool(gen, element, spec.Tasks)
		if !errors.Is(err, fs.ErrNotExist) { // a single element has a share of its own
			return s, err
		}
	}
	name := r.sharePath(gen, element)
	data, err := readFile(name)
	if err != nil {
		return Share{}, fmt.Errorf("read what element %d is to do: %w", element, err)
	}
	var f shareFile
	if err := unmarshal(data, &f); err != nil {
		return Share{}, &DamageError{File: name, What: err.Error()}
	}
	s, err := f.unpack(spec.Tasks)
	if err != nil {
		return Share{}, &DamageError{File: name, What: err.Error()}
	}
	return s, nil
}

func packShare(s Share) shareFile {
	return shareFile{Generation: s.Generation, Element: s.Element, Shape: s.Shape, Parts: packCalls(s.Calls)}
}

func packCalls(calls [][]int) []sharePart {
	parts := []sharePart{}
	for i := 0; i < len(calls); {
		if len(calls[i]) != 1 {
			parts = append(parts, sharePart{Call: packSequence(calls[i])})
			i++
			continue
		}
		var each []int
		for ; i < len(calls) && len(calls[i]) == 1; i++ {
			each = append(each, calls[i][0])
		}
		parts = append(parts, sharePart{Each: packSequence(each)})
	}
	return parts
}

func (f shareFile) unpack(tasks int) (Share, error) {
	calls, err := unpackCalls(f.Parts, tasks)
	return Share{Generation: f.Generation, Element: f.Element, Shape: f.Shape, Calls: calls}, err
}

func unpackCalls(parts []sharePart, tasks int) (calls [][]int, err error) {
	left := tasks // no task twice, so no more than these
	for _, p := range parts {
		list, err := unpackSequence(p.Each+p.Call, tasks, left)
		if err != nil {
			return nil, err
		}
		left -= len(list)
		if p.Call != "" {
			calls = append(calls, list)
			continue
		}
		for i := range list {
			calls = append(calls, list[i:i+1:i+1])
		}
	}
	return calls, nil
}

// packSequence writes numbers in their order, those with equal steps between
// them as a range: 1-100, 1-99:2, 7,3.
func packSequence(list []int) string {
	var b []byte
	for i := 0; i < len(list); {
		if i > 0 {
			b = append(b, ',')
		}
		n := 1 // length of the range that begins here
		step := 0
		if i+1 < len(list) {
			step = list[i+1] - list[i]
		}
		for step > 0 && i+n < len(list) && list[i+n]-list[i+n-1] == step {
			n++
		}
		if n == 2 && step > 1 {
			n = 1 // 5,9 reads better than 5-9:4, and 9 may begin a longer range
		}
		b = strconv.AppendInt(b, int64(list[i]), 10)
		if n > 1 {
			b = strconv.AppendInt(append(b, '-'), int64(list[i+n-1]), 10)
			if step > 1 {
				b = strconv.AppendInt(append(b, ':'), int64(step), 10)
			}
		}
		i += n
	}
	return string(b)
}

// unpackSequence reads what packSequence has written: at most limit numbers
// from 1 to top.
func unpackSequence(text string, top, limit int) ([]int, error) {
	var list []int
	for item := range strings.SplitSeq(text, ",") {
		span, stepText, hasStep := strings.Cut(item, ":")
		firstText, lastText, hasLast := strings.Cut(span, "-")
		first, err1 := strconv.Atoi(firstText)
		last, step := first, 1
		var err2, err3 error
		if hasLast {
			last, err2 = strconv.Atoi(lastText)
		}
		if hasStep {
			step, err3 = strconv.Atoi(stepText)
		}
		if err1 != nil || err2 != nil || err3 != nil || first < 1 || last < first || last > top || step < 1 {
			return nil, fmt.Errorf("%q are no tasks of this run", item)
		}
		if (last-first)/step >= limit-len(list) {
			return nil, fmt.Errorf("there are more than %d tasks in it", limit)
		}
		for n := first; n <= last; n += step {
			list = append(list, n)
		}
	}
	return list, nil
}

// String tells a share in a few words.
func (s Share) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "element %d of generation %d:", s.Element, s.Generation)
	for _, p := range packShare(s).Parts {
		io.WriteString(&b, " "+p.Each)
		if p.Call != "" {
			io.WriteString(&b, "("+p.Call+")")
		}
	}
	return b.String()
}
