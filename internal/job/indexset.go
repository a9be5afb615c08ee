package job

import (
	"iter"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// maxUntangled bounds how many indexes are written out one by one, to unite
// ranges that overlap with different steps.
const maxUntangled = 1 << 20

// Range is First, First+Step, … up to Last, which belongs to it. Step is at
// least 1, and 1 for a single index.
type Range struct{ First, Last, Step int }

// Len returns how many indexes r has.
func (r Range) Len() int { return (r.Last-r.First)/r.Step + 1 }

// holds reports whether every index of other is one of r's.
func (r Range) holds(other Range) bool {
	return other.First >= r.First && other.Last <= r.Last &&
		(other.First-r.First)%r.Step == 0 && (other.First == other.Last || other.Step%r.Step == 0)
}

// IndexSet is a set of indexes, which count from 1, kept as ranges: a million
// indexes in a row take one. The zero value is empty. It is a value: nothing
// changes a set once it is made.
type IndexSet struct {
	ranges []Range // in ascending order, no two of them overlap
	limit  int     // how many may be under way at once; 0: no limit
}

// ParseIndexSet reads Slurm's form: indexes and ranges with commas between
// them, each range with a step if wanted, and a limit on how many may be under
// way at once: 1,3,5-9 or 1-100:2%10. The error is ErrBadInput.
func ParseIndexSet(s string) (IndexSet, error) {
	list, limit, hasLimit := strings.Cut(strings.TrimSpace(s), "%")
	var set IndexSet
	if hasLimit {
		n, ok := parseIndex(limit)
		if !ok {
			return IndexSet{}, badIndexSet(s, "the limit behind % is a number, at least 1")
		}
		set.limit = n
	}
	var ranges []Range
	for item := range strings.SplitSeq(list, ",") {
		r, why := parseRange(strings.TrimSpace(item))
		if why != "" {
			return IndexSet{}, badIndexSet(s, why)
		}
		ranges = append(ranges, r)
	}
	ranges, ok := untangle(ranges)
	if !ok {
		return IndexSet{}, badIndexSet(s, "its ranges overlap with different steps, and are too large for that")
	}
	set.ranges = ranges
	return set, nil
}

func badIndexSet(s, why string) error {
	return BadInputf("%q is not a set of indexes: %s; write 7, 1,3,5-9, 1-100:2 or 1-100%%10", s, why)
}

// parseRange reads 7, 5-9 or 5-9:2; why says what is wrong, "" when nothing is.
func parseRange(s string) (r Range, why string) {
	span, step, hasStep := strings.Cut(s, ":")
	first, last, hasLast := strings.Cut(span, "-")
	r.Step = 1
	var ok bool
	if r.First, ok = parseIndex(first); !ok {
		return r, notIndex(first)
	}
	r.Last = r.First
	if hasLast {
		if r.Last, ok = parseIndex(last); !ok {
			return r, notIndex(last)
		}
	}
	if hasStep {
		if r.Step, ok = parseIndex(step); !ok || !hasLast {
			return r, "a step is a number behind a range"
		}
	}
	if r.Last < r.First {
		return r, strconv.Quote(span) + " runs backwards"
	}
	r.Last -= (r.Last - r.First) % r.Step
	if r.First == r.Last {
		r.Step = 1
	}
	return r, ""
}

func notIndex(s string) string {
	if s == "" {
		return "an index is missing"
	}
	return strconv.Quote(s) + " is no index (they count from 1)"
}

// parseIndex reads a number from 1 to 2^31−1.
func parseIndex(s string) (int, bool) {
	if !digits(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return int(n), err == nil && n >= 1
}

// NewIndexSet returns the set of the indexes given, in any order. It panics when
// one is below 1 or above 2^31−1: indexes come from a plan, not from a user.
func NewIndexSet(indexes ...int) IndexSet {
	sorted := slices.Clone(indexes)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	if n := len(sorted); n > 0 && (sorted[0] < 1 || sorted[n-1] > math.MaxInt32) {
		panic("job: index out of range in NewIndexSet")
	}
	return IndexSet{ranges: compress(sorted)}
}

// IndexesTo returns the set 1…n; empty when n is below 1.
func IndexesTo(n int) IndexSet {
	if n < 1 {
		return IndexSet{}
	}
	return IndexSet{ranges: []Range{{First: 1, Last: n, Step: 1}}}
}

// untangle sorts ranges, unites those that overlap, and reports whether that
// could be done within bounds.
func untangle(ranges []Range) ([]Range, bool) {
	slices.SortFunc(ranges, func(a, b Range) int { return a.First - b.First })
	var out []Range
	apart, total := true, 0
	for _, r := range ranges {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if last.holds(r) {
				continue
			}
			if last.Step == 1 && r.Step == 1 && r.First <= last.Last+1 {
				last.Last = max(last.Last, r.Last)
				continue
			}
			apart = apart && r.First > last.Last
		}
		out = append(out, r)
	}
	if apart {
		return out, true
	}
	for _, r := range out {
		if total += r.Len(); total > maxUntangled {
			return nil, false
		}
	}
	indexes := make([]int, 0, total)
	for _, r := range out {
		for i := r.First; i <= r.Last; i += r.Step {
			indexes = append(indexes, i)
		}
	}
	slices.Sort(indexes)
	return compress(slices.Compact(indexes)), true
}

// compress turns ascending indexes into ranges: three or more with the same
// step between them, or two neighbours, become one.
func compress(sorted []int) []Range {
	var out []Range
	for i := 0; i < len(sorted); {
		j := i + 1
		step := 1
		if j < len(sorted) {
			step = sorted[j] - sorted[i]
		}
		for j < len(sorted) && sorted[j]-sorted[j-1] == step {
			j++
		}
		if n := j - i; n == 1 || n == 2 && step > 1 {
			out = append(out, Range{First: sorted[i], Last: sorted[i], Step: 1})
			i++
			continue
		}
		out = append(out, Range{First: sorted[i], Last: sorted[j-1], Step: step})
		i = j
	}
	return out
}

// Limit returns how many may be under way at once; 0: no limit was given.
func (s IndexSet) Limit() int { return s.limit }

// Ranges returns the set's ranges in ascending order; no two overlap.
func (s IndexSet) Ranges() []Range { return slices.Clone(s.ranges) }

// Empty reports whether no index is in the set.
func (s IndexSet) Empty() bool { return len(s.ranges) == 0 }

// Len returns how many indexes are in the set.
func (s IndexSet) Len() int {
	n := 0
	for _, r := range s.ranges {
		n += r.Len()
	}
	return n
}

// Max returns the largest index, 0 for the empty set.
func (s IndexSet) Max() int {
	if s.Empty() {
		return 0
	}
	return s.ranges[len(s.ranges)-1].Last
}

// Contains reports whether i is in the set.
func (s IndexSet) Contains(i int) bool {
	k := sort.Search(len(s.ranges), func(k int) bool { return s.ranges[k].Last >= i })
	if k == len(s.ranges) {
		return false
	}
	r := s.ranges[k]
	return i >= r.First && (i-r.First)%r.Step == 0
}

// All yields the indexes in ascending order.
func (s IndexSet) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, r := range s.ranges {
			for i := r.First; i <= r.Last; i += r.Step {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// String gives the form that ParseIndexSet reads; "" for the empty set.
func (s IndexSet) String() string {
	var b []byte
	for i, r := range s.ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(r.First), 10)
		if r.Last > r.First {
			b = append(b, '-')
			b = strconv.AppendInt(b, int64(r.Last), 10)
		}
		if r.Step > 1 {
			b = append(b, ':')
			b = strconv.AppendInt(b, int64(r.Step), 10)
		}
	}
	if s.limit > 0 {
		b = append(b, '%')
		b = strconv.AppendInt(b, int64(s.limit), 10)
	}
	return string(b)
}

// MarshalText gives String's form.
func (s IndexSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads ParseIndexSet's form, and "" as the empty set.
func (s *IndexSet) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = IndexSet{}
		return nil
	}
	set, err := ParseIndexSet(string(text))
	if err == nil {
		*s = set
	}
	return err
}
