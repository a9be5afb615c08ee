package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const good = `
{"Action":"start","Package":"muster/a"}
{"Action":"run","Package":"muster/a","Test":"TestOne"}
{"Action":"pass","Package":"muster/a","Test":"TestOne"}
{"Action":"run","Package":"muster/a","Test":"TestTwo"}
{"Action":"run","Package":"muster/a","Test":"TestTwo/x"}
{"Action":"run","Package":"muster/a","Test":"TestTwo/y"}
{"Action":"pass","Package":"muster/a","Test":"TestTwo/x"}
{"Action":"pass","Package":"muster/a","Test":"TestTwo/y"}
{"Action":"pass","Package":"muster/a","Test":"TestTwo"}
{"Action":"pass","Package":"muster/a"}
{"Action":"start","Package":"muster/empty"}
{"Action":"output","Package":"muster/empty","Output":"?   \tmuster/empty\t[no test files]\n"}
{"Action":"skip","Package":"muster/empty"}
`

const skipping = `
{"Action":"run","Package":"muster/a","Test":"TestWine"}
{"Action":"output","Package":"muster/a","Test":"TestWine","Output":"    no Wine here\n"}
{"Action":"skip","Package":"muster/a","Test":"TestWine"}
{"Action":"pass","Package":"muster/a"}
`

// TestJudge runs the command as make test does, on events made up for it.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name      string
		events    string // the pass "main"
		user      string // the pass "user", an ordinary user's, if not ""
		must, may string
		flag      string
		want      []string // parts of the output
		ok        bool
	}{
		{name: "good", events: good, want: []string{"3 passed, 0 failed, 0 skipped"}, ok: true},
		{name: "a failed subtest counts once",
			events: `
{"Action":"run","Package":"muster/a","Test":"TestTwo"}
{"Action":"run","Package":"muster/a","Test":"TestTwo/x"}
{"Action":"output","Package":"muster/a","Test":"TestTwo/x","Output":"    x_test.go:1: 1 is not 2\n"}
{"Action":"fail","Package":"muster/a","Test":"TestTwo/x"}
{"Action":"fail","Package":"muster/a","Test":"TestTwo"}
{"Action":"fail","Package":"muster/a"}
`,
			want: []string{"failed: muster/a TestTwo/x [main]", "1 is not 2", "0 passed, 1 failed, 0 skipped"}},
		{name: "a failed package whose tests passed",
			events: strings.Replace(good, `{"Action":"pass","Package":"muster/a"}`,
				`{"Action":"output","Package":"muster/a","Output":"goroutines left\n"}
{"Action":"fail","Package":"muster/a"}`, 1),
			want: []string{"failed: muster/a [main]", "goroutines left", "3 passed, 1 failed, 0 skipped"}},
		{name: "a package that does not compile",
			events: good + `
{"ImportPath":"muster/b [muster/b.test]","Action":"build-output","Output":"b/b.go:1: undefined: x\n"}
{"ImportPath":"muster/b [muster/b.test]","Action":"build-fail"}
{"Action":"start","Package":"muster/b"}
{"Action":"fail","Package":"muster/b","FailedBuild":"muster/b [muster/b.test]"}
`,
			want: []string{"failed: muster/b [main]", "undefined: x", "3 passed, 1 failed, 0 skipped"}},
		{name: "a test that never ended",
			events: good + `{"Action":"run","Package":"muster/b","Test":"TestHang"}` + "\n" + `{"Action":"fail","Package":"muster/b"}`,
			want:   []string{"did not end: muster/b TestHang", "3 passed, 1 failed, 0 skipped"}},
		{name: "events cut off",
			events: `{"Action":"start","Package":"muster/a"}` + "\n" + `{"Action":"run","Package":"muster/a","Test":"TestOne"}`,
			want:   []string{"did not end: muster/a TestOne", "0 passed, 1 failed, 0 skipped"}},
		{name: "nothing ran", events: "go: command not found\n", want: []string{`"main" ran no test`, "0 passed, 1 failed"}},

		{name: "skipped, not listed", events: skipping, want: []string{"without being listed", "no Wine here", "0 passed, 1 failed, 0 skipped"}},
		{name: "skipped, listed", events: skipping, may: "muster/a TestWine this is only a test\n", want: []string{"0 passed, 0 failed, 1 skipped"}, ok: true},
		{name: "listed by pattern", events: skipping, may: "muster/a Test* this is only a test\n", want: []string{"0 passed, 0 failed, 1 skipped"}, ok: true},
		{name: "skipped in a short run", events: skipping, flag: "-short", want: []string{"0 passed, 0 failed, 1 skipped"}, ok: true},
		{name: "stale entry", events: good, may: "muster/a TestGone it was slow\n", want: []string{"may:1: there is no test muster/a TestGone"}},

		{name: "ran as it must", events: good, must: "# comment\nmuster/a TestTwo/x\n\nmuster/a TestTwo/*\n", want: []string{"3 passed, 0 failed"}, ok: true},
		{name: "must run, was skipped", events: skipping, may: "muster/a TestWine why\n", must: "muster/a TestWine\n", want: []string{"must:1: muster/a TestWine has to run, and did not", "0 passed, 1 failed, 1 skipped"}},
		{name: "must run, is not there", events: good, must: "muster/a TestWine\n", want: []string{"has to run, and did not"}},
		{name: "as an ordinary user", events: good, user: good, must: "muster/a TestOne ordinary\n", want: []string{"6 passed, 0 failed"}, ok: true},
		{name: "not as an ordinary user", events: good, user: skipping, may: "muster/a TestWine why\n", must: "muster/a TestOne ordinary\n", want: []string{"TestOne has to run as an ordinary user, and did not"}},
		{name: "no ordinary user at all", events: good, must: "muster/a TestOne ordinary\n", want: []string{"and no pass did"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, "main", c.events)
			write(t, "user", c.user)
			write(t, "must", c.must)
			write(t, "may", c.may)
			args := []string{"judge", "-must", "must", "-may", "may"}
			if c.flag != "" {
				args = append(args, c.flag)
			}
			if c.user != "" {
				args = append(args, "-ordinary", "user", "user=user")
			}
			args = append(args, "main=main")

			var out bytes.Buffer
			err := run(args, nil, &out)
			if c.ok && err != nil || !c.ok && !errors.Is(err, errBad) {
				t.Errorf("error %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, &out)
				}
			}
		})
	}
}

func TestBadLists(t *testing.T) {
	for _, c := range []struct{ flag, list, want string }{
		{"-may", "muster/a TestWine\n", "without a reason"},
		{"-must", "muster/a\n", "expected PACKAGE TEST"},
		{"-must", "muster/a TestWine somehow\n", "[ordinary]"},
		{"-must", "muster/a Test[\n", "is no pattern"},
	} {
		t.Chdir(t.TempDir())
		write(t, "list", c.list)
		write(t, "main", good)
		err := run([]string{"judge", c.flag, "list", "main=main"}, nil, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: error %v, want one with %q", c.flag, c.list, err, c.want)
		}
	}
}

func TestWatch(t *testing.T) {
	name := filepath.Join(t.TempDir(), "events")
	var out bytes.Buffer
	if err := run([]string{"watch", name}, strings.NewReader(good), &out); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(out.String()); strings.Join(got, " ") != "pass muster/a 0.0 s" {
		t.Errorf("told %q", out.String())
	}
	if kept, err := os.ReadFile(name); err != nil || string(kept) != good {
		t.Errorf("kept %q, %v", kept, err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
