package plan

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/goldentest"
	"muster/internal/job"
)

func TestPrintLaunch(t *testing.T) {
	hold := 30 * time.Second
	sample := Sample{Task: 1, Argv: []string{"/home/ann/app.exe", "/seed", "1"}, Params: []Param{{"guest", "wine"}}}
	servers := map[string]int{"launch-servers": 4, "launch-uneven": 3}
	for name, r := range map[string]Request{
		"launch":           {Nodes: 1, CPUs: 2, Spec: job.Spec{Launch: &job.Launch{Programs: 4096, Hold: &hold, Ready: job.Ready{How: job.ReadyExec}}}},
		"launch-servers":   {Nodes: 1, CPUs: 2, Spec: job.Spec{Launch: &job.Launch{Programs: 4096, Hold: &hold, Ready: job.Ready{How: job.ReadyExec}}}},
		"launch-uneven":    {Nodes: 4, CPUs: 8, Spec: job.Spec{Nodes: 4, Launch: &job.Launch{Programs: 1000, Waves: true, Hold: &hold, Ready: job.Ready{How: job.ReadyExec}}}},
		"launch-few-nodes": {Nodes: 2, CPUs: 8, Spec: job.Spec{Nodes: 8, Launch: &job.Launch{Programs: 8, Hold: &hold, Ready: job.Ready{How: job.ReadyExec}}}},
		"launch-nodes":     {Nodes: 256, CPUs: 64, Spec: job.Spec{Launch: &job.Launch{Programs: 16384, Ready: job.Ready{How: job.ReadyOutput, What: "^up$"}}}},
		"launch-triple":    {Nodes: 4, CPUs: 8, Spec: job.Spec{NP: job.NP{Triple: true, Nodes: 3, PerNode: 2, Threads: 4}, Launch: &job.Launch{Programs: 6, InFlight: 1, Ready: job.Ready{How: job.ReadyFile, What: "up"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Launch(r)
			if err != nil {
				t.Fatal(err)
			}
			for i := range p.Elements {
				p.Elements[i].Servers = servers[name]
			}
			var got bytes.Buffer
			if err := p.Print(&got, sample); err != nil {
				t.Fatal(err)
			}
			goldentest.Check(t, name+".txt", got.Bytes())
		})
	}
}

// TestLaunchDealsAll: every program is on one node, and no node has two more than another.
func TestLaunchDealsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 500).Draw(t, "programs")
		r := Request{Nodes: rapid.IntRange(1, 40).Draw(t, "nodes"), CPUs: rapid.IntRange(1, 64).Draw(t, "cpus"),
			Spec: job.Spec{Launch: &job.Launch{Programs: n, InFlight: rapid.IntRange(0, 9).Draw(t, "in flight")}}}
		r.Spec.Nodes = rapid.SampledFrom([]int{0, r.Nodes}).Draw(t, "asked")
		p, err := Launch(r)
		if err != nil {
			t.Fatal(err)
		}
		next, least, most := 1, n, 0
		for i, e := range p.Elements {
			if e.Index != i+1 || e.Lanes < 1 || e.Lanes > len(e.Calls) || e.FirstRank != next-1 {
				t.Fatalf("element %+v", e)
			}
			least, most = min(least, len(e.Calls)), max(most, len(e.Calls))
			for _, c := range e.Calls {
				if len(c) != 1 || c[0] != next {
					t.Fatalf("call %v, want program %d", c, next)
				}
				next++
			}
		}
		if next != n+1 || most-least > 1 || len(p.Elements) > r.Nodes {
			t.Fatalf("%d programs on %d of %d nodes, from %d to %d each", next-1, len(p.Elements), r.Nodes, least, most)
		}
		if r.Spec.Nodes > 0 && len(p.Elements) != min(n, r.Nodes) {
			t.Fatalf("%d nodes, though %d were asked for", len(p.Elements), r.Nodes)
		}
	})
}

func TestLaunchRefuses(t *testing.T) {
	for _, r := range []Request{
		{Nodes: 1, CPUs: 2, Spec: job.Spec{Launch: &job.Launch{}}},
		{Nodes: 2, CPUs: 2, Spec: job.Spec{NP: job.NP{Triple: true, Nodes: 3, PerNode: 1, Threads: 1}, Launch: &job.Launch{Programs: 3}}},
	} {
		if _, err := Launch(r); !errors.Is(err, job.ErrBadInput) {
			t.Errorf("%+v: %v", r.Spec, err)
		}
	}
}
