package job

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSplitWords(t *testing.T) {
	for line, want := range map[string][]string{
		"":                    nil,
		" \t ":                nil,
		"a b\tc":              {"a", "b", "c"},
		`'a b' "c d"`:         {"a b", "c d"},
		`a'b'"c"\d`:           {"abcd"},
		`'' ""`:               {"", ""},
		`a\ b '\' "\a\"\\\$"`: {"a b", `\`, `\a"\$`},
		"a\\\nb \"c\\\nd\"":   {"ab", "cd"},
		"$HOME `id` *.c ~ #x": {"$HOME", "`id`", "*.c", "~", "#x"},
		`"$HOME"`:             {"$HOME"},
	} {
		if got, err := SplitWords(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q (%v), want %q", line, got, err, want)
		}
	}
	for line, want := range map[string]string{`'a`: "a ' is not closed", `"a\"`: `a " is not closed`, `a\`: `a \ stands at the end`} {
		if got, err := SplitWords(line); err == nil || err.Error() != want {
			t.Errorf("%s: %q (%v)", line, got, err)
		}
	}
}

func TestQuoteWord(t *testing.T) {
	for word, want := range map[string]string{
		"": "''", "a": "a", "/a/b-c_d.e": "/a/b-c_d.e", "a b": "'a b'", "it's": `'it'\''s'`, "é": "'é'", "$x": "'$x'", "~": "'~'",
	} {
		if got := QuoteWord(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.String()).Draw(t, "words")
		if got, err := SplitWords(QuoteWords(words)); err != nil || !slices.Equal(got, words) {
			t.Fatalf("%q became %q (%v)", words, got, err)
		}
	})
}

// The shell itself reads what QuoteWords writes, and splits as SplitWords does.
func TestAsTheShellDoes(t *testing.T) {
	lines := []string{
		`a'b c'"d e"\ f`, `"\a\"\\" '\'`, "'new\nline' x", `'' ""`, `"it's" 'a"b'`,
		QuoteWords([]string{"", " ", "it's", `back\slash`, "$(id)", "`id`", "*", "~", "#", "-n", "!", "{a,b}", "a\nb", "\x01", "é"}),
	}
	for _, line := range lines {
		out, err := exec.Command("sh", "-c", `printf '%s\0' `+line).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		if got, err := SplitWords(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q (%v), the shell: %q", line, got, err, want)
		}
	}
}
