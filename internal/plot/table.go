package plot

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"muster/internal/job"
	"muster/internal/timeline"
)

// tableColumns bounds the length of a line's table.
const tableColumns = 1000

func (f *RunFigure) writeTable(w io.Writer) error {
	cw := csv.NewWriter(w)
	row := func(panel, name string, at time.Duration, n int) {
		// Errors stay in the Writer until Flush.
		_ = cw.Write([]string{panel, name, strconv.FormatFloat(at.Seconds(), 'f', 6, 64), strconv.Itoa(n)})
	}
	_ = cw.Write([]string{"panel", "line", "seconds", "count"})
	for _, s := range f.launch.lines {
		for _, p := range s.curve.Downsample(tableColumns) {
			row("a", s.name, p.At, p.N)
		}
	}
	programs, instances := f.upCurves()
	for _, s := range []series{{name: "programs running", curve: programs}, {name: "instances up", curve: instances}} {
		for _, p := range s.curve.Downsample(tableColumns) {
			row("b", s.name, p.At, p.N)
		}
	}
	type sum struct {
		took  time.Duration
		spans int
	}
	for i := range f.rows {
		by := map[job.Phase]*sum{}
		for _, ph := range job.Phases() {
			by[ph] = &sum{}
		}
		for _, k := range f.rows[i].spans {
			s := &f.run.Timeline.Spans[k]
			if t := by[s.Phase]; t != nil {
				t.took += s.End - s.Start
				t.spans++
			}
		}
		for _, ph := range job.Phases() {
			if by[ph].spans > 0 {
				row("c", laneName(f.rows[i])+": "+string(ph), by[ph].took, by[ph].spans)
			}
		}
	}
	cw.Flush()
	if err := cw.Error(); err != nil {
		return fmt.Errorf("writing the figure's table: %w", err)
	}
	return nil
}

// laneName names a row in full.
func laneName(r row) string {
	one := func(id timeline.LaneID) string { return fmt.Sprintf("agent %d lane %d", id.Agent, id.Lane) }
	if r.first == r.last {
		return one(r.first)
	}
	return one(r.first) + " to " + one(r.last)
}
