package vm

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/guest"
)

func TestPaths(t *testing.T) {
	n := names{
		folders: guest.Folders{In: "/s/in", Out: "/o/.muster-1", Work: "/s/work", Program: "/home/u/tools"},
		mounts:  []Mount{{Dir: "/data/lib", At: "/mnt/lib"}, {Dir: "/home/u", At: "/home/u"}},
	}
	for host, want := range map[string]string{
		"/s/in/1.1/a b":         "/muster/in/1.1/a b",
		"/o/.muster-1/1.1/x":    "/muster/out/1.1/x",
		"/s/work/1.1":           "/muster/work/1.1",
		"/home/u/tools":         "/muster/program",
		"/home/u/tools/bin/sim": "/muster/program/bin/sim",
		"/data/lib/a.so":        "/mnt/lib/a.so",
		"/home/u/x":             "/home/u/x",
		"/usr/bin/python3":      "/usr/bin/python3",
		"/s/in/../work/1":       "/muster/work/1",
		"/s/input":              "",
		"/etc/passwd":           "",
		"/":                     "",
	} {
		got, err := n.path(host)
		if got != want || (want == "") != errors.Is(err, guest.ErrPath) {
			t.Errorf("%s is %q (%v), want %q", host, got, err, want)
		}
	}
	// A folder of the system's is not brought: the guest has its own.
	n.folders.Program = "/usr/bin"
	if got, err := n.path("/usr/bin/env"); got != "/usr/bin/env" || n.program() != "" {
		t.Errorf("/usr/bin/env is %q, %v", got, err)
	}
}

func TestMounts(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"lib", "other lib", "x"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "lib"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		words []string
		want  map[string]string // in the guest → on the host, below dir
		err   string
	}{
		{nil, nil, ""},
		{[]string{"lib"}, map[string]string{"/mnt/lib": "lib"}, ""},
		{[]string{dir + "/x", "other lib:o"}, map[string]string{"/mnt/x": "x", "/mnt/o": "other lib"}, ""},
		{[]string{"lib", "x/lib:lib2"}, map[string]string{"/mnt/lib": "lib", "/mnt/lib2": "x/lib"}, ""},
		{[]string{"lib", "x/lib"}, nil, "mounted as lib already"},
		{[]string{"other lib"}, nil, "no name for a folder"},
		{[]string{"gone"}, nil, "not a folder"},
	} {
		text, err := Mounts(tc.words, dir)
		if (tc.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%q: %v, want %q", tc.words, err, tc.err)
			continue
		}
		if err != nil {
			if !errors.Is(err, guest.ErrUnfit) {
				t.Errorf("%q: %v", tc.words, err)
			}
			continue
		}
		o, err := parseOptions(map[string]string{OptMounts: text})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, m := range o.mounts {
			rel, _ := filepath.Rel(dir, m.Dir)
			got[m.At] = rel
		}
		if !maps.Equal(got, tc.want) {
			t.Errorf("%q: %v, want %v", tc.words, got, tc.want)
		}
	}
}

func TestSettle(t *testing.T) {
	first, err := settle(guest.Request{Mem: 300<<20 + 1, Options: map[string]string{OptNet: NetUser}})
	if err != nil {
		t.Fatal(err)
	}
	// As resume does it: the answer is a request.
	again, err := settle(guest.Request{Options: first})
	if err != nil || !maps.Equal(first, again) {
		t.Errorf("%v, then %v, %v", first, again, err)
	}
	if o, err := parseOptions(again); err != nil || o.memory != 301<<20 || o.net != NetUser {
		t.Errorf("%+v, %v", o, err)
	}
	for _, wrong := range []guest.Request{{Mem: 10 << 20}, {Options: map[string]string{OptNet: "bridge"}}} {
		if _, err := settle(wrong); !errors.Is(err, guest.ErrUnfit) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	got := environ([]string{"A=b=c", "HOME=/home/u", "TMPDIR=/host", guest.EnvTask + "=1_1.1@x"}, tempDir)
	want := []string{"TMPDIR=/tmp", "HOME=/root", "A=b=c", guest.EnvTask + "=1_1.1@x", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if got := environ([]string{"PATH=/opt"}, "/muster/own/1"); !slices.Equal(got, []string{"TMPDIR=/muster/own/1", "HOME=/muster/own/1", "PATH=/opt"}) {
		t.Errorf("%q", got)
	}
}

func TestHostname(t *testing.T) {
	for id, want := range map[string]string{"lane0.1": "lane0-1", "task12_1.7": "task12-1-7", "-.x": "x"} {
		if got := hostname(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}
