package job

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseNP reads the value of --np: a number of processes, or a triple
// [nodes,processes per node,threads per process], whose third part may be left
// out and is then 1. Blanks and the brackets do not matter. The error is
// ErrBadInput.
func ParseNP(s string) (NP, error) {
	parts, ok := npParts(s)
	switch {
	case !ok:
	case len(parts) == 1:
		return NP{Processes: parts[0]}, nil
	case len(parts) == 2:
		return NP{Triple: true, Nodes: parts[0], PerNode: parts[1], Threads: 1}, nil
	case len(parts) == 3:
		return NP{Triple: true, Nodes: parts[0], PerNode: parts[1], Threads: parts[2]}, nil
	}
	return NP{}, BadInputf("--np cannot be %q: write 4 (processes) or [2,4,1] (nodes, processes per node, threads per process)", s)
}

// npParts splits the text of a number or a triple into positive numbers.
func npParts(s string) ([]int, bool) {
	s = strings.TrimSpace(s)
	inner, opened := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if opened != closed {
		return nil, false
	}
	fields := strings.Split(inner, ",")
	if opened && len(fields) == 1 {
		return nil, false
	}
	parts := make([]int, len(fields))
	for i, f := range fields {
		f = strings.TrimSpace(f)
		n, err := strconv.Atoi(f)
		if !digits(f) || err != nil || n < 1 || n > math.MaxInt32 {
			return nil, false
		}
		parts[i] = n
	}
	return parts, true
}

// String gives the form that ParseNP reads, or "" when nothing was asked for.
func (n NP) String() string {
	switch {
	case n.Triple:
		return fmt.Sprintf("[%d,%d,%d]", n.Nodes, n.PerNode, n.Threads)
	case n.Processes == 0:
		return ""
	}
	return strconv.Itoa(n.Processes)
}
