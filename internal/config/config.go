package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"muster/internal/job"
)

// Source is where a value came from.
type Source struct {
	Kind string `json:"kind"`           // default, file, environment, flag
	Name string `json:"name,omitempty"` // the file, the variable, or the flag
	Line int    `json:"line,omitempty"` // in a file
}

// String is the source in a few words: "/etc/muster/config.toml:3",
// "MUSTER_LANES", "--lanes", "default".
func (s Source) String() string {
	switch {
	case s.Kind == "file":
		return fmt.Sprintf("%s:%d", s.Name, s.Line)
	case s.Name != "":
		return s.Name
	}
	return s.Kind
}

// Value is what a setting is, and where that came from.
type Value struct {
	Key    string `json:"key"`
	Text   string `json:"value"`
	Source Source `json:"source"`
	parsed any
}

// Config is the settled settings. It does not change.
type Config struct{ values map[string]Value }

// Options are what Load looks at.
type Options struct {
	Getenv func(string) string
	Files  []string          // the weakest first; nil: Files(Getenv). A file that is not there is skipped
	Flags  map[string]string // the flags that were given: name without dashes → text
	Dir    string            // the folder that relative paths of flags and variables are below; absolute
}

// Files are the configuration files that are looked for, the weakest first.
func Files(getenv func(string) string) []string {
	files := []string{"/etc/muster/config.toml"}
	// The convention says that a relative XDG path is to be ignored.
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return append(files, filepath.Join(dir, "muster", "config.toml"))
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return append(files, filepath.Join(home, ".config", "muster", "config.toml"))
	}
	return files
}

// Load settles every setting. What is wrong in files and variables is an *Error
// (all that is wrong in a file: joined *Errors), which is job.ErrBadInput; a flag
// that is no setting is an error of the caller's making, and reported alike.
func Load(o Options) (*Config, error) {
	c := &Config{values: map[string]Value{}}
	for _, k := range keys {
		text := expand(k.Default, o.Getenv)
		if err := c.set(k, text, Source{Kind: "default"}, o); err != nil {
			return nil, err
		}
	}
	files := o.Files
	if files == nil {
		files = Files(o.Getenv)
	}
	for _, path := range files {
		if err := c.readFile(path, o); err != nil {
			return nil, err
		}
	}
	for _, k := range keys {
		text := o.Getenv(k.Env)
		if text == "" { // as good as not set
			continue
		}
		if err := c.set(k, text, Source{Kind: "environment", Name: k.Env}, o); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Flags)) {
		k, ok := Lookup(name)
		src := Source{Kind: "flag", Name: "--" + name}
		if !ok {
			return nil, unknown(name, src)
		}
		if err := c.set(k, o.Flags[name], src, o); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// expand replaces the XDG variable that a default begins with. Without a home
// folder the setting stays empty, and whoever needs it says so.
func expand(text string, getenv func(string) string) string {
	for variable, below := range map[string]string{"XDG_STATE_HOME": ".local/state", "XDG_DATA_HOME": ".local/share"} {
		rest, ok := strings.CutPrefix(text, "$"+variable+"/")
		if !ok {
			continue
		}
		if dir := getenv(variable); filepath.IsAbs(dir) {
			return filepath.Join(dir, rest)
		}
		if home := getenv("HOME"); filepath.IsAbs(home) {
			return filepath.Join(home, below, rest)
		}
		return ""
	}
	return text
}

func (c *Config) set(k Key, text string, src Source, o Options) error {
	if k.Kind == Folder || k.Name == "wine" {
		path, err := absolute(k, text, src, o)
		if err != nil {
			return err
		}
		text = path
	}
	parsed, err := k.parse(text)
	if err != nil {
		return &Error{Key: k.Name, Source: src, Err: err}
	}
	c.values[k.Name] = Value{Key: k.Name, Text: text, Source: src, parsed: parsed}
	return nil
}

// absolute settles a path. A file is read from everywhere, so that a relative path
// in it would mean something else each time.
func absolute(k Key, text string, src Source, o Options) (string, error) {
	if rest, ok := strings.CutPrefix(text, "~"); ok && (rest == "" || rest[0] == '/') {
		home := o.Getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", &Error{Key: k.Name, Source: src, Err: job.BadInputf("%s is %q, and HOME is not set", k.Name, text)}
		}
		return filepath.Join(home, rest), nil
	}
	switch {
	case text == "" || filepath.IsAbs(text):
		return text, nil
	case src.Kind == "file":
		return "", &Error{Key: k.Name, Source: src, Err: job.BadInputf("%s is %q: in a file it must begin with / or ~/", k.Name, text)}
	case o.Dir != "":
		return filepath.Join(o.Dir, text), nil
	}
	path, err := filepath.Abs(text)
	if err != nil {
		return "", &Error{Key: k.Name, Source: src, Err: err}
	}
	return path, nil
}

// All returns every value, in the order of Keys.
func (c *Config) All() []Value {
	out := make([]Value, len(keys))
	for i, k := range keys {
		out[i] = c.values[k.Name]
	}
	return out
}

// Value returns a setting with its source; ok tells whether there is such a setting.
func (c *Config) Value(name string) (v Value, ok bool) {
	v, ok = c.values[name]
	return v, ok
}

// Text is the value of a setting of kind Text, Word or Folder. Like the other
// getters it panics for a name that is no setting of its kind: names are part of
// the source.
func (c *Config) Text(name string) string { return get[string](c, name) }

// Count is the value of a setting of kind Count.
func (c *Config) Count(name string) int { return get[int](c, name) }

// Switch is the value of a setting of kind Switch.
func (c *Config) Switch(name string) bool { return get[bool](c, name) }

// Duration is the value of a setting of kind Duration.
func (c *Config) Duration(name string) time.Duration { return get[time.Duration](c, name) }

// Memory is the value of a setting of kind Memory, in bytes.
func (c *Config) Memory(name string) int64 { return get[int64](c, name) }

// FailOn is the value of a setting of kind FailOn.
func (c *Config) FailOn(name string) job.FailOn { return get[job.FailOn](c, name) }

func get[T any](c *Config, name string) T {
	v, ok := c.values[name].parsed.(T)
	if !ok {
		panic(fmt.Sprintf("config: there is no setting %q of that kind", name))
	}
	return v
}
