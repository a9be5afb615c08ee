package enginetest

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"muster/internal/engine"
	"muster/internal/job"
)

func testSpread(l *lab) {
	n := min(l.info.Nodes, 4)
	a := l.array(n, `: > "$D/began-$MUSTER_ELEMENT"
`+waitFor("go"))
	a.Spread = true
	id := l.submit(a)
	for i := 1; i <= n; i++ {
		l.appears("began-" + strconv.Itoa(i)) // all of them at once
	}
	var r engine.Report
	l.until("a report with all elements running", func() bool {
		r = l.status(id)
		return !slices.ContainsFunc(r.Elements, func(e engine.Element) bool { return e.State != job.Running })
	})
	on := map[string]int{}
	for _, e := range r.Elements {
		if other, ok := on[e.Node]; ok {
			l.Errorf("elements %d and %d are both on %s", other, e.Index, e.Node)
		}
		on[e.Node] = e.Index
	}
	l.gate("go")
	l.completed(id)
}

// testCPUs takes whole nodes by their CPUs: such elements cannot share one.
func testCPUs(l *lab) {
	a := l.array(2, `: > "$D/began-$MUSTER_ELEMENT"
`+waitFor("go"))
	a.CPUs = l.info.CPUs
	id := l.submit(a)
	l.appears("began-1")
	l.appears("began-2")
	r := l.follow(id, job.Running)
	l.until("a report with both elements running", func() bool {
		r = l.status(id)
		return r.Elements[0].State == job.Running && r.Elements[1].State == job.Running
	})
	if r.Elements[0].Node == r.Elements[1].Node {
		l.Errorf("two elements with %d CPUs each are on %s, which has %d", a.CPUs, r.Elements[0].Node, l.info.CPUs)
	}
	l.gate("go")
	l.completed(id)
}

// testShow: what is shown is what is submitted.
func testShow(l *lab) {
	a := l.array(2, `: > "$D/ran-$MUSTER_ELEMENT"`, "word", "it's", "$(touch pwned)")
	a.Scripts = l.path("scripts")
	if err := os.Mkdir(a.Scripts, 0o700); err != nil {
		l.Fatal(err)
	}
	argv, script, err := l.engine.(engine.Shower).Show(a)
	if err != nil || len(argv) == 0 || script == "" {
		l.Fatalf("Show gives %q, %q, %v", argv, script, err)
	}
	if ids := l.find(a.Tag); len(ids) != 0 {
		l.Errorf("Show has submitted %v", ids)
	}
	l.completed(l.submit(a))
	kept, err := filepath.Glob(filepath.Join(a.Scripts, "*"))
	if err != nil {
		l.Fatal(err)
	}
	same := func(file string) bool {
		b, err := os.ReadFile(file)
		if err != nil {
			l.Error(err)
		}
		return string(b) == script
	}
	if !slices.ContainsFunc(kept, same) {
		l.Errorf("none of the kept files %q is the script that was shown:\n%s", kept, script)
	}
	if len(l.files("ran-")) != 2 {
		l.Error("not every element ran")
	}
}

// Answer is what a program does that Config.Ask leads to: it prints the report of
// id, as the engine e that it has just opened knows it.
func Answer(ctx context.Context, w io.Writer, e engine.Engine, id engine.ID) error {
	reports, err := e.Status(ctx, id)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(reports[0])
}

func testAsk(l *lab) {
	running := l.submit(l.array(2, `test $MUSTER_ELEMENT = 1 && exit 7
`+waitFor("go")))
	l.until("the end of element 1", func() bool { return l.status(running).Elements[0].State.Ended() })
	ask := func() engine.Report {
		a := l.array(min(l.info.Nodes, 2), "")
		a.Spread = l.info.Nodes > 1
		argv, env := l.config.Ask(l.T, running)
		a.Argv, a.Env = argv, append(a.Env, env...)
		r := l.follow(l.submit(a), job.Completed, job.Failed)
		var last engine.Report
		for _, e := range r.Elements {
			b, err := os.ReadFile(filepath.Join(a.LogDir, strconv.Itoa(e.Index)+".log"))
			if err != nil {
				l.Fatal(err)
			}
			if err := json.Unmarshal(b, &last); err != nil {
				l.Fatalf("asked on %s, the answer is %q (%v)", e.Node, b, e.Exit)
			}
			l.sound(last)
		}
		return last
	}
	if r := ask(); r.ID != running || r.State != job.Running || r.Elements[0].Exit.Code != 7 || r.Elements[1].State != job.Running {
		l.Errorf("asked from elsewhere, the running array is %+v", r)
	}
	l.gate("go")
	l.follow(running, job.Failed)
	if r := ask(); r.State != job.Failed || r.Elements[1].State != job.Completed {
		l.Errorf("asked from elsewhere, the ended array is %+v", r)
	}
}
