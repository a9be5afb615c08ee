package inputs

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/job"
)

// colons stands for a guest that cannot express colons, nor two names that
// differ in case only.
func colons(names []string) []string {
	out := make([]string, len(names))
	seen := map[string]bool{}
	for i, n := range names {
		if strings.Contains(n, ":") || seen[strings.ToLower(n)] {
			out[i] = "alias" + string(rune('a'+i))
		}
		seen[strings.ToLower(n)] = true
	}
	return out
}

func TestApplyAliases(t *testing.T) {
	tasks := []job.Task{
		{Index: 1, In: []job.Input{{Word: "/x/a", File: true}, {Word: "b:c"}}, Out: "s/a.out"},
		{Index: 2, In: []job.Input{{Word: "/x/a:b", File: true}}, Out: "s/a:b.out"},
		{Index: 3, In: []job.Input{{Word: "/x/n", File: true}, {Word: "/y/n", File: true}, {Word: "/x/n", File: true}, {Word: "/y/N", File: true}}, Out: "n"},
		{Index: 4, In: []job.Input{{Word: "w"}}},
	}
	got := ApplyAliases(tasks, colons)
	var text []string
	for _, task := range got {
		for _, in := range task.In {
			text = append(text, in.Word+"="+in.Alias)
		}
		text = append(text, task.Out+"="+task.OutAlias)
	}
	want := []string{
		"/x/a=", "b:c=", "s/a.out=",
		"/x/a:b=aliasa", "s/a:b.out=aliasa",
		"/x/n=", "/y/n=2_n", "/x/n=", "/y/N=aliasb", "n=", "w=", "=",
	}
	if !slices.Equal(text, want) {
		t.Errorf("got  %q\nwant %q", text, want)
	}
	if again := ApplyAliases(got, nil); &again[0] != &got[0] {
		t.Error("no aliases: the tasks are not the same")
	}
}

func TestAliasesAreDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`/[xy]/(2_|3_)?[aAé:]{1,3}(\.t)?`)
		in := rapid.SliceOfN(rapid.Map(word, func(w string) job.Input { return job.Input{Word: w, File: true} }), 1, 8).Draw(t, "in")
		ApplyAliases([]job.Task{{Index: 1, In: in, Out: "o"}}, colons)
		owner := map[string]string{}
		for _, w := range in {
			seen := strings.ToLower(seenAs(w.Word[strings.LastIndexByte(w.Word, '/')+1:], w.Alias))
			if first, ok := owner[seen]; ok && first != w.Word {
				t.Fatalf("%s and %s are both %s", first, w.Word, seen)
			}
			owner[seen] = w.Word
		}
	})
}

func TestApartFromLongNames(t *testing.T) {
	long := strings.Repeat("é", 127) // 254 bytes
	used := map[string]bool{long: true}
	a, b := apartFrom(used, long), apartFrom(used, long)
	if len(a) > maxName || len(b) > maxName || a == b || !strings.HasPrefix(a, "2_é") {
		t.Errorf("%q\n%q", a, b)
	}
}
