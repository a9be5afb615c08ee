package report

import (
	"fmt"
	"io"

	"muster/internal/job"
	"muster/internal/ui/human"
)

// WriteSummary writes what a person wants to know at the end of a run: what it
// was, what failed and why, where the outputs are, and what to do next. It is
// WriteText without the figures; width is the same.
func (r *Report) WriteSummary(w io.Writer, width int) error {
	if width <= 0 {
		width = 80
	}
	t := &textReport{Report: r, width: max(width, 56)}
	t.head()
	t.notes()
	t.reduce()
	t.failures()
	if done := t.run.Tasks[job.Completed]; done > 0 && done < t.total() && t.run.Spec.Output != "" {
		t.linef("")
		t.linef("outputs  %s", human.Escape(t.run.Spec.Output))
	}
	t.verdict()
	if _, err := io.WriteString(w, t.b.String()); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}

// Next is the command to go on with, "" when all is done.
func (r *Report) Next() string { return r.next() }
