package template

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/job"
)

func values() Values {
	task := job.Task{Index: 12, In: []job.Input{{Word: "--deep"}, {Word: "/in/case.tar.gz", File: true}}, Out: "case.out"}
	return ValuesOf(task, []string{`I:\12\case.tar.gz`}, `O:\12\case.out`, 3)
}

func TestExpand(t *testing.T) {
	several := values()
	several.In = []string{"a b", "", "$(id)"}
	tests := []struct {
		args []string
		v    Values
		want []string
	}{
		{[]string{"/i", "{in}", "/o", "{out}"}, values(), []string{"/i", `I:\12\case.tar.gz`, "/o", `O:\12\case.out`}},
		{[]string{"--in={in}", "{name}|{stem}|{ext}|{index}|{lane}"}, values(), []string{`--in=I:\12\case.tar.gz`, "case.tar.gz|case.tar|gz|12|3"}},
		{[]string{"x", "{in}", "y"}, several, []string{"x", "a b", "", "$(id)", "y"}},
		{[]string{"{{in}}", "{{{index}}}", "}}{{"}, values(), []string{"{in}", "{12}", "}{"}},
		{[]string{"", " ", "$HOME `id` '"}, values(), []string{"", " ", "$HOME `id` '"}},
		{nil, values(), nil},
	}
	for _, tt := range tests {
		tp, err := Parse(tt.args)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.args, err)
			continue
		}
		got, err := tp.Expand(tt.v)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q (%v), want %q", tt.args, got, err, tt.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const known = " Known are {in} {out} {name} {stem} {ext} {index} {lane}; write {{ and }} for braces"
	for arg, want := range map[string]string{
		"{input}":       `there is no placeholder "{input}": did you mean {in}?` + known,
		"{Out}":         `there is no placeholder "{Out}": did you mean {out}?` + known,
		"{idnex}":       `there is no placeholder "{idnex}": did you mean {index}?` + known,
		"{}":            `there is no placeholder "{}".` + known,
		"{print $1,\n}": `there is no placeholder "{print $1,\n}".` + known,
		"{in":           `argument "{in" has a { without its }: write {{ for a brace`,
		"a}":            `argument "a}" has a } without its {: write }} for a brace`,
		"{a{in}}":       `there is no placeholder "{a{in}".` + known,
		"{" + strings.Repeat("ü", 500): `argument "{` + strings.Repeat("ü", 79) +
			`…" has a { without its }: write {{ for a brace`,
	} {
		_, err := Parse([]string{"fine", arg})
		if !errors.Is(err, job.ErrBadInput) || err.Error() != want {
			t.Errorf("Parse(%q)\ngot  %v\nwant %s", arg, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		args string
		s    Streams
		want string
	}{
		{"{in} {out}", Streams{}, ""},
		{"{in}", Streams{Stdout: true}, ""},
		{"{in} {{out}}", Streams{}, ""},
		{"{out}", Streams{Stdin: true}, ""},
		{"{index}", Streams{Stdin: true, Stdout: true}, ""},
		{"-f={in} {out}", Streams{Stdin: true}, "--stdin gives the input on standard input, and the command names {in} too: leave out one of them"},
		{"-o{out}", Streams{Stdout: true}, "--stdout takes the output from standard output, and the command names {out} too: leave out one of them"},
	}
	for _, tt := range tests {
		tp, err := Parse(strings.Fields(tt.args))
		if err != nil {
			t.Fatal(err)
		}
		err = tp.Check(tt.s)
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, job.ErrBadInput) || err.Error() != tt.want) {
			t.Errorf("%s %+v\ngot  %v\nwant %s", tt.args, tt.s, err, tt.want)
		}
	}
}

func TestSeveralWords(t *testing.T) {
	tasks := []job.Task{
		{Index: 1, In: []job.Input{{Word: "a"}}},
		{Index: 2, In: []job.Input{{Word: "a"}, {Word: "b"}}},
	}
	alone, err := Parse([]string{"{in}", "{out}"})
	if err != nil {
		t.Fatal(err)
	}
	if err := alone.CheckTasks(tasks); err != nil {
		t.Error(err)
	}
	part, err := Parse([]string{"{in}", "--in={in}"})
	if err != nil {
		t.Fatal(err)
	}
	const want = `the input of task 2 has 2 words, and argument "--in={in}" has room for one: let {in} stand alone`
	if err := part.CheckTasks(tasks); !errors.Is(err, job.ErrBadInput) || err.Error() != want {
		t.Errorf("CheckTasks: %v", err)
	}
	if err := part.CheckTasks(tasks[:1]); err != nil {
		t.Error(err)
	}
	if _, err := part.Expand(ValuesOf(tasks[1], tasks[1].Words(), "o", 0)); err == nil || err.Error() != want {
		t.Errorf("Expand: %v", err)
	}
}

// Text with its braces doubled is itself again, whatever it holds.
func TestDoubledBraces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOf(rapid.String()).Draw(t, "args")
		double := strings.NewReplacer("{", "{{", "}", "}}")
		escaped := make([]string, len(args))
		for i, a := range args {
			escaped[i] = double.Replace(a)
		}
		tp, err := Parse(escaped)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tp.Expand(values())
		if err != nil || !slices.Equal(got, args) {
			t.Fatalf("%q became %q (%v)", args, got, err)
		}
	})
}

// What stands in the values never changes how many arguments there are.
func FuzzExpand(f *testing.F) {
	f.Add("--in={in} {{", "a b")
	f.Add("{out}", "{in}")
	f.Add("}", "'; rm -rf /'")
	f.Fuzz(func(t *testing.T, arg, value string) {
		tp, err := Parse([]string{arg, "{in}"})
		if err != nil {
			if !errors.Is(err, job.ErrBadInput) || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%q", err)
			}
			return
		}
		got, err := tp.Expand(Values{In: []string{value}, Out: value, Name: value, Stem: value, Ext: value, Index: 1})
		if err != nil || len(got) != 2 || got[1] != value {
			t.Errorf("%q became %q (%v)", arg, got, err)
		}
		if !strings.ContainsAny(arg, "{}") && got[0] != arg {
			t.Errorf("%q became %q", arg, got[0])
		}
	})
}
