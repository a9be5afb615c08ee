package gridengine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/engine"
	"muster/internal/goldentest"
	"muster/internal/job"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// testSite is the Grid Engine of scripts/cluster-gridengine.sh, as its own commands
// described it.
func testSite(t *testing.T) *site {
	t.Helper()
	hosts, err := parseHosts(read(t, "qhost.xml"), read(t, "qstat-f.xml"))
	if err != nil {
		t.Fatal(err)
	}
	return &site{
		maxTasks:  100,
		complexes: parseComplexes(read(t, "qconf-sc.txt")),
		queues:    []queue{parseQueue(attributes(read(t, "qconf-sq.txt")))},
		parallels: []parallel{{"mpi", "$round_robin"}, {"smp", "$pe_slots"}},
		hosts:     hosts,
	}
}

func testArray() job.Array {
	return job.Array{
		Tag:      "run 12, generation 1",
		Name:     "sim.exe",
		Elements: 101,
		Argv:     []string{"/shared/bin/muster", "agent", "/home/jo/runs/12"},
		Dir:      "/home/jo/work",
		Env:      []string{"SECRET=sesame"},
		LogDir:   "/home/jo/runs/12/logs/1",
	}
}

func testOrder(a job.Array) order {
	return order{
		folder:   "/home/jo/.local/state/muster/gridengine/" + token(a.Tag),
		command:  []string{"/shared/bin/muster", "gridengine-element"},
		killWait: 30 * time.Second,
	}
}

func TestGoldens(t *testing.T) {
	s := testSite(t)
	for name, change := range map[string]func(a *job.Array, o *order){
		"plain": func(*job.Array, *order) {},
		"after": func(_ *job.Array, o *order) { o.after, o.hold = []string{"17", "18"}, true },
		"everything": func(a *job.Array, o *order) {
			a.Time, a.Warn, a.Mem, a.CPUs, a.Spread = 90*time.Minute, time.Minute, 12<<30, 4, true
			a.Resource = job.Resource{
				Partition: "all.q", Account: "physics", Reservation: "77", Constraint: "arch=lx-amd64", GPUs: "2", Nice: 100,
				Options: []string{"-m e -M 'jo@example.org'"},
			}
			o.atOnce = 16
		},
		"hostile": func(a *job.Array, _ *order) {
			a.Name = "it's $(rm -rf /): a\nname"
			a.Argv = append(a.Argv, "", "two words", "it's", "$(touch pwned)", "a\nb", "#$ -h", "-t", `\`, "größe", "*")
			a.Dir = "/home/jo/a 'folder'"
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := testArray()
			o := testOrder(a)
			change(&a, &o)
			var got strings.Builder
			for _, p := range pieces(a.Elements, s.maxTasks) {
				argv, err := arguments(a, p, o, s)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("$ " + job.QuoteWords(argv) + "\n" + script(a, p, o) + "\n")
			}
			if strings.Contains(got.String(), "sesame") {
				t.Error("a value of the environment is on the command line or in the script")
			}
			goldentest.Check(t, name+".golden", got.String())
		})
	}
}

// Whatever the words are, the script's command is read back as it was.
func TestScriptKeepsWords(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := testArray()
		a.Argv = append(a.Argv, rapid.SliceOf(rapid.StringMatching(`[^\x00]*`)).Draw(rt, "words")...)
		o := testOrder(a)
		text := script(a, piece{1, 1, 1}, o)
		_, command, found := strings.Cut(text, "\nexec ")
		if !found {
			rt.Fatalf("no command in %q", text)
		}
		got, err := job.SplitWords(command)
		if err != nil {
			rt.Fatal(err)
		}
		want := slices.Concat(o.command, []string{o.folder, "1"}, a.Argv)
		if !slices.Equal(got, want) {
			rt.Fatalf("read back as %q, want %q", got, want)
		}
	})
}

func TestRefusals(t *testing.T) {
	s := testSite(t)
	poor := testSite(t)
	poor.complexes, poor.parallels = nil, []parallel{{"mpi", "$round_robin"}}
	for name, c := range map[string]struct {
		site   *site
		change func(a *job.Array)
		words  string
	}{
		"QOS":                   {s, func(a *job.Array) { a.Resource.QOS = "long" }, "no QOS"},
		"queue unknown":         {s, func(a *job.Array) { a.Resource.Partition = "fast.q" }, `no queue "fast.q"; this Grid Engine has all.q`},
		"project with a blank":  {s, func(a *job.Array) { a.Resource.Account = "a b" }, "cannot be the name"},
		"no parallel":           {poor, func(a *job.Array) { a.CPUs = 2 }, "mpi ($round_robin)"},
		"no exclusive":          {poor, func(a *job.Array) { a.Spread = true }, "relation EXCL"},
		"no GPUs":               {poor, func(a *job.Array) { a.Resource.GPUs = "1" }, "--constraint"},
		"GPUs of no such name":  {s, func(a *job.Array) { a.Resource.GPUs = "volta,2" }, "volta"},
		"GPUs without a number": {s, func(a *job.Array) { a.Resource.GPUs = "gpu,many" }, "no number"},
		"CPU type":              {s, func(a *job.Array) { a.Resource.CPUType = "xeon-p8" }, "--constraint"},
		"priority":              {s, func(a *job.Array) { a.Resource.Priority = "high" }, "-1023 to 1024"},
		"constraint":            {s, func(a *job.Array) { a.Resource.Constraint = "a=1 -h" }, "no resource list"},
		"raw option of ours":    {s, func(a *job.Array) { a.Resource.Options = []string{"-t 1-7"} }, "muster sets qsub's -t itself"},
		"raw option unclosed":   {s, func(a *job.Array) { a.Resource.Options = []string{"-m 'e"} }, "not closed"},
	} {
		a := testArray()
		c.change(&a)
		argv, err := arguments(a, piece{1, 1, 1}, testOrder(a), c.site)
		if !errors.Is(err, engine.ErrRefused) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %q, %v; want %q", name, argv, err, c.words)
		}
	}
}

func TestPieces(t *testing.T) {
	for _, c := range []struct {
		elements, limit int
		want            []piece
	}{
		{1, 0, []piece{{1, 1, 1}}},
		{100, 100, []piece{{1, 1, 100}}},
		{101, 100, []piece{{1, 1, 100}, {2, 101, 1}}},
		{7, 3, []piece{{1, 1, 3}, {2, 4, 3}, {3, 7, 1}}},
	} {
		if got := pieces(c.elements, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("pieces(%d, %d) = %v", c.elements, c.limit, got)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct{ asked, most, term, kill time.Duration }{
		{0, 0, 0, 0},
		{time.Hour, 0, time.Hour, time.Hour + 40*time.Second},
		{time.Hour, 2 * time.Hour, time.Hour, time.Hour + 40*time.Second},
		{time.Hour, time.Hour, time.Hour - 40*time.Second, time.Hour},
		{2 * time.Hour, time.Hour, 2*time.Hour - 40*time.Second, 2 * time.Hour},
		{10 * time.Second, 10 * time.Second, 5 * time.Second, 10 * time.Second},
	} {
		term, kill := limits(job.Array{Time: c.asked}, c.most, 30*time.Second)
		if term != c.term || kill != c.kill {
			t.Errorf("limits(%v of at most %v) = %v, %v; want %v, %v", c.asked, c.most, term, kill, c.term, c.kill)
		}
	}
}

func TestMemory(t *testing.T) {
	s := testSite(t)
	rss := &site{complexes: []complex_{
		{name: "h_vmem", kind: "MEMORY", requestable: "YES", consumable: "YES"},
		{name: "mem_free", kind: "MEMORY", requestable: "YES", consumable: "JOB"},
	}}
	for _, c := range []struct {
		site *site
		mem  int64
		cpus int
		want string
	}{
		{s, 0, 1, ""},
		{s, 6 << 30, 1, "h_vmem=6144M"},
		{s, 6 << 30, 4, "h_vmem=1536M"},  // per slot
		{s, 64 << 20, 1, "h_vmem=4096M"}, // address space
		{rss, 6<<30 + 1, 4, "mem_free=6145M"},
		{&site{}, 6 << 30, 1, ""},
	} {
		got, err := askMemory(job.Array{Mem: c.mem, CPUs: c.cpus}, c.site)
		if err != nil || got != c.want {
			t.Errorf("askMemory(%d, %d CPUs) = %q, %v; want %q", c.mem, c.cpus, got, err, c.want)
		}
	}
}

func TestEnvironmentTravels(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		env := rapid.SliceOf(rapid.StringMatching(`[A-Z]{1,9}=[^\x00]*`)).Draw(rt, "env")
		env = append(env, "LONG="+strings.Repeat("x", rapid.IntRange(0, 300000).Draw(rt, "long")))
		packed := packEnv(env)
		for _, kv := range packed {
			if len(kv) >= 128<<10 || strings.ContainsAny(kv, "\n\x00") {
				rt.Fatalf("a variable of %d bytes would not arrive", len(kv))
			}
		}
		got, rest, err := unpackEnv(append([]string{"JOB_ID=7"}, packed...))
		if err != nil || !slices.Equal(got, env) || !slices.Equal(rest, []string{"JOB_ID=7"}) {
			rt.Fatalf("arrived as %q beside %q, %v", got, rest, err)
		}
	})
}
