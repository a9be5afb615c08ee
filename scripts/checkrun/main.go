// Checkrun judges what `go test -json` wrote: a run of tests is good when none
// failed, none was skipped without a stated reason, and those that have to run did.
//
//	go test -json ./... | checkrun watch FILE
//	checkrun judge [-must FILE] [-may FILE] [-ordinary PASS] [-short] PASS=FILE...
//
// watch copies its input to FILE and prints a line for each package. judge reads
// such files, one for each pass over the tests (main, race, ordinary user, …),
// prints what is wrong and, as the last line, "N passed, N failed, N skipped". Its
// exit code is 0 when the run is good, 1 when it is not, 2 for wrong arguments.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case errors.Is(err, errBad):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "checkrun:", err)
		os.Exit(2)
	}
}

// errBad means that the tests were judged, and are not good.
var errBad = errors.New("the run is not good")

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: checkrun watch FILE, or checkrun judge [flags] PASS=FILE…")
	}
	switch args[0] {
	case "watch":
		if len(args) != 2 {
			return errors.New("usage: checkrun watch FILE")
		}
		return watch(args[1], stdin, stdout)
	case "judge":
		return judgeFiles(args[1:], stdout)
	}
	return fmt.Errorf("there is no command %q: watch or judge", args[0])
}

// watch copies events to a file and tells when a package is done.
func watch(name string, stdin io.Reader, stdout io.Writer) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	readErr := readEvents(io.TeeReader(stdin, w), func(e event) {
		if e.Test == "" && e.Package != "" && (e.Action == "pass" || e.Action == "fail") {
			fmt.Fprintf(stdout, "  %-4s  %-40s %6.1f s\n", e.Action, e.Package, e.Elapsed)
		}
	})
	return errors.Join(readErr, w.Flush(), f.Close())
}

func judgeFiles(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("checkrun judge", flag.ContinueOnError)
	must := flags.String("must", "", "list of tests that have to run: PACKAGE TEST [ordinary]")
	may := flags.String("may", "", "list of tests that may be skipped: PACKAGE TEST REASON")
	short := flags.Bool("short", false, "any test may be skipped: the run was a short one")
	ordinary := flags.String("ordinary", "", "the pass that an ordinary user, not root, ran")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("usage: checkrun judge [flags] PASS=FILE…")
	}

	var l lists
	var err error
	if l.must, err = readMust(*must); err != nil {
		return err
	}
	if l.may, err = readMay(*may); err != nil {
		return err
	}
	l.ordinary = *ordinary
	l.short = *short

	var passes []*pass
	for _, arg := range flags.Args() {
		name, file, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("%q is not of the form PASS=FILE", arg)
		}
		p, err := readPass(name, file)
		if err != nil {
			return err
		}
		passes = append(passes, p)
	}

	v := judge(passes, l)
	if err := v.print(stdout); err != nil {
		return err
	}
	if v.failed > 0 {
		return errBad
	}
	return nil
}
