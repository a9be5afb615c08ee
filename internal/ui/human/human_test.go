package human_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"muster/internal/ui/human"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                       "0 s",
		400 * time.Nanosecond:                   "400 ns",
		400 * time.Microsecond:                  "0.4 ms",
		2 * time.Millisecond:                    "2 ms",
		9949 * time.Microsecond:                 "9.9 ms",
		120 * time.Millisecond:                  "120 ms",
		999600 * time.Microsecond:               "1.0 s",
		1234 * time.Millisecond:                 "1.2 s",
		9960 * time.Millisecond:                 "10 s",
		12300 * time.Millisecond:                "12 s",
		59600 * time.Millisecond:                "1 min",
		184 * time.Second:                       "3 min 4 s",
		59*time.Minute + 59600*time.Millisecond: "1 h",
		125 * time.Minute:                       "2 h 5 min",
		47*time.Hour + 59*time.Minute:           "47 h 59 min",
		76 * time.Hour:                          "3 d 4 h",
		-3 * time.Second:                        "-3.0 s",
		math.MinInt64:                           "-106751 d 23 h",
	} {
		if got := human.Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", int64(d), got, want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "1 s", 1499 * time.Millisecond: "1 s", 4 * time.Second: "4 s", 59600 * time.Millisecond: "1 min", 64 * time.Second: "1 min 4 s"} {
		if got := human.Seconds(d); got != want {
			t.Errorf("Seconds(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		n             int64
		bytes, memory string
	}{
		{0, "0 B", "0B"},
		{999, "999 B", "999B"},
		{1000, "1 kB", "1000B"},
		{1 << 20, "1 MB", "1M"},
		{1_800_000, "1.8 MB", "1.7M"},
		{999_600, "1 MB", "976K"},
		{400 << 20, "419 MB", "400M"},
		{3 << 29, "1.6 GB", "1.5G"},
		{24 << 30, "26 GB", "24G"},
		{math.MaxInt64, "9.2 EB", "8E"},
		{-2048, "-2 kB", "-2K"},
	} {
		if got := human.Bytes(c.n); got != c.bytes {
			t.Errorf("Bytes(%d) = %q, want %q", c.n, got, c.bytes)
		}
		if got := human.Memory(c.n); got != c.memory {
			t.Errorf("Memory(%d) = %q, want %q", c.n, got, c.memory)
		}
	}
}

func TestCounts(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 10000: "10,000", 1234567: "1,234,567", -1000: "-1,000", -999: "-999"} {
		if got := human.Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	if got := human.Count(uint64(math.MaxUint64)); got != "18,446,744,073,709,551,615" {
		t.Errorf("Count(MaxUint64) = %q", got)
	}
	if got := human.Plural(1, "task") + ", " + human.Plural(0, "task") + ", " + human.Plural(10000, "task"); got != "1 task, 0 tasks, 10,000 tasks" {
		t.Errorf("Plural: %q", got)
	}
}

func TestRateAndPercent(t *testing.T) {
	for r, want := range map[float64]string{0: "0/s", math.Inf(1): "0/s", 0.001: "3.6/h", 0.05: "3.0/min", 0.4: "0.4/s", 9.94: "9.9/s", 151.4: "151/s", 2040: "2,040/s"} {
		if got := human.Rate(r); got != want {
			t.Errorf("Rate(%v) = %q, want %q", r, got, want)
		}
	}
	for c, want := range map[[2]int]string{{0, 0}: "0 %", {0, 9}: "0 %", {1, 10000}: "1 %", {9999, 10000}: "99 %", {10000, 10000}: "100 %", {1, 3}: "33 %"} {
		if got := human.Percent(c[0], c[1]); got != want {
			t.Errorf("Percent(%v) = %q, want %q", c, got, want)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		numbers []int
		limit   int
		want    string
	}{
		{nil, 0, ""},
		{[]int{4}, 0, "4"},
		{[]int{1, 2, 3, 7}, 0, "1-3,7"},
		{[]int{1, 2, 3, 7, 8, 20, 30}, 2, "1-3,7-8 and 2 more"},
	} {
		if got := human.Ranges(c.numbers, c.limit); got != c.want {
			t.Errorf("Ranges(%v, %d) = %q, want %q", c.numbers, c.limit, got, c.want)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain name.dat":            "plain name.dat",
		"naïve 名前 🙂":                "naïve 名前 🙂",
		"a\x1b[2J\x1b]0;title\x07b": `a\x1b[2J\x1b]0;title\x07b`,
		"two\nlines\r\n\tend":       `two\nlines\r\n\tend`,
		"\x9b31m":                   `\x9b31m`,
		"\u009b31m":                 `\x9b31m`,
		"evil\u202etxt.exe":         `evil\u202etxt.exe`,
		"tag\U000e0041":             `tag\U000e0041`,
		"bad\xff\xfe":               `bad\xff\xfe`,
		"replacement �":             "replacement �",
		"\x00":                      `\x00`,
		"line\u2028sep":             `line\u2028sep`,
	} {
		if got := human.Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestEscapeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		out := human.Escape(in)
		if !utf8.ValidString(out) {
			t.Fatalf("Escape(%q) is no UTF-8", in)
		}
		for _, r := range out {
			if unicode.IsControl(r) || r == '\u202e' || r == '\u2028' {
				t.Fatalf("Escape(%q) lets %q through", in, r)
			}
		}
		if again := human.Escape(out); again != out {
			t.Fatalf("Escape is not stable: %q, then %q", out, again)
		}
		width := rapid.IntRange(1, 40).Draw(t, "width")
		for name, clipped := range map[string]string{"Line": human.Line(in, width), "ClipMiddle": human.ClipMiddle(out, width)} {
			if w := human.Width(clipped); w > width {
				t.Fatalf("%s(%q, %d) takes %d cells: %q", name, in, width, w, clipped)
			}
		}
	})
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		in           string
		width        int
		clip, middle string
	}{
		{"short", 10, "short", "short"},
		{"exactly ten", 11, "exactly ten", "exactly ten"},
		{"a long piece of text", 10, "a long pi…", "a lo… text"},
		{"名前名前名前", 7, "名前名…", "名…名前"},
		{"anything", 0, "anything", "anything"},
		{"anything", 1, "…", "…"},
	} {
		if got := human.Clip(c.in, c.width); got != c.clip {
			t.Errorf("Clip(%q, %d) = %q, want %q", c.in, c.width, got, c.clip)
		}
		if got := human.ClipMiddle(c.in, c.width); got != c.middle {
			t.Errorf("ClipMiddle(%q, %d) = %q, want %q", c.in, c.width, got, c.middle)
		}
	}
	if got := human.Line(strings.Repeat("\x1b", 1<<20), 9); got != `\x1b\x1b…` {
		t.Errorf("Line of a flood = %q", got)
	}
}

func TestWrap(t *testing.T) {
	got := strings.Join(human.Wrap("one two  three averyveryverylongword four", 9), "|")
	if want := "one two|three|averyveryverylongword|four"; got != want {
		t.Errorf("Wrap = %q, want %q", got, want)
	}
	if got := human.Wrap("  ", 9); got != nil {
		t.Errorf("Wrap of nothing = %q", got)
	}
}
