package exitcode

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"muster/internal/job"
)

// exceptions are the unhandled exceptions that Wine has words for.
var exceptions = []struct {
	words string
	code  uint32
}{
	{"page fault", 0xC0000005},
	{"stack overflow", 0xC00000FD},
	{"division by zero", 0xC0000094},
	{"illegal instruction", 0xC000001D},
	{"privileged instruction", 0xC0000096},
	{"overflow", 0xC0000095},
	{"array bounds", 0xC000008C},
	{"alignment", 0x80000002},
	{"^C", 0xC000013A},
}

// names are exceptions of which Wine prints the number only.
var names = map[uint32]string{
	0x80000003: "breakpoint",
	0xC000008D: "floating-point denormal operand",
	0xC000008E: "floating-point division by zero",
	0xC000008F: "floating-point inexact result",
	0xC0000090: "invalid floating-point operation",
	0xC0000091: "floating-point overflow",
	0xC0000092: "floating-point stack check",
	0xC0000093: "floating-point underflow",
	0xC0000006: "in-page error",
	0xC0000008: "invalid handle",
	0xC0000025: "noncontinuable exception",
	0xC0000194: "possible deadlock",
	0xC0000374: "heap corruption",
	0xC0000409: "stack buffer overrun",
	0xC0000420: "assertion failure",
	0xE06D7363: "C++ exception",
	0xE0434352: ".NET exception",
	0x0EEDFADE: "Delphi exception",
}

const stubCode = 0x80000100 // a function that Wine does not have was called

var (
	unhandledLine     = regexp.MustCompile(`wine: Unhandled (.+) \(thread [0-9a-f]{4,8}\), starting debugger\.\.\.$`)
	unimplementedLine = regexp.MustCompile(`wine: Unimplemented function (\S+) called at address ([0-9A-Fa-f]+)`)
	faultAccess       = regexp.MustCompile(`^page fault on (read|write|execute) access to ([0-9A-Fa-f]+)`)
	faultAddress      = regexp.MustCompile(` at address ([0-9A-Fa-f]+)$`)
	exceptionNumber   = regexp.MustCompile(`^exception 0x([0-9a-f]{8}) in thread`)
)

// crash reads Wine's line about an unhandled exception.
func crash(lines []string, i, code int) (job.Exit, bool) {
	line := lines[i]
	if m := unimplementedLine.FindStringSubmatch(line); m != nil && code == low(stubCode) {
		return crashed(code, fmt.Sprintf("called %s, which this Wine does not have, at 0x%s (0x%08X)", oneLine(m[1]), trimZeros(m[2]), uint32(stubCode))), true
	}
	m := unhandledLine.FindStringSubmatch(line)
	if m == nil {
		return job.Exit{}, false
	}
	what, exception, ok := describe(m[1])
	if !ok || !fits(code, exception) {
		return job.Exit{}, false
	}
	if a := faultAddress.FindStringSubmatch(m[1]); a != nil {
		what += " at 0x" + trimZeros(a[1])
	}
	return crashed(code, fmt.Sprintf("%s (0x%08X)", what, exception)), true
}

// describe gives our words for an exception, and its code.
func describe(wine string) (words string, code uint32, ok bool) {
	if m := faultAccess.FindStringSubmatch(wine); m != nil {
		doing := map[string]string{"read": "reading", "write": "writing", "execute": "executing"}[m[1]]
		return fmt.Sprintf("access violation %s 0x%s", doing, trimZeros(m[2])), 0xC0000005, true
	}
	if m := exceptionNumber.FindStringSubmatch(wine); m != nil {
		n, _ := strconv.ParseUint(m[1], 16, 32)
		if name := names[uint32(n)]; name != "" {
			return name, uint32(n), true
		}
		return "unhandled exception", uint32(n), true
	}
	for _, e := range exceptions {
		if strings.HasPrefix(wine, e.words) {
			if e.code == 0xC0000005 {
				return "access violation", e.code, true
			}
			return e.words, e.code, true
		}
	}
	return "", 0, false
}

// fits reports whether an exception can have given the exit code. After a stack
// overflow Wine has no stack left to end properly, and gives 1.
func fits(code int, exception uint32) bool {
	return code == low(exception) || exception == 0xC00000FD && code == 1
}

func crashed(code int, detail string) job.Exit {
	return job.Exit{Code: code, Cause: job.CauseCrash, Detail: detail}
}

func trimZeros(hex string) string {
	if t := strings.TrimLeft(hex, "0"); t != "" {
		return strings.ToLower(t)
	}
	return "0"
}
