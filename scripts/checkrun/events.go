package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// An event is a line of `go test -json` (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output
	Test       string
	Elapsed    float64
	Output     string
}

// readEvents calls f for each event. Lines that are no events are passed on as
// output of no package: they may say what went wrong.
func readEvents(r io.Reader, f func(event)) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				e = event{Action: "output", Output: line}
			}
			f(e)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading test events: %w", err)
		}
	}
}

// A result is how one test, or one package (test ""), ended.
type result struct {
	pass, pkg, test string
	end             string // pass, fail, skip; "" when it never ended
	output          []string
	subtests        int
	failedBelow     bool // one of its subtests did not pass
}

func (r *result) name() string {
	s := strings.TrimSpace(r.pkg + " " + r.test)
	return s + " [" + r.pass + "]"
}

// A pass is one run over packages.
type pass struct {
	name    string
	results []*result // in the order in which they began
}

func readPass(name, file string) (*pass, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parsePass(name, f)
}

func parsePass(name string, r io.Reader) (*pass, error) {
	p := &pass{name: name}
	type key struct{ pkg, test string }
	byName := map[key]*result{}
	at := func(pkg, test string) *result {
		k := key{pkg, test}
		if byName[k] == nil {
			byName[k] = &result{pass: name, pkg: pkg, test: test}
			p.results = append(p.results, byName[k])
		}
		return byName[k]
	}
	built := map[string][]string{} // what the compiler said
	err := readEvents(r, func(e event) {
		switch e.Action {
		case "build-output":
			built[e.ImportPath] = append(built[e.ImportPath], e.Output)
		case "output":
			if e.Package != "" {
				res := at(e.Package, e.Test)
				res.output = append(res.output, e.Output)
			}
		case "start", "run":
			at(e.Package, e.Test)
		case "pass", "fail", "skip":
			at(e.Package, e.Test).end = e.Action
		}
	})
	for importPath, said := range built {
		// "pkg [pkg.test]" is how a package built for its test is named.
		pkg, _, _ := strings.Cut(importPath, " ")
		res := at(strings.TrimSuffix(pkg, ".test"), "")
		res.output = append(said, res.output...)
	}
	for k, res := range byName {
		for parent := k.test; parent != ""; {
			i := strings.LastIndexByte(parent, '/')
			if i < 0 {
				break
			}
			parent = parent[:i]
			if above := byName[key{k.pkg, parent}]; above != nil {
				above.subtests++
				above.failedBelow = above.failedBelow || res.end == "fail" || res.end == ""
			}
		}
		if k.test != "" {
			if above := byName[key{k.pkg, ""}]; above != nil {
				above.subtests++
				above.failedBelow = above.failedBelow || res.end == "fail" || res.end == ""
			}
		}
	}
	return p, err
}
