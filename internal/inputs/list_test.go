package inputs

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/job"
)

// Whatever words are quoted into a line come back as they were.
func TestLinesBringBackWords(t *testing.T) {
	word := rapid.StringMatching(`[ -~éü\t]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SliceOfN(word, 1, 4), 1, 5).Draw(t, "lines")
		var data strings.Builder
		for i := range lines {
			lines[i][0] += "x" // the first word is never empty
			data.WriteString(job.QuoteWords(lines[i]) + "\n")
		}
		entries, err := splitLines([]byte(data.String()), "list")
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			if e.line != i+1 || !slices.Equal(e.words, lines[i]) {
				t.Fatalf("line %d: %q, want %q", e.line, e.words, lines[i])
			}
		}
		if len(entries) != len(lines) {
			t.Fatalf("%d lines, want %d", len(entries), len(lines))
		}
	})
}

// No list makes reading it fail otherwise than with a plain error, and no task
// comes out that cannot be.
func FuzzLists(f *testing.F) {
	f.Add([]byte("a b\n'c d' e\n# x\n"))
	f.Add([]byte("a\x00b\x00"))
	f.Add([]byte(`{"in":["a"],"out":"b/c"}` + "\n"))
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, split := range []func([]byte, string) ([]entry, error){splitLines, splitNUL, splitJSON} {
			entries, err := split(data, "list")
			if err != nil {
				if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
					t.Errorf("the message holds what it should not: %q", err)
				}
				continue
			}
			r := reader{Options: Options{Delimiter: "."}, paths: pathMaker{dir: root, heads: map[string]string{}}}
			items, err := r.resolve(entries, "list")
			if err != nil {
				continue
			}
			tasks, err := r.name(found{path: "list", isList: true, items: items}, root)
			if err != nil {
				continue
			}
			for _, task := range tasks {
				if len(task.In) == 0 || task.In[0].Word == "" || badName(task.Out) != "" {
					t.Errorf("task %+v", task)
				}
			}
		}
	})
}

func BenchmarkRead100000(b *testing.B) {
	root := b.TempDir()
	if err := os.Mkdir(root+"/in", 0o755); err != nil {
		b.Fatal(err)
	}
	var list strings.Builder
	for i := range 100_000 {
		name := root + "/in/case-" + string(rune('a'+i%26)) + "-" + strings.Repeat("0", i%3) + strconv.Itoa(i) + ".in"
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			b.Fatal(err)
		}
		list.WriteString(name + "\n")
	}
	if err := os.WriteFile(root+"/list", []byte(list.String()), 0o644); err != nil {
		b.Fatal(err)
	}
	for _, input := range []string{"in", "list"} {
		b.Run(input, func(b *testing.B) {
			o := Options{Dir: root, Input: input, Output: "out", Delimiter: "."}
			for b.Loop() {
				r, err := Read(b.Context(), o)
				if err != nil || len(r.Tasks) != 100_000 {
					b.Fatal(len(r.Tasks), err)
				}
			}
		})
	}
}
