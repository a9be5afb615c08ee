// Package exitcode says what the end of a Windows program under Wine means.
//
// Wine hands only the low 8 bits of the 32-bit exit code to its parent, and 1
// when they are zero but the whole is not: an access violation (0xC0000005) and
// exit(5) both give 5, a missing DLL (0xC0000135) and exit(53) both give 53. What
// tells them apart is what Wine itself has written to standard error.
//
// The package wants these settings, under which Wine 8.0 writes exactly the lines
// that are needed and nothing else, and which cost nothing measurable:
//
//   - WINEDEBUG=-all,err+module (Debug). Crashes are told whatever WINEDEBUG says;
//     err+module adds missing DLLs. The channel is silent for programs that load.
//   - winedbg disabled (winedbg.exe= in WINEDLLOVERRIDES, or the Debugger value of
//     the AeDebug key removed), with AeDebug's Auto value left at 1. Auto=0 would show a
//     message box; no other dialog comes, not for missing DLLs either.
//
// What remains ambiguous:
//
//   - A program that ends itself with an exception's code (ExitProcess(0xC0000005)),
//     that dies by TerminateProcess or __fastfail, or that has asked for silence
//     (SetErrorMode(SEM_NOGPFAULTERRORBOX)) leaves no line: it is an exit code.
//   - A program that starts another one, which crashes, and then ends with the same
//     code looks like a crash itself; it did pass that end on.
//   - A program may print Wine's lines itself. Only a line that fits the exit code
//     and that does not end in CR LF, as text of Windows programs does, is believed.
//   - A file that Wine does not recognise as a program at all goes to Wine's
//     start.exe, which writes to standard output and ends with 1: look at the file
//     beforehand (package winpe).
//   - When the Wine server dies, Wine ends its programs with code 0, without a word.
//     No code is to be trusted then: see InstanceDied.
package exitcode

import (
	"fmt"

	"golang.org/x/sys/unix"

	"muster/internal/job"
)

// Debug is the value of WINEDEBUG that Classify relies on.
const Debug = "-all,err+module"

// TailLimit is how many bytes of the end of standard error Classify looks at.
const TailLimit = 64 << 10

// Classify says what an end means: code is the Unix exit code, signal the signal
// that ended the program or 0, and stderr the end of what was written to standard
// error. Cause and Detail are set unless the program succeeded; the CPU times and
// memory are left to the caller.
func Classify(code, signal int, stderr []byte) job.Exit {
	if signal != 0 {
		return job.Exit{Signal: signal, Cause: job.CauseSignal, Detail: "ended by " + signalName(signal)}
	}
	lines := wineLines(stderr)
	if e, ok := serverLost(lines, code); ok {
		return e
	}
	if code == 0 {
		return job.Exit{}
	}
	for i := len(lines) - 1; i >= 0; i-- {
		for _, read := range []func([]string, int, int) (job.Exit, bool){crash, notLoaded, notStarted, notBooted} {
			if e, ok := read(lines, i, code); ok {
				return e
			}
		}
	}
	return job.Exit{Code: code, Cause: job.CauseExit, Detail: plain(code)}
}

// InstanceDied is the end of a program whose Wine server had ended when the
// program did. Wine then gives code 0, so the caller has to look at the server
// after each end, success included, before it calls Classify.
func InstanceDied(code, signal int) job.Exit {
	return job.Exit{Code: code, Signal: signal, Cause: job.CauseInstance, Detail: "the Wine server ended while the program was running"}
}

// plain describes an exit code that nothing explains.
func plain(code int) string {
	switch code {
	case 3:
		return "exit code 3 (as C's abort() gives)"
	case 9:
		return "exit code 9 (as __fastfail gives)"
	}
	return fmt.Sprintf("exit code %d", code)
}

// low is what Wine makes of a 32-bit exit code.
func low(code uint32) int {
	if code&0xFF == 0 && code != 0 {
		return 1
	}
	return int(code & 0xFF)
}

func signalName(signal int) string {
	if name := unix.SignalName(unix.Signal(signal)); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", signal)
}
