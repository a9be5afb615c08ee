package rundir

import (
	"fmt"
	"os"
)

// runChild is what the test binary does when a test has started it again.
func runChild(name string) int {
	switch name {
	case "commits":
		return childCommits()
	case "claims":
		return childClaims()
	case "create":
		return childCreates()
	}
	fmt.Fprintln(os.Stderr, "no such child:", name)
	return 1
}
