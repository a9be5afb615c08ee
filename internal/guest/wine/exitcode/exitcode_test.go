package exitcode_test

import (
	"strings"
	"testing"

	"muster/internal/guest/wine/exitcode"
	"muster/internal/job"
)

const (
	readFault = "wine: Unhandled page fault on read access to 0000000000000000 at address 0000000140002AFF (thread 0024), starting debugger...\n"
	needsDLL  = `0024:err:module:import_dll Library absent.dll (which is needed by L"Z:\\x\\needdll.exe") not found` + "\n" +
		`0024:err:module:LdrInitializeThunk Importing dlls for L"Z:\\x\\needdll.exe" failed, status c0000135` + "\n"
)

// The lines are Wine 8.0's own, as TestWine sees them.
func TestClassify(t *testing.T) {
	tests := []struct {
		name   string
		code   int
		signal int
		stderr string
		cause  job.Cause
		detail string
	}{
		{name: "success"},
		{name: "success with a crash of a child", stderr: readFault},
		{name: "plain 5", code: 5, cause: job.CauseExit, detail: "exit code 5"},
		{name: "plain 53", code: 53, cause: job.CauseExit, detail: "exit code 53"},
		{name: "abort", code: 3, cause: job.CauseExit, detail: "exit code 3 (as C's abort() gives)"},
		{name: "killed", signal: 9, stderr: readFault, cause: job.CauseSignal, detail: "ended by SIGKILL"},
		{name: "real-time signal", signal: 40, cause: job.CauseSignal, detail: "ended by signal 40"},
		{name: "read fault", code: 5, stderr: readFault, cause: job.CauseCrash, detail: "access violation reading 0x0 at 0x140002aff (0xC0000005)"},
		{name: "after a line without an end", code: 5, stderr: "step 1 ..." + readFault, cause: job.CauseCrash, detail: "access violation reading 0x0 at 0x140002aff (0xC0000005)"},
		{name: "more follows", code: 5, stderr: readFault + "bye\r\nbye\n", cause: job.CauseCrash, detail: "access violation reading 0x0 at 0x140002aff (0xC0000005)"},
		{name: "a crash that does not fit the code", code: 7, stderr: readFault, cause: job.CauseExit, detail: "exit code 7"},
		{name: "a program that says so itself", code: 5, stderr: strings.ReplaceAll(readFault, "\n", "\r\n"), cause: job.CauseExit, detail: "exit code 5"},
		{
			name: "stack overflow", code: 1, cause: job.CauseCrash, detail: "stack overflow at 0x140002626 (0xC00000FD)",
			stderr: "wine: Unhandled stack overflow at address 0000000140002626 (thread 006c), starting debugger...\n",
		},
		{
			name: "floating point", code: 0x8e, cause: job.CauseCrash, detail: "floating-point division by zero at 0x140002b31 (0xC000008E)",
			stderr: "wine: Unhandled exception 0xc000008e in thread bc at address 0000000140002B31 (thread 00bc), starting debugger...\n",
		},
		{
			name: "own exception", code: 0x42, cause: job.CauseCrash, detail: "unhandled exception at 0x7b013d7e (0xE0424242)",
			stderr: "wine: Unhandled exception 0xe0424242 in thread e4 at address 000000007B013D7E (thread 00e4), starting debugger...\n",
		},
		{
			name: "a function that Wine lacks", code: 1, cause: job.CauseCrash, detail: "called absent.dll.absent_answer, which this Wine does not have, at 0x17002d3f8 (0x80000100)",
			stderr: "wine: Call from 000000017002D3F8 to unimplemented function absent.dll.absent_answer, aborting\n" +
				"wine: Unimplemented function absent.dll.absent_answer called at address 000000017002D3F8 (thread 0044), starting debugger...\n",
		},
		{name: "missing DLL", code: 53, stderr: needsDLL, cause: job.CauseMissingDLL, detail: "needs absent.dll (needed by needdll.exe): not found"},
		{name: "missing DLL of a child that the program survives", code: 2, stderr: needsDLL, cause: job.CauseExit, detail: "exit code 2"},
		{
			name: "a library loaded later lacks one", code: 53, cause: job.CauseExit, detail: "exit code 53",
			stderr: `0024:err:module:import_dll Library absent.dll (which is needed by L"Z:\\x\\plugin.dll") not found` + "\n",
		},
		{
			name: "missing DLL of a DLL", code: 53, cause: job.CauseMissingDLL, detail: "needs absent.dll (needed by middle.dll): not found",
			stderr: `0034:err:module:import_dll Library absent.dll (which is needed by L"Z:\\b\\middle.dll") not found` + "\n" +
				`0034:err:module:import_dll Library middle.dll (which is needed by L"Z:\\b\\needmiddle.exe") not found` + "\n" +
				`0034:err:module:LdrInitializeThunk Importing dlls for L"Z:\\b\\needmiddle.exe" failed, status c0000135` + "\n",
		},
		{
			name: "two missing DLLs, names with blanks and Unicode", code: 53, cause: job.CauseMissingDLL, detail: "needs a b.dll (needed by my ü.exe), c.dll (needed by my ü.exe): not found",
			stderr: `0034:err:module:import_dll Library a b.dll (which is needed by L"Z:\\b\\my \00fc.exe") not found` + "\n" +
				`0034:err:module:import_dll Library c.dll (which is needed by L"Z:\\b\\my \00fc.exe") not found` + "\n" +
				`0034:err:module:LdrInitializeThunk Importing dlls for L"Z:\\b\\my \00fc.exe" failed, status c0000135` + "\n",
		},
		{
			name: "a DLL of the wrong kind", code: 0x7b, cause: job.CauseCannotLoad, detail: "lib.dll, needed by x.exe, cannot be loaded: not a valid image for this kind of program (0xC000007B)",
			stderr: `0034:err:module:import_dll Loading library lib.dll (which is needed by L"Z:\\b\\x.exe") failed (error c000007b).` + "\n" +
				`0034:err:module:LdrInitializeThunk Importing dlls for L"Z:\\b\\x.exe" failed, status c000007b` + "\n",
		},
		{name: "no such file", code: 53, stderr: "wine: failed to open \"t/none.exe\": c0000135\n", cause: job.CauseCannotLoad, detail: "none.exe cannot be opened: not found (0xC0000135)"},
		{
			name: "truncated", code: 1, cause: job.CauseCannotLoad, detail: "trunc.exe cannot be started: the file is probably truncated",
			stderr: `0184:err:module:map_image_into_view Could not map L"\\??\\Z:\\tmp\\trunc.exe" section .text, file probably truncated` + "\n" +
				`wine: failed to start L"Z:\\tmp\\trunc.exe"` + "\n",
		},
		{name: "Wine's own DLLs are gone", code: 53, stderr: "wine: could not load kernel32.dll, status c0000135\n", cause: job.CauseCannotLoad, detail: "kernel32.dll cannot be loaded: a DLL is missing (0xC0000135)"},
		{name: "foreign prefix", code: 1, stderr: "wine: '/tmp/wx/od' is not owned by you\n", cause: job.CauseBoot, detail: "wine: '/tmp/wx/od' is not owned by you"},
		{name: "no prefix", code: 1, stderr: "wine: chdir to /proc/x : No such file or directory\n", cause: job.CauseBoot, detail: "wine: chdir to /proc/x : No such file or directory"},
		{name: "server gone", code: 0, stderr: "wine client error:24: write: Bad file descriptor\n", cause: job.CauseInstance, detail: "the connection to the Wine server broke: write: Bad file descriptor"},
		{name: "escape sequences", code: 1, stderr: "wine: '\x1b[2J\xff' is not owned by you\n", cause: job.CauseBoot, detail: "wine: '?[2J?' is not owned by you"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := job.Exit{Code: tt.code, Signal: tt.signal, Cause: tt.cause, Detail: tt.detail}
			if got := exitcode.Classify(tt.code, tt.signal, []byte(tt.stderr)); got != want {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
		})
	}
}

// Only the end of a flood counts, and the line before it is not forgotten within
// the limit.
func TestClassifyTail(t *testing.T) {
	flood := strings.Repeat("x wine x\n", exitcode.TailLimit)
	if e := exitcode.Classify(5, 0, []byte(readFault+flood)); e.Cause != job.CauseExit {
		t.Errorf("a line far before the end counted: %+v", e)
	}
	if e := exitcode.Classify(5, 0, []byte(flood+readFault)); e.Cause != job.CauseCrash {
		t.Errorf("the last line did not count: %+v", e)
	}
}

func TestInstanceDied(t *testing.T) {
	e := exitcode.InstanceDied(0, 0)
	if e.OK() || e.Cause != job.CauseInstance || e.Detail == "" {
		t.Errorf("got %+v", e)
	}
}

// Whatever a program prints, the end is told with a cause exactly when it was no
// success, in one printable, short line.
func FuzzClassify(f *testing.F) {
	f.Add(5, 0, []byte(readFault))
	f.Add(53, 0, []byte(needsDLL))
	f.Add(0, 9, []byte("wine client error:24: write: x\n"))
	f.Add(1, 0, []byte(`wine: failed to start L"\\`+"\n"))
	f.Add(53, 0, []byte("wine: failed to open \\: c0000135"))
	f.Fuzz(func(t *testing.T, code, signal int, stderr []byte) {
		code, signal = code&0xFF, signal&0x3F
		e := exitcode.Classify(code, signal, stderr)
		if e.Signal != signal || signal == 0 && e.Code != code {
			t.Errorf("%d:%d became %v", code, signal, e)
		}
		if (e.Cause == "") != (e.Detail == "") || e.Cause == "" && (code != 0 || signal != 0) {
			t.Errorf("cause %q, detail %q for %d:%d", e.Cause, e.Detail, code, signal)
		}
		if len(e.Detail) > 800 || strings.ContainsAny(e.Detail, "\n\r\x1b") {
			t.Errorf("detail is not a short line: %q", e.Detail)
		}
	})
}
