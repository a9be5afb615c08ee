package main

import (
	"fmt"
	"os"
	"path"
	"strings"
)

// lists say what a good run is.
type lists struct {
	must     []mustRun
	may      []maySkip
	ordinary string // name of the ordinary user's pass, "" for none
	short    bool   // any test may be skipped
}

// mustRun names tests that have to run, in some pass, or in the ordinary user's.
type mustRun struct {
	where     string // file:line
	pkg, test string // test may be a pattern of path.Match
	ordinary  bool
}

// maySkip names tests that may be skipped, and why that is no loss.
type maySkip struct {
	where     string
	pkg, test string
	why       string
}

func matches(pattern, name string) bool {
	ok, _ := path.Match(pattern, name) // checked when the list was read
	return ok || pattern == name
}

func readMust(name string) ([]mustRun, error) {
	var must []mustRun
	err := readList(name, func(where string, words []string) error {
		m := mustRun{where: where, pkg: words[0], test: words[1]}
		switch {
		case len(words) == 2:
		case len(words) == 3 && words[2] == "ordinary":
			m.ordinary = true
		default:
			return fmt.Errorf("%s: expected PACKAGE TEST [ordinary]", where)
		}
		must = append(must, m)
		return nil
	})
	return must, err
}

func readMay(name string) ([]maySkip, error) {
	var may []maySkip
	err := readList(name, func(where string, words []string) error {
		if len(words) < 3 {
			return fmt.Errorf("%s: expected PACKAGE TEST REASON; a skip without a reason is a hole", where)
		}
		may = append(may, maySkip{where: where, pkg: words[0], test: words[1], why: strings.Join(words[2:], " ")})
		return nil
	})
	return may, err
}

// readList calls f for each line of a list, comments and empty lines apart. No
// name, no lines.
func readList(name string, f func(where string, words []string) error) error {
	if name == "" {
		return nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		where := fmt.Sprintf("%s:%d", name, i+1)
		if len(words) < 2 {
			return fmt.Errorf("%s: expected PACKAGE TEST …", where)
		}
		if _, err := path.Match(words[1], ""); err != nil {
			return fmt.Errorf("%s: %q is no pattern: %w", where, words[1], err)
		}
		if err := f(where, words); err != nil {
			return err
		}
	}
	return nil
}
