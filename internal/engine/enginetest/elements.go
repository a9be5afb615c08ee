package enginetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"muster/internal/engine"
	"muster/internal/job"
)

func testInfo(l *lab) {
	i := l.info
	if i.Name == "" || i.Version == "" || i.Description == "" || i.Nodes < 1 || i.CPUs < 1 || i.Memory < 1 || i.KillWait <= 0 || i.MaxArray < 0 {
		l.Errorf("Info = %+v", i)
	}
}

// everyElement runs an array of n elements and checks that each has run once.
func everyElement(l *lab, n int) {
	// $$ tells apart two processes that take themselves for one element.
	id := l.submit(l.array(n, `: > "$D/ran-`+strconv.Itoa(n)+`-$MUSTER_ELEMENT-$$"`))
	r := l.completed(id)
	if len(r.Elements) != n {
		l.Fatalf("an array of %d elements has the report %+v", n, r)
	}
	prefix := fmt.Sprintf("ran-%d-", n)
	count := map[string]int{}
	for _, name := range l.files(prefix) {
		element, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), "-")
		count[element]++
	}
	for e := 1; e <= n; e++ {
		if count[strconv.Itoa(e)] != 1 {
			l.Errorf("element %d of %d ran %d times", e, n, count[strconv.Itoa(e)])
		}
	}
	if len(count) != n {
		l.Errorf("%d elements ran, not %d: %v", len(count), n, count)
	}
}

func testElements(l *lab) {
	everyElement(l, 1)
	everyElement(l, 2)
}

func testSplit(l *lab) { everyElement(l, l.info.MaxArray+1) }

func testIndex(l *lab)      { indexVariables(l, 2) }
func testIndexSplit(l *lab) { indexVariables(l, l.info.MaxArray+1) }

func indexVariables(l *lab, n int) {
	a := l.array(n, `env > "$D/env-$MUSTER_ELEMENT"`)
	// What the submitter's own surroundings say of indexes must not count.
	a.Env = append(a.Env, "MUSTER_ELEMENT=777", "SLURM_ARRAY_TASK_ID=777", "SGE_TASK_ID=777")
	l.completed(l.submit(a))
	limit := l.info.MaxArray
	if limit == 0 {
		limit = n
	}
	jobs, arrays := map[string]bool{}, map[int]string{}
	for e := 1; e <= n; e++ {
		env := map[string]string{}
		for line := range strings.Lines(l.read("env-" + strconv.Itoa(e))) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			env[name] = value
		}
		piece := (e - 1) / limit
		index := strconv.Itoa((e-1)%limit + 1)
		size := strconv.Itoa(min(limit, n-piece*limit))
		want := map[string]string{
			"SLURM_ARRAY_TASK_ID": index, "SLURM_ARRAY_TASK_COUNT": size, "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": size,
			"SGE_TASK_ID": index, "SGE_TASK_FIRST": "1", "SGE_TASK_LAST": size, "SGE_TASK_STEPSIZE": "1",
		}
		for _, name := range l.config.Index {
			got := env[name]
			switch name {
			case "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID":
				if number, err := strconv.Atoi(got); err != nil || number < 1 {
					l.Errorf("element %d: %s=%q, no number", e, name, got)
				}
			default:
				if got != want[name] {
					l.Errorf("element %d of %d: %s=%q, want %q", e, n, name, got, want[name])
				}
			}
		}
		if slices.Contains(l.config.Index, "SLURM_JOB_ID") {
			if jobs[env["SLURM_JOB_ID"]] {
				l.Errorf("SLURM_JOB_ID %s belongs to two elements", env["SLURM_JOB_ID"])
			}
			jobs[env["SLURM_JOB_ID"]] = true
		}
		if slices.Contains(l.config.Index, "SLURM_ARRAY_JOB_ID") {
			if first, ok := arrays[piece]; ok && first != env["SLURM_ARRAY_JOB_ID"] {
				l.Errorf("element %d has SLURM_ARRAY_JOB_ID %s, others of its array %s", e, env["SLURM_ARRAY_JOB_ID"], first)
			}
			arrays[piece] = env["SLURM_ARRAY_JOB_ID"]
		}
	}
}

// hostileWords are arguments that a shell, a scheduler or printf could spoil.
func hostileWords() []string {
	return []string{
		"", "plain", "two words", "'", `"`, `\`, `\n`, "$(touch pwned)", "`touch pwned`", "$D", "${D}", "a\nb", "\n", "a\tb",
		"-", "--", "-n", "--help", "%", "%A_%a", "%s", "%j", "#SBATCH --hold", "#$ -h", ";", "&&", "|", ">", "*", "?", "[a]", "~", "!", "=", "a=b",
		"größe", "日本語", "😀", "\xff\xfe", strings.Repeat("x", 5000), "", " ", "a b\x01c",
	}
}

func testArgv(l *lab) {
	words := hostileWords()
	l.completed(l.submit(l.array(1, `for word; do printf '%s\0' "$word"; done > "$D/argv"`, words...)))
	got := strings.Split(strings.TrimSuffix(l.read("argv"), "\x00"), "\x00")
	if !slices.Equal(got, words) {
		l.Errorf("arguments arrived as\n%q, sent were\n%q", got, words)
	}
	if l.exists("pwned") {
		l.Error("an argument was run by a shell")
	}
}

func testEnvironment(l *lab) {
	a := l.array(1, "")
	// No shell, which would add variables of its own.
	a.Argv = []string{"/usr/bin/env", "-0"}
	a.Env = []string{"PLAIN=1", "EMPTY=", "SPACES= a  b ", "QUOTES='\"`$(id)`", "LINES=a\nb\n", "EQUALS=a=b=c", "UNICODE=größe", "BYTES=\xff", "lower=x"}
	l.completed(l.submit(a))
	b, err := os.ReadFile(filepath.Join(a.LogDir, "1.log"))
	if err != nil {
		l.Fatal(err)
	}
	var got []string
	for _, kv := range strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00") {
		name, _, _ := strings.Cut(kv, "=")
		if name == engine.EnvElement || name == engine.EnvArray || slices.Contains(l.config.Index, name) || (l.config.Adds != nil && l.config.Adds(name)) {
			continue
		}
		got = append(got, kv)
	}
	want := slices.Clone(a.Env)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		l.Errorf("the environment arrived as\n%q, sent was\n%q", got, want)
	}
}

func testDir(l *lab) {
	a := l.array(1, `pwd -P > "$D/pwd"`)
	a.Dir = l.path("a folder 'of' its own")
	if err := os.Mkdir(a.Dir, 0o700); err != nil {
		l.Fatal(err)
	}
	l.completed(l.submit(a))
	want, err := filepath.EvalSymlinks(a.Dir)
	if err != nil {
		l.Fatal(err)
	}
	if got := strings.TrimSuffix(l.read("pwd"), "\n"); got != want {
		l.Errorf("the working folder was %q, not %q", got, want)
	}
}

func testLogs(l *lab) {
	a := l.array(3, `echo "out $MUSTER_ELEMENT"; echo "err $MUSTER_ELEMENT" >&2`)
	l.completed(l.submit(a))
	for e := 1; e <= 3; e++ {
		b, err := os.ReadFile(filepath.Join(a.LogDir, strconv.Itoa(e)+".log"))
		if err != nil {
			l.Fatal(err)
		}
		if want := fmt.Sprintf("out %d\nerr %d\n", e, e); string(b) != want {
			l.Errorf("%d.log holds %q, want %q", e, b, want)
		}
	}
}

func testExits(l *lab) {
	type end struct {
		how          string
		code, signal int
		state        job.State
		cause        job.Cause
	}
	ends := []end{
		{"exit 0", 0, 0, job.Completed, ""},
		{"exit 1", 1, 0, job.Failed, job.CauseExit},
		{"exit 77", 77, 0, job.Failed, job.CauseExit},
		{"exit 255", 255, 0, job.Failed, job.CauseExit},
		{"kill -TERM $$", 0, 15, job.Failed, job.CauseSignal},
		{"kill -KILL $$", 0, 9, job.Failed, job.CauseSignal},
		{"kill -SEGV $$", 0, 11, job.Failed, job.CauseSignal},
	}
	script := "ulimit -c 0\ncase $MUSTER_ELEMENT in\n"
	for i, e := range ends {
		script += fmt.Sprintf("%d) %s ;;\n", i+1, e.how)
	}
	r := l.follow(l.submit(l.array(len(ends), script+"esac")), job.Failed)
	for i, want := range ends {
		got := r.Elements[i]
		if got.State != want.state || got.Exit.Code != want.code || got.Exit.Signal != want.signal || got.Exit.Cause != want.cause {
			l.Errorf("%q was reported as %s %+v", want.how, got.State, got.Exit)
		}
	}
}
