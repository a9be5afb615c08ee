package crashtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/job"
)

// Node-local storage that cannot take what is to be staged: it is said, with the
// numbers, and all is well once it can.
func TestStageNoRoom(t *testing.T) {
	if !withMounts(t) {
		return
	}
	l := newLab(t)
	l.mount(l.scratch, "150m")
	want := l.inputs(repeat("meek\n", 4)...)
	big := filepath.Join(l.dir, "program", "big")
	if err := os.Mkdir(filepath.Dir(big), 0o700); err != nil {
		t.Fatal(err)
	}
	l.write(big, "")
	if err := os.Truncate(big, 120<<20); err != nil {
		t.Fatal(err)
	}
	l.write(l.quick, "")
	m := l.start(l.mapping("gated.sh", "--lanes", "2", "--stage", "direct", "--stage-limit", "1G", "--program-dir", filepath.Dir(big))...)
	if v := m.judged(); v.State != string(job.Failed) || v.Completed != 0 {
		t.Errorf("the run is %+v", v)
	}
	_, said, _ := l.run("status", "last")
	if said = strings.Join(strings.Fields(said), " "); !strings.Contains(said, "it takes 126 MB more") || !strings.Contains(said, "free, of which 67 MB stay free for tasks") {
		t.Errorf("status does not tell the numbers: %s", said)
	}
	if err := os.Truncate(big, 1<<20); err != nil {
		t.Fatal(err)
	}
	if code, said, errs := l.run("resume", "last"); code != 0 {
		t.Errorf("resume ended with %d: %s%s", code, said, errs)
	}
	l.checkOutputs(want)
	if code, said, _ := l.run("stage", "clear"); code != 0 || !strings.Contains(said, "removed 1 staged tree") {
		t.Errorf("stage clear ended with %d: %s", code, said)
	}
	l.gone(everything, settleLimit, nil)
}

// A folder for scratch files from which nothing can be started is refused.
func TestStageNoExec(t *testing.T) {
	if !withMounts(t) {
		return
	}
	l := newLab(t)
	if err := unix.Mount("ct", l.scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700,size=200m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(l.scratch, unix.MNT_DETACH)
	l.inputs("meek\n")
	l.write(l.quick, "")
	code, said, errs := l.run(l.mapping("gated.sh", "--stage", "direct")...)
	if code == 0 {
		t.Error("the run went well")
	}
	_, status, _ := l.run("status", "last")
	if all := said + errs + status; !strings.Contains(strings.Join(strings.Fields(all), " "), "mounted noexec: programs there cannot be started") {
		t.Errorf("nothing tells of noexec: %s", all)
	}
}
