package slurm

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/goldentest"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/proc/proctest"
)

func plainArray() job.Array {
	return job.Array{
		Tag: "muster-7-ABC", Name: "sim.exe (run 7)", Elements: 8,
		Argv: []string{"/home/u/bin/muster", "agent", "/home/u/.local/state/muster/runs/7"},
		Dir:  "/home/u/.local/state/muster/runs/7", LogDir: "/home/u/.local/state/muster/runs/7/logs",
		Env: []string{"PATH=/usr/bin:/bin"},
	}
}

// Everything that can be asked for.
func fullArray() job.Array {
	a := plainArray()
	a.Name = "it's 100 %\n"
	a.Argv = append(a.Argv, "it's", "a b", "$(touch pwned)", "a\r\nb", "")
	a.Dir = "/home/u/my runs/7"
	a.Token = a.Dir + "/token"
	a.LogDir = "/home/u/100% logs"
	a.After = []string{"12", "13+14"}
	a.Hold, a.Requeue, a.Spread = true, true, true
	a.Time, a.Warn, a.Mem, a.CPUs = 26*time.Hour+90*time.Second, time.Minute, 3<<30+1, 16
	a.Resource = job.Resource{
		Partition: "long", Account: "physics", QOS: "high", Reservation: "r1", Constraint: "ib", CPUType: "xeon-p8",
		GPUs: "volta,2", Exclusive: true, Nice: 100, Priority: "50", Options: []string{"--mail-type=END", "-t", "5"},
	}
	return a
}

func TestScriptGoldens(t *testing.T) {
	split3 := plainArray()
	for _, c := range []struct {
		name string
		a    job.Array
		m    mark
	}{
		{"plain", plainArray(), split(plainArray(), 0)[0]},
		{"full", fullArray(), split(fullArray(), 0)[0]},
		{"piece", split3, split(split3, 3)[1]},
	} {
		args, err := arguments(c.a, c.m, c.a.Hold)
		if err != nil {
			t.Fatal(err)
		}
		goldentest.Check(t, c.name+".args", strings.Join(args, "\n")+"\n")
		goldentest.Check(t, c.name+".sh", script(c.a, c.m, "/usr/bin/scontrol"))
	}
}

// runScript runs a script as slurmd does, and returns its standard output and how it ended.
func runScript(t *testing.T, table *proc.Table, text string, env ...string) (string, job.Exit) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "slurm_script")
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	env = append([]string{"PATH=/usr/bin:/bin", "SLURM_ARRAY_JOB_ID=12", "SLURM_ARRAY_TASK_ID=3", "SLURM_JOB_ID=15"}, env...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := table.Run(ctx, proc.Cmd{Path: file, Args: []string{file}, Env: env, Dir: filepath.Dir(file)})
	if err != nil {
		t.Fatalf("%v: %s", err, out.Stderr)
	}
	if len(out.Stderr) > 0 {
		t.Logf("standard error: %s", out.Stderr)
	}
	return string(out.Stdout), out.Exit
}

func TestHostileWords(t *testing.T) {
	table := proctest.Table(t)
	var every []byte
	for c := 1; c < 256; c++ {
		every = append(every, byte(c))
	}
	words := []string{
		"", " ", "plain", "two words", "'", "''", `"`, `\`, `\'`, "$(touch pwned)", "`touch pwned`", "$HOME", "a\nb", "\n", "\r\n", "a\r\n\r\nb", "\r", "'\r\n'",
		"-n", "--", "%A_%a", "#SBATCH --hold", "\n#SBATCH --hold\n", "\nEOF\n", ";", "&", "|", "*", "~", "!", "größe", "\xff\xfe", string(every), strings.Repeat("x", 100_000),
	}
	for _, requeue := range []bool{false, true} {
		a := plainArray()
		a.Argv = append([]string{"/bin/sh", "-c", `for word; do printf '%s\0' "$word"; done`, "sh"}, words...)
		a.Requeue = requeue
		text := script(a, split(a, 0)[0], "/usr/bin/scontrol")
		if strings.Contains(text, "\r\n") {
			t.Error("the script holds a DOS line end, for which sbatch would refuse it")
		}
		out, exit := runScript(t, table, text)
		if got := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00"); !exit.OK() || !slices.Equal(got, words) {
			t.Errorf("requeue %v: %v, the words arrived as\n%q, sent were\n%q", requeue, exit, got, words)
		}
	}
}

func TestElementKnowsItself(t *testing.T) {
	table := proctest.Table(t)
	a := plainArray()
	a.Argv = []string{"/bin/sh", "-c", `echo "$MUSTER_ELEMENT $MUSTER_ARRAY $muster_tries$code"`}
	a.Token = "/"
	if out, exit := runScript(t, table, script(a, split(a, 0)[0], ""), "code=kept"); out != "3 12_3 0kept\n" && out != "3 12_3 kept\n" || !exit.OK() {
		t.Errorf("%q %v", out, exit)
	}
	a.LogDir = filepath.Join(t.TempDir(), "it's 100%")
	if err := os.Mkdir(a.LogDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, exit := runScript(t, table, script(a, split(a, 4)[1], "")); out != "" || !exit.OK() {
		t.Errorf("%q %v", out, exit)
	}
	log, err := os.ReadFile(filepath.Join(a.LogDir, "7.log"))
	if err != nil || !strings.HasPrefix(string(log), "7 12_7 ") {
		t.Errorf("element 7, the third of the second piece, wrote %q, %v", log, err)
	}
}

func TestFolderThatIsNotSeen(t *testing.T) {
	table := proctest.Table(t)
	a := plainArray()
	a.Argv = []string{"/bin/echo", "ran"}
	a.Token = filepath.Join(t.TempDir(), "missing")
	if out, exit := runScript(t, table, script(a, split(a, 0)[0], "")); out != "" || exit.Code != job.ExitUnseen {
		t.Errorf("%q %v", out, exit)
	}
}

// A program that asks to be started again, beside an scontrol that notes what it is asked.
func TestScriptRequeues(t *testing.T) {
	table := proctest.Table(t)
	dir := t.TempDir()
	scontrol := filepath.Join(dir, "scontrol")
	// As Slurm does, it ends the script by SIGTERM.
	text := "#!/bin/sh\necho \"$@\" >>" + job.QuoteWord(dir+"/asked") + "\nkill -TERM $PPID\n"
	if err := os.WriteFile(scontrol, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	ends := []struct {
		how   string
		exit  job.Exit
		asked string
	}{
		{"exit 0", job.Exit{}, ""},
		{"exit 3", job.Exit{Code: 3}, ""},
		{"kill -TERM $$", job.Exit{Signal: 15}, ""},
		{"kill -KILL $$", job.Exit{Signal: 9}, ""},
		{"exit 255", job.Exit{Code: 255}, ""},
		{"kill -USR1 $PPID; sleep 0.1; exit 7", job.Exit{Code: 7}, ""},
		{"trap 'exit 8' USR1; kill -USR1 $PPID; while :; do sleep 0.05; done", job.Exit{Code: 8}, ""},
		{"kill -TERM $PPID; exit " + strconv.Itoa(job.ExitRequeue), job.Exit{Code: job.ExitRequeue}, ""},
	}
	for _, e := range ends {
		if strings.HasPrefix(e.how, "kill -USR1") {
			e.how = "trap '' USR1; " + e.how
		}
		a := plainArray()
		a.Argv, a.Requeue = []string{"/bin/sh", "-c", "ulimit -c 0; " + e.how}, true
		_, exit := runScript(t, table, script(a, split(a, 0)[0], scontrol))
		asked, _ := os.ReadFile(dir + "/asked")
		if exit.Code != e.exit.Code || exit.Signal != e.exit.Signal || string(asked) != e.asked {
			t.Errorf("%q: %v, scontrol %q; want %v, %q", e.how, exit, asked, e.exit, e.asked)
		}
	}
}

func TestScriptAsksSlurm(t *testing.T) {
	table := proctest.Table(t)
	dir := t.TempDir()
	scontrol := filepath.Join(dir, "it's scontrol")
	text := "#!/bin/sh\necho \"$@\" >>" + job.QuoteWord(dir+"/asked") + "\n# The wait for the end by Slurm is cut short.\npkill -KILL -P $PPID sleep\nkill -KILL $PPID\n"
	if err := os.WriteFile(scontrol, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	a := plainArray()
	a.Argv, a.Requeue = []string{"/bin/sh", "-c", "exit " + strconv.Itoa(job.ExitRequeue)}, true
	_, exit := runScript(t, table, script(a, split(a, 0)[0], scontrol))
	asked, err := os.ReadFile(dir + "/asked")
	if err != nil || string(asked) != "requeue incomplete 15\n" || exit.Signal != 9 {
		t.Errorf("%v, scontrol %q, %v", exit, asked, err)
	}
}

func TestExportedEnvironment(t *testing.T) {
	got := exported([]string{"A=1", "EMPTY=", "LINES=a\nb", "SLURM_MEM_PER_CPU=1", "SBATCH_PARTITION=x", engine.EnvElement + "=9", "MUSTERENV_LD_PRELOAD=x", "SLURMY=1"})
	if want := "A=1\x00EMPTY=\x00LINES=a\nb\x00MUSTERENV_LD_PRELOAD=x\x00SLURMY=1\x00"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	got2 := commandEnv([]string{"PATH=/bin", "SLURM_CONF=/c", "SLURM_JWT=", "SBATCH_PARTITION=x", "LD_PRELOAD=x", "SLURM_JOB_ID=1"})
	if !slices.Equal(got2, []string{"SLURM_CONF=/c"}) {
		t.Errorf("Slurm's commands get %q", got2)
	}
}
