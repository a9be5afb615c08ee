package job

import (
	"strconv"
	"strings"
)

// FailOn says how many failed tasks make a run a failure (--fail-on). The zero
// value is the default: one is enough.
type FailOn struct {
	Tasks   int // that many, or more
	Percent int // that share of the tasks or more, in thousandths of a per cent; 0: Tasks counts
}

// ParseFailOn reads a number of tasks ("3") or a share of them ("5%", "0.5%").
// The empty string is the default. The error is ErrBadInput.
func ParseFailOn(s string) (FailOn, error) {
	if s == "" {
		return FailOn{}, nil
	}
	if f, ok := parseFailOn(strings.TrimSpace(s)); ok {
		return f, nil
	}
	return FailOn{}, BadInputf("--fail-on cannot be %q: write 3 (failed tasks, at least 1) or 5%% (of all tasks, up to 100%%)", s)
}

func parseFailOn(s string) (FailOn, bool) {
	share, isShare := strings.CutSuffix(s, "%")
	if !isShare {
		n, err := strconv.Atoi(s)
		return FailOn{Tasks: n}, digits(s) && err == nil && n >= 1
	}
	whole, fraction, hasPoint := strings.Cut(strings.TrimSpace(share), ".")
	if !digits(whole) || hasPoint && !digits(fraction) || len(whole) > 3 || len(fraction) > 3 {
		return FailOn{}, false
	}
	n, err := strconv.Atoi(whole + (fraction + "000")[:3])
	return FailOn{Percent: n}, err == nil && n >= 1 && n <= 100_000
}

// Fails reports whether so many failed tasks of all make the run a failure.
// No failed task never does.
func (f FailOn) Fails(failed, all int) bool {
	if failed <= 0 {
		return false
	}
	if f.Percent > 0 {
		return int64(failed)*100_000 >= int64(f.Percent)*int64(all)
	}
	return failed >= max(f.Tasks, 1)
}

// String gives the form that ParseFailOn reads.
func (f FailOn) String() string {
	if f.Percent == 0 {
		return strconv.Itoa(max(f.Tasks, 1))
	}
	s := strconv.Itoa(f.Percent / 1000)
	if fraction := f.Percent % 1000; fraction != 0 {
		s += "." + strings.TrimRight(strconv.Itoa(1000 + fraction)[1:], "0")
	}
	return s + "%"
}
