package plan

import (
	"bytes"
	"errors"
	"os/exec"
	"testing"

	"muster/internal/goldentest"
	"muster/internal/job"
)

func TestPrint(t *testing.T) {
	siso := Sample{Task: 1, Argv: []string{"/home/ann/sim.exe", "/i", `I:\1\case 1.in`, "/seed", "1"}, Params: []Param{
		{"input", "/data/in/case 1.in"}, {"output", "/data/out/case 1.in.out"}, {"folder", "private"},
	}}
	mimo := Sample{Task: 1, Argv: []string{"./sim", "/tmp/MAPRED.1/list-1"}, Params: []Param{{"first line", "/data/in/a /data/out/a.out"}}}
	left := job.NewIndexSet(1, 2, 3, 5, 8, 13, 21, 34, 55, 56, 57, 58, 60, 62, 64, 66, 71, 73, 75, 76, 80, 85, 90, 93, 94)
	one := job.NewIndexSet(42)
	goldens := []struct {
		name   string
		r      Request
		sample Sample
	}{
		{"siso", Request{Tasks: 100, Nodes: 1, CPUs: 2}, siso},
		{"siso-np", Request{Tasks: 100, Nodes: 1, CPUs: 8, Spec: job.Spec{NP: job.NP{Processes: 3}, Distribution: job.Cyclic}}, siso},
		{"siso-one", Request{Tasks: 1, Nodes: 1, CPUs: 2}, Sample{}},
		{"siso-np-too-many", Request{Tasks: 4, Nodes: 1, CPUs: 2, Spec: job.Spec{NP: job.NP{Processes: 10}}}, siso},
		{"siso-nodes", Request{Tasks: 100_000, Nodes: 256, CPUs: 64}, siso},
		{"siso-resume", Request{Tasks: 100, Nodes: 1, CPUs: 2, Left: &left}, siso},
		{"dynamic", Request{Tasks: 400, Nodes: 4, CPUs: 2, Spec: job.Spec{Distribution: job.Dynamic}}, siso},
		{"dynamic-nodes", Request{Tasks: 1_000_000, Nodes: 256, CPUs: 64, Spec: job.Spec{Distribution: job.Dynamic}}, siso},
		{"dynamic-one-node", Request{Tasks: 100, Nodes: 1, CPUs: 2, Spec: job.Spec{Distribution: job.Dynamic}}, siso},
		{"dynamic-resume", Request{Tasks: 100, Nodes: 4, CPUs: 2, Left: &left, Spec: job.Spec{Distribution: job.Dynamic}}, siso},
		{"dynamic-mimo", Request{Tasks: 1000, Nodes: 4, CPUs: 2, Spec: job.Spec{AppType: job.MIMO, NData: 5, Distribution: job.Dynamic}}, mimo},
		{"dynamic-mimo-lanes", Request{Tasks: 100, Nodes: 4, CPUs: 2, Spec: job.Spec{AppType: job.MIMO, Distribution: job.Dynamic}}, mimo},
		{"mimo", Request{Tasks: 10, Nodes: 1, CPUs: 4, Spec: job.Spec{AppType: job.MIMO}}, mimo},
		{"mimo-ndata", Request{Tasks: 100, Nodes: 1, CPUs: 4, Spec: job.Spec{AppType: job.MIMO, NData: 30, Threads: 2}}, mimo},
		{"mimo-resume", Request{Tasks: 100, Nodes: 2, CPUs: 4, Left: &one, Spec: job.Spec{AppType: job.MIMO, NP: job.NP{Processes: 8}}}, mimo},
		{"triple", Request{Tasks: 100, Nodes: 4, CPUs: 8, Spec: job.Spec{NP: job.NP{Triple: true, Nodes: 2, PerNode: 4, Threads: 2}}}, siso},
		{"triple-idle", Request{Tasks: 3, Nodes: 4, CPUs: 8, Spec: job.Spec{AppType: job.MIMO, NP: job.NP{Triple: true, Nodes: 4, PerNode: 2, Threads: 1}}}, mimo},
	}
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			var got bytes.Buffer
			if err := mustMake(t, g.r).Print(&got, g.sample); err != nil {
				t.Fatal(err)
			}
			goldentest.Check(t, g.name+".txt", got.Bytes())
		})
	}
}

func TestPasteable(t *testing.T) {
	for word, want := range map[string]string{
		"a":                "a",
		"a b":              "'a b'",
		"é":                "'é'",
		"a\nb\t'\\\x1b[2J": `$'a\nb\t\'\\\x1b[2J'`,
		"\xffé":            `$'\xffé'`,
		"\u202e":           `$'\xe2\x80\xae'`,
	} {
		got := pasteable(word)
		if got != want {
			t.Errorf("pasteable(%q) = %s, want %s", word, got, want)
		}
		out, err := exec.Command("bash", "-c", "printf %s "+got).Output()
		if err != nil || string(out) != word {
			t.Errorf("bash reads %s as %q (%v)", got, out, err)
		}
	}
}

var errFull = errors.New("no space")

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, errFull }

func TestPrintTellsOfWriteErrors(t *testing.T) {
	p := mustMake(t, Request{Tasks: 3, CPUs: 1})
	if err := p.Print(fullWriter{}, Sample{}); !errors.Is(err, errFull) {
		t.Errorf("err = %v", err)
	}
}
