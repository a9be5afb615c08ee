package arrows

import (
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestHouse checks the whole module.
func TestHouse(t *testing.T) {
	files := readModule(t)
	if len(files) < 10 {
		t.Fatalf("only %d Go files found: the walk is broken", len(files))
	}
	for _, line := range judge(files) {
		t.Error(line)
	}
}

// judge returns a line for everything that is wrong with the files.
func judge(files []file) []string {
	var wrong []string
	byPackage := map[string][]file{}
	for _, f := range files {
		byPackage[f.pkg] = append(byPackage[f.pkg], f)
	}
	for _, pkg := range slices.Sorted(maps.Keys(byPackage)) {
		wrong = append(wrong, judgeName(pkg)...)
		wrong = append(wrong, judgeState(byPackage[pkg])...)
		for _, f := range byPackage[pkg] {
			wrong = append(wrong, judgeFile(f)...)
		}
	}
	return wrong
}

func judgeName(pkg string) []string {
	var wrong []string
	if house[pkg] == "" {
		wrong = append(wrong, "package "+pkg+" has no place: add it to house in internal/arrows/house_test.go, with what it is for, and to the picture in docs/design.md")
	}
	if slices.Contains(vagueNames, path.Base(pkg)) {
		wrong = append(wrong, "package "+pkg+": the name says nothing of what is inside; name the idea")
	}
	return wrong
}

func judgeFile(f file) []string {
	var wrong []string
	if f.test {
		return judgeTestImports(f)
	}
	for _, to := range slices.Sorted(maps.Keys(f.imports)) {
		if why := forbidden(f.pkg, to); why != "" {
			wrong = append(wrong, f.name+" imports "+to+": "+why)
		}
	}
	wrong = append(wrong, judgeStarters(f)...)
	wrong = append(wrong, judgeShape(f)...)
	return wrong
}

// judgeTestImports: tests may import what they like but what sits above them all.
func judgeTestImports(f file) []string {
	for to := range f.imports {
		if strings.HasPrefix(to, "cmd/") && to != f.pkg {
			return []string{f.name + " imports " + to + ": nobody imports cmd, tests neither"}
		}
	}
	return nil
}

// forbidden says why package from must not import to; "" when it may.
func forbidden(from, to string) string {
	for _, b := range bans {
		if match(b.from, from) && !slices.Contains(b.except, from) &&
			slices.ContainsFunc(b.to, func(p string) bool { return match(p, to) }) {
			return b.why
		}
	}
	if !ours(to) {
		return ""
	}
	if slices.Contains(testOnly, to) && !slices.Contains(testOnly, from) {
		return "it is for tests only"
	}
	for _, a := range allowances {
		if match(a.from, from) {
			if slices.Contains(a.to, to) || strings.HasPrefix(to, from+"/") {
				return ""
			}
			return a.why
		}
	}
	return ""
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"...", "os", true},
		{"internal/guest/*", "internal/guest/wine", true},
		{"internal/guest/*", "internal/guest", false},
		{"internal/guest/*", "internal/guest/wine/winpe", false},
		{"internal/guest/...", "internal/guest", true},
		{"internal/guest/...", "internal/guest/wine/winpe", true},
		{"internal/guest/...", "internal/guests", false},
		{"os/...", "os", true},
		{"os/...", "os/exec", true},
	} {
		if got := match(c.pattern, c.path); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.path, got)
		}
	}
}

// TestTables keeps the tables honest: a pattern that matches no package of the
// house bans nothing.
func TestTables(t *testing.T) {
	inHouse := func(pattern string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(house)), func(p string) bool { return match(pattern, p) })
	}
	for _, b := range bans {
		if b.why == "" || len(b.to) == 0 {
			t.Errorf("the ban on %s lacks a reason or a target", b.from)
		}
		if !inHouse(b.from) {
			t.Errorf("the ban on %s matches no package", b.from)
		}
		for _, to := range b.to {
			if ours(to) && !inHouse(to) {
				t.Errorf("the ban of %s → %s matches no package", b.from, to)
			}
		}
	}
	for _, a := range allowances {
		if a.why == "" || !inHouse(a.from) {
			t.Errorf("the allowance for %s lacks a reason or matches no package", a.from)
		}
	}
	for _, p := range testOnly {
		if house[p] == "" {
			t.Errorf("%s is for tests only, but not in the house", p)
		}
	}
}

// TestJudge feeds the test what it must find.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name, file, source string
		want               string // part of the only complaint; "" for none
	}{
		{"upward", "internal/job/x.go", `package job; import _ "muster/internal/plan"`, "every other package speaks of"},
		{"impure", "internal/plan/x.go", `package plan; import _ "os"`, "computed from its arguments alone"},
		{"driver to driver", "internal/guest/native/x.go", `package native; import _ "muster/internal/guest/wine"`, "never another driver"},
		{"guest to engine", "internal/guest/wine/x.go", `package wine; import _ "muster/internal/engine/local"`, "never another driver"},
		{"driver down", "internal/guest/wine/x.go", `package wine; import (_ "muster/internal/proc"; _ "muster/internal/guest/wine/winpe")`, ""},
		{"run to driver", "internal/run/x.go", `package run; import _ "muster/internal/guest/wine"`, "submitting side knows engines"},
		{"run to contract", "internal/run/x.go", `package run; import _ "muster/internal/guest"`, ""},
		{"agent to engine", "internal/agent/x.go", `package agent; import _ "muster/internal/engine"`, "not who brought it"},
		{"to cmd", "internal/ui/x.go", `package ui; import _ "muster/cmd/muster"`, "wiring at the top"},
		{"exec", "internal/node/x.go", `package node; import _ "os/exec"`, "only place that starts processes"},
		{"exec in proc", "internal/proc/x.go", `package proc; import _ "os/exec"`, ""},
		{"exec in a test", "internal/node/x_test.go", `package node; import _ "os/exec"`, ""},
		{"fork", "internal/ui/x.go", `package ui; import "syscall"; func f() { syscall.ForkExec("", nil, nil) }`, "syscall.ForkExec"},
		{"exec in ui", "internal/ui/x.go", `package ui; import "os/exec"; var _ = exec.Command`, "uses os/exec.Command"},
		{"exec's error in ui", "internal/ui/x.go", `package ui; import "os/exec"; func f(e *exec.Error) {}`, ""},
		{"start", "internal/ui/x.go", `package ui; import o "os"; func f() { o.StartProcess("", nil, nil) }`, "os.StartProcess"},
		{"suite in use", "internal/run/x.go", `package run; import _ "muster/internal/guest/guesttest"`, "submitting side"},
		{"suite in cmd", "cmd/muster/x.go", `package main; import _ "muster/internal/engine/memory"`, "for tests only"},
		{"suite in a test", "internal/run/x_test.go", `package run; import _ "muster/internal/engine/memory"`, ""},
		{"unplaced", "internal/attic/x.go", `package attic`, "has no place"},
		{"init", "internal/ui/x.go", `package ui; func init() {}`, "init"},
		{"method named init", "internal/ui/x.go", `package ui; type t int; func (t) init() {}`, ""},
		{"zero var", "internal/ui/x.go", `package ui; var n int`, "mutable state"},
		{"written var", "internal/ui/x.go", `package ui; var n = 1; func f() { n = 2 }`, "mutable state"},
		{"written map", "internal/ui/x.go", `package ui; var m = map[int]int{}; func f() { m[1] = 2 }`, "mutable state"},
		{"written field", "internal/ui/x.go", `package ui; var s = struct{n int}{1}; func f() { s.n++ }`, "mutable state"},
		{"address taken", "internal/ui/x.go", `package ui; var n = 1; func f() *int { return &n }`, "mutable state"},
		{"made map", "internal/ui/x.go", `package ui; var m = make(map[int]int)`, "mutable state"},
		{"shadowed", "internal/ui/x.go", `package ui; var n = 1; func f() { n := 2; n = 3; _ = n }`, ""},
		{"table", "internal/ui/x.go", `package ui; import "errors"; var m = map[int]error{1: errors.New("")}; var _ = m`, ""},
		{"embedded", "internal/ui/x.go", "package ui\n\nimport _ \"embed\"\n\n//go:embed x\nvar s string\n", ""},
		{"long", "internal/ui/x.go", "package ui" + strings.Repeat("\n", maxLines+1), "501 lines"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parse(token.NewFileSet(), c.file, []byte(c.source))
			if err != nil {
				t.Fatal(err)
			}
			got := judge([]file{f})
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("unexpected: %q", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("got %q, want one line with %q", got, c.want)
			}
		})
	}
}

func TestVagueName(t *testing.T) {
	if got := judgeName("internal/util"); len(got) != 2 {
		t.Errorf("got %q, want a complaint about the place and one about the name", got)
	}
}
