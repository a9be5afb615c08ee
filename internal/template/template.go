// Package template expands the placeholders of a command that the user wrote
// after "--": {in} {out} {name} {stem} {ext} {index} {lane}. No shell is
// involved: an argument stays one argument, whatever stands in it.
package template

import (
	"slices"
	"strconv"
	"strings"

	"muster/internal/job"
)

// Values is what the placeholders stand for, for one task.
type Values struct {
	In    []string // {in}: the input's words, as the program is to see them
	Out   string   // {out}: the output, as the program is to see it
	Name  string   // {name}: base name of the input
	Stem  string   // {stem}: the name without its last extension
	Ext   string   // {ext}: the last extension without its dot; may be empty
	Index int      // {index}: of the task, from 1
	Lane  int      // {lane}: from 0
}

// ValuesOf returns the values of a task. in and out are its input's words and
// its output as the program is to see them.
func ValuesOf(t job.Task, in []string, out string, lane int) Values {
	stem, ext := job.SplitName(t.Name())
	return Values{In: in, Out: out, Name: t.Name(), Stem: stem, Ext: ext, Index: t.Index, Lane: lane}
}

// Placeholders lists the known names.
func Placeholders() []string {
	return []string{"in", "out", "name", "stem", "ext", "index", "lane"}
}

// maxShown bounds how much of an argument stands in a message, in characters.
const maxShown = 80

// Template is a parsed list of arguments.
type Template struct {
	args [][]piece
	text []string // the arguments as they were written
}

// piece is either literal text or, when name is set, a placeholder.
type piece struct{ text, name string }

// Parse reads arguments with placeholders; {{ and }} stand for braces. The
// error is job.ErrBadInput: an unknown placeholder, or a brace without its partner.
func Parse(args []string) (*Template, error) {
	t := &Template{text: append([]string(nil), args...)}
	for _, a := range args {
		pieces, err := parseArg(a)
		if err != nil {
			return nil, err
		}
		t.args = append(t.args, pieces)
	}
	return t, nil
}

func parseArg(arg string) ([]piece, error) {
	var pieces []piece
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			pieces = append(pieces, piece{text: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(arg); i++ {
		c := arg[i]
		switch {
		case c != '{' && c != '}':
			literal.WriteByte(c)
		case i+1 < len(arg) && arg[i+1] == c:
			literal.WriteByte(c)
			i++
		case c == '}':
			return nil, job.BadInputf("argument %s has a } without its {: write }} for a brace", shown(arg))
		default:
			end := strings.IndexByte(arg[i:], '}')
			if end < 0 {
				return nil, job.BadInputf("argument %s has a { without its }: write {{ for a brace", shown(arg))
			}
			name := arg[i+1 : i+end]
			if err := known(name); err != nil {
				return nil, err
			}
			flush()
			pieces = append(pieces, piece{name: name})
			i += end
		}
	}
	flush()
	return pieces, nil
}

func known(name string) error {
	all := Placeholders()
	if slices.Contains(all, name) {
		return nil
	}
	guess := "."
	if c := job.Closest(name, all); c != "" {
		guess = ": did you mean {" + c + "}?"
	}
	return job.BadInputf("there is no placeholder %s%s Known are {%s}; write {{ and }} for braces",
		shown("{"+name+"}"), guess, strings.Join(all, "} {"))
}

// shown quotes an argument for a message, and leaves out the end of a long one.
func shown(arg string) string {
	if r := []rune(arg); len(r) > maxShown {
		arg = string(r[:maxShown]) + "…"
	}
	return strconv.Quote(arg)
}

// Uses reports whether a placeholder stands anywhere in the template.
func (t *Template) Uses(name string) bool {
	for _, arg := range t.args {
		for _, p := range arg {
			if p.name == name {
				return true
			}
		}
	}
	return false
}

// Streams says how input and output reach the program apart from placeholders.
type Streams struct {
	Stdin  bool // --stdin: the input is the standard input
	Stdout bool // --stdout: the output is what comes on standard output
}

// Check reports a template that contradicts the streams. The error is
// job.ErrBadInput.
func (t *Template) Check(s Streams) error {
	switch {
	case s.Stdin && t.Uses("in"):
		return job.BadInputf("--stdin gives the input on standard input, and the command names {in} too: leave out one of them")
	case s.Stdout && t.Uses("out"):
		return job.BadInputf("--stdout takes the output from standard output, and the command names {out} too: leave out one of them")
	}
	return nil
}

// CheckTasks finds the first task that the template cannot express: one with an
// input of several words, where {in} is only a part of an argument. The error is
// job.ErrBadInput.
func (t *Template) CheckTasks(tasks []job.Task) error {
	arg, ok := t.embedded()
	if !ok {
		return nil
	}
	for _, task := range tasks {
		if len(task.In) != 1 {
			return severalWords(arg, task.Index, len(task.In))
		}
	}
	return nil
}

// embedded returns the first argument that holds {in} and something else.
func (t *Template) embedded() (arg string, ok bool) {
	for i, pieces := range t.args {
		for _, p := range pieces {
			if p.name == "in" && len(pieces) > 1 {
				return t.text[i], true
			}
		}
	}
	return "", false
}

func severalWords(arg string, index, words int) error {
	return job.BadInputf("the input of task %d has %d words, and argument %s has room for one: let {in} stand alone", index, words, shown(arg))
}

// Expand returns the arguments for one task. An argument that is {in} and
// nothing else becomes as many arguments as the input has words. The error is
// job.ErrBadInput, and only for what CheckTasks finds.
func (t *Template) Expand(v Values) ([]string, error) {
	out := make([]string, 0, len(t.args)+len(v.In))
	for i, pieces := range t.args {
		if len(pieces) == 1 && pieces[0].name == "in" {
			out = append(out, v.In...)
			continue
		}
		var b strings.Builder
		for _, p := range pieces {
			if p.name == "in" && len(v.In) != 1 {
				return nil, severalWords(t.text[i], v.Index, len(v.In))
			}
			b.WriteString(v.of(p))
		}
		out = append(out, b.String())
	}
	return out, nil
}

func (v Values) of(p piece) string {
	switch p.name {
	case "":
		return p.text
	case "in":
		return v.In[0]
	case "out":
		return v.Out
	case "name":
		return v.Name
	case "stem":
		return v.Stem
	case "ext":
		return v.Ext
	case "index":
		return strconv.Itoa(v.Index)
	default: // Parse let nothing else pass
		return strconv.Itoa(v.Lane)
	}
}
