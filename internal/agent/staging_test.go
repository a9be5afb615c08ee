package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/image"
	"muster/internal/job"
	"muster/internal/scratch"
	"muster/internal/stage"
)

// staging is what a keeper does for the first generation of a run, with a
// scratch folder of its own.
func (l *lab) staging(ctx context.Context) (Staged, *Staging, error) {
	l.t.Helper()
	root := filepath.Join(l.dir, "node")
	check(l.t, os.MkdirAll(root, 0o700))
	l.t.Cleanup(func() { check(l.t, image.RemoveTree(root)) })
	folder, err := scratch.New(root)
	check(l.t, err)
	defer folder.Remove()
	s := &Staging{RunDir: l.run.Dir, Generation: 1, Log: slog.New(slog.NewTextHandler(l.t.Output(), nil)),
		Getenv: func(name string) string { return map[string]string{"MUSTER_SCRATCH": root}[name] }}
	l.t.Cleanup(func() { check(l.t, s.Close()) })
	if err := s.Do(ctx, folder); err != nil {
		return Staged{}, s, err
	}
	done, err := readStaged(folder.Dir)
	return done, s, err
}

// described writes down what must be in the program's folder, as the submitting
// side does.
func (l *lab) described(dir string) {
	l.t.Helper()
	tree, err := stage.Program(dir)
	check(l.t, err)
	check(l.t, tree.Sum(l.t.Context()))
	check(l.t, os.MkdirAll(filepath.Dir(l.run.StagedProgram(1)), 0o700))
	check(l.t, tree.Write(l.run.StagedProgram(1)))
}

func TestStaging(t *testing.T) {
	for _, word := range []string{"", stage.None, stage.Auto, stage.Direct, stage.Fan} {
		for name, spoil := range map[string]func(app string) error{
			"good":    nil,
			"changed": func(app string) error { return os.WriteFile(filepath.Join(app, "run"), []byte("another"), 0o755) },
			"gone":    os.RemoveAll,
		} {
			t.Run(word+" "+name, func(t *testing.T) {
				app := filepath.Join(t.TempDir(), "app")
				write(t, filepath.Join(app, "run"), "#!/bin/sh\n")
				l := newLab(t, 1, "", func(s *job.Spec) { s.Stage, s.Program, s.ProgramDir = word, filepath.Join(app, "run"), app })
				l.described(app)
				if spoil != nil {
					check(t, spoil(app))
				}
				done, s, err := l.staging(t.Context())
				check(t, err)
				spec := l.spec
				done.settle(&spec)
				staged := word != "" && word != stage.None
				switch {
				case !staged || spoil != nil:
					if done.How != "" || spec.Program != l.spec.Program {
						t.Errorf("staged: %+v", done)
					}
				case done.How != "program copied" || done.Bytes != 10 || spec.Program != filepath.Join(spec.ProgramDir, "run"):
					t.Errorf("not staged: %+v", done)
				default:
					if text, err := os.ReadFile(spec.Program); err != nil || string(text) != "#!/bin/sh\n" {
						t.Errorf("the copy holds %q (%v)", text, err)
					}
				}
				// What cannot be staged is a note where the user did not insist, and else the
				// end of the agent's work.
				failed := staged && spoil != nil && word != stage.Auto
				if (done.unready() != nil) != failed {
					t.Errorf("unready: %v", done.unready())
				}
				if noted := staged && spoil != nil && word == stage.Auto; noted != (len(done.Notes) == 1) {
					t.Errorf("notes: %q", done.Notes)
				}
				if text := strings.Join(done.Notes, "") + done.Failed; staged && spoil != nil && !strings.Contains(text, app) {
					t.Errorf("%q does not name %s", text, app)
				}
				if got, want := len(s.uses), map[bool]int{true: 1}[staged && spoil == nil]; got != want {
					t.Errorf("%d claims are held, want %d", got, want)
				}
			})
		}
	}
}

// A keeper that is told to stop while it stages has begun nothing.
func TestStagingStopped(t *testing.T) {
	app := filepath.Join(t.TempDir(), "app")
	write(t, filepath.Join(app, "run"), "#!/bin/sh\n")
	l := newLab(t, 1, "", func(s *job.Spec) { s.Stage, s.Program, s.ProgramDir = stage.Direct, filepath.Join(app, "run"), app })
	l.described(app)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := l.staging(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
