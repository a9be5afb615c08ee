package slurm

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/engine"
	"muster/internal/job"
)

func TestSplit(t *testing.T) {
	a := job.Array{Tag: "t", Elements: 7, Hold: true}
	want := []string{"muster:t:1-3/7:held", "muster:t:4-6/7:held", "muster:t:7-7/7:held"}
	var got []string
	for _, m := range split(a, 3) {
		got = append(got, m.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := split(a, 7); len(got) != 1 || !got[0].unsplit() {
		t.Errorf("%+v", got)
	}
}

func TestRefusedArguments(t *testing.T) {
	for want, change := range map[string]func(*job.Array){
		`"local-3", which is no array of Slurm's`: func(a *job.Array) { a.After = []string{"12", "local-3"} },
		"neither a number nor NAME,NUMBER":        func(a *job.Array) { a.Resource.GPUs = "volta,x" },
		"cannot be put into one":                  func(a *job.Array) { a.Resource.Constraint, a.Resource.CPUType = "a|b", "c" },
		`"--array=1-5" among the raw options`:     func(a *job.Array) { a.Resource.Options = []string{"--array=1-5"} },
		"would take it for the script":            func(a *job.Array) { a.Resource.Options = []string{"--time=5", "x.sh"} },
	} {
		a := plainArray()
		change(&a)
		_, err := arguments(a, split(a, 0)[0], false)
		if !errors.Is(err, engine.ErrRefused) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestRawOptions(t *testing.T) {
	for options, fine := range map[string]bool{
		"--time=5":             true,
		"-t 5":                 true,
		"--mail-type END -p x": true,
		"-pmain":               true,
		"--exclusive=user":     true,
		"--time=5 script.sh":   false,
		"script.sh":            false,
		"--wrap=true":          false,
		"--wra true":           false,
		"--arr 1-2":            false,
		"-a1-2":                false,
		"-a 1-2":               false,
		"-o x":                 false,
		":":                    false,
		"--":                   false,
		"-":                    false,
		"--export=NONE":        false,
		"--test-only":          false,
	} {
		if err := checkOptions(strings.Fields(options)); (err == nil) != fine {
			t.Errorf("%s: %v", options, err)
		}
	}
}

func TestForms(t *testing.T) {
	for gpus, want := range map[string]string{"": "", "2": "gpu:2", "volta": "gpu:volta:1", "volta,2": "gpu:volta:2"} {
		if got, err := gres(gpus); err != nil || got != want {
			t.Errorf("GPUs %q: %q, %v", gpus, got, err)
		}
	}
	for _, gpus := range []string{"0", "-1", "volta,", ",2", "volta,0", "a:b,1", "a b"} {
		if got, err := gres(gpus); err == nil {
			t.Errorf("GPUs %q give %q and no error", gpus, got)
		}
	}
	for d, want := range map[time.Duration]string{time.Second: "0-00:00:01", 90 * time.Minute: "0-01:30:00", 50*time.Hour + time.Millisecond: "2-02:00:01"} {
		if got := timeLimit(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	for name, want := range map[string]string{"": "muster", "a b": "a b", "a\nb\x1b[1m": "a_b_[1m", "größe\xff": "größe_"} {
		if got := jobName(name); got != want {
			t.Errorf("name %q: %q, want %q", name, got, want)
		}
	}
	for d, want := range map[time.Duration]int{0: 1, time.Millisecond: 1, time.Minute: 60, 30 * time.Hour: 65535} {
		if got := warning(d); got != want {
			t.Errorf("warning %v ahead: %d, want %d", d, got, want)
		}
	}
}

func TestMarks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		elements := rapid.IntRange(1, 5000).Draw(t, "elements")
		tag := rapid.StringMatching(`[a-z:/|0-9-]{1,20}`).Draw(t, "tag")
		a := job.Array{Tag: tag, Elements: elements, Hold: rapid.Bool().Draw(t, "hold")}
		var pieces []piece
		for i, m := range split(a, rapid.IntRange(1, 1000).Draw(t, "limit")) {
			got, ok := parseMark(m.String())
			if !ok || got != m {
				t.Fatalf("%q is read as %+v, %v", m, got, ok)
			}
			pieces = append(pieces, piece{100 - i, got})
		}
		if !whole(slices.Clone(pieces)) {
			t.Fatalf("%+v are not taken for whole", pieces)
		}
		if at := rapid.IntRange(0, len(pieces)-1).Draw(t, "lost"); whole(slices.Delete(pieces, at, at+1)) {
			t.Fatalf("without piece %d they are taken for whole: %+v", at, pieces)
		}
	})
	for _, comment := range []string{"", "(null)", "muster:", "muster:t", "muster:t:1-2", "muster:t:1-2/1", "muster:t:0-2/3", "muster:t:2-1/3", "muster:t:1-2/3 ", "muster::1-2/3", "other:t:1-2/3", "muster:t:1-2/3x"} {
		if m, ok := parseMark(comment); ok {
			t.Errorf("%q is taken for %+v", comment, m)
		}
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[engine.ID][]int{"12": {12}, "12+13": {12, 13}} {
		if got, ok := jobsOf(id); !ok || !slices.Equal(got, want) || idOf(want) != id {
			t.Errorf("%s: %v, %v", id, got, ok)
		}
	}
	for _, id := range []engine.ID{"", "local-3", "12+", "+12", "0", "-1", "12 13", "12,13", "99999999999", "1e3"} {
		if got, ok := jobsOf(id); ok {
			t.Errorf("%q is taken for %v", id, got)
		}
	}
}

func TestFoundPieces(t *testing.T) {
	const out = `9|(null)
12|muster:a:1-1/1
13|muster:ab:1-1/1
14|muster:b:1-3/5
15|muster:b:4-5/5
15|muster:b:4-5/5
20|muster:b:1-3/5
21|two
lines|muster:b:4-5/5
x|muster:b:4-5/5
`
	if got := parsePieces(out, "a"); len(got) != 1 || got[0].job != 12 {
		t.Errorf("%+v", got)
	}
	got := sets(parsePieces(out, "b"))
	if len(got) != 2 || !whole(got[0]) || whole(got[1]) || got[0][1].job != 15 || got[1][0].job != 20 {
		t.Errorf("%+v", got)
	}
}
