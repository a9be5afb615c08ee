package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A verdict counts tests that have no subtests; a package or a test with subtests
// counts only when it failed by itself.
type verdict struct {
	passed, failed, skipped int
	wrong                   []string // a paragraph each
}

func judge(passes []*pass, l lists) verdict {
	var v verdict
	var all []*result
	for _, p := range passes {
		all = append(all, p.results...)
		if !slices.ContainsFunc(p.results, func(r *result) bool { return r.test != "" }) {
			v.fail("the pass %q ran no test at all", p.name)
		}
	}
	for _, r := range all {
		v.add(r, l)
	}
	v.checkMust(all, l)
	v.checkMay(all, l.may)
	return v
}

func (v *verdict) fail(format string, args ...any) {
	v.failed++
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// add counts one result.
func (v *verdict) add(r *result, l lists) {
	switch r.end {
	case "pass":
		if r.test != "" && r.subtests == 0 {
			v.passed++
		}
	case "skip":
		switch {
		case r.test == "": // a package without tests
		case l.short, slices.ContainsFunc(l.may, func(m maySkip) bool { return m.pkg == r.pkg && matches(m.test, r.test) }):
			v.skipped++
		default:
			v.fail("skipped without being listed in scripts/may-skip.txt: %s\n%s", r.name(), tail(r.output))
		}
	case "fail":
		if !r.failedBelow {
			v.fail("failed: %s\n%s", r.name(), tail(r.output))
		}
	default:
		if !r.failedBelow {
			v.fail("did not end: %s\n%s", r.name(), tail(r.output))
		}
	}
}

// checkMust finds tests that have to run and did not.
func (v *verdict) checkMust(all []*result, l lists) {
	for _, m := range l.must {
		if m.ordinary && l.ordinary == "" {
			v.fail("%s: %s %s has to run as an ordinary user, and no pass did", m.where, m.pkg, m.test)
			continue
		}
		ran := slices.ContainsFunc(all, func(r *result) bool {
			return r.pkg == m.pkg && r.test != "" && matches(m.test, r.test) &&
				(!m.ordinary || r.pass == l.ordinary) && (r.end == "pass" || r.end == "fail")
		})
		if !ran {
			as := ""
			if m.ordinary {
				as = " as an ordinary user"
			}
			v.fail("%s: %s %s has to run%s, and did not", m.where, m.pkg, m.test, as)
		}
	}
}

// checkMay finds entries that no test answers to any more.
func (v *verdict) checkMay(all []*result, may []maySkip) {
	for _, m := range may {
		if !slices.ContainsFunc(all, func(r *result) bool { return r.pkg == m.pkg && r.test != "" && matches(m.test, r.test) }) {
			v.fail("%s: there is no test %s %s: remove the line", m.where, m.pkg, m.test)
		}
	}
}

// tail is the end of a test's output, indented.
func tail(output []string) string {
	const most = 150
	lines := strings.Split(strings.TrimRight(strings.Join(output, ""), "\n"), "\n")
	cut := ""
	if len(lines) > most {
		cut = fmt.Sprintf("    (%d lines before)\n", len(lines)-most)
		lines = lines[len(lines)-most:]
	}
	return cut + "    " + strings.Join(lines, "\n    ")
}

func (v verdict) print(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, paragraph := range v.wrong {
		fmt.Fprintf(b, "%s\n\n", paragraph)
	}
	fmt.Fprintf(b, "%d passed, %d failed, %d skipped\n", v.passed, v.failed, v.skipped)
	return b.Flush()
}
