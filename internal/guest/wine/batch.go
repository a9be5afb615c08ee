package wine

import (
	"fmt"
	"path/filepath"
	"strings"

	"muster/internal/guest"
)

// envBatch carries the command line of a batch file.
const envBatch = "MUSTER_BATCH"

// commandLine is what Wine's loader is started with for a program: the program
// and its arguments, and additions to the environment. Batch files are cmd's.
func commandLine(program string, args []string) (line, env []string, err error) {
	switch strings.ToLower(filepath.Ext(program)) {
	case ".bat", ".cmd":
	default:
		return append([]string{program}, args...), nil, nil
	}
	// Wine makes one string of all arguments, in the way of C programs, and cmd
	// reads that string in another: it takes \" for the end of a quotation. So the
	// string goes through the environment, from which cmd fills it in as it is.
	text, err := batchLine(program, args)
	if err != nil {
		return nil, nil, err
	}
	return []string{`C:\windows\system32\cmd.exe`, "/d", "/c", "%" + envBatch + "%"}, []string{envBatch + "=" + text}, nil
}

// batchLine is a batch file with its arguments as one types them to cmd.
func batchLine(program string, args []string) (string, error) {
	words := make([]string, 0, 1+len(args))
	for _, a := range append([]string{program}, args...) {
		if strings.ContainsAny(a, "\"%\r\n") {
			return "", fmt.Errorf("%w: cmd cannot give %s the argument %q as it is (quotes, %%, line ends)", guest.ErrUnfit, program, a)
		}
		if a == "" || strings.ContainsAny(a, " \t&|<>^()@,;=!'+`~[]{}") {
			a = `"` + a + `"`
		}
		words = append(words, a)
	}
	return strings.Join(words, " "), nil
}
