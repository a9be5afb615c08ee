package crashtest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/job"
)

// refused checks that a command was refused with one line, exit code 2.
func (l *lab) refused(args ...string) {
	l.Helper()
	code, _, errs := l.run(args...)
	if code != 2 || strings.Count(strings.TrimSpace(errs), "\n") > 1 {
		l.Errorf("muster %s ended with %d and said %q", strings.Join(args, " "), code, errs)
	}
}

func TestResumeWhileRunning(t *testing.T) {
	l := newLab(t)
	want := l.inputs(repeat("meek\n", 4)...)
	m := l.start(l.mapping("gated.sh", "--lanes", "2")...)
	l.begun(2)
	l.refused("resume", "last")
	// Without its command the run goes on, and is still no one else's.
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.wait()
	l.refused("resume", "last", "--failed")
	l.write(l.quick, "")
	if v := l.start("wait", "last", "--json").judged(); v.State != string(job.Completed) {
		t.Errorf("the run is %+v", v)
	}
	l.gone(everything, settleLimit, nil)
	l.checkOutputs(want)
	l.checkHistory(l.last(), 4, 0)
	if n := len(l.executions()); n != 4 {
		t.Errorf("%d executions of 4 tasks", n)
	}
}

func TestTwoResumesAtOnce(t *testing.T) {
	l := newLab(t)
	want := l.inputs(repeat("meek\n", 4)...)
	l.start(l.mapping("sleeper.sh", "--lanes", "4")...)
	l.begun(4)
	if code, _, errs := l.run("cancel", "last"); code != 0 {
		t.Fatalf("cancel ended with %d: %s", code, errs)
	}
	l.write(l.quick, "")
	calls := make([]*call, 4)
	for i := range calls {
		calls[i] = l.start("resume", "last", "--json")
	}
	taken := 0
	for _, c := range calls {
		switch code := c.wait(); {
		case code == 0 && !strings.Contains(c.read(c.stderr), "nothing left"):
			taken++
		case code != 0 && code != 2:
			t.Errorf("resume ended with %d: %s", code, c.read(c.stderr))
		}
	}
	if taken != 1 {
		t.Errorf("%d of %d resumes were taken", taken, len(calls))
	}
	l.gone(everything, settleLimit, nil)
	l.checkOutputs(want)
	l.checkHistory(l.last(), 4, 0)
	if n := len(l.executions()); n != 8 {
		t.Errorf("%d executions, not one before and one after for each of 4 tasks", n)
	}
}

// A command that was killed after it had handed the run over, and before it had
// noted that, leaves a run that must not be started again.
func TestAnswerLost(t *testing.T) {
	l := newLab(t)
	want := l.inputs(repeat("meek\n", 4)...)
	m := l.start(l.mapping("gated.sh", "--lanes", "2")...)
	l.begun(2)
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.wait()
	if err := os.Remove(filepath.Join(l.last().Dir, "submits", "1.json")); err != nil {
		t.Fatal(err)
	}
	l.refused("resume", "last")
	l.write(l.quick, "")
	if v := l.start("wait", "last", "--json").judged(); v.State != string(job.Completed) {
		t.Errorf("the run is %+v", v)
	}
	l.gone(everything, settleLimit, nil)
	l.checkOutputs(want)
	if n := len(l.executions()); n != 4 {
		t.Errorf("%d executions of 4 tasks", n)
	}
}

// A run directory of a newer muster is left as it is.
func TestNewerRun(t *testing.T) {
	l := newLab(t)
	l.inputs("x\n")
	l.write(l.quick, "")
	if v := l.start(l.mapping("gated.sh")...).judged(); v.State != string(job.Completed) {
		t.Fatalf("the run is %+v", v)
	}
	r := l.last()
	spec := l.read(r.SpecPath())
	newer := strings.Replace(spec, fmt.Sprintf(`"version": %d`, job.SpecVersion), fmt.Sprintf(`"version": %d`, job.SpecVersion+1), 1)
	if newer == spec {
		newer = strings.Replace(spec, fmt.Sprintf(`"version":%d`, job.SpecVersion), fmt.Sprintf(`"version":%d`, job.SpecVersion+1), 1)
	}
	if newer == spec {
		t.Fatalf("no version in %s", spec)
	}
	l.write(r.SpecPath(), newer)
	before := fingerprint(t, r.Dir)
	for _, c := range []string{"resume", "cancel", "wait", "status"} {
		l.refused(c, "1")
	}
	if after := fingerprint(t, r.Dir); after != before {
		t.Errorf("the run directory has changed:\n%s\nbefore:\n%s", after, before)
	}
}

// fingerprint tells every file below dir with its content.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v", path, d.Type())
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %x", sha256.Sum256(data))
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
