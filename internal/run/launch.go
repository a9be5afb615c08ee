package run

import (
	"context"
	"slices"

	"muster/internal/job"
	"muster/internal/template"
)

// programs settles what the programs of a launch are: a task each, without input or output.
func (c *Conductor) programs(_ context.Context, p *Prepared, r Request, args []string) error {
	t, err := template.Parse(args)
	if err != nil {
		return err
	}
	known := []string{"index", "lane"}
	for _, name := range template.Placeholders() {
		if t.Uses(name) && !slices.Contains(known, name) {
			return job.BadInputf("the command names {%s}, and a launch has neither inputs nor outputs: known are {index} {lane}; write {{ and }} for braces", name)
		}
	}
	s := &p.Spec
	s.AppType, s.Distribution, s.Template, s.Args, s.Tasks = job.SISO, job.Block, true, args, r.Launch.Programs
	p.Tasks = make([]job.Task, s.Tasks)
	for i := range p.Tasks {
		p.Tasks[i].Index = i + 1
	}
	return nil
}
