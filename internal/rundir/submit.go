package rundir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/clock"
)

// SubmissionKind says what an array does.
type SubmissionKind string

const (
	SubmitMap    SubmissionKind = "map"
	SubmitReduce SubmissionKind = "reduce"
)

// Submission is one array, from the intent to submit it on. The intent is
// written before an engine is asked, what became of it afterwards: when the
// answer is lost, the tag finds what the engine may have taken.
type Submission struct {
	Generation int            `json:"generation"` // from 1; given by AddSubmission
	Kind       SubmissionKind `json:"kind"`
	Engine     string         `json:"engine"`
	Tag        string         `json:"tag"`
	At         time.Time      `json:"at"` // of the intent
	Elements   int            `json:"elements"`
	Host       string         `json:"host"` // that submitted
	// LastRequest is the number of the newest request at that time: its agents have
	// nothing to do with those up to it. Numbers, since the clocks of nodes differ.
	LastRequest int `json:"last_request,omitempty"`
	// Clock is what the submitting host knew of its own clock at that time.
	Clock   clock.Host `json:"clock,omitzero"`
	IDs     []string   `json:"ids,omitempty"`     // what the engine calls it
	Refused string     `json:"refused,omitempty"` // why the engine never took it; with IDs: why no node could begin with it
}

// Open reports whether nothing is known of what became of the intent.
func (s Submission) Open() bool { return len(s.IDs) == 0 && s.Refused == "" }

// AddSubmission writes the intent, durably, under the next free generation,
// and returns it with that.
func (r *Run) AddSubmission(s Submission) (Submission, error) {
	all, err := r.generations()
	if err != nil {
		return s, err
	}
	s.IDs, s.Refused = nil, ""
	gen := 1
	if len(all) > 0 {
		gen = all[len(all)-1] + 1
	}
	for ; ; gen++ {
		s.Generation = gen
		err := r.createJSON(r.IntentPath(gen), s)
		if !errors.Is(err, fs.ErrExist) {
			return s, err
		}
	}
}

// Taken records that the engine has generation gen under these IDs.
func (r *Run) Taken(gen int, ids ...string) error {
	return r.settle(gen, func(s *Submission) { s.IDs, s.Refused = ids, "" })
}

// Refused records that the engine will never have generation gen.
func (r *Run) Refused(gen int, why string) error {
	return r.settle(gen, func(s *Submission) { s.IDs, s.Refused = nil, why })
}

// Unfit records that the engine has taken a submission, and that no node could begin
// with it.
func (r *Run) Unfit(gen int, why string) error {
	return r.settle(gen, func(s *Submission) { s.Refused = why })
}

func (r *Run) settle(gen int, change func(*Submission)) error {
	s, err := r.submission(gen)
	if err != nil {
		return err
	}
	change(&s)
	data, err := marshal(s)
	if err != nil {
		return fmt.Errorf("submission %d: %w", gen, err)
	}
	return writeFile(r.path(submitsDir, strconv.Itoa(gen)+jsonSuffix), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Submissions are all, by generation.
func (r *Run) Submissions() ([]Submission, error) {
	gens, err := r.generations()
	if err != nil {
		return nil, err
	}
	var all []Submission
	for _, gen := range gens {
		s, err := r.submission(gen)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being written just now
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// generations are the numbers of all intents, in order.
func (r *Run) generations() ([]int, error) {
	names, err := readNames(r.path(submitsDir, ""))
	if err != nil {
		return nil, fmt.Errorf("list submissions: %w", err)
	}
	var gens []int
	for _, name := range names {
		base, ok := strings.CutSuffix(name, intentSuffix)
		if n, is := parseNumbers(base, 1, 1); ok && is {
			gens = append(gens, n[0])
		}
	}
	slices.Sort(gens)
	return gens, nil
}

// submission reads what is known of a generation: what became of it, else the intent.
func (r *Run) submission(gen int) (Submission, error) {
	var s Submission
	for _, suffix := range []string{jsonSuffix, intentSuffix} {
		name := r.path(submitsDir, strconv.Itoa(gen)+suffix)
		data, err := readFile(name)
		if errors.Is(err, fs.ErrNotExist) && suffix == jsonSuffix {
			continue
		}
		if err != nil {
			return s, fmt.Errorf("read submission %d: %w", gen, err)
		}
		if err := unmarshal(data, &s); err != nil {
			return s, &DamageError{File: name, What: err.Error()}
		}
		break
	}
	return s, nil
}

// createJSON writes v as a file that must be new.
func (r *Run) createJSON(name string, v any) error {
	data, err := marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return createFile(name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
