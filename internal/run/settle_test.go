package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/engine/memory"
	"muster/internal/guest"
	"muster/internal/inputs"
	"muster/internal/job"
	"muster/internal/plan"
)

// front is a driver's submitting half that recognises programs by their names.
type front struct {
	name, suffix, boot string
}

func (f front) Name() string { return f.name }

func (f front) Recognise(program string) (bool, string, error) {
	return strings.HasSuffix(program, f.suffix), f.name + " program", nil
}

func (f front) Check(_ context.Context, r guest.Request) (guest.Verdict, error) {
	if strings.Contains(r.Program, "broken") {
		return guest.Verdict{}, guest.ErrUnfit
	}
	v := guest.Verdict{OK: true, Boot: f.boot, Why: "it is so"}
	if strings.Contains(r.Program, "heavy") {
		v.Boot, v.Why = "full", "needs services"
	}
	return v, nil
}

func (f front) Aliases(string) func([]string) []string {
	return func(names []string) []string {
		out := make([]string, len(names))
		if f.name == "windows" {
			for i, n := range names {
				if strings.Contains(n, ":") {
					out[i] = strings.ReplaceAll(n, ":", "_")
				}
			}
		}
		return out
	}
}

func (f front) Image(context.Context, guest.Request, func(string)) (guest.Image, error) {
	return guest.Image{}, nil
}

// newConductor is a conductor in a folder with programs and three inputs.
func newConductor(t *testing.T) (c *Conductor, dir string, told *[]string) {
	t.Helper()
	dir = t.TempDir()
	for name, mode := range map[string]os.FileMode{
		"sim": 0o755, "sim.exe": 0o644, "broken": 0o755, "heavy.exe": 0o644, "plain": 0o644, "bin/tool": 0o755,
		"in/a.txt": 0o644, "in/b.txt": 0o644, "in/c:d.txt": 0o644, "made/a.txt.out": 0o644, "sum.out": 0o644,
	} {
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, nil, mode)); err != nil {
			t.Fatal(err)
		}
	}
	e := memory.New(memory.Options{})
	t.Cleanup(func() { e.Close() })
	told = new([]string)
	return &Conductor{
		Engines: map[string]engine.Engine{"local": e},
		Fronts:  []guest.Front{front{"windows", ".exe", "lean"}, front{"native", "", ""}},
		Environ: []string{"PATH=/nowhere:" + filepath.Join(dir, "bin"), "HOME=/home/ann", "MUSTER_STATE=/s"},
		Tell:    func(s string) { *told = append(*told, s) },
	}, dir, told
}

func request(dir string) Request {
	return Request{Dir: dir, Mapper: "./sim", Inputs: inputs.Options{Dir: dir, Input: "in", Output: "out", Delimiter: "."}, AppType: job.SISO, Isolation: job.IsolateLane}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Request)
		want   string // DIR stands for the folder
	}{
		{"no program", func(r *Request) { r.Mapper = "" },
			"no program: give --mapper PROGRAM, or a command after --, such as: muster map --input in --output out -- ./sim {in} {out}"},
		{"two programs", func(r *Request) { r.Command = []string{"tool"} }, "the program is given twice: --mapper ./sim, and tool after --"},
		{"program missing", func(r *Request) { r.Mapper = "./none" }, "the program ./none is not there"},
		{"program not in PATH", func(r *Request) { r.Mapper = "none" }, "the program none is neither in PATH nor in DIR"},
		{"program folder", func(r *Request) { r.ProgramDir = "sim" }, "--program-dir sim is not a folder"},
		{"unfit program", func(r *Request) { r.Mapper = "./broken" }, "the program cannot run here"},
		{"guest", func(r *Request) { r.Guest = "vax" }, "--guest vax: there is no such guest; known are auto, windows, native"},
		{"engine", func(r *Request) { r.Engine = "pbs" }, "--engine pbs: there is no such engine here; known are auto, local"},
		{"mimo and a command", func(r *Request) { r.AppType, r.Mapper, r.Command = job.MIMO, "", []string{"tool", "{in}", "{out}"} },
			"--apptype=mimo calls PROGRAM LISTFILE: it goes with --mapper alone, without a command after --, --stdin, --stdout or --collect"},
		{"mimo and --stdin", func(r *Request) { r.AppType, r.Stdin = job.MIMO, true },
			"--apptype=mimo calls PROGRAM LISTFILE: it goes with --mapper alone, without a command after --, --stdin, --stdout or --collect"},
		{"no output", func(r *Request) { r.Inputs.Output = "" }, "no output: give --output FOLDER"},
		{"output that nobody writes", func(r *Request) { r.Mapper, r.Command = "", []string{"tool", "{in}"} },
			"--output out is given, but the command writes none: use {out} in it, --stdout or --collect PATTERN"},
		{"environment", func(r *Request) { r.Env = "HOME,SHELL" }, `--env names "SHELL", which is not in the environment`},
		{"reducer's arguments without it", func(r *Request) { r.RedArgs = []string{"-x"} }, "--redargs and --redout go with --reducer"},
		{"reducer's output without it", func(r *Request) { r.RedOut = "x" }, "--redargs and --redout go with --reducer"},
		{"reducer missing", func(r *Request) { r.Reducer = "./none" }, "--reducer: the program ./none is not there"},
		{"reducer's output nowhere", func(r *Request) { r.Reducer, r.RedOut = "tool", "no/x" }, "--redout no/x: its folder is not there"},
		{"reducer's output there", func(r *Request) { r.Reducer, r.RedOut, r.Inputs.Existing = "tool", "sum.out", job.ExistingRefuse },
			"--redout DIR/sum.out is there already; use --existing replace to move it aside, or another name"},
		{"reducer of another guest", func(r *Request) { r.Reducer = "sim.exe" }, "--reducer sim.exe needs guest windows, and the mapper runs in native"},
		{"reducer without outputs", func(r *Request) {
			r.Mapper, r.Command, r.Inputs.Output, r.Reducer = "", []string{"tool", "{in}"}, "", "tool"
		}, "--reducer works on outputs, and the command writes none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, dir, _ := newConductor(t)
			r := request(dir)
			tt.change(&r)
			_, err := c.Prepare(t.Context(), r)
			if err == nil {
				t.Fatal("it is not refused")
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if !errors.Is(err, job.ErrBadInput) && !errors.Is(err, guest.ErrUnfit) {
				t.Errorf("%v is neither bad input nor an unfit program", err)
			}
			if names, err := os.ReadDir(filepath.Join(dir, "out")); err == nil {
				t.Errorf("the output folder was made: %v", names)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Request)
		check  func(t *testing.T, p *Prepared, dir string)
	}{
		{"a mapper", func(*Request) {}, func(t *testing.T, p *Prepared, dir string) {
			s := p.Spec
			same(t, "program", s.Program, dir+"/sim")
			same(t, "program folder", s.ProgramDir, dir)
			same(t, "guest", s.Guest, "native")
			same(t, "work folder", s.WorkDir, dir)
			same(t, "engine", s.Engine, "local")
			same(t, "kept output", s.MaxLog, DefaultMaxLog)
			same(t, "output", p.Tasks[2].Out, "c:d.txt.out")
			same(t, "sample", strings.Join(p.SampleArgv(), " "), dir+"/sim "+dir+"/in/a.txt "+dir+"/out/a.txt.out")
		}},
		{"a program of PATH", func(r *Request) { r.Mapper = "tool" }, func(t *testing.T, p *Prepared, dir string) {
			same(t, "program", p.Spec.Program, dir+"/bin/tool")
		}},
		{"a Windows program", func(r *Request) { r.Mapper = "sim.exe" }, func(t *testing.T, p *Prepared, dir string) {
			same(t, "program", p.Spec.Program, dir+"/sim.exe")
			same(t, "guest", p.Spec.Guest, "windows")
			same(t, "boot", p.Spec.Boot, "lean")
			same(t, "work folder", p.Spec.WorkDir, job.PrivateWork)
			same(t, "alias of the input", p.Tasks[2].In[0].Alias, "c_d.txt")
			same(t, "alias of the output", p.Tasks[2].OutAlias, "c_d.txt.out")
			same(t, "output", p.Tasks[2].Out, "c:d.txt.out")
		}},
		{"a reducer that needs more", func(r *Request) { r.Mapper, r.Reducer = "sim.exe", "heavy.exe" }, func(t *testing.T, p *Prepared, dir string) {
			same(t, "boot", p.Spec.Boot, "full")
			same(t, "reducer", p.Spec.Reducer, dir+"/heavy.exe")
			same(t, "its output", p.Spec.ReducerOut, dir+"/llmapreduce.out")
			same(t, "its guest", p.Spec.ReduceGuest, "windows")
		}},
		{"a native reducer of Windows programs", func(r *Request) { r.Mapper, r.Reducer = "sim.exe", "tool" }, func(t *testing.T, p *Prepared, _ string) {
			same(t, "its guest", p.Spec.ReduceGuest, "native")
		}},
		{"a command", func(r *Request) { r.Mapper, r.Command = "", []string{"tool", "/i", "{in}", "/o", "{out}", "{index}"} }, func(t *testing.T, p *Prepared, dir string) {
			same(t, "sample", strings.Join(p.SampleArgv(), " "), dir+"/bin/tool /i "+dir+"/in/a.txt /o "+dir+"/out/a.txt.out 1")
		}},
		{"without outputs", func(r *Request) {
			r.Mapper, r.Command, r.Inputs.Output = "", []string{"tool", "{in}"}, ""
		}, func(t *testing.T, p *Prepared, _ string) {
			same(t, "output folder", p.Spec.Output, "")
			same(t, "output", p.Tasks[0].Out, "")
		}},
		{"standard streams", func(r *Request) { r.Stdin, r.Stdout = true, true }, func(t *testing.T, p *Prepared, dir string) {
			same(t, "sample", strings.Join(p.SampleArgv(), " "), dir+"/sim")
		}},
		{"collected", func(r *Request) { r.Collect, r.Inputs.Collect = []string{"*.dat"}, true }, func(t *testing.T, p *Prepared, _ string) {
			same(t, "work folder", p.Spec.WorkDir, job.PrivateWork)
		}},
		{"here", func(r *Request) { r.Mapper, r.WorkDir = "sim.exe", "here" }, func(t *testing.T, p *Prepared, dir string) {
			same(t, "work folder", p.Spec.WorkDir, dir)
		}},
		{"some outputs are there", func(r *Request) { r.Inputs.Output, r.Inputs.Existing = "made", job.ExistingSkip }, func(t *testing.T, p *Prepared, _ string) {
			if !slices.Equal(p.Present, []int{1}) {
				t.Errorf("present: %v", p.Present)
			}
			for _, e := range p.Plan.Elements {
				for _, call := range e.Calls {
					if slices.Contains(call, 1) {
						t.Error("task 1 is planned, and its output is there")
					}
				}
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, dir, _ := newConductor(t)
			r := request(dir)
			tt.change(&r)
			p, err := c.Prepare(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			tt.check(t, p, dir)
		})
	}
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestAnnounced(t *testing.T) {
	c, dir, told := newConductor(t)
	r := request(dir)
	r.Mapper, r.Reducer = "sim.exe", "heavy.exe"
	if _, err := c.Prepare(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	want := []string{"guest windows: sim.exe is a windows program", "boot lean: it is so", "boot full: the reducer needs services"}
	if !slices.Equal(*told, want) {
		t.Errorf("told %q, want %q", *told, want)
	}
}

func TestProgramEnv(t *testing.T) {
	environ := []string{"PATH=/bin", "HOME=/home/ann", "EMPTY=", "LD_PRELOAD=x.so", "MUSTER_STATE=/s", "MUSTER_TASK=1_1.1@t", "=C:=C:\\", "BASH_FUNC_f%%=() {\n}"}
	for _, tt := range []struct {
		names string
		want  []string
	}{
		{"all", []string{"PATH=/bin", "HOME=/home/ann", "EMPTY=", "LD_PRELOAD=x.so", "BASH_FUNC_f%%=() {\n}"}},
		{"", []string{"PATH=/bin", "HOME=/home/ann", "EMPTY=", "LD_PRELOAD=x.so", "BASH_FUNC_f%%=() {\n}"}},
		{"none", nil},
		{"HOME", []string{"HOME=/home/ann"}},
		{"EMPTY,PATH", []string{"EMPTY=", "PATH=/bin"}},
	} {
		got, err := programEnv(environ, tt.names)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("--env %s: %q, %v; want %q", tt.names, got, err, tt.want)
		}
	}
	for _, names := range []string{"HOM", "HOME,", "HOME, PATH"} {
		if got, err := programEnv(environ, names); !errors.Is(err, job.ErrBadInput) {
			t.Errorf("--env %q: %q, %v", names, got, err)
		}
	}
}

// Agents get nothing that changes how a program is loaded or a shell starts.
func TestAgentEnv(t *testing.T) {
	got := agentEnv([]string{"PATH=/bin", "LD_PRELOAD=x.so", "BASH_ENV=/x", "LC_ALL=C", "MUSTER_SCRATCH=/s", "SBATCH_QOS=y", "HOME=/h"})
	want := []string{"PATH=/bin", "LC_ALL=C", "MUSTER_SCRATCH=/s", "HOME=/h"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// An engine's answer that was lost does not mean that it refused.
func TestLostAnswer(t *testing.T) {
	for _, tt := range []struct {
		err  error
		open bool
	}{{engine.ErrUnavailable, true}, {engine.ErrRefused, false}} {
		run := newRun(t, job.Spec{Engine: "x"}, []job.Task{{Index: 1}})
		c := &Conductor{}
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond) // for whom the answer is looked
		defer stop()
		if err := c.submit(ctx, run, chosen{name: "x", Engine: deaf{err: tt.err}}, job.Spec{Engine: "x", Reducer: "r"}, &plan.Plan{}, false, nil); !errors.Is(err, tt.err) {
			t.Errorf("%v", err)
		}
		subs, err := run.Submissions()
		if err != nil || len(subs) != 1 || subs[0].Open() != tt.open {
			t.Errorf("%v: submissions %+v, %v", tt.err, subs, err)
		}
	}
}

// deaf is an engine that takes nothing.
type deaf struct {
	engine.Engine
	err error
}

func (d deaf) Find(context.Context, string) ([]engine.ID, error) { return nil, d.err }

func (d deaf) Submit(context.Context, job.Array) (engine.ID, error) { return "", d.err }
