package winname_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"muster/internal/guest/wine/winname"
)

func TestReason(t *testing.T) {
	fine := []string{
		"a", "input.dat", ".hidden", "..two", "a.b.c", " leading", "-v", "ünïcödé.txt", "日本.txt", "😀.txt", "con1.txt", "nully", "aconite",
		"com10", "com0", "lpt", "co", "auxiliary.c", "LONGNA~1.TXT", "A~1", "100%", "a;b", "a'b", "a&b", "$(x)", "`x`", "a,b", "[x]", "\x7f", strings.Repeat("x", 200),
	}
	for _, name := range fine {
		if r := winname.Reason(name); r != "" {
			t.Errorf("%q: %s", name, r)
		}
	}
	bad := map[string]string{
		"": "empty", "a\xff": "not UTF-8", "a\nb": "a control character", "\x01": "a control character",
		"a:b": "the character :", `a"b`: `the character "`, `a\b`: `the character \`, "a?": "the character ?", "*": "the character *", "<x>": "the character <", "a|b": "the character |",
		"a.": "a dot at the end", "..": "a dot at the end", "a ": "a blank at the end",
		"con": "the device CON", "Con.txt": "the device CON", "nul.tar.gz": "the device NUL", "aux .c": "the device AUX", "PRN": "the device PRN",
		"com1": "the device COM1", "LPT9.log": "the device LPT9", "com²": "the device COM²", "conin$": "the device CONIN$",
		strings.Repeat("x", 201): "too long", strings.Repeat("😀", 101): "too long",
	}
	for name, want := range bad {
		if got := winname.Reason(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	same := [][2]string{{"A.TXT", "a.txt"}, {"Ä", "ä"}, {"Σ", "ς"}, {"ǅ", "ǆ"}, {"ÿ", "Ÿ"}, {"ж", "Ж"}}
	for _, p := range same {
		if winname.Fold(p[0]) != winname.Fold(p[1]) {
			t.Errorf("%q and %q are one name to Windows", p[0], p[1])
		}
	}
	for _, p := range [][2]string{{"a", "b"}, {"ß", "ss"}, {"é", "e\u0301"}, {"İ", "i"}} {
		if winname.Fold(p[0]) == winname.Fold(p[1]) {
			t.Errorf("%q and %q are two names to Windows", p[0], p[1])
		}
	}
}

func TestAliases(t *testing.T) {
	tests := []struct{ name, want string }{
		{"fine.dat", ""},
		{"con.txt", "con-d3bde286.txt"},
		{"con.tar.gz", "_con.tar-660e2a85.gz"},
		{"a:b.csv", "a_b-ca7c2b0f.csv"},
		{"trailing.", "trailing-44c12a4e"},
		{"trailing ", "trailing-b1635c0a"},
		{"x\ny.dat", "x_y-0f90507f.dat"},
		{"bad\xffutf8.txt", "bad_utf8-1e5b1ba2.txt"},
		{"README", ""},
		{"readme", "readme-711a6108"},
		{"Readme", "Readme-44ff2638"},
		{"...", "_-ab5df625"},
		{"?", "_-8a8de823"},
		{"a.b:c", "a.b_c-b2a25f70"},
		{strings.Repeat("long", 60) + ".dat", strings.Repeat("long", 15) + "-8e229410.dat"},
		{"same", ""},
		{"same", "same-0967115f"},
		{"taken?", "taken_-e27655c0"},
	}
	var names []string
	for _, tt := range tests {
		names = append(names, tt.name)
	}
	for i, got := range winname.Aliases(names) {
		if got != tests[i].want {
			t.Errorf("%q: got %q, want %q", names[i], got, tests[i].want)
		}
	}
	// An alias that is somebody's true name is not given away.
	got := winname.Aliases([]string{"con.txt", "CON-D3BDE286.TXT"})
	if got[0] == "" || got[0] == "con-d3bde286.txt" || got[1] != "" {
		t.Errorf("with its alias taken: %q", got)
	}
}

// name draws names of the kind that give trouble, short so that they often clash.
func name() *rapid.Generator[string] {
	word := rapid.SampledFrom([]string{
		"a", "A", "b", "con", "NUL", "Com1", "lpt²", ".", " ", ":", "\n", "\xff", "-", "_", "ä", "Ä", "ſ", "s", "S", "K", "k", "\u212a", "😀", "txt", "~1", "x",
	})
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 9).Draw(t, "wild") == 0 {
			return string(rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 255).Draw(t, "bytes"))
		}
		return strings.Join(rapid.SliceOfN(word, 1, 6).Draw(t, "words"), "")
	})
}

// shown is what the folder shows.
func shown(names, aliases []string) []string {
	s := slices.Clone(names)
	for i, a := range aliases {
		if a != "" {
			s[i] = a
		}
	}
	return s
}

func TestAliasesAlwaysFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(name(), 0, 30).Draw(t, "names")
		aliases := winname.Aliases(names)
		if len(aliases) != len(names) {
			t.Fatalf("%d answers for %d names", len(aliases), len(names))
		}
		seen := map[string]string{}
		for i, s := range shown(names, aliases) {
			if r := winname.Reason(s); r != "" {
				t.Fatalf("%q is shown as %q: %s", names[i], s, r)
			}
			if len(s) > 255 || !utf8.ValidString(s) || strings.ContainsAny(s, "/\x00") {
				t.Fatalf("%q is shown as %q, which Linux cannot express", names[i], s)
			}
			if other, ok := seen[winname.Fold(s)]; ok {
				t.Fatalf("%q and %q are the same", s, other)
			}
			seen[winname.Fold(s)] = s
			if aliases[i] == names[i] {
				t.Fatalf("%q is its own alias", names[i])
			}
		}
	})
}

// An alias does not depend on the order of the names, and a name that is fine
// and clashes with none has none.
func TestAliasesStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(name(), 1, 30, rapid.ID[string]).Draw(t, "names")
		aliases := winname.Aliases(names)
		order := rapid.Permutation(names).Draw(t, "order")
		folds := map[string]int{}
		for _, n := range names {
			folds[winname.Fold(n)]++
		}
		other := winname.Aliases(order)
		for i, n := range names {
			if j := slices.Index(order, n); other[j] != aliases[i] {
				t.Fatalf("%q: %q or %q, by order", n, aliases[i], other[j])
			}
			if alone := winname.Reason(n) == "" && folds[winname.Fold(n)] == 1; alone && aliases[i] != "" {
				t.Fatalf("%q needs no alias, but has %q", n, aliases[i])
			}
		}
	})
}

func FuzzAliases(f *testing.F) {
	f.Add("con.txt", "CON-8a2f6e01.txt")
	f.Add("A", "a")
	f.Add("\xff.txt", "_.txt")
	f.Fuzz(func(t *testing.T, a, b string) {
		s := shown([]string{a, b}, winname.Aliases([]string{a, b}))
		if winname.Fold(s[0]) == winname.Fold(s[1]) || winname.Reason(s[0]) != "" || winname.Reason(s[1]) != "" {
			t.Errorf("%q and %q are shown as %q", a, b, s)
		}
	})
}

// A program written for the ANSI functions gets aliases for what its code page
// has not, and keeps what it has.
func TestAliasesForANSI(t *testing.T) {
	names := []string{"plain.txt", "ünï.txt", "試.txt", "試験.dat", "con"}
	for lang, want := range map[string][]bool{
		"":            {false, false, true, true, true},
		"de_DE.UTF-8": {false, false, true, true, true},
		"ja_JP.UTF-8": {false, true, true, true, true},
	} {
		can := winname.ANSI(lang)
		for i, alias := range winname.AliasesFor(names, can) {
			if (alias != "") != want[i] {
				t.Errorf("%q, LANG=%q: alias %q", names[i], lang, alias)
			}
			for _, r := range alias {
				if !can(r) {
					t.Errorf("%q, LANG=%q: alias %q holds %q", names[i], lang, alias, r)
				}
			}
		}
	}
}
