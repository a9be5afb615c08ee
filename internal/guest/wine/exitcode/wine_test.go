package exitcode_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"muster/internal/guest/wine/exitcode"
	"muster/internal/guest/wine/winetest"
	"muster/internal/job"
)

// TestWine lets real programs end in every way that Wine has and asks what each
// end was.
func TestWine(t *testing.T) {
	exe := winetest.Build(t, "crash", "hello", "needdll", "needmiddle", "runchild", "absent", "absent-other")
	prefix := winetest.Bare(t)
	dir := t.TempDir()
	place := func(name, from string, size int64) string {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if size > 0 {
			b = b[:size]
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wrong := place("wrong/needdll.exe", exe["needdll"], 0)
	place("wrong/absent.dll", exe["absent-other"], 0)
	whole := place("whole/needdll.exe", exe["needdll"], 0)
	place("whole/absent.dll", exe["absent"], 0)
	broken := place("broken/needdll.exe", exe["needdll"], 0)
	place("broken/absent.dll", exe["absent"], 2000)
	truncated := place("truncated.exe", exe["hello"], 20000)

	crash := exe["crash"]
	tests := []struct {
		argv   []string
		code   int
		cause  job.Cause
		detail string // a pattern for the whole of it
	}{
		{[]string{exe["hello"]}, 0, "", ``},
		{[]string{exe["hello"], "53"}, 53, job.CauseExit, `exit code 53`},
		{[]string{exe["hello"], "0x100"}, 1, job.CauseExit, `exit code 1`},
		{[]string{crash, "read"}, 5, job.CauseCrash, `access violation reading 0x0 at 0x[0-9a-f]+ \(0xC0000005\)`},
		{[]string{crash, "write"}, 5, job.CauseCrash, `access violation writing 0x10 at 0x[0-9a-f]+ \(0xC0000005\)`},
		{[]string{crash, "exec"}, 5, job.CauseCrash, `access violation executing 0x1000 at 0x1000 \(0xC0000005\)`},
		{[]string{crash, "thread"}, 5, job.CauseCrash, `access violation writing 0x0 at 0x[0-9a-f]+ \(0xC0000005\)`},
		{[]string{crash, "stack"}, 1, job.CauseCrash, `stack overflow at 0x[0-9a-f]+ \(0xC00000FD\)`},
		{[]string{crash, "illegal"}, 0x1D, job.CauseCrash, `illegal instruction at 0x[0-9a-f]+ \(0xC000001D\)`},
		{[]string{crash, "priv"}, 0x96, job.CauseCrash, `privileged instruction at 0x[0-9a-f]+ \(0xC0000096\)`},
		{[]string{crash, "divide"}, 0x94, job.CauseCrash, `division by zero at 0x[0-9a-f]+ \(0xC0000094\)`},
		{[]string{crash, "float"}, 0x8E, job.CauseCrash, `floating-point division by zero at 0x[0-9a-f]+ \(0xC000008E\)`},
		{[]string{crash, "raise"}, 0x42, job.CauseCrash, `unhandled exception at 0x[0-9a-f]+ \(0xE0424242\)`},
		{[]string{crash, "cxx"}, 0x63, job.CauseCrash, `C\+\+ exception at 0x[0-9a-f]+ \(0xE06D7363\)`},
		{[]string{crash, "abort"}, 3, job.CauseExit, `exit code 3 \(as C's abort\(\) gives\)`},
		{[]string{crash, "fastfail"}, 9, job.CauseExit, `exit code 9 \(as __fastfail gives\)`},
		{[]string{crash, "exitav"}, 5, job.CauseExit, `exit code 5`},
		{[]string{crash, "terminate"}, 5, job.CauseExit, `exit code 5`},
		{[]string{crash, "exit5"}, 5, job.CauseExit, `exit code 5`},
		{[]string{crash, "exit53"}, 53, job.CauseExit, `exit code 53`},
		{[]string{crash, "exit-1"}, 255, job.CauseExit, `exit code 255`},
		{[]string{crash, "exit256"}, 1, job.CauseExit, `exit code 1`},
		{[]string{crash, "handled"}, 7, job.CauseExit, `exit code 7`},
		{[]string{crash, "say53"}, 53, job.CauseExit, `exit code 53`},
		{[]string{exe["needdll"]}, 53, job.CauseMissingDLL, `needs absent\.dll \(needed by needdll\.exe\): not found`},
		{[]string{exe["needmiddle"]}, 53, job.CauseMissingDLL, `needs absent\.dll \(needed by middle\.dll\): not found`},
		{[]string{whole}, 0, "", ``},
		{[]string{wrong}, 1, job.CauseCrash, `called absent\.dll\.absent_answer, which this Wine does not have, at 0x[0-9a-f]+ \(0x80000100\)`},
		{[]string{broken}, 53, job.CauseCannotLoad, `absent\.dll, needed by needdll\.exe, cannot be loaded: .*`},
		{[]string{truncated}, 1, job.CauseCannotLoad, `truncated\.exe cannot be started: the file is probably truncated`},
		{[]string{dir + "/nothing.exe"}, 53, job.CauseCannotLoad, `nothing\.exe cannot be opened: not found \(0xC0000135\)`},
		{[]string{exe["runchild"], crash + " read"}, 0, "", ``},
	}
	for _, tt := range tests {
		t.Run(filepath.Base(tt.argv[0])+" "+filepath.Base(tt.argv[len(tt.argv)-1]), func(t *testing.T) {
			r := prefix.Run(t, dir, exitcode.Debug, tt.argv...)
			e := exitcode.Classify(r.Code, r.Signal, r.Stderr)
			if r.Signal != 0 || e.Code != tt.code || e.Cause != tt.cause {
				t.Errorf("code %d signal %d: got %+v, want code %d, cause %q\n%s", r.Code, r.Signal, e, tt.code, tt.cause, r.Stderr)
			}
			if !regexp.MustCompile(`^` + tt.detail + `$`).MatchString(e.Detail) {
				t.Errorf("detail %q, want %s\n%s", e.Detail, tt.detail, r.Stderr)
			}
			if tt.code == 0 && len(tt.argv) == 1 && len(r.Stderr) > 0 {
				t.Errorf("noise on standard error under WINEDEBUG=%s: %q", exitcode.Debug, r.Stderr)
			}
		})
	}
}
