package slurm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"muster/internal/engine"
)

// An ID is the numbers of the Slurm arrays that an array was split into, in order:
// "12", or "12+13". It says all that is needed to find them.

func idOf(jobs []int) engine.ID {
	words := make([]string, len(jobs))
	for i, j := range jobs {
		words[i] = strconv.Itoa(j)
	}
	return engine.ID(strings.Join(words, "+"))
}

// jobsOf returns the numbers in an ID; ok is false for what no Slurm array can be called.
func jobsOf(id engine.ID) (jobs []int, ok bool) {
	for word := range strings.SplitSeq(string(id), "+") {
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil || n == 0 {
			return nil, false
		}
		jobs = append(jobs, int(n))
	}
	return jobs, true
}

// A mark stands in the comment of every Slurm array of muster's, and says what piece of
// which array it is: "muster:TAG:FIRST-LAST/ELEMENTS", with ":held" behind it when the array was submitted
// to be held.
type mark struct {
	tag         string
	first, last int // the piece's elements
	elements    int // of the whole array
	held        bool
}

const (
	markPrefix = "muster:"
	markHeld   = ":held"
)

func (m mark) String() string {
	s := fmt.Sprintf("%s%s:%d-%d/%d", markPrefix, m.tag, m.first, m.last, m.elements)
	if m.held {
		s += markHeld
	}
	return s
}

// parseMark reads a comment; ok is false when it is none of muster's.
func parseMark(comment string) (m mark, ok bool) {
	rest, ok := strings.CutPrefix(comment, markPrefix)
	if !ok {
		return m, false
	}
	rest, m.held = strings.CutSuffix(rest, markHeld)
	colon := strings.LastIndexByte(rest, ':')
	if colon < 1 {
		return m, false
	}
	m.tag = rest[:colon]
	if _, err := fmt.Sscanf(rest[colon+1:], "%d-%d/%d", &m.first, &m.last, &m.elements); err != nil {
		return m, false
	}
	return m, 1 <= m.first && m.first <= m.last && m.last <= m.elements && m.String() == comment
}

// A piece is one Slurm array out of those that an array was split into.
type piece struct {
	job  int
	mark mark
}

// whole reports whether the pieces are all of an array, and sorts them by their elements.
func whole(pieces []piece) bool {
	slices.SortFunc(pieces, func(a, b piece) int { return a.mark.first - b.mark.first })
	next := 1
	for _, p := range pieces {
		if p.mark.first != next {
			return false
		}
		next = p.mark.last + 1
	}
	return len(pieces) > 0 && next == pieces[0].mark.elements+1
}
