package exitcode

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"muster/internal/job"
)

var (
	// The loader gives up on a program. The line's quoted name is the program.
	importsFailed = regexp.MustCompile(`([0-9a-f]{4,8}):err:module:LdrInitializeThunk Importing dlls for (L?".*") failed, status ([0-9a-f]{8})$`)
	dllNotFound   = regexp.MustCompile(`([0-9a-f]{4,8}):err:module:import_dll Library (.+) \(which is needed by (L?".*")\) not found$`)
	dllFailed     = regexp.MustCompile(`([0-9a-f]{4,8}):err:module:import_dll Loading library (.+) \(which is needed by (L?".*")\) failed \(error ([0-9a-f]{1,8})\)\.$`)
	truncated     = regexp.MustCompile(`:err:module:map_image_into_view Could not map (L?".*") section .*, file probably truncated$`)

	failedOpen   = regexp.MustCompile(`^wine: failed to (?:open|load) (.+): ([0-9a-f]{1,8})$`)
	failedStart  = regexp.MustCompile(`^wine: failed to start (.+)$`)
	couldNotLoad = regexp.MustCompile(`^wine: (?:could not load|failed to create main module for|could not find BaseThreadInitThunk in) (.+), status ([0-9a-f]{1,8})$`)
	isDLL        = regexp.MustCompile(`^wine: (.+) is a dll, not an executable$`)

	clientError = regexp.MustCompile(`^wine client error:[0-9a-f]+: (.*)$`)
)

const (
	dllMissing   = 0xC0000135
	badImage     = 0xC000007B
	notSupported = 0xC00000BB
)

// notLoaded reads the loader's lines about libraries that the program cannot
// start without. The last line decides: without it, a library that the program
// loaded later has failed, and the program may well have gone on.
func notLoaded(lines []string, i, code int) (job.Exit, bool) {
	m := importsFailed.FindStringSubmatch(lines[i])
	if m == nil {
		return job.Exit{}, false
	}
	status := number(m[3])
	if code != low(status) {
		return job.Exit{}, false
	}
	thread, program := m[1], winBase(m[2])
	missing := missingRoots(lines[:i], thread)
	if len(missing) > 0 {
		return job.Exit{Code: code, Cause: job.CauseMissingDLL, Detail: oneLine("needs " + strings.Join(missing, ", ") + ": not found")}, true
	}
	for j := i - 1; j >= 0; j-- {
		if f := dllFailed.FindStringSubmatch(lines[j]); f != nil && f[1] == thread {
			return cannotLoad(code, fmt.Sprintf("%s, needed by %s, cannot be loaded: %s", f[2], winBase(f[3]), statusWords(number(f[4])))), true
		}
	}
	return cannotLoad(code, fmt.Sprintf("the DLLs of %s cannot be loaded: %s", program, statusWords(status))), true
}

// missingRoots lists the libraries that are really absent, "a.dll (needed by
// b.dll)", in the order found. A library that is there but lacks one of its own is
// called "not found" too, later; it is left out.
func missingRoots(lines []string, thread string) []string {
	var roots []string
	lacking := map[string]bool{} // present, but something below them is absent
	for _, l := range lines {
		m := dllNotFound.FindStringSubmatch(l)
		if m == nil || m[1] != thread {
			continue
		}
		by := winBase(m[3])
		lacking[strings.ToLower(by)] = true
		root := fmt.Sprintf("%s (needed by %s)", m[2], by)
		if !lacking[strings.ToLower(base(m[2]))] && !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return roots
}

// notStarted reads Wine's lines about a program's file that cannot be run at all.
func notStarted(lines []string, i, code int) (job.Exit, bool) {
	line := lines[i]
	if m := failedOpen.FindStringSubmatch(line); m != nil && code == low(number(m[2])) {
		return cannotLoad(code, fmt.Sprintf("%s cannot be opened: %s", quotedBase(m[1]), openWords(number(m[2])))), true
	}
	if m := couldNotLoad.FindStringSubmatch(line); m != nil && (code == low(number(m[2])) || code == 1) {
		return cannotLoad(code, fmt.Sprintf("%s cannot be loaded: %s", quotedBase(m[1]), statusWords(number(m[2])))), true
	}
	if m := isDLL.FindStringSubmatch(line); m != nil {
		return cannotLoad(code, quotedBase(m[1])+" is a DLL, not a program"), true
	}
	if m := failedStart.FindStringSubmatch(line); m != nil && code == 1 {
		detail := quotedBase(m[1]) + " cannot be started"
		if slices.ContainsFunc(lines[:i], truncated.MatchString) {
			detail += ": the file is probably truncated"
		}
		return cannotLoad(code, detail), true
	}
	if strings.HasPrefix(line, "wine: could not load ntdll.so: ") && code == 1 {
		return cannotLoad(code, "Wine itself is damaged: "+strings.TrimPrefix(line, "wine: ")), true
	}
	return job.Exit{}, false
}

// notBooted reads what Wine and its server say when no instance came up.
func notBooted(lines []string, i, code int) (job.Exit, bool) {
	line := lines[i]
	owned := strings.HasPrefix(line, "wine: ") && strings.HasSuffix(line, "is not owned by you")
	prefix := strings.HasPrefix(line, "wine: chdir to ") || strings.HasPrefix(line, "wine: ") && strings.Contains(line, " in WINEPREFIX")
	server := strings.HasPrefix(line, "wineserver: ") || strings.HasPrefix(line, "wine: could not exec")
	if !owned && !prefix && !server || code != 1 {
		return job.Exit{}, false
	}
	return job.Exit{Code: code, Cause: job.CauseBoot, Detail: oneLine(line)}, true
}

// serverLost reads what a Wine program says when its server is gone. It counts
// with code 0 too, which is what Wine then gives.
func serverLost(lines []string, code int) (job.Exit, bool) {
	for _, line := range slices.Backward(lines) {
		if m := clientError.FindStringSubmatch(line); m != nil {
			return job.Exit{Code: code, Cause: job.CauseInstance, Detail: oneLine("the connection to the Wine server broke: " + m[1])}, true
		}
		if strings.HasPrefix(line, "wineserver crashed, please enable coredumps") {
			return job.Exit{Code: code, Cause: job.CauseInstance, Detail: "the Wine server crashed"}, true
		}
	}
	return job.Exit{}, false
}

func cannotLoad(code int, detail string) job.Exit {
	return job.Exit{Code: code, Cause: job.CauseCannotLoad, Detail: oneLine(detail)}
}

// openWords is statusWords for a file that is opened: 0xC0000135 then means that
// the file itself is absent.
func openWords(status uint32) string {
	if status == dllMissing {
		return fmt.Sprintf("not found (0x%08X)", status)
	}
	return statusWords(status)
}

func statusWords(status uint32) string {
	words := map[uint32]string{
		dllMissing:   "a DLL is missing",
		badImage:     "not a valid image for this kind of program",
		notSupported: "not supported",
		0xC0000017:   "no memory",
		0xC0000018:   "address taken",
		0xC0000022:   "access denied",
		0xC0000034:   "not found",
		0xC000003A:   "folder not found",
		0xC0000139:   "an entry point is missing",
		0xC0000142:   "a DLL failed to initialise",
	}[status]
	if words == "" {
		words = "status"
	}
	return fmt.Sprintf("%s (0x%08X)", words, status)
}

func number(hex string) uint32 {
	n, _ := strconv.ParseUint(hex, 16, 32) // the patterns allow at most 8 digits
	return uint32(n)
}

func winBase(quoted string) string {
	text, _ := unquote(quoted)
	return base(text)
}

// quotedBase is winBase for names that may also stand unquoted, with blanks.
func quotedBase(s string) string {
	if strings.HasPrefix(s, `"`) || strings.HasPrefix(s, `L"`) {
		return winBase(s)
	}
	return base(s)
}
