package run

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"muster/internal/job"
	"muster/internal/rundir"
	"muster/internal/stage"
)

// checkStaging refuses a program's folder that was to be staged and cannot be.
// With --stage auto it is read where it is then, and that is said.
func (c *Conductor) checkStaging(p *Prepared) error {
	s := p.Spec
	if want, err := stage.Wanted(s.Stage, s.ProgramDir); err != nil || !want {
		return err
	}
	_, err := stage.Program(s.ProgramDir)
	if err != nil && s.Stage == stage.Auto {
		c.tell("not staged: %v", err)
		return nil
	}
	return err
}

// describe notes what must be in the program's folder, for the nodes of a
// generation: they stage what was there at the submission, or nothing.
func (c *Conductor) describe(ctx context.Context, run *rundir.Run, spec job.Spec, sub rundir.Submission) error {
	if want, err := stage.Wanted(spec.Stage, spec.ProgramDir); err != nil || !want {
		return err
	}
	if sub.Kind == rundir.SubmitReduce && !strings.HasPrefix(spec.Reducer, spec.ProgramDir+"/") {
		return nil
	}
	t, err := stage.Program(spec.ProgramDir)
	if err == nil {
		err = t.Sum(ctx)
	}
	if err != nil && spec.Stage == stage.Auto && ctx.Err() == nil {
		return nil // checkStaging has said so
	}
	if err != nil {
		return fmt.Errorf("describing the program's folder for the nodes: %w", err)
	}
	file := run.StagedProgram(sub.Generation)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("describing the program's folder for the nodes: %w", err)
	}
	if err := t.Write(file); err != nil {
		return fmt.Errorf("describing the program's folder for the nodes: %w", err)
	}
	return nil
}
