package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/config"
	"muster/internal/image"
	"muster/internal/job"
	"muster/internal/rundir"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhoWins(t *testing.T) {
	machine := write(t, "# the site\nlanes = 2\nengine = \"slurm\"\npartition = \"normal\"\nretries = 1\ntimeout = 30\n")
	user := write(t, "engine = 'local'\nlanes = 4\nkeep = true\n\n\ntimeout = \"90s\"\nscratch = \"~/s\"\n")
	c, err := config.Load(config.Options{
		Getenv: env("HOME", "/home/ann", "MUSTER_LANES", "8", "MUSTER_RETRIES", "2", "MUSTER_MEM", "1.5G", "MUSTER_BOOT", ""),
		Files:  []string{machine, filepath.Join(t.TempDir(), "none"), user},
		Flags:  map[string]string{"retries": "3", "images": "pictures"},
		Dir:    "/work",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"partition": "normal, " + machine + ":4",
		"engine":    "local, " + user + ":1",
		"lanes":     "8, MUSTER_LANES",
		"retries":   "3, --retries",
		"images":    "/work/pictures, --images",
		"scratch":   "/home/ann/s, " + user + ":7",
		"boot":      "auto, default",
		"state":     "/home/ann/.local/state/muster, default",
	} {
		v, ok := c.Value(name)
		if got := v.Text + ", " + v.Source.String(); !ok || got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if c.Count("lanes") != 8 || c.Duration("timeout") != 90*time.Second || c.Memory("mem") != 3<<29 ||
		!c.Switch("keep") || c.Text("engine") != "local" || !c.FailOn("fail-on").Fails(1, 10) {
		t.Errorf("the typed values are wrong: %+v", c.All())
	}
	if len(c.All()) != len(config.Keys()) {
		t.Errorf("All() gives %d of %d settings", len(c.All()), len(config.Keys()))
	}
}

func TestWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name, file string
		env        []string
		flags      map[string]string
		want       string // FILE stands for the file's path
	}{
		{"unknown", "lanes = 1\n\nlane = 4\n", nil, nil, `FILE:3: there is no setting "lane"; did you mean lanes?`},
		{"unknown, far from all", "xyzzy = 4\n", nil, nil, `FILE:1: there is no setting "xyzzy"`},
		{"several", "isolatoin = \"task\"\nlanes = 1\nlanse = 2\n", nil, nil,
			"FILE:1: there is no setting \"isolatoin\"; did you mean isolation?\nFILE:3: there is no setting \"lanse\"; did you mean lanes?"},
		{"no TOML", "lanes = 1\nengine = slurm\n", nil, nil, `FILE:2: this is not TOML: `},
		{"set twice", "lanes = 1\nlanes = 2\n", nil, nil, `FILE:2: this is not TOML: `},
		{"wrong word", "\nengine = \"slrum\"\n", nil, nil, `FILE:2: engine cannot be "slrum": it is one of auto, local, slurm, gridengine; did you mean slurm?`},
		{"negative", "lanes = -1", nil, nil, `FILE:1: lanes cannot be "-1": it is a number, 0 or more`},
		{"no time", "timeout = \"soon\"", nil, nil, `FILE:1: timeout: "soon" is not a time span: `},
		{"fraction", "mem = 1.5", nil, nil, `FILE:1: mem must stand in quotes here: mem = "…"`},
		{"bare time", "timeout = 01:30:00", nil, nil, `FILE:1: timeout must stand in quotes here: timeout = "…"`},
		{"table", "[lanes]\nn = 1\n", nil, nil, `FILE:1: lanes is a table here; it is one value: lanes = …`},
		{"relative in a file", "state = \"runs\"", nil, nil, `FILE:1: state is "runs": in a file it must begin with / or ~/`},
		{"no home", "state = \"~/runs\"", []string{"HOME", ""}, nil, `FILE:1: state is "~/runs", and HOME is not set`},
		{"in the environment", "", []string{"MUSTER_KEEP", "perhaps"}, nil, `MUSTER_KEEP: keep cannot be "perhaps": it is true or false`},
		{"as a flag", "", nil, map[string]string{"timeout": "soon"}, `--timeout: "soon" is not a time span: `},
		{"no such flag", "", nil, map[string]string{"tineout": "1"}, `--tineout: there is no setting "tineout"; did you mean timeout?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, c.file)
			_, err := config.Load(config.Options{Getenv: env(append(c.env, "HOME", "/home/ann")...), Files: []string{file}, Flags: c.flags})
			if err == nil {
				t.Fatal("it was taken")
			}
			if !errors.Is(err, job.ErrBadInput) {
				t.Errorf("%v is no ErrBadInput", err)
			}
			want := strings.ReplaceAll(c.want, "FILE", file)
			if got := err.Error(); got != want && !(strings.HasSuffix(want, ": ") && strings.HasPrefix(got, want) && !strings.Contains(got, "\n")) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			var e *config.Error
			if !errors.As(err, &e) || e.Hint() == "" {
				t.Errorf("%v is no *config.Error with a hint", err)
			}
		})
	}
}

func TestNotAFile(t *testing.T) {
	for _, path := range []string{t.TempDir(), "/dev/zero", write(t, strings.Repeat("# flood\n", 1<<18))} {
		if _, err := config.Load(config.Options{Getenv: env("HOME", "/h"), Files: []string{path}}); !errors.Is(err, job.ErrBadInput) {
			t.Errorf("reading %s: %v, want ErrBadInput", path, err)
		}
	}
}

func TestFiles(t *testing.T) {
	for want, getenv := range map[string]func(string) string{
		"/etc/muster/config.toml /home/ann/.config/muster/config.toml": env("HOME", "/home/ann", "XDG_CONFIG_HOME", "relative"),
		"/etc/muster/config.toml /cfg/muster/config.toml":              env("HOME", "/home/ann", "XDG_CONFIG_HOME", "/cfg"),
		"/etc/muster/config.toml":                                      env(),
	} {
		if got := strings.Join(config.Files(getenv), " "); got != want {
			t.Errorf("Files = %q, want %q", got, want)
		}
	}
}

// The folders' defaults are the ones of those who use them.
func TestDefaultsAgree(t *testing.T) {
	for _, getenv := range []func(string) string{
		env("HOME", "/home/ann"),
		env("HOME", "/home/ann", "XDG_STATE_HOME", "/xs", "XDG_DATA_HOME", "/xd"),
		env("HOME", "/home/ann", "XDG_STATE_HOME", "xs", "XDG_DATA_HOME", "xd"),
		env(),
	} {
		c, err := config.Load(config.Options{Getenv: getenv, Files: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		state, _ := rundir.DefaultRoot(getenv) // "" and an error without a home: the setting is empty then
		images, _ := image.Root(getenv)
		if c.Text("state") != state || c.Text("images") != images {
			t.Errorf("state %q and images %q, want %q and %q", c.Text("state"), c.Text("images"), state, images)
		}
	}
}

// The table itself: names that are flags' names, variables that follow from them and
// are nobody else's, defaults that can be read, help in one line.
func TestTable(t *testing.T) {
	taken := map[string]bool{}
	for _, other := range []string{"MUSTER_RUN", "MUSTER_INSTANCE", "MUSTER_TASK", "MUSTER_TOKEN", "MUSTER_ELEMENT", "MUSTER_ARRAY", "MUSTER_MANIFEST", "MUSTER_INDEX", "MUSTER_LANE"} {
		taken[other] = true
	}
	for _, k := range config.Keys() {
		if want := "MUSTER_" + strings.ToUpper(strings.ReplaceAll(k.Name, "-", "_")); k.Env != want {
			t.Errorf("%s: variable %s, want %s", k.Name, k.Env, want)
		}
		if taken[k.Env] {
			t.Errorf("%s: the variable %s is used for something else", k.Name, k.Env)
		}
		taken[k.Env] = true
		if k.Help == "" || len(k.Help) > 90 || strings.HasSuffix(k.Help, ".") || strings.Contains(k.Help, "\n") {
			t.Errorf("%s: help %q", k.Name, k.Help)
		}
		if (k.Kind == config.Word) != (len(k.Words) > 0) {
			t.Errorf("%s: kind %s with words %q", k.Name, k.Kind, k.Words)
		}
		// What is shown can be written down again.
		if got, ok := config.Lookup(k.Name); !ok || got.Env != k.Env {
			t.Errorf("Lookup(%s) = %v, %v", k.Name, got, ok)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a getter of the wrong kind gave a value")
		}
	}()
	c, err := config.Load(config.Options{Getenv: env(), Files: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	c.Count("engine")
}
