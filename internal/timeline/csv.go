package timeline

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"
)

// WriteCSV writes a line per span after a line of column names: phase, begin
// and length in seconds since the first submission, agent, lane, instance,
// task, attempt, state, and whether the span was still open.
func WriteCSV(w io.Writer, t *Timeline) error {
	cw := csv.NewWriter(w)
	row := []string{"phase", "start_s", "seconds", "agent", "lane", "instance", "task", "attempt", "state", "open"}
	_ = cw.Write(row) // errors stay in the Writer until Flush
	for i := range t.Spans {
		s := &t.Spans[i]
		row[0] = string(s.Phase)
		row[1] = seconds(s.Start)
		row[2] = seconds(s.End - s.Start)
		row[3] = strconv.Itoa(s.Agent)
		row[4] = strconv.Itoa(s.Lane)
		row[5] = s.Instance
		row[6] = strconv.Itoa(s.Task)
		row[7] = strconv.Itoa(s.Attempt)
		row[8] = string(s.State)
		row[9] = strconv.FormatBool(s.Open)
		_ = cw.Write(row)
	}
	cw.Flush()
	if err := cw.Error(); err != nil {
		return fmt.Errorf("writing the table of spans: %w", err)
	}
	return nil
}

// seconds gives d in seconds with microseconds.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 6, 64)
}
