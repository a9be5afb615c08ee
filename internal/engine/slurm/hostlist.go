package slurm

import (
	"fmt"
	"strconv"
	"strings"
)

// maxHosts bounds what a list may expand to.
const maxHosts = 1 << 20

// expandHosts turns Slurm's form of a list of nodes, "login1,n[1-3,07],r[1-2]c[0-1]", into their names.
func expandHosts(list string) ([]string, error) {
	var out []string
	for _, pattern := range splitOutside(list) {
		names, err := expandPattern(pattern)
		if err != nil {
			return nil, fmt.Errorf("the list of nodes %q: %w", list, err)
		}
		if out = append(out, names...); len(out) > maxHosts {
			return nil, fmt.Errorf("the list of nodes %q names more than %d", list, maxHosts)
		}
	}
	return out, nil
}

// splitOutside splits at the commas outside of brackets.
func splitOutside(list string) []string {
	var out []string
	depth, from := 0, 0
	for i, c := range list {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == ',' && depth == 0:
			out = append(out, list[from:i])
			from = i + 1
		}
	}
	return append(out, list[from:])
}

// expandPattern expands the first brackets of one pattern, and what follows them by itself.
func expandPattern(pattern string) ([]string, error) {
	prefix, rest, ok := strings.Cut(pattern, "[")
	if !ok {
		if pattern == "" || strings.Contains(pattern, "]") {
			return nil, fmt.Errorf("%q is no name", pattern)
		}
		return []string{pattern}, nil
	}
	inside, rest, ok := strings.Cut(rest, "]")
	if !ok {
		return nil, fmt.Errorf("a [ is not closed")
	}
	tails := []string{""}
	if rest != "" {
		var err error
		if tails, err = expandPattern(rest); err != nil {
			return nil, err
		}
	}
	var out []string
	for part := range strings.SplitSeq(inside, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || from < 0 || to < from || (to-from+1)*len(tails)+len(out) > maxHosts {
			return nil, fmt.Errorf("%q is no range", part)
		}
		for n := from; n <= to; n++ {
			for _, tail := range tails {
				out = append(out, fmt.Sprintf("%s%0*d%s", prefix, len(low), n, tail))
			}
		}
	}
	return out, nil
}

// expandCounts turns "4(x3),2", Slurm's form of a number for each node, into numbers.
func expandCounts(list string) ([]int, error) {
	var out []int
	for part := range strings.SplitSeq(list, ",") {
		word, times, repeated := strings.Cut(part, "(x")
		n, err := strconv.Atoi(word)
		repeat := 1
		if repeated && err == nil {
			repeat, err = strconv.Atoi(strings.TrimSuffix(times, ")"))
		}
		if err != nil || n < 0 || repeat < 1 || repeat+len(out) > maxHosts {
			return nil, fmt.Errorf("%q is no list of numbers of CPUs", list)
		}
		for range repeat {
			out = append(out, n)
		}
	}
	return out, nil
}
