package job

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseIndexSet(t *testing.T) {
	tests := []struct {
		s, canonical string
		want         []int
		limit        int
	}{
		{"7", "7", []int{7}, 0},
		{"1,3,5-9", "1,3,5-9", []int{1, 3, 5, 6, 7, 8, 9}, 0},
		{"1-10:3", "1-10:3", []int{1, 4, 7, 10}, 0},
		{"1-9:3%2", "1-7:3%2", []int{1, 4, 7}, 2},
		{" 9 , 1-2 ", "9,1-2", []int{1, 2, 9}, 0},
		{"3,1,2,2-4", "1-4", []int{1, 2, 3, 4}, 0},
		{"1-9:2,2-10:2", "1-10", []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0},
		{"1-10:3,5-6,8", "1,4-8,10", []int{1, 4, 5, 6, 7, 8, 10}, 0},
		{"5-5:7", "5", []int{5}, 0},
		{"2147483647", "2147483647", []int{math.MaxInt32}, 0},
	}
	for _, tt := range tests {
		s, err := ParseIndexSet(tt.s)
		if err != nil {
			t.Errorf("%q: %v", tt.s, err)
			continue
		}
		got := slices.Collect(s.All())
		if !slices.Equal(got, tt.want) || s.Len() != len(tt.want) || s.Limit() != tt.limit || s.Max() != tt.want[len(tt.want)-1] {
			t.Errorf("%q: %v, limit %d, %d indexes", tt.s, got, s.Limit(), s.Len())
		}
		again, err := ParseIndexSet(s.String())
		if err != nil || again.String() != s.String() || !slices.Equal(slices.Collect(again.All()), tt.want) {
			t.Errorf("%q became %s became %s (%v)", tt.s, s, again, err)
		}
	}
	for s, want := range map[string]string{
		"":           `"" is not a set of indexes: an index is missing; write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
		"1,,2":       `"1,,2" is not a set of indexes: an index is missing; write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
		"0":          `"0" is not a set of indexes: "0" is no index (they count from 1); write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
		"9-1":        `"9-1" is not a set of indexes: "9-1" runs backwards; write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
		"1-5:0":      `"1-5:0" is not a set of indexes: a step is a number behind a range; write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
		"5:2":        `"5:2" is not a set of indexes: a step is a number behind a range; write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
		"1-5%0":      `"1-5%0" is not a set of indexes: the limit behind % is a number, at least 1; write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
		"1--5":       `"1--5" is not a set of indexes: "-5" is no index (they count from 1); write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
		"2147483648": `"2147483648" is not a set of indexes: "2147483648" is no index (they count from 1); write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
		"1-9999999:2,4-8888888:3": `"1-9999999:2,4-8888888:3" is not a set of indexes: its ranges overlap with different steps, ` +
			`and are too large for that; write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
	} {
		_, err := ParseIndexSet(s)
		checkBad(t, err, want)
	}
}

func TestIndexSetIsCompact(t *testing.T) {
	s, err := ParseIndexSet("1-2147483647:2,2147483647")
	if err != nil || s.Len() != 1<<30 || len(s.Ranges()) > 2 || !s.Contains(2147483645) || s.Contains(2147483646) {
		t.Errorf("%v (%v)", s, err)
	}
	if n := len(IndexesTo(1_000_000).Ranges()); n != 1 {
		t.Errorf("%d ranges", n)
	}
	if !IndexesTo(0).Empty() || IndexesTo(3).String() != "1-3" || (IndexSet{}).Max() != 0 || (IndexSet{}).Contains(1) {
		t.Error("small sets")
	}
}

func anyIndexes(t *rapid.T) []int {
	i := rapid.OneOf(rapid.IntRange(1, 30), rapid.IntRange(1, 1000))
	return rapid.SliceOf(i).Draw(t, "indexes")
}

func TestNewIndexSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		indexes := anyIndexes(t)
		s := NewIndexSet(indexes...)
		want := slices.Clone(indexes)
		slices.Sort(want)
		want = slices.Compact(want)
		if got := slices.Collect(s.All()); !slices.Equal(got, want) || s.Len() != len(want) {
			t.Fatalf("%v became %v", want, got)
		}
		for i := range 1002 {
			if s.Contains(i) != slices.Contains(want, i) {
				t.Fatalf("%v contains %d: %t", s, i, s.Contains(i))
			}
		}
		text, err := json.Marshal(s)
		var back IndexSet
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil || !slices.Equal(slices.Collect(back.All()), want) {
			t.Fatalf("%v became %s became %v (%v)", want, text, back, err)
		}
	})
	defer func() {
		if recover() == nil {
			t.Error("0 was taken for an index")
		}
	}()
	NewIndexSet(0)
}

// Any ranges, however they overlap, are the union of what each holds.
func TestUnionOfRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, want := "", map[int]bool{}
		for i := range rapid.IntRange(1, 6).Draw(t, "ranges") {
			first := rapid.IntRange(1, 40).Draw(t, "first")
			r := Range{First: first, Last: first + rapid.IntRange(0, 30).Draw(t, "length"), Step: rapid.IntRange(1, 5).Draw(t, "step")}
			if i > 0 {
				text += ","
			}
			text += strconv.Itoa(r.First) + "-" + strconv.Itoa(r.Last) + ":" + strconv.Itoa(r.Step)
			for k := r.First; k <= r.Last; k += r.Step {
				want[k] = true
			}
		}
		s, err := ParseIndexSet(text)
		if err != nil {
			t.Fatal(err)
		}
		before := 0
		for i := range s.All() {
			if !want[i] || i <= before {
				t.Fatalf("%s is %s: %d", text, s, i)
			}
			before = i
		}
		if s.Len() != len(want) {
			t.Fatalf("%s is %s", text, s)
		}
	})
}

func TestParseSelector(t *testing.T) {
	for _, s := range []string{"last", "12", "12_7", "12_1-9:2", "last_3,5"} {
		if sel, err := ParseSelector(s); err != nil || sel.String() != s {
			t.Errorf("%q: %v (%v)", s, sel, err)
		}
	}
	sel, err := ParseSelector("12_1-10:2")
	if err != nil || sel.Last || sel.Run != 12 || sel.Tasks.Len() != 5 || !sel.Tasks.Contains(9) {
		t.Errorf("%+v (%v)", sel, err)
	}
	for s, want := range map[string]string{
		"":       `"" names no run: write last, 12, 12_7 (task 7 of run 12) or 12_1-10:2`,
		"0":      `"0" names no run: write last, 12, 12_7 (task 7 of run 12) or 12_1-10:2`,
		"first":  `"first" names no run: write last, 12, 12_7 (task 7 of run 12) or 12_1-10:2`,
		"12_":    `"12_" names no tasks: "" is not a set of indexes: an index is missing; write 7, 1,3,5-9, 1-100:2 or 1-100%10`,
		"12_1%2": `"12_1%2": a limit (%2) has no meaning here; write 12_1-10`,
	} {
		_, err := ParseSelector(s)
		checkBad(t, err, want)
	}
}

func TestParseSelectors(t *testing.T) {
	tests := []struct {
		words []string
		want  []string
	}{
		{nil, nil},
		{[]string{"12", "last"}, []string{"12", "last"}},
		{[]string{"12,13"}, []string{"12", "13"}},
		{[]string{"12_1,3,13_2,last", "9_4"}, []string{"12_1,3", "13_2", "last", "9_4"}},
	}
	for _, tt := range tests {
		got, err := ParseSelectors(tt.words...)
		var text []string
		for _, s := range got {
			text = append(text, s.String())
		}
		if err != nil || !slices.Equal(text, tt.want) {
			t.Errorf("%q: %q (%v)", tt.words, text, err)
		}
	}
	if _, err := ParseSelectors("12", "x"); err == nil {
		t.Error("x is a selector")
	}
}

func TestSelectorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Selector{Tasks: NewIndexSet(anyIndexes(t)...)}
		if want.Last = rapid.Bool().Draw(t, "last"); !want.Last {
			want.Run = rapid.IntRange(1, math.MaxInt32).Draw(t, "run")
		}
		for _, parse := range []func(string) (Selector, error){ParseSelector, func(s string) (Selector, error) {
			all, err := ParseSelectors(s)
			return all[0], err
		}} {
			got, err := parse(want.String())
			if err != nil || got.Last != want.Last || got.Run != want.Run || got.Tasks.String() != want.Tasks.String() {
				t.Fatalf("%v became %v (%v)", want, got, err)
			}
		}
	})
}

// Whatever a parser takes, its String form means the same.
func FuzzTextForms(f *testing.F) {
	for _, s := range []string{"1-100:2%10", "1,3,5-9", "1-9:2,2-10:3", "last", "12_1-10:2", "[1,2,1]", "5%", "0.5%", "1-12:30:00", "2d1h", "512M", "1.5GiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if set, err := ParseIndexSet(s); err == nil && set.Len() < 10_000 {
			again, err := ParseIndexSet(set.String())
			if err != nil || !slices.Equal(slices.Collect(set.All()), slices.Collect(again.All())) || again.Limit() != set.Limit() {
				t.Errorf("index set %q: %v, %v (%v)", s, set, again, err)
			}
		}
		if sel, err := ParseSelector(s); err == nil {
			if again, err := ParseSelector(sel.String()); err != nil || again.Run != sel.Run || again.Last != sel.Last || again.Tasks.Len() != sel.Tasks.Len() {
				t.Errorf("selector %q: %v, %v (%v)", s, sel, again, err)
			}
		}
		same(t, s, ParseNP, NP.String)
		same(t, s, ParseFailOn, FailOn.String)
		same(t, s, ParseDuration, func(d time.Duration) string { return FormatDuration(d) })
		same(t, s, ParseMemory, FormatMemory)
		if words, err := SplitWords(s); err == nil {
			if again, err := SplitWords(QuoteWords(words)); err != nil || !slices.Equal(words, again) {
				t.Errorf("words %q: %q, %q (%v)", s, words, again, err)
			}
		}
		Closest(s, []string{"refuse", "skip", "replace"})
	})
}

func same[T comparable](t *testing.T, s string, parse func(string) (T, error), format func(T) string) {
	t.Helper()
	v, err := parse(s)
	if err != nil {
		return
	}
	if again, err := parse(format(v)); err != nil && s != "" || again != v && format(again) != format(v) {
		t.Errorf("%q: %v, then %v (%v)", s, v, again, err)
	}
}
