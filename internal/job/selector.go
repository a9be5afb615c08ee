package job

import (
	"strconv"
	"strings"
)

// Selector names a run, or some of its tasks.
type Selector struct {
	Last  bool     // the newest run; Run is then 0
	Run   int      // number of the run
	Tasks IndexSet // empty: the whole run
}

// ParseSelector reads last, 12, 12_7 or 12_1-10:2 (also last_7). The error is
// ErrBadInput.
func ParseSelector(s string) (Selector, error) {
	run, tasks, hasTasks := strings.Cut(strings.TrimSpace(s), "_")
	var sel Selector
	if strings.EqualFold(run, "last") {
		sel.Last = true
	} else {
		n, ok := parseIndex(run)
		if !ok {
			return Selector{}, BadInputf("%q names no run: write last, 12, 12_7 (task 7 of run 12) or 12_1-10:2", s)
		}
		sel.Run = n
	}
	if hasTasks {
		set, err := ParseIndexSet(tasks)
		if err != nil {
			return Selector{}, BadInputf("%q names no tasks: %w", s, err)
		}
		if set.Limit() > 0 {
			return Selector{}, BadInputf("%q: a limit (%%%d) has no meaning here; write 12_1-10", s, set.Limit())
		}
		sel.Tasks = set
	}
	return sel, nil
}

// ParseSelectors reads several selectors, a word each; a word may also hold
// several with commas between them. What follows a task list and has no "_" of
// its own belongs to that list: 12_1,3 is tasks 1 and 3 of run 12. The error is
// ErrBadInput.
func ParseSelectors(words ...string) ([]Selector, error) {
	var out []Selector
	for _, w := range words {
		for _, s := range splitSelectors(w) {
			sel, err := ParseSelector(s)
			if err != nil {
				return nil, err
			}
			out = append(out, sel)
		}
	}
	return out, nil
}

func splitSelectors(word string) []string {
	var out []string
	for part := range strings.SplitSeq(word, ",") {
		n := len(out)
		if n > 0 && strings.Contains(out[n-1], "_") && !strings.Contains(part, "_") && !strings.EqualFold(strings.TrimSpace(part), "last") {
			out[n-1] += "," + part
			continue
		}
		out = append(out, part)
	}
	return out
}

// String gives the form that ParseSelector reads.
func (s Selector) String() string {
	run := "last"
	if !s.Last {
		run = strconv.Itoa(s.Run)
	}
	if s.Tasks.Empty() {
		return run
	}
	return run + "_" + s.Tasks.String()
}
