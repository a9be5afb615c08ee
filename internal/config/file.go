package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"muster/internal/job"
)

// maxFile bounds what is read of a configuration file: a device or a log that
// was named by mistake must not fill the memory.
const maxFile = 1 << 20

// Error is a setting that cannot be. It is job.ErrBadInput.
type Error struct {
	Key    string // "" when the file as a whole is meant
	Source Source
	Err    error // what is wrong
}

// Error is one line: where, and what is wrong.
func (e *Error) Error() string {
	if e.Source.Kind == "default" {
		return e.Err.Error()
	}
	what := e.Err.Error()
	if e.Source.Kind != "flag" && !strings.Contains(what, e.Key) { // a flag names itself
		what = e.Key + ": " + what
	}
	return e.Source.String() + ": " + what
}

// Unwrap gives what is wrong, and job.ErrBadInput.
func (e *Error) Unwrap() []error { return []error{e.Err, job.ErrBadInput} }

// Hint says what to do.
func (e *Error) Hint() string {
	return "muster config   (shows every setting, its value and its source)"
}

// ErrorCode is what `muster explain` expands.
func (e *Error) ErrorCode() string { return "bad-setting" }

func unknown(name string, src Source) error {
	guess := ""
	if c := job.Closest(name, names()); c != "" {
		guess = fmt.Sprintf("; did you mean %s?", c)
	}
	return &Error{Key: name, Source: src, Err: job.BadInputf("there is no setting %q%s", name, guess)}
}

// readFile takes the settings of one file.
func (c *Config) readFile(path string, o Options) error {
	data, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	found := map[string]toml.Primitive{}
	meta, err := toml.Decode(string(data), &found)
	if err != nil {
		return syntax(path, err)
	}
	var errs []error
	lines := make(map[string]int, len(found))
	for name, p := range found {
		lines[name] = lineOf(&meta, p)
	}
	for _, name := range slices.SortedFunc(maps.Keys(found), func(a, b string) int { return lines[a] - lines[b] }) {
		src := Source{Kind: "file", Name: path, Line: lines[name]}
		k, ok := Lookup(name)
		if !ok {
			errs = append(errs, unknown(name, src))
			continue
		}
		var v any
		if err := meta.PrimitiveDecode(found[name], &v); err != nil {
			errs = append(errs, &Error{Key: name, Source: src, Err: err})
			continue
		}
		text, err := textOf(k, v)
		if err != nil {
			errs = append(errs, &Error{Key: name, Source: src, Err: err})
			continue
		}
		if err := c.set(k, text, src, o); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, job.BadInputf("%s is not a file", path)
	}
	if info.Size() > maxFile {
		return nil, job.BadInputf("%s is larger than a configuration can be (1 MiB)", path)
	}
	return os.ReadFile(path)
}

// syntax puts a parser's error into one line with its place.
func syntax(path string, err error) error {
	var p toml.ParseError
	if !errors.As(err, &p) {
		return &Error{Source: Source{Kind: "file", Name: path, Line: 1}, Err: err}
	}
	return &Error{Source: Source{Kind: "file", Name: path, Line: p.Position.Line},
		Err: job.BadInputf("this is not TOML: %s (texts stand in quotes: name = \"value\")", p.Message)}
}

// textOf is the text of a TOML value: settings read the same in files, variables
// and flags.
func textOf(k Key, v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case bool:
		return strconv.FormatBool(v), nil
	case map[string]any, []map[string]any:
		return "", job.BadInputf("%s is a table here; it is one value: %s = …", k.Name, k.Name)
	}
	return "", job.BadInputf("%s must stand in quotes here: %s = \"…\"", k.Name, k.Name)
}

// lineOf finds the line of a value. The parser tells positions in its errors
// only, so this asks it to decode the value into something that always refuses.
func lineOf(meta *toml.MetaData, p toml.Primitive) int {
	var at toml.ParseError
	if errors.As(meta.PrimitiveDecode(p, &refuser{}), &at) {
		return at.Position.Line
	}
	return 0
}

type refuser struct{}

var errRefused = errors.New("refused")

// UnmarshalTOML implements toml.Unmarshaler.
func (*refuser) UnmarshalTOML(any) error { return errRefused }
